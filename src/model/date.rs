//! Backup dates and ranges of them.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::ModelError;

/// The date in a set's name: the day the backup speaks of, in the server's own calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackupDate(NaiveDate);

impl BackupDate {
    /// Years outside this range are taken for other numbers (identifiers, ports, epochs).
    pub const YEARS: std::ops::RangeInclusive<i32> = 1990..=2099;

    /// A date from its calendar parts, or `None` where there is no such day or the year is out of
    /// [`Self::YEARS`].
    #[must_use]
    pub fn from_ymd(year: i32, month: u32, day: u32) -> Option<Self> {
        if !Self::YEARS.contains(&year) {
            return None;
        }
        NaiveDate::from_ymd_opt(year, month, day).map(Self)
    }

    /// Whether no clock on earth shows it yet when it is `today` here: a number that was taken for a date, or a
    /// clock that was wrong. Such a set is always the newest, whatever came after it.
    #[must_use]
    pub fn lies_ahead(self, today: NaiveDate) -> bool {
        today.succ_opt().is_some_and(|tomorrow| self.0 > tomorrow)
    }

    /// The calendar day.
    #[must_use]
    pub const fn day(self) -> NaiveDate {
        self.0
    }

    /// Week of the month as the script counts it: `(day - 1) / 7 + 1`, so 1 to 5.
    #[must_use]
    pub fn week_of_month(self) -> u32 {
        (self.0.day() - 1) / 7 + 1
    }
}

impl From<NaiveDate> for BackupDate {
    fn from(day: NaiveDate) -> Self {
        Self(day)
    }
}

impl fmt::Display for BackupDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.format("%Y-%m-%d").to_string())
    }
}

impl FromStr for BackupDate {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let strict = text.len() == 10 && text.is_ascii();
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|_| strict)
            .map(Self)
            .ok_or_else(|| ModelError::Date(text.to_owned()))
    }
}

/// An inclusive range of backup dates; `first` is never after `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateRange {
    first: BackupDate,
    last: BackupDate,
}

impl DateRange {
    /// One day.
    #[must_use]
    pub const fn one(day: BackupDate) -> Self {
        Self { first: day, last: day }
    }

    /// From `first` to `last`, both included.
    ///
    /// # Errors
    /// [`ModelError::Range`] where `first` is after `last`.
    pub fn new(first: BackupDate, last: BackupDate) -> Result<Self, ModelError> {
        if first > last {
            return Err(ModelError::Range { first, last });
        }
        Ok(Self { first, last })
    }

    /// The range that ends on the same day and has at least `days` days.
    #[must_use]
    pub fn reaching_back(self, days: u32) -> Self {
        let back = chrono::Days::new(u64::from(days.saturating_sub(1)));
        let first = self.last.0.checked_sub_days(back).map_or(self.first, BackupDate);
        Self { first: first.min(self.first), last: self.last }
    }

    /// Whether `date` lies in the range.
    #[must_use]
    pub fn contains(self, date: BackupDate) -> bool {
        self.first <= date && date <= self.last
    }

    /// The first day.
    #[must_use]
    pub const fn first(self) -> BackupDate {
        self.first
    }

    /// The last day.
    #[must_use]
    pub const fn last(self) -> BackupDate {
        self.last
    }
}

impl fmt::Display for DateRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{} to {}", self.first, self.last)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn date_text_is_strict() {
        for text in ["2025-8-18", "2025-02-30", "18-08-2025", "2025-08-18 ", "+2025-08-18"] {
            assert!(text.parse::<BackupDate>().is_err(), "{text:?}");
        }
        assert_eq!("2025-08-18".parse::<BackupDate>().unwrap().to_string(), "2025-08-18");
    }
}
