//! Days and categories. Pure: `today` is an argument, and [`today`] is the only clock that is read.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Local, NaiveDate, Weekday};

use crate::model::{BackupDate, Category, DateRange, ModelError};

/// Today in the server's own calendar.
#[must_use]
pub fn today() -> BackupDate {
    Local::now().date_naive().into()
}

/// A day as people name it: `today`, `yesterday` or `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Day {
    /// The day of the run.
    Today,
    /// The day before the run: last night's backups.
    Yesterday,
    /// A calendar day.
    On(BackupDate),
}

impl Day {
    /// Which day that is.
    #[must_use]
    pub fn resolve(self, today: BackupDate) -> BackupDate {
        match self {
            Self::Today => today,
            // The calendar's first day, the only one without another before it, is no backup's.
            Self::Yesterday => today.day().pred_opt().map_or(today, BackupDate::from),
            Self::On(date) => date,
        }
    }
}

impl FromStr for Day {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text.to_ascii_lowercase().as_str() {
            "today" => Ok(Self::Today),
            "yesterday" => Ok(Self::Yesterday),
            _ => text.parse().map(Self::On).map_err(|_| ModelError::Day(text.to_owned())),
        }
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Today => f.pad("today"),
            Self::Yesterday => f.pad("yesterday"),
            Self::On(date) => date.fmt(f),
        }
    }
}

/// Which days a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Days {
    /// Nothing was said: yesterday.
    #[default]
    LastNight,
    /// `--date`.
    One(Day),
    /// `--since`, with `--until`; without it up to yesterday, or today where it begins today.
    Span {
        /// The first day.
        since: Day,
        /// The last day.
        until: Option<Day>,
    },
}

impl Days {
    /// The range of dates.
    ///
    /// # Errors
    /// [`ModelError::Range`] where it would end before it begins.
    pub fn resolve(self, today: BackupDate) -> Result<DateRange, ModelError> {
        let yesterday = Day::Yesterday.resolve(today);
        match self {
            Self::LastNight => Ok(DateRange::one(yesterday)),
            Self::One(day) => Ok(DateRange::one(day.resolve(today))),
            Self::Span { since, until } => {
                let since = since.resolve(today);
                let default = if since == today { today } else { yesterday };
                DateRange::new(since, until.map_or(default, |until| until.resolve(today)))
            }
        }
    }
}

/// How a date becomes a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CategoryRules {
    /// Whether dates that are not the weekly day are `daily`. Default false: they are `weekly`.
    pub daily: bool,
    /// The day of the weekly (and monthly) backup. Default Monday.
    pub weekly_day: Weekday,
    /// Which occurrence of that day in a month is `monthly`, 1 to 4. Default 4.
    pub monthly_week: u32,
}

impl Default for CategoryRules {
    fn default() -> Self {
        Self { daily: false, weekly_day: Weekday::Mon, monthly_week: 4 }
    }
}

impl CategoryRules {
    /// The category of a backup of that date.
    #[must_use]
    pub fn category(&self, date: BackupDate) -> Category {
        let on_day = date.day().weekday() == self.weekly_day;
        if on_day && date.week_of_month() == self.monthly_week {
            Category::Monthly
        } else if self.daily && !on_day {
            Category::Daily
        } else {
            Category::Weekly
        }
    }
}

/// Why a backup of that date has its category: one sentence for people.
#[must_use]
pub fn why_category(date: BackupDate, rules: &CategoryRules) -> String {
    let category = rules.category(date);
    let day = date.day().format("%A %-d %B %Y");
    let weekly_day = weekday_name(rules.weekly_day);
    let week = date.week_of_month();
    let (first, last) = week_days(date.day(), week);
    match category {
        Category::Monthly => {
            format!("{day} is in week {week} of its month (days {first}-{last}): monthly")
        }
        Category::Daily => format!("{day} is not a {weekly_day}, and daily backups are on: daily"),
        Category::Weekly if date.day().weekday() != rules.weekly_day => {
            format!("{day} is not a {weekly_day}: weekly")
        }
        Category::Weekly => format!(
            "{day} is in week {week} of its month (days {first}-{last}), and the monthly one is of week {}: weekly",
            rules.monthly_week
        ),
    }
}

/// First and last day of the month's week, the last week cut at the month's end.
fn week_days(day: NaiveDate, week: u32) -> (u32, u32) {
    let length = u32::from(day.num_days_in_month());
    ((week - 1) * 7 + 1, (week * 7).min(length))
}

const fn weekday_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "Monday",
        Weekday::Tue => "Tuesday",
        Weekday::Wed => "Wednesday",
        Weekday::Thu => "Thursday",
        Weekday::Fri => "Friday",
        Weekday::Sat => "Saturday",
        Weekday::Sun => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> BackupDate {
        text.parse().unwrap()
    }

    /// Every day from 2020 to 2040, counted out by hand from Wednesday 1 January 2020: year, month, day,
    /// weekday (Monday is 0), and how many days of that weekday the month has had, this one included.
    fn counted_days() -> Vec<(i32, u32, u32, u32, u32)> {
        let mut days = Vec::new();
        let mut weekday = 2;
        for year in 2020..=2040 {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            for (month, length) in (1..).zip(lengths) {
                let mut had = [0; 7];
                for day in 1..=length {
                    had[weekday as usize] += 1;
                    days.push((year, month, day, weekday, had[weekday as usize]));
                    weekday = (weekday + 1) % 7;
                }
            }
        }
        days
    }

    #[test]
    fn fourth_monday_is_monthly_and_every_other_day_weekly_from_2020_to_2040() {
        let rules = CategoryRules::default();
        let days = counted_days();
        assert_eq!(days.len(), 21 * 365 + 6);
        let mut monthly = 0;
        for (year, month, day, weekday, nth) in days {
            let date = BackupDate::from_ymd(year, month, day).unwrap();
            let fourth_monday = weekday == 0 && nth == 4;
            let expected = if fourth_monday { Category::Monthly } else { Category::Weekly };
            assert_eq!(rules.category(date), expected, "{date}");
            assert_eq!(date.week_of_month(), nth, "{date}");
            assert!(!fourth_monday || (22..=28).contains(&day), "{date}");
            monthly += u32::from(fourth_monday);
        }
        assert_eq!(monthly, 21 * 12);
    }

    #[test]
    fn every_weekday_and_week_can_be_the_monthly_one_and_the_rest_daily() {
        let weekdays = [
            Weekday::Mon,
            Weekday::Tue,
            Weekday::Wed,
            Weekday::Thu,
            Weekday::Fri,
            Weekday::Sat,
            Weekday::Sun,
        ];
        for (number, weekly_day) in (0..).zip(weekdays) {
            for monthly_week in 1..=4 {
                let rules = CategoryRules { daily: true, weekly_day, monthly_week };
                for (year, month, day, weekday, nth) in counted_days() {
                    let expected = match (weekday == number, nth == monthly_week) {
                        (true, true) => Category::Monthly,
                        (true, false) => Category::Weekly,
                        (false, _) => Category::Daily,
                    };
                    let date = BackupDate::from_ymd(year, month, day).unwrap();
                    assert_eq!(rules.category(date), expected, "{date} {rules:?}");
                    assert!(why_category(date, &rules).ends_with(&format!(": {expected}")), "{date}");
                }
            }
        }
    }

    #[test]
    fn sentence_tells_why() {
        let rules = CategoryRules::default();
        for (day, said) in [
            ("2025-08-25", "Monday 25 August 2025 is in week 4 of its month (days 22-28): monthly"),
            ("2025-08-26", "Tuesday 26 August 2025 is not a Monday: weekly"),
            (
                "2025-08-04",
                "Monday 4 August 2025 is in week 1 of its month (days 1-7), and the monthly one is of week 4: weekly",
            ),
            (
                "2025-06-30",
                "Monday 30 June 2025 is in week 5 of its month (days 29-30), and the monthly one is of week 4: weekly",
            ),
        ] {
            assert_eq!(why_category(date(day), &rules), said);
        }
        let daily = CategoryRules { daily: true, ..rules };
        assert_eq!(
            why_category(date("2025-08-26"), &daily),
            "Tuesday 26 August 2025 is not a Monday, and daily backups are on: daily"
        );
    }

    #[test]
    fn yesterday_crosses_months_and_leap_days() {
        for (today, yesterday) in
            [("2025-09-01", "2025-08-31"), ("2024-03-01", "2024-02-29"), ("2025-01-01", "2024-12-31")]
        {
            assert_eq!(Day::Yesterday.resolve(date(today)), date(yesterday));
            assert_eq!(Days::default().resolve(date(today)).unwrap(), DateRange::one(date(yesterday)));
        }
    }

    #[test]
    fn day_is_two_words_or_a_date() {
        assert_eq!("today".parse::<Day>().unwrap(), Day::Today);
        assert_eq!("yesterday".parse::<Day>().unwrap(), Day::Yesterday);
        assert_eq!("Yesterday".parse::<Day>().unwrap(), Day::Yesterday);
        assert_eq!("2025-08-18".parse::<Day>().unwrap(), Day::On(date("2025-08-18")));
        for text in ["", "tomorrow", "18-08-2025", "20250818", "2025-02-29"] {
            assert!(text.parse::<Day>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn span_ends_yesterday_unless_told_and_never_before_it_begins() {
        let today = date("2025-08-19");
        let span = |since: &str, until: Option<&str>| {
            let until = until.map(|until| until.parse().unwrap());
            Days::Span { since: since.parse().unwrap(), until }.resolve(today)
        };
        assert_eq!(span("2025-08-11", None).unwrap().last(), date("2025-08-18"));
        assert_eq!(span("today", None).unwrap(), DateRange::one(today));
        assert_eq!(span("2025-08-11", Some("today")).unwrap().last(), today);
        assert!(span("2025-08-18", Some("2025-08-17")).is_err());
        assert!(span("2025-08-20", None).is_err());
    }

    proptest! {
        #[test]
        fn day_text_parses_back(year in 1990..=2099_i32, month in 1..=12_u32, day in 1..=28_u32) {
            let day = Day::On(BackupDate::from_ymd(year, month, day).unwrap());
            prop_assert_eq!(day.to_string().parse::<Day>().unwrap(), day);
        }
    }
}
