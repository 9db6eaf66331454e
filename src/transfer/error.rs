//! Why a file or a set was not stored.

use std::fmt;
use std::path::PathBuf;

use crate::bucket::{BucketError, ErrorKind, KeyError};
use crate::source::{Changed, OpenError};

use super::parts::TooLarge;

/// Why one file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// It is not the file that was found, or changed while it was read.
    #[error("{}: {changed}: it is still being written, or was replaced; nothing of it counts as stored", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What changed.
        changed: Changed,
    },
    /// Decoding it showed that it is not complete.
    #[error("{}: cut short: {why}", path.display())]
    CutShort {
        /// The file.
        path: PathBuf,
        /// What is missing or wrong.
        why: String,
    },
    /// The key holds other content.
    #[error("{key} already holds other content ({theirs}) than {} ({ours}); it was left as it is", path.display())]
    OtherContent {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// What the file is.
        ours: String,
        /// What the object is.
        theirs: String,
    },
    /// The key is taken, and this identity may not look at what is there.
    #[error("{key} is present but not compared: this identity may not read it; it is not called good")]
    NotCompared {
        /// The key.
        key: String,
    },
    /// The key holds an encrypted object, and nothing tells what it was made from.
    #[error("{key} is there already, encrypted and without a manifest, so it cannot be compared with {}; it was left as it is", path.display())]
    Sealed {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// By a listing or a record something is there, and it is not; what would go in its place may not.
    #[error("{key} was there and is not any more; {} was not sent in its place", path.display())]
    Gone {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
    },
    /// What the bucket holds now is not what was sent.
    #[error("{key} was stored with other content ({theirs}) than was sent ({ours}): the endpoint damaged it")]
    Damaged {
        /// The key.
        key: String,
        /// What was sent.
        ours: String,
        /// What the endpoint says it holds.
        theirs: String,
    },
    /// More than S3 can store.
    #[error("{}: {source}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        source: TooLarge,
    },
    /// No possible key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The directory for parts that are larger than the memory did not take one.
    #[error("keep a part of up to {len} bytes in {}: {source}", dir.display())]
    Spool {
        /// The state directory.
        dir: PathBuf,
        /// Bytes of the part.
        len: u64,
        /// The system's words.
        source: std::io::Error,
    },
    /// S3 or the way to it.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The run was interrupted.
    #[error("interrupted")]
    Cancelled,
    /// A task of ours ended without an answer.
    #[error("internal: {0}")]
    Internal(String),
}

impl FileError {
    /// Whether a later run can go on where this one stopped, so that sent parts are kept.
    pub(super) fn keeps_parts(&self) -> bool {
        match self {
            Self::Cancelled | Self::Spool { .. } => true,
            Self::Bucket(error) => error.is_transient() || error.kind == ErrorKind::Credentials,
            Self::Open(_)
            | Self::Read { .. }
            | Self::Changed { .. }
            | Self::CutShort { .. }
            | Self::OtherContent { .. }
            | Self::NotCompared { .. }
            | Self::Sealed { .. }
            | Self::Gone { .. }
            | Self::Damaged { .. }
            | Self::TooLarge { .. }
            | Self::Key(_)
            | Self::Internal(_) => false,
        }
    }

    /// What to do next, for the operator.
    #[must_use]
    pub fn advice(&self) -> String {
        let text = match self {
            Self::Open(_) | Self::Read { .. } => {
                "check the file and its permissions for the user that runs dbbackup"
            }
            Self::Changed { .. } => "run it again when the database has finished writing it",
            Self::CutShort { .. } => {
                "look at the job that made it and back up again; to send it all the same, set on_cut_short = \"send\""
            }
            Self::OtherContent { .. } => {
                "compare the two; to store this one instead, on a versioned bucket, run with --replace; where that was given and \
                 `encrypt` is newer than what is stored, remove its manifest and its objects first"
            }
            Self::NotCompared { .. } => {
                "compare it with an identity that may read, or restore it elsewhere and look"
            }
            Self::Sealed { .. } => {
                "restore it with --unproven, open it with `age -d` and compare; to store this one instead, on a versioned bucket, run with --replace"
            }
            Self::Gone { .. } => {
                "find out who removed it (`dbbackup verify`), then run it again; with a manifest that names it, see what verify says"
            }
            Self::Damaged { .. } => {
                "do not trust this endpoint before the cause is known; move the object away, then run it again"
            }
            Self::Spool { .. } => {
                "make room there, or give more `max_memory` or a smaller `part_size` in [backup]; it goes on from the parts that were sent"
            }
            Self::TooLarge { .. } => "split the backup into pieces",
            Self::Key(_) => "rename it",
            Self::Bucket(error) => error.advice(),
            Self::Cancelled => "run it again: what was sent is used",
            Self::Internal(_) => "report this as a bug, with the log",
        };
        text.to_owned()
    }
}

/// Why a set was not stored: the first file that failed, and how many did.
#[derive(Debug)]
pub struct ShipError {
    /// The first failure.
    pub first: FileError,
    /// Files that failed.
    pub failed: usize,
    /// Attempts that failed and were tried again.
    pub retries: u32,
    /// Whether S3 took any of its data.
    pub arrived: bool,
}

impl fmt::Display for ShipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        match self.failed {
            0 | 1 => Ok(()),
            more => write!(f, " (and {} more files)", more - 1),
        }
    }
}

impl std::error::Error for ShipError {}
