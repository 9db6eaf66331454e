//! The age at which the bucket's own rule removes backups, as the configuration repeats it.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use super::{BackupDate, Category};

/// `[s3] expires`: days by category; one that is not there never expires.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expires(BTreeMap<Category, u32>);

/// What the rule may have done to a set by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Nothing yet: what is missing of it is lost.
    Kept,
    /// It is at work: all of the set may be there, a part, or nothing.
    Going,
    /// It has removed all of it; a part that is left says that it was something else.
    Over,
}

impl Expires {
    /// Least and most days.
    pub const DAYS: std::ops::RangeInclusive<u32> = 1..=36_500;

    /// Days between the first and the last object of a set that the rule may take, besides S3's midnight: S3 counts
    /// an upload in parts from its beginning, and one that was interrupted is gone on with for so long (`[backup]
    /// abort_after`); and it removes objects some days late (S3 user guide, "Expiring objects").
    pub const SLACK: u32 = 7;

    /// Days by category.
    #[must_use]
    pub const fn new(days: BTreeMap<Category, u32>) -> Self {
        Self(days)
    }

    /// The days of a category; none where it never expires.
    #[must_use]
    pub fn days(&self, category: Category) -> Option<u32> {
        self.0.get(&category).copied()
    }

    /// Those that expire, with their days.
    pub fn iter(&self) -> impl Iterator<Item = (Category, u32)> {
        self.0.iter().map(|(category, days)| (*category, *days))
    }

    /// How far the rule is with a set of that date. S3 counts the days from when an object was stored, and goes on to
    /// the next midnight in UTC, so nothing goes before the date and the days. `stored` is when the set was complete,
    /// where that is known: a set that was sent long after its date goes that much later.
    #[must_use]
    pub fn age(
        &self,
        category: Category,
        date: BackupDate,
        stored: Option<NaiveDate>,
        today: NaiveDate,
    ) -> Age {
        let Some(days) = self.days(category) else { return Age::Kept };
        // A day out of the calendar is never reached.
        let after = |day: NaiveDate, days: u32| {
            day.checked_add_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MAX)
        };
        let begun = stored.and_then(|day| day.checked_sub_days(Days::new(u64::from(Self::SLACK))));
        let first = after(begun.map_or(date.day(), |begun| begun.max(date.day())), days);
        let last = after(stored.map_or(date.day(), |stored| stored.max(date.day())), days + 1 + Self::SLACK);
        match (today < first, today <= last) {
            (true, _) => Age::Kept,
            (false, true) => Age::Going,
            (false, false) => Age::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn weekly(date: &str, stored: Option<&str>, today: &str) -> Age {
        let expires = Expires::new(BTreeMap::from([(Category::Weekly, 90)]));
        expires.age(Category::Weekly, day(date).into(), stored.map(day), day(today))
    }

    #[test]
    fn nothing_goes_before_its_days_and_nothing_stays_long_after() {
        // Stored in the night after its day; S3 takes it on 2025-11-18.
        let age = |today| weekly("2025-08-18", Some("2025-08-19"), today);
        assert_eq!(age("2025-11-15"), Age::Kept);
        assert_eq!(age("2025-11-16"), Age::Going);
        assert_eq!(age("2025-11-25"), Age::Going);
        assert_eq!(age("2025-11-26"), Age::Over);
    }

    #[test]
    fn a_set_that_was_sent_late_goes_late() {
        let age = |today| weekly("2025-06-02", Some("2025-08-19"), today);
        assert_eq!(age("2025-09-01"), Age::Kept, "90 days after its date");
        assert_eq!(age("2025-11-09"), Age::Kept);
        assert_eq!(age("2025-11-10"), Age::Going, "what was begun a week before may go");
        assert_eq!(age("2025-11-26"), Age::Over);
    }

    #[test]
    fn where_nobody_knows_when_it_was_stored_its_date_counts() {
        assert_eq!(weekly("2025-08-18", None, "2025-11-15"), Age::Kept);
        assert_eq!(weekly("2025-08-18", None, "2025-11-16"), Age::Going);
        assert_eq!(weekly("2025-08-18", None, "2025-11-25"), Age::Over);
    }

    #[test]
    fn a_category_without_days_never_expires() {
        let expires = Expires::new(BTreeMap::from([(Category::Daily, 7)]));
        let age = expires.age(Category::Monthly, day("1990-01-01").into(), None, day("2099-12-31"));
        assert_eq!(age, Age::Kept);
    }
}
