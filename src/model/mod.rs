//! The words of the design as types. Outside text becomes one of these once, at the edge.
//!
//! Nothing here touches a disk, a clock or a network.

mod bandwidth;
mod date;
mod expires;
mod rate;
mod select;
mod set;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use bandwidth::Bandwidth;
pub use date::{BackupDate, DateRange};
pub use expires::{Age, Expires};
pub use rate::{NoRate, Rate};
pub use select::{Selector, Target};
pub use set::{RelPath, SetId, SetName};

/// A database engine whose backups dbbackup knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Oracle Database, by RMAN folders.
    Oracle,
    /// `MySQL` and `MariaDB`, by SQL dumps.
    Mysql,
    /// Microsoft SQL Server, by `.bak` files.
    Mssql,
}

impl Engine {
    /// Every engine, in the order in which a run takes them.
    pub const ALL: [Self; 3] = [Self::Oracle, Self::Mysql, Self::Mssql];

    /// The word used in keys, configuration sections and the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oracle => "oracle",
            Self::Mysql => "mysql",
            Self::Mssql => "mssql",
        }
    }

    /// The vendor's spelling, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Oracle => "Oracle",
            Self::Mysql => "MySQL",
            Self::Mssql => "SQL Server",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Engine {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::ALL
            .into_iter()
            .find(|engine| engine.as_str() == text)
            .ok_or_else(|| ModelError::Engine(text.to_owned()))
    }
}

/// How long a set is meant to be kept; a folder of the bucket, for lifecycle rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Only where `[backup] daily = true`.
    Daily,
    /// The usual one.
    Weekly,
    /// The weekly day of the monthly week.
    Monthly,
}

impl Category {
    /// Every category.
    pub const ALL: [Self; 3] = [Self::Daily, Self::Weekly, Self::Monthly];

    /// The word used in keys and configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Category {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        Self::ALL
            .into_iter()
            .find(|category| category.as_str() == text)
            .ok_or_else(|| ModelError::Category(text.to_owned()))
    }
}

/// Whether a set is one object or a folder of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SetKind {
    /// One file, one object.
    File,
    /// A folder with all its files, its name kept in the keys.
    Folder,
}

/// How well a stored set is known to be good; ordered, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// Nobody has compared it.
    Unproven,
    /// S3's own checksum of each whole object equals ours.
    Stored,
    /// Downloaded again and compared.
    Reread,
    /// Loaded into a real database, or passed the engine's own check.
    Restored,
}

impl Proof {
    /// The word for tables, file names and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unproven => "unproven",
            Self::Stored => "stored",
            Self::Reread => "reread",
            Self::Restored => "restored",
        }
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What inspection says of a set's content. Only [`Verdict::Whole`] is a success: unknown never is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything the format lets one check cheaply says that the file is complete.
    Whole {
        /// What was checked.
        how: String,
    },
    /// The file ends too early, or is damaged.
    CutShort {
        /// What is missing or wrong.
        why: String,
    },
    /// Somebody is writing it.
    StillBeingWritten {
        /// What shows that.
        why: String,
    },
    /// The content gives no answer.
    NotJudged {
        /// Why not, and what was seen.
        why: String,
    },
}

impl Verdict {
    /// The word of the design, for tables.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Whole { .. } => "whole",
            Self::CutShort { .. } => "cut short",
            Self::StillBeingWritten { .. } => "still being written",
            Self::NotJudged { .. } => "not judged",
        }
    }

    /// The sentence behind the word.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Whole { how: text }
            | Self::CutShort { why: text }
            | Self::StillBeingWritten { why: text }
            | Self::NotJudged { why: text } => text,
        }
    }

    /// Whether it is [`Verdict::Whole`].
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole { .. })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word(), self.reason())
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look; the exit code stays.
    Warning,
    /// Something asked for is not done: the exit code is at least 1.
    Error,
}

impl Severity {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something wrong: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The file, folder, key or setting it is about.
    pub subject: String,
    /// What is wrong, in one sentence without the subject.
    pub what: String,
    /// What to do next.
    pub advice: String,
}

/// The process's exit code; the numbers are a public promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: everything asked for is done and proven.
    Done,
    /// 1: something failed, was refused, is missing or damaged; the rest went on.
    Failed,
    /// 2: the command line or the configuration is wrong; nothing was done.
    Usage,
    /// 3: nothing was found to do.
    NothingFound,
    /// 4: another run holds the lock.
    Locked,
    /// 5: the bucket cannot be reached or refuses these credentials; nothing was done.
    NoBucket,
    /// 129: ended by SIGHUP: the terminal or the line to it is gone.
    HungUp,
    /// 130: ended by SIGINT.
    Interrupted,
    /// 143: ended by SIGTERM.
    Terminated,
}

impl ExitCode {
    /// The number given to the operating system.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NothingFound => 3,
            Self::Locked => 4,
            Self::NoBucket => 5,
            Self::HungUp => 129,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Text from outside that is not one of the words above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Not an engine.
    #[error("`{0}` is no engine; there are oracle, mysql and mssql")]
    Engine(String),
    /// Not a target.
    #[error("`{0}` is no target; there are all, oracle, mysql and mssql")]
    Target(String),
    /// Not a category.
    #[error("`{0}` is no category; there are daily, weekly and monthly")]
    Category(String),
    /// Not a date.
    #[error("`{0}` is no date of the form YYYY-MM-DD")]
    Date(String),
    /// Not a day of the command line.
    #[error("`{0}` is no day: write YYYY-MM-DD, `yesterday` or `today`")]
    Day(String),
    /// A range that ends before it begins.
    #[error("the range ends before it begins: {first} is after {last}")]
    Range {
        /// Its first day.
        first: BackupDate,
        /// Its last day.
        last: BackupDate,
    },
    /// A path component that cannot be part of a key.
    #[error("`{}` cannot be part of an object key: {why}", part.escape_debug())]
    Component {
        /// The component.
        part: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Not a set's key.
    #[error(
        "`{0}` is no key of a backup set; one reads <engine>/<app>/<category>/<name>, as `dbbackup list` prints it"
    )]
    Key(String),
}
