//! Text of the file into values: durations, sizes, paths, choices. Pure; each function says what is
//! wrong, its caller says where and what is allowed.

use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use chrono::Weekday;

use super::secrets::short;
use crate::model::Rate;
use crate::nearest::nearest;

pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn duration(text: &str, range: &RangeInclusive<Duration>) -> Result<Duration, String> {
    let found = humantime::parse_duration(text).map_err(|_| format!("`{}` is no duration", short(text)))?;
    if range.contains(&found) { Ok(found) } else { Err(format!("`{}` is out of range", short(text))) }
}

pub(super) fn duration_range(range: &RangeInclusive<Duration>) -> String {
    format!(
        "a duration with its unit from \"{}\" to \"{}\"",
        show_duration(*range.start()),
        show_duration(*range.end())
    )
}

/// As it can be read back: `5m`, `1h 30m`.
pub(super) fn show_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// A duration of whole days.
pub(super) fn days(text: &str, range: &RangeInclusive<u32>) -> Result<u32, String> {
    let found = humantime::parse_duration(text).map_err(|_| format!("`{}` is no duration", short(text)))?;
    let (days, rest) = (found.as_secs() / 86_400, found.as_secs() % 86_400);
    if rest != 0 || found.subsec_nanos() != 0 {
        return Err(format!("`{}` is not whole days", short(text)));
    }
    u32::try_from(days)
        .ok()
        .filter(|days| range.contains(days))
        .ok_or_else(|| format!("`{}` is out of range", short(text)))
}

pub(super) fn days_range(range: &RangeInclusive<u32>) -> String {
    format!("whole days from \"{}\" to \"{}\"", show_days(*range.start()), show_days(*range.end()))
}

/// As it can be read back: `90d`.
pub(super) fn show_days(days: u32) -> String {
    format!("{days}d")
}

pub(super) fn size(text: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{}` has no unit", short(text)));
    }
    let found = text.parse::<ByteSize>().map_err(|_| format!("`{}` is no size", short(text)))?.as_u64();
    if range.contains(&found) { Ok(found) } else { Err(format!("`{}` is out of range", short(text))) }
}

pub(super) fn size_range(range: &RangeInclusive<u64>) -> String {
    format!("a size with its unit from \"{}\" to \"{}\"", show_size(*range.start()), show_size(*range.end()))
}

/// As it can be read back, without rounding: `8MiB`, `5000001B`.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [(MIB * 1024 * 1024, "TiB"), (MIB * 1024, "GiB"), (MIB, "MiB"), (1024, "KiB")];
    units
        .into_iter()
        .find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit))
        .map_or_else(|| format!("{bytes}B"), |(unit, name)| format!("{}{name}", bytes / unit))
}

pub(super) fn rate(text: &str) -> Result<Rate, String> {
    text.parse().map_err(|_| format!("`{}` is no rate", short(text)))
}

/// Without `.`, doubled or trailing slashes, so that two spellings of a path compare equal.
pub(super) fn absolute_path(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.chars().any(char::is_control) {
        return Err(format!("`{}` holds a control character", short(text)));
    }
    if !path.is_absolute() {
        let home = if text.starts_with('~') { " (`~` is not expanded)" } else { "" };
        return Err(format!("`{}` is not absolute{home}", short(text)));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{}` holds `..`", short(text)));
    }
    Ok(path.components().collect())
}

pub(super) const WEEKDAYS: [(Weekday, &str, &str); 7] = [
    (Weekday::Mon, "mon", "monday"),
    (Weekday::Tue, "tue", "tuesday"),
    (Weekday::Wed, "wed", "wednesday"),
    (Weekday::Thu, "thu", "thursday"),
    (Weekday::Fri, "fri", "friday"),
    (Weekday::Sat, "sat", "saturday"),
    (Weekday::Sun, "sun", "sunday"),
];

pub(super) fn weekday(text: &str) -> Result<Weekday, String> {
    let lower = text.to_ascii_lowercase();
    WEEKDAYS
        .into_iter()
        .find(|(_, short, long)| lower == *short || lower == *long)
        .map(|(day, ..)| day)
        .ok_or_else(|| format!("`{}` is no day of the week", short(text)))
}

/// The value that `text` names in a table of choices.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("`{}` is unknown{}", short(text), suggestion(text, &names))
    })
}

/// The names of a table of choices, for messages.
pub(super) fn names<T>(choices: &[(&str, T)]) -> String {
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    names.join(", ")
}

/// What to say of a key or section that does not exist.
pub(super) fn unknown(kind: &str, found: &str, known: &[&str]) -> String {
    format!("unknown {kind}{}; allowed here: {}", suggestion(found, known), known.join(", "))
}

fn suggestion(found: &str, known: &[&str]) -> String {
    nearest(found, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_without_rounding() {
        for bytes in [0, 1, 1023, 1024, 8 * MIB, 8 * MIB + 1, 5 * MIB * 1024, 3 * MIB * 1024 * 1024] {
            if bytes > 0 {
                assert_eq!(size(&show_size(bytes), &(0..=u64::MAX)), Ok(bytes));
            }
        }
        assert_eq!(show_size(8 * MIB), "8MiB");
    }

    #[test]
    fn two_spellings_of_a_path_are_one_path() {
        assert_eq!(absolute_path("/a//b/./c/").unwrap(), absolute_path("/a/b/c").unwrap());
        for text in ["", "a/b", "~/a", "/a/../b", "/a\nb"] {
            assert!(absolute_path(text).is_err(), "{text:?}");
        }
    }
}
