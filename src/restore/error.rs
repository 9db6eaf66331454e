//! Why a restore cannot go where it is to go.

use std::io;
use std::path::PathBuf;

/// Why a restore cannot go there.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Something is there.
    #[error("{} exists already and is not overwritten; use --to with another directory, or --force", .0.display())]
    Exists(PathBuf),
    /// A partial name that no restore began.
    #[error(
        "{} is there, and no restore began it (no {} is beside it); move it away, or use --to with another directory",
        partial.display(),
        journal.display()
    )]
    NotOurs {
        /// The partial name.
        partial: PathBuf,
        /// What would tell.
        journal: PathBuf,
    },
    /// A folder where a file is to be, or the other way.
    #[error("{} is {is}, and what is restored is {wanted}; move it away, or use --to with another directory", path.display())]
    OtherKind {
        /// The destination.
        path: PathBuf,
        /// What it is.
        is: &'static str,
        /// What it would be.
        wanted: &'static str,
    },
    /// A folder that holds more than is restored: it would go with the rest.
    #[error(
        "{} has {count} files that are not in the backup, such as {first}, and --force would remove them; move them away, \
         or use --to with another directory",
        path.display()
    )]
    Strangers {
        /// The destination.
        path: PathBuf,
        /// How many.
        count: usize,
        /// One of them, below the destination.
        first: String,
    },
    /// Too little room.
    #[error(
        "restoring needs {needed} bytes for {} and {} has {free} bytes free, {} too few; make room, or use --to with \
         another directory",
        target.display(),
        dir.display(),
        needed.saturating_sub(*free)
    )]
    NoSpace {
        /// The destination directory.
        dir: PathBuf,
        /// What was to be written.
        target: PathBuf,
        /// Bytes wanted.
        needed: u64,
        /// Bytes there.
        free: u64,
    },
    /// Another restore writes there.
    #[error("another restore is writing {}", .0.display())]
    Busy(PathBuf),
    /// What is written there could be exchanged after it was compared.
    #[error(
        "{} was made by another user, or others may write to it: what is restored there could be exchanged; remove it, \
         or use --to with another directory",
        .0.display()
    )]
    Foreign(PathBuf),
    /// A path out of the bucket that would leave the destination.
    #[error("`{0}` is no safe path below the destination")]
    Unsafe(String),
    /// The system's words.
    #[error("{verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}
