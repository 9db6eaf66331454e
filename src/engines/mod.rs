//! Finding backup sets: one database engine a file.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

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

/// What tells whether a file is still the one that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last modification.
    pub mtime: SystemTime,
    /// Last change of the inode, nanoseconds since the epoch.
    pub ctime_ns: i128,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Permission bits.
    pub mode: u32,
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

/// Paths relative to a source that are passed over: whole components or globs.
#[derive(Debug, Clone, Default)]
pub struct Excludes {
    texts: Vec<String>,
}

impl Excludes {
    /// Compiles the patterns of an `exclude` setting.
    ///
    /// # Errors
    /// The reason for the first pattern that is none.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        Ok(Self { texts: texts.to_vec() })
    }

    /// The patterns as they are written in the file.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
