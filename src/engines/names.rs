//! What a name alone says: a set of the days asked for, or why not. Pure.

use super::Why;
use super::dates::{self, Found};
use crate::model::{BackupDate, DateRange};
use crate::source::settle::finished_name;

/// What an engine says of a name, its date aside.
pub(super) enum NameKind {
    /// Named like a backup of this engine.
    Backup,
    /// Almost: with a date that was asked for, its own or its directory's, it is worth a warning; what it lacks.
    Near(String),
    /// Anything else that is no known companion of backups: with a date of its own that was asked for it may be
    /// one in a form that is not taken; what it lacks.
    Foreign(String),
    /// A backup that the configuration leaves out.
    Off(Why),
    /// What lies beside backups.
    Other,
}

/// What a name says, all told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// A set of the days asked for, and what is odd about its name.
    Set(BackupDate, Vec<String>),
    /// Not taken.
    Pass(Why),
}

/// An engine's rules for names.
pub(super) struct NameRules<'a> {
    /// What a name is, its date aside.
    pub(super) kind: &'a dyn Fn(&str) -> NameKind,
    /// The date in a name.
    pub(super) dates: fn(&str) -> Found,
    /// The days asked for.
    pub(super) wanted: DateRange,
}

impl NameRules<'_> {
    pub(super) fn judge(&self, name: &str) -> Judged {
        match finished_name(name) {
            None => self.judge_finished(name),
            Some(finished) => unfinished(self.judge_finished(finished)),
        }
    }

    fn judge_finished(&self, name: &str) -> Judged {
        let found = (self.dates)(name);
        let asked_for = |date: &BackupDate| self.wanted.contains(*date);
        match (self.kind)(name) {
            NameKind::Other => Judged::Pass(Why::NotABackup),
            NameKind::Off(why) => Judged::Pass(match found.dates().next() {
                Some(date) if found.dates().all(|date| !asked_for(&date)) => Why::OtherDate(date),
                Some(_) | None => why,
            }),
            NameKind::Near(what) | NameKind::Foreign(what) => {
                Judged::Pass(if self.is_asked_for(name) { Why::NearMiss(what) } else { Why::NotABackup })
            }
            NameKind::Backup => self.judge_date(found),
        }
    }

    /// Whether a name holds a date that was asked for, in whatever form.
    pub(super) fn is_asked_for(&self, name: &str) -> bool {
        dates::in_any_form(name).dates().any(|date| self.wanted.contains(date))
    }

    /// What is almost a backup by its name and has no date there, below a directory of a day asked for; what it
    /// lacks.
    pub(super) fn near_by_directory(&self, name: &str, dir: &str) -> Option<String> {
        match (self.kind)(name) {
            NameKind::Near(what) if self.is_asked_for(dir) => {
                dates::in_any_form(name).dates().next().is_none().then_some(what)
            }
            NameKind::Near(_)
            | NameKind::Foreign(_)
            | NameKind::Backup
            | NameKind::Off(_)
            | NameKind::Other => None,
        }
    }

    /// What the date in a name says, where something else than the name tells that it is a backup.
    pub(super) fn judge_dated(&self, name: &str) -> Judged {
        match finished_name(name) {
            None => self.judge_date((self.dates)(name)),
            Some(finished) => unfinished(self.judge_date((self.dates)(finished))),
        }
    }

    fn judge_date(&self, found: Found) -> Judged {
        let asked_for = |date: &BackupDate| self.wanted.contains(*date);
        match found {
            Found::Nothing => Judged::Pass(Why::NoDate),
            Found::Invalid(text) => Judged::Pass(Why::InvalidDate(text)),
            Found::Date(date, others) if asked_for(&date) => {
                let note = |other| format!("its name also holds the date {other}; {date} counts");
                Judged::Set(date, others.into_iter().map(note).collect())
            }
            Found::Date(date, others) => Judged::Pass(match others.into_iter().find(asked_for) {
                Some(other) => Why::NearMiss(format!(
                    "another date in its name counts: it is taken for a backup of {date}, not of {other}; let its job \
                     write the backup's own date before any other"
                )),
                None => Why::OtherDate(date),
            }),
        }
    }
}

/// What a name says that is unfinished still, by what its finished one says.
fn unfinished(finished: Judged) -> Judged {
    Judged::Pass(match finished {
        // A near miss is told once it is there.
        Judged::Set(..) | Judged::Pass(Why::NearMiss(_)) => Why::InProgress,
        Judged::Pass(other @ Why::OtherDate(_)) => other,
        Judged::Pass(_) => Why::NotABackup,
    })
}

/// Whether a name is that of something which lies beside backups: checksums, signatures, logs, marks of an end,
/// scripts and their settings.
pub(super) fn sidecar(name: &str) -> bool {
    const SIDECARS: [&str; 33] = [
        ".md5",
        ".sha1",
        ".sha256",
        ".sha512",
        ".sha256sum",
        ".md5sum",
        ".sig",
        ".asc",
        ".log",
        ".txt",
        ".err",
        ".json",
        ".sh",
        ".crc",
        ".sum",
        ".ok",
        ".done",
        ".lock",
        ".pid",
        ".status",
        ".info",
        ".meta",
        ".out",
        ".lst",
        ".list",
        ".html",
        ".cnf",
        ".conf",
        ".par",
        ".rcv",
        ".rman",
        ".py",
        ".pl",
    ];
    SIDECARS.iter().any(|suffix| ends_with(name, suffix))
}

/// Whether `name` ends with `suffix`, whatever the case of ASCII letters.
pub(super) fn ends_with(name: &str, suffix: &str) -> bool {
    let start = name.len().checked_sub(suffix.len());
    start.and_then(|start| name.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::dates;

    fn judge(name: &str) -> Judged {
        let rules = NameRules {
            kind: &super::super::mysql::kind,
            dates: dates::in_file_name,
            wanted: DateRange::one("2025-08-18".parse().unwrap()),
        };
        rules.judge(name)
    }

    #[test]
    fn unfinished_file_is_told_only_where_it_will_be_a_set_of_the_day() {
        for name in [
            "shop_20250818.sql.part",
            "shop_20250818.sql.gz.TMP",
            "shop_20250818.sql.partial",
            "shop_20250818.sql.filepart",
            ".shop_20250818.sql.aB3dE9",
        ] {
            assert_eq!(judge(name), Judged::Pass(Why::InProgress), "{name}");
        }
        let old = Why::OtherDate("2025-08-17".parse().unwrap());
        assert_eq!(judge("shop_20250817.sql.part"), Judged::Pass(old));
        // What is no dump once it is finished is told then.
        for name in ["shop_20250818.zip.part", "shop_20250818.sql.gz.1f3d2a9c.partial", ".shop_20250818.tmp"]
        {
            assert_eq!(judge(name), Judged::Pass(Why::InProgress), "{name}");
        }
        for name in ["shop.sql.part", "notes_20250818.txt.tmp", ".part", ".bashrc.aB3dE9"] {
            assert_eq!(judge(name), Judged::Pass(Why::NotABackup), "{name}");
        }
    }

    #[test]
    fn second_date_is_noted_and_warned_of_where_it_hides_the_day_asked_for() {
        let Judged::Set(date, notes) = judge("shop_20250818_20250817.sql") else {
            panic!("not taken");
        };
        assert_eq!(date.to_string(), "2025-08-18");
        assert_eq!(notes, ["its name also holds the date 2025-08-17; 2025-08-18 counts"]);
        let hidden = judge("schema20240101_20250818.sql");
        assert!(matches!(hidden, Judged::Pass(Why::NearMiss(_))), "{hidden:?}");
    }

    #[test]
    fn suffix_is_compared_without_cutting_a_letter_in_two() {
        assert!(ends_with("a.SQL", ".sql"));
        assert!(!ends_with("sql", ".sql"));
        assert!(!ends_with("ñql", ".sql"));
    }
}
