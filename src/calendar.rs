//! Days and categories. Pure: `today` is an argument.

use chrono::{Datelike, Weekday};

use crate::model::{BackupDate, Category};

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

/// stub
pub fn why_category(_date: BackupDate, _rules: &CategoryRules) -> String { String::new() }
