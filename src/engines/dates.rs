//! The date in a backup's name. Pure.
//!
//! Only whole runs of ASCII digits count, so that no date is cut out of a longer number:
//!
//! | digits in a row | read as |
//! | --- | --- |
//! | 8 | `YYYYMMDD` |
//! | 12, 14 | `YYYYMMDDhhmm[ss]`, where that is a time of day |
//! | 17 | `YYYYMMDDhhmmss` and milliseconds, likewise |
//! | 4, 2, 2 | `YYYY-MM-DD`, and `YYYY_MM_DD` in file names |
//! | 2, 2, 4 | `DD-MM-YYYY` in names of RMAN folders |
//!
//! Of several days in the name of a SQL Server backup the one before a time of day counts, since a
//! database's own name may hold a date; else, and in every other name, the leftmost does.
//!
//! Other lengths are no dates: 7 is the suffix of SQL Server's maintenance plans, 9 and 10 are
//! database identifiers and seconds since 1970, 13 and 16 are finer epochs. Years outside
//! [`BackupDate::YEARS`] are no years.

use crate::model::BackupDate;

/// What the digits of a name say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A date, and every other date in the name, in the order of the name.
    Date(BackupDate, Vec<BackupDate>),
    /// The first digits of a date's form that are no calendar day.
    Invalid(String),
    /// Nothing of a date's form.
    Nothing,
}

impl Found {
    /// Every date in the name, the one that counts first.
    pub(super) fn dates(&self) -> impl Iterator<Item = BackupDate> {
        let (first, others) = match self {
            Self::Date(date, others) => (Some(*date), others.as_slice()),
            Self::Invalid(_) | Self::Nothing => (None, [].as_slice()),
        };
        first.into_iter().chain(others.iter().copied())
    }
}

/// A way to write a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `YYYYMMDD`, alone or before a time of day.
    Compact,
    /// `YYYY-MM-DD`.
    Dashed,
    /// `YYYY_MM_DD`.
    Underscored,
    /// `DD-MM-YYYY`.
    DayFirst,
}

/// The date in the name of a dump file: the leftmost that is a calendar day.
pub(super) fn in_file_name(name: &str) -> Found {
    let candidates: Vec<_> =
        candidates(name).into_iter().filter(|candidate| candidate.form != Form::DayFirst).collect();
    pick(&candidates, |_| 0)
}

/// The date in the name of a SQL Server backup: of several the leftmost that a time of day (`_hhmmss`)
/// follows, as maintenance plans and Ola Hallengren's scripts write it; else as in any file name.
pub(super) fn in_tape_name(name: &str) -> Found {
    let candidates: Vec<_> =
        candidates(name).into_iter().filter(|candidate| candidate.form != Form::DayFirst).collect();
    pick(&candidates, |candidate| u8::from(!candidate.timed))
}

/// The dates in a name of whatever kind, in every form: for what is almost a backup.
pub(super) fn in_any_form(name: &str) -> Found {
    pick(&candidates(name), |_| 0)
}

/// The day that a directory's name is and nothing else, a time of day behind it aside.
pub(super) fn only_a_day(name: &str) -> Option<BackupDate> {
    candidates(name).iter().find_map(|candidate| {
        let rest = name.get(candidate.place.1..).unwrap_or_default();
        let bare = rest.bytes().all(|byte| byte.is_ascii_digit() || b"_-.:T".contains(&byte));
        candidate.date.filter(|_| candidate.place.0 == 0 && bare)
    })
}

/// The date in the name of an RMAN folder: `DD-MM-YYYY`, else `YYYYMMDD`, else `YYYY-MM-DD`; of several
/// of a form the leftmost that is a calendar day.
pub(super) fn in_rman_folder_name(name: &str) -> Found {
    let candidates: Vec<_> =
        candidates(name).into_iter().filter(|candidate| candidate.form != Form::Underscored).collect();
    pick(&candidates, |candidate| match candidate.form {
        Form::DayFirst => 0,
        Form::Compact => 1,
        Form::Dashed | Form::Underscored => 2,
    })
}

/// Digits of a date's form.
struct Candidate<'a> {
    form: Form,
    text: &'a str,
    /// Where in the name.
    place: Run,
    /// Whether a time of day follows.
    timed: bool,
    date: Option<BackupDate>,
}

fn pick(candidates: &[Candidate<'_>], rank: impl Fn(&Candidate<'_>) -> u8) -> Found {
    let valid = || candidates.iter().filter_map(|candidate| Some((candidate, candidate.date?)));
    // The first of those with the lowest rank.
    let Some((_, date)) = valid().min_by_key(|(candidate, _)| rank(candidate)) else {
        return candidates
            .first()
            .map_or(Found::Nothing, |candidate| Found::Invalid(candidate.text.to_owned()));
    };
    let mut others = Vec::new();
    for (_, other) in valid() {
        if other != date && !others.contains(&other) {
            others.push(other);
        }
    }
    Found::Date(date, others)
}

/// A run of digits: its start and its end in the name.
type Run = (usize, usize);

fn candidates(name: &str) -> Vec<Candidate<'_>> {
    let runs = runs(name);
    let text = |(start, end): Run| name.get(start..end).unwrap_or_default();
    let mut found = Vec::new();
    // `_hhmmss` after the run of that index.
    let timed = |index: usize, end: usize| {
        runs.get(index + 1)
            .is_some_and(|next| text((end, next.0)) == "_" && is_time(text(*next)) && next.1 - next.0 == 6)
    };
    for (index, &first) in runs.iter().enumerate() {
        if matches!(first.1 - first.0, 8 | 12 | 14 | 17) {
            let text = text(first);
            let timed = text.len() > 8 || timed(index, first.1);
            found.push(Candidate { form: Form::Compact, text, place: first, timed, date: compact(text) });
            continue;
        }
        let Some(&[second, third]) = runs.get(index + 1..index + 3) else {
            continue;
        };
        let form = match (text((first.1, second.0)), text((second.1, third.0))) {
            ("-", "-") if lengths([first, second, third]) == [4, 2, 2] => Form::Dashed,
            ("-", "-") if lengths([first, second, third]) == [2, 2, 4] => Form::DayFirst,
            ("_", "_") if lengths([first, second, third]) == [4, 2, 2] => Form::Underscored,
            _ => continue,
        };
        let date = match form {
            Form::DayFirst => date(text(third), text(second), text(first)),
            Form::Compact | Form::Dashed | Form::Underscored => date(text(first), text(second), text(third)),
        };
        let place = (first.0, third.1);
        found.push(Candidate { form, text: text(place), place, timed: timed(index + 2, third.1), date });
    }
    found
}

fn runs(name: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (at, _) in name.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match runs.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => runs.push((at, at + 1)),
        }
    }
    runs
}

fn lengths(runs: [Run; 3]) -> [usize; 3] {
    runs.map(|(start, end)| end - start)
}

/// `YYYYMMDD` with or without a time of day behind it; digits only.
fn compact(text: &str) -> Option<BackupDate> {
    if !is_time(text.get(8..)?) {
        return None;
    }
    date(text.get(..4)?, text.get(4..6)?, text.get(6..8)?)
}

/// Digits of a time of day, as many as there are.
fn is_time(time: &str) -> bool {
    let below = |range: std::ops::Range<usize>, limit: u8| match time.get(range) {
        None | Some("") => true,
        Some(part) => part.parse().is_ok_and(|value: u8| value < limit),
    };
    // A leap second is written 60.
    below(0..2, 24) && below(2..4, 60) && below(4..6, 61)
}

fn date(year: &str, month: &str, day: &str) -> Option<BackupDate> {
    BackupDate::from_ymd(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn day(text: &str) -> BackupDate {
        text.parse().unwrap()
    }

    fn only(text: &str) -> Found {
        Found::Date(day(text), Vec::new())
    }

    #[test]
    fn names_that_the_usual_tools_write_have_their_date() {
        for name in [
            "shop_20250818.sql",
            "20250818.sql.gz",
            "shop-20250818-0100.sql.zst",
            "shop_202508180100.sql",
            "shop_20250818010003.sql",
            "shop_20250818010003123.sql",
            "shop_20250818T010003Z.sql",
            "shop-2025-08-18.sql",
            "shop_2025-08-18_01h00m.Monday.sql.gz",
            "shop_2025-08-18T01-00-03.sql",
            "Db_backup_2025_08_18_010003_1234567.bak",
            "HOST_Db_FULL_20250818_010003.bak",
            "HOST$INST_Db_FULL_COPY_ONLY_20250818_010003_1.bak",
            "db_1234_20250818.sql",
            "v10_2025_08_18.sql",
            "データ20250818.sql",
        ] {
            assert_eq!(in_file_name(name), only("2025-08-18"), "{name}");
        }
    }

    #[test]
    fn digits_of_other_lengths_are_no_date() {
        for name in [
            "shop_2025081.sql",
            "shop_202508180.sql",
            "shop_1755475203.sql",
            "shop_2025081801.sql",
            "shop_1755475203123.sql",
            "shop_202508180100031.sql",
            "shop_1755475203123456.sql",
            "shop_2025-08-1.sql",
            "shop_2025-08-180.sql",
            "shop_12025-08-18.sql",
            "shop_2025-08_18.sql",
            "shop_2025.08.18.sql",
            "shop_18-08-2025.sql",
            "shop.sql",
            "",
        ] {
            assert_eq!(in_file_name(name), Found::Nothing, "{name}");
        }
    }

    #[test]
    fn digits_of_a_dates_form_that_are_no_day_are_invalid() {
        for (name, text) in [
            ("shop_20250230.sql", "20250230"),
            ("shop_18082025.sql", "18082025"),
            ("shop_12345678.sql", "12345678"),
            ("shop_2025-13-01.sql", "2025-13-01"),
            ("shop_202508182460.sql", "202508182460"),
            ("shop_20250818010099.sql", "20250818010099"),
            ("shop_19890101.sql", "19890101"),
        ] {
            assert_eq!(in_file_name(name), Found::Invalid(text.to_owned()), "{name}");
        }
        assert_eq!(in_rman_folder_name("rman_31-02-2025"), Found::Invalid("31-02-2025".to_owned()));
        assert_eq!(in_rman_folder_name("rman_08-18-2025"), Found::Invalid("08-18-2025".to_owned()));
    }

    #[test]
    fn leftmost_day_of_a_file_name_counts_and_the_others_are_told() {
        assert_eq!(in_file_name("id12345678_20250818.sql"), only("2025-08-18"));
        assert_eq!(in_file_name("20250818_20250818.sql"), only("2025-08-18"));
        assert_eq!(
            in_file_name("shop_20250817_2025-08-18_20250817_20250819.sql"),
            Found::Date(day("2025-08-17"), vec![day("2025-08-18"), day("2025-08-19")])
        );
    }

    #[test]
    fn rman_folder_has_its_day_first_form_before_any_other() {
        for name in [
            "rman_18-08-2025",
            "rman_full_lv0_18-08-2025_0100",
            "rman_20250818",
            "rman_2025-08-18",
            "rman_prod_1234567890_18-08-2025",
            "rman_12-18-08-2025",
        ] {
            assert_eq!(in_rman_folder_name(name), only("2025-08-18"), "{name}");
        }
        assert_eq!(
            in_rman_folder_name("rman_2025-08-16_20250817_18-08-2025"),
            Found::Date(day("2025-08-18"), vec![day("2025-08-16"), day("2025-08-17")])
        );
        assert_eq!(in_rman_folder_name("rman_2025_08_18"), Found::Nothing);
    }

    #[test]
    fn of_several_days_in_the_name_of_a_sql_server_backup_the_one_with_a_time_counts() {
        for name in [
            "SRV_Archive20240101_FULL_20250818_010203.bak",
            "Archive20240101_backup_2025_08_18_010203_1234567.bak",
            "Archive_2024_01_01_20250818010203.bak",
        ] {
            assert_eq!(in_tape_name(name).dates().next(), Some(day("2025-08-18")), "{name}");
        }
        for name in ["x_20250818_20240101.bak", "x_20250818_20240101_996060.bak", "x_20250818.bak"] {
            assert_eq!(in_tape_name(name).dates().next(), Some(day("2025-08-18")), "{name}");
        }
    }

    #[test]
    fn directory_of_a_day_has_a_day_for_its_name_and_no_word_of_its_own() {
        for name in
            ["20250818", "2025-08-18", "2025_08_18", "18-08-2025", "2025-08-18_01-00-00", "20250818T010000"]
        {
            assert_eq!(only_a_day(name), Some(day("2025-08-18")), "{name}");
        }
        for name in ["shop_20250818", "20250818_shop", "2025", "20250230", "12345678", ""] {
            assert_eq!(only_a_day(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn date_between_anything_but_digits_is_found_in_each_form(
            (year, month, dom) in (1990..=2099_i32, 1..=12_u32, 1..=28_u32),
            before in "[^0-9]{0,8}", after in "[^0-9]{0,8}",
        ) {
            let date = BackupDate::from_ymd(year, month, dom).unwrap();
            let expected = Found::Date(date, Vec::new());
            for text in [
                format!("{year}{month:02}{dom:02}"),
                format!("{year}-{month:02}-{dom:02}"),
                format!("{year}_{month:02}_{dom:02}"),
                format!("{year}{month:02}{dom:02}2359"),
                format!("{year}{month:02}{dom:02}235960"),
            ] {
                prop_assert_eq!(&in_file_name(&format!("{before}{text}{after}")), &expected);
            }
            let folder = format!("rman_{before}{dom:02}-{month:02}-{year}{after}");
            prop_assert_eq!(in_rman_folder_name(&folder), expected);
        }

        #[test]
        fn longer_number_never_lends_its_digits_to_a_date(
            date in "2025(0[1-9]|1[0-2])(0[1-9]|1[0-9])", extra in "[0-9]{1,2}",
        ) {
            prop_assert_eq!(in_file_name(&format!("a_{date}{extra}.sql")), Found::Nothing);
        }

        #[test]
        fn any_name_has_an_answer(name in "\\PC{0,40}") {
            let _ = (in_file_name(&name), in_rman_folder_name(&name), in_tape_name(&name));
            let _ = (in_any_form(&name), only_a_day(&name));
        }
    }
}
