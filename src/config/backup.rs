//! `[backup]`: how a run goes about its work.

use std::time::Duration;

use chrono::NaiveTime;
use toml::de::DeTable;

use super::error::Report;
use super::parse::{BUFFER_MAX, DAY, HOUR, ON_CUT_SHORT, PART_MAX, PART_MIN};
use super::secrets::short;
use super::section::Section;
use super::{Backup, OnCutShort, values};
use crate::calendar::CategoryRules;
use crate::model::Bandwidth;
use crate::neighbour::IoClass;

pub(super) const IO_CLASSES: [(&str, IoClass); 2] =
    [("best-effort", IoClass::BestEffort), ("idle", IoClass::Idle)];

/// Room for the process itself and one small part.
const MEMORY_MIN: u64 = Backup::OWN_MEMORY + Backup::LEAST_BUFFERS;
/// A year: parts that lie longer cost more than they save.
const ABORT_MAX: Duration = Duration::from_hours(24 * 365);
const BANDWIDTH: &str = "a rate such as \"80Mbit/s\", or times of day with theirs, such as \
                         \"07:00-19:00 20Mbit/s, off\"";

pub(super) fn backup(document: &DeTable<'_>, report: &mut Report<'_>) -> Backup {
    let mut section = Section::open(document, "backup", report);
    let attempts = section.number("attempts", 1, 10, Backup::ATTEMPTS).value;
    let pauses = pauses(&mut section);
    let concurrency = section.number("concurrency", 1, 256, Backup::CONCURRENCY).value;
    let part_size = section.size("part_size", PART_MIN..=PART_MAX, Backup::PART_SIZE).value;
    let max_memory = section.size("max_memory", MEMORY_MIN..=BUFFER_MAX, Backup::MAX_MEMORY).value;
    let patience = Duration::ZERO..=DAY;
    let outage_patience = section.duration("outage_patience", patience, Backup::OUTAGE_PATIENCE);
    let abort_after = section.duration("abort_after", DAY..=ABORT_MAX, Backup::ABORT_AFTER);
    let bandwidth = section
        .text("bandwidth", BANDWIDTH, str::parse::<Bandwidth>)
        .map_or_else(Bandwidth::default, |at| at.value);
    let settle_time = section.duration("settle_time", Duration::ZERO..=HOUR, Backup::SETTLE_TIME);
    let settle_wait = section.duration("settle_wait", Duration::ZERO..=DAY, Backup::SETTLE_WAIT);
    let on_cut_short = section
        .text("on_cut_short", &values::names(&ON_CUT_SHORT), |text| values::choice(text, &ON_CUT_SHORT))
        .map_or(OnCutShort::Refuse, |at| at.value);
    let strict = section.flag("strict", false);
    let nice = u8::try_from(section.number("nice", 0, 19, 0).value).unwrap_or_default();
    let io_class =
        section.text("io_class", &values::names(&IO_CLASSES), |text| values::choice(text, &IO_CLASSES));
    let deadline = section.text("deadline", "a time of the day such as \"06:00\"", |text| {
        NaiveTime::parse_from_str(text, "%H:%M")
            .map_err(|_| format!("`{}` is no time of the day", short(text)))
    });
    let categories = categories(&mut section);
    let catch_up = if categories.daily { Backup::CATCH_UP_DAYS_DAILY } else { 0 };
    let catch_up_days = section.number("catch_up_days", 0, 366, catch_up).value;
    section.finish();
    Backup {
        attempts,
        pauses,
        concurrency: usize::try_from(concurrency).unwrap_or(usize::MAX),
        outage_patience,
        abort_after,
        bandwidth,
        max_memory,
        part_size,
        settle_time,
        settle_wait,
        on_cut_short,
        strict,
        catch_up_days,
        nice,
        io_class: io_class.map(|at| at.value),
        deadline: deadline.map(|at| at.value),
        categories,
    }
}

fn pauses(section: &mut Section<'_, '_, '_>) -> Vec<Duration> {
    let range = Duration::ZERO..=HOUR;
    let allowed = values::duration_range(&range);
    let Some(list) = section.list("pauses", &allowed, |text| values::duration(text, &range)) else {
        return Backup::PAUSES.to_vec();
    };
    if list.value.is_empty() || list.value.len() > 9 {
        let what = format!(
            "a list of {} pauses; allowed: 1 to 9, the last one repeats (write [\"0s\"] for none)",
            list.value.len()
        );
        section.problem(&list.span, "pauses", what);
    }
    list.value
}

fn categories(section: &mut Section<'_, '_, '_>) -> CategoryRules {
    let default = CategoryRules::default();
    let daily = section.flag("daily", default.daily);
    let weekly_day = section
        .text("weekly_day", "mon, tue, wed, thu, fri, sat, sun or the day's full name", values::weekday)
        .map_or(default.weekly_day, |at| at.value);
    let allowed =
        "1, 2, 3 or 4 (a fifth week is not in every month, so those months would have no monthly backup)";
    let monthly_week = section
        .take("monthly_week", allowed, |value| {
            value
                .as_integer()
                .filter(|number| number.radix() == 10)
                .and_then(|number| number.as_str().parse().ok())
                .filter(|week| (1..=4).contains(week))
                .ok_or_else(|| "is no week of every month".to_owned())
        })
        .map_or(default.monthly_week, |at| at.value);
    CategoryRules { daily, weekly_day, monthly_week }
}
