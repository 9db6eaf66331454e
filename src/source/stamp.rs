//! What a file looked like at one moment.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

impl Stamp {
    /// The stamp in what `stat` said.
    #[must_use]
    pub fn of(meta: &Metadata) -> Self {
        Self {
            size: meta.len(),
            mtime: moment(meta.mtime(), meta.mtime_nsec()),
            ctime_ns: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
            dev: meta.dev(),
            ino: meta.ino(),
            mode: meta.mode() & 0o7777,
        }
    }

    /// Whether both are of the same inode, whatever its content.
    #[must_use]
    pub fn same_file(&self, other: &Self) -> bool {
        self.dev == other.dev && self.ino == other.ino
    }
}

/// Seconds may lie before 1970 (a copied file with a broken clock); nanoseconds always count up.
fn moment(seconds: i64, nanos: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let nanos = Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
    start.and_then(|start| start.checked_add(nanos)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_keep_their_order() {
        assert_eq!(moment(-1, 500_000_000), UNIX_EPOCH - Duration::from_millis(500));
        assert_eq!(moment(1, 500_000_000), UNIX_EPOCH + Duration::from_millis(1500));
        assert!(moment(-2, 0) < moment(-1, 0));
    }
}
