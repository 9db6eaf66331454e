//! What was passed over, and how bad that is.
//!
//! What must stay true: whatever may be a backup of the days asked for and is not sent has a severity.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::{BackupDate, Finding, Severity};

/// A file or folder that was seen and not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Absolute path.
    pub path: PathBuf,
    /// Why.
    pub why: Why,
}

/// Why something was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// A configured exclusion, as it is written in the file.
    Excluded(String),
    /// A set of another day than asked for.
    OtherDate(BackupDate),
    /// Looks like a backup, but its name has no date.
    NoDate,
    /// Digits of a date's form that are no calendar day.
    InvalidDate(String),
    /// A level-1 RMAN folder, and `include_level1` is off.
    Level1,
    /// A differential or a log of SQL Server, and this option of its section is off.
    SwitchedOff(&'static str),
    /// Not this engine's kind of file.
    NotABackup,
    /// Bears a date that was asked for and is almost a backup by the rules; what it lacks.
    NearMiss(String),
    /// A near miss like one before it in its directory, which speaks for all of them.
    Alike,
    /// A backup of the days asked for whose name says that it is still being written or copied.
    InProgress,
    /// A symbolic link whose name is a backup's of the days asked for. Links are not followed.
    Symlink,
    /// A symbolic link to a folder outside the source: what is behind it was not looked at.
    LinkedFolder,
    /// A symbolic link, by its name to a folder, to what is not there or cannot be looked at.
    DanglingLink,
    /// A symbolic link to something in the same source, which is seen there under its own name.
    LinkInside,
    /// A name that cannot be an object key; the reason.
    BadName(String),
    /// It could not be read; the system's words.
    Unreadable(String),
    /// An RMAN folder of the days asked for without any file.
    EmptyFolder,
}

impl Why {
    /// How bad it is; `None` for what is rightly skipped. [`Severity::Error`] is for backups that were
    /// asked for and will not be sent, and for what could not be looked at, where some may be.
    #[must_use]
    pub const fn severity(&self) -> Option<Severity> {
        match self {
            Self::Excluded(_)
            | Self::OtherDate(_)
            | Self::Level1
            | Self::SwitchedOff(_)
            | Self::NotABackup
            | Self::Alike
            | Self::LinkInside => None,
            Self::NoDate
            | Self::InvalidDate(_)
            | Self::NearMiss(_)
            | Self::InProgress
            | Self::LinkedFolder
            | Self::DanglingLink => Some(Severity::Warning),
            Self::Symlink | Self::BadName(_) | Self::Unreadable(_) | Self::EmptyFolder => {
                Some(Severity::Error)
            }
        }
    }

    /// What to do about it; empty for what is rightly skipped.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Excluded(_)
            | Self::OtherDate(_)
            | Self::Level1
            | Self::SwitchedOff(_)
            | Self::NotABackup
            | Self::Alike
            | Self::LinkInside => "",
            Self::NoDate | Self::InvalidDate(_) => {
                "if it is a backup, have its job write the date as YYYYMMDD into the name; if not, exclude it"
            }
            Self::NearMiss(_) => {
                "if it is a backup, have its job name it as the rules want; if not, exclude it"
            }
            Self::InProgress => {
                "see whether the job that writes it is still running; run again for that date once it is done"
            }
            Self::Symlink => "put the backup itself in its place; if it is not to be sent, exclude the link",
            Self::LinkedFolder => {
                "if backups are behind it, mount that folder here in place of the link; if not, exclude it"
            }
            Self::DanglingLink => {
                "see that the disk it leads to is mounted, and mount that folder here in its place; if no backups are \
                 behind it, exclude it"
            }
            Self::BadName(_) => {
                "rename it, and have its job write plain UTF-8 names without control characters"
            }
            Self::Unreadable(_) => {
                "let the user that dbbackup runs as read it; if no backup is in it, exclude it"
            }
            Self::EmptyFolder => "see the log of the RMAN job of that day: its backup is not there",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Excluded(pattern) => write!(f, "excluded by `{pattern}`"),
            Self::OtherDate(date) => write!(f, "a backup of {date}, which was not asked for"),
            Self::NoDate => f.write_str("no date in its name"),
            Self::InvalidDate(text) => write!(f, "{text} in its name is no calendar day"),
            Self::Level1 => f.write_str("a level-1 backup, and include_level1 is off"),
            Self::SwitchedOff(option) => write!(f, "{option} is off"),
            Self::NotABackup => f.write_str("not a backup of this engine"),
            Self::Alike => f.write_str("passed over like the one before it"),
            Self::NearMiss(what) => write!(f, "it has a date that was asked for, but {what}"),
            Self::InProgress => f.write_str("its name says that it is still being written"),
            Self::Symlink => {
                f.write_str("a symbolic link; links are not followed, so this backup is not sent")
            }
            Self::LinkedFolder => {
                f.write_str("a symbolic link to a folder elsewhere; links are not followed")
            }
            Self::DanglingLink => f.write_str("a symbolic link, and what it leads to is not there"),
            Self::LinkInside => {
                f.write_str("a symbolic link to something in this source, looked at under its own name")
            }
            Self::BadName(why) => write!(f, "its name cannot be an object key: {why}"),
            Self::Unreadable(why) => write!(f, "it cannot be read: {why}"),
            Self::EmptyFolder => f.write_str("an RMAN folder without any file"),
        }
    }
}

impl Passed {
    /// The path for people, made safe to print.
    #[must_use]
    pub fn subject(&self) -> String {
        printable(&self.path)
    }

    /// Whether its name says that it is not complete yet.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.why == Why::InProgress
    }

    /// As a finding, or `None` for what is rightly skipped.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        Some(Finding {
            severity: self.why.severity()?,
            subject: self.subject(),
            what: self.why.to_string(),
            advice: self.why.advice().to_owned(),
        })
    }
}

/// Near misses of one kind in one directory beyond which one speaks for all.
const FEW: usize = 3;

/// Has the first of many near misses of one kind in one directory speak for all.
pub(super) fn gather(passed: &mut [Passed]) {
    let mut kinds: BTreeMap<(PathBuf, String), Vec<usize>> = BTreeMap::new();
    for (index, one) in passed.iter().enumerate() {
        if let Why::NearMiss(what) = &one.why {
            let dir = one.path.parent().unwrap_or(&one.path).to_owned();
            kinds.entry((dir, what.clone())).or_default().push(index);
        }
    }
    for ((_, what), alike) in kinds {
        let Some((first, others)) = alike.split_first().filter(|(_, others)| others.len() >= FEW) else {
            continue;
        };
        for index in others {
            if let Some(one) = passed.get_mut(*index) {
                one.why = Why::Alike;
            }
        }
        if let Some(one) = passed.get_mut(*first) {
            one.why = Why::NearMiss(format!("{what}; so it is with {} more in its directory", others.len()));
        }
    }
}

/// A path for people: what is not UTF-8 replaced, and control characters escaped, so that a file's name
/// can neither forge a line of the log nor command a terminal.
pub(super) fn printable(path: &Path) -> String {
    crate::printable::printable(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_file_cannot_forge_a_line_of_the_log() {
        assert_eq!(printable(Path::new("/srv/a\n[INFO] b\u{1b}[2J")), "/srv/a\\n[INFO] b\\u{1b}[2J");
    }

    #[test]
    fn every_finding_says_what_to_do() {
        for why in [
            Why::NoDate,
            Why::InvalidDate("20250230".to_owned()),
            Why::NearMiss("x".to_owned()),
            Why::InProgress,
            Why::Symlink,
            Why::LinkedFolder,
            Why::DanglingLink,
            Why::BadName("x".to_owned()),
            Why::Unreadable("permission denied".to_owned()),
            Why::EmptyFolder,
        ] {
            let finding = Passed { path: "/srv/mysql/x".into(), why }.finding().unwrap();
            assert!(!finding.advice.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn what_the_script_skipped_does_not_change_the_exit_code() {
        for why in [
            Why::Excluded("skip".to_owned()),
            Why::OtherDate("2025-08-17".parse().unwrap()),
            Why::NoDate,
            Why::InvalidDate("20250230".to_owned()),
            Why::Level1,
            Why::SwitchedOff("include_log"),
            Why::NotABackup,
            Why::NearMiss("x".to_owned()),
            Why::DanglingLink,
        ] {
            assert_ne!(why.severity(), Some(Severity::Error), "{why}");
        }
    }
}
