//! Finding backup sets: one database engine a file.

use std::fmt;
use std::path::PathBuf;

pub use crate::source::{Excludes, Stamp};
use crate::model::{BackupDate, Engine, RelPath, SetKind, SetName};

/// One set found in a source, with every file it consists of.
#[derive(Debug, Clone)]
pub struct BackupSet {
    /// The database engine.
    pub engine: Engine,
    /// Parent directory relative to the source.
    pub app: RelPath,
    /// The date in the name.
    pub date: BackupDate,
    /// File or folder name.
    pub name: SetName,
    /// One object, or a folder of them.
    pub kind: SetKind,
    /// Absolute path of the file or the folder.
    pub path: PathBuf,
    /// Why this set cannot be called complete; the plan refuses a set that has any.
    pub troubles: Vec<String>,
    /// What is remarkable about it, and no reason to refuse.
    pub notes: Vec<String>,
    /// The files, sorted by `rel`; for [`SetKind::File`] exactly one whose `rel` is empty.
    pub files: Vec<SourceFile>,
}

impl BackupSet {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stamp.size).sum()
    }
}

/// One regular file of a set.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path inside the folder; empty for the file of a single-file set.
    pub rel: RelPath,
    /// Absolute path.
    pub path: PathBuf,
    /// What it looked like when found.
    pub stamp: Stamp,
}

/// What a walk of one source gave.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Sets whose date was asked for, sorted by app, date, name.
    pub sets: Vec<BackupSet>,
    /// Everything passed over, with the reason.
    pub passed: Vec<Passed>,
}

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
    /// Not this engine's kind of file.
    NotABackup,
    /// Symbolic links are not followed.
    Symlink,
    /// A name that cannot be an object key; the reason.
    BadName(String),
    /// It could not be read; the system's words.
    Unreadable(String),
    /// An RMAN folder without any file.
    EmptyFolder,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl Why {
    /// stub
    pub fn severity(&self) -> Option<crate::model::Severity> { None }
}
impl Passed {
    /// stub
    pub fn finding(&self) -> Option<crate::model::Finding> { None }
}
/// stub
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// stub
    #[error("missing {0:?}")]
    Missing(PathBuf),
}
/// stub
pub fn discover(_e: Engine, _s: &crate::config::Source, _d: crate::model::DateRange) -> Result<Discovery, SourceError> { Ok(Discovery::default()) }
