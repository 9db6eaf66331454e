//! Room for a drill on a disk that others write to as well: asked for before, and watched meanwhile.
//!
//! What must stay true: a drill gives way before the disk is full, since whoever else writes there, a database in
//! production first of all, would stand still.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;

/// The most that is left to others: more than the fastest disk takes between two looks, and than a database writes in
/// the minutes that somebody needs to notice.
const RESERVE: u64 = 1 << 30;
/// Of a small disk, its tenth: there, a whole gibibyte could be all that there is.
const RESERVE_PART: u64 = 10;
/// Bytes of an empty server, which `MariaDB` and `MySQL` both stay below: log, undo, temporary and system tables.
pub const EMPTY_SERVER: u64 = 256 << 20;
/// What a dump of a byte becomes in a server: rows and indexes take up to twice the text, and an index that is built
/// takes its room once more.
pub const LOADED: u64 = 3;
/// How often the disk is looked at.
const STEP: Duration = Duration::from_secs(1);

/// The disk that a drill takes place on.
#[derive(Debug, Clone)]
pub struct Room {
    dir: PathBuf,
    reserve: u64,
}

/// Bytes of a file system of this size that a drill leaves to others.
fn reserve_of(size: u64) -> u64 {
    (size / RESERVE_PART).min(RESERVE)
}

impl Room {
    /// The disk of `dir`.
    ///
    /// # Errors
    /// The system's.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let stat = rustix::fs::statvfs(dir)?;
        let reserve = reserve_of(stat.f_blocks.saturating_mul(stat.f_frsize));
        Ok(Self { dir: dir.to_owned(), reserve })
    }

    fn free(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether so many bytes may be written here, `of what`.
    ///
    /// # Errors
    /// Where they may not, with what to do.
    pub fn fits(&self, bytes: u64, what: &str) -> anyhow::Result<()> {
        let free = self.free()?;
        let wanted = bytes.saturating_add(self.reserve);
        anyhow::ensure!(
            free >= wanted,
            "{what} needs {} in {}, and {} stay free for others; it has {}, {} too few; make room, or set [drill] scratch",
            ByteSize(bytes),
            self.dir.display(),
            ByteSize(self.reserve),
            ByteSize(free),
            ByteSize(wanted - free),
        );
        Ok(())
    }

    /// Ends when the disk has less left than the reserve, and says so.
    pub async fn shrinks(&self) -> anyhow::Error {
        loop {
            tokio::time::sleep(STEP).await;
            // A disk that does not answer now may the next time.
            if let Ok(free) = self.free()
                && free < self.reserve
            {
                return anyhow::anyhow!(
                    "stopped, and its directory removed: {} had only {} free, of which {} are for others; that says \
                     nothing of the backup; make room, or set [drill] scratch",
                    self.dir.display(),
                    ByteSize(free),
                    ByteSize(self.reserve)
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_small_disk_stays_free_and_a_gibibyte_of_a_large_one() {
        assert_eq!(reserve_of(700 << 20), 70 << 20);
        assert_eq!(reserve_of(4 << 40), 1 << 30);
    }

    #[test]
    fn what_would_leave_less_than_the_reserve_is_refused_with_what_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::of(dir.path()).unwrap();
        let free = room.free().unwrap();
        let said = room.fits(free, "a drill").unwrap_err().to_string();
        assert!(said.contains("a drill needs") && said.contains("too few; make room"), "{said}");
        room.fits(0, "a drill").unwrap();
    }
}
