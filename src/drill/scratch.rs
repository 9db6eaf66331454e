//! A drill's directory.
//!
//! What must stay true: it goes with its drill; one whose drill was killed goes with the next that is held here, and
//! nothing else does. The kernel tells which: each holds a lock as long as its process lives.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

/// How the names begin.
const PREFIX: &str = "drill-";
/// The file that tells a drill's directory from others of such a name, and holds its lock.
const LOCK: &str = "drill.lock";

/// A directory below the scratch space that others may not look into.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    _lock: File,
}

impl Scratch {
    /// Makes one.
    ///
    /// # Errors
    /// The system's.
    pub fn make(below: &Path) -> io::Result<Self> {
        // By its name without links, which the throwaway's programs are given.
        let below = below.canonicalize()?;
        // Nobody sweeps between the making and the locking. Where such a lock cannot be had there is no sweep either.
        let parent = File::open(&below)?;
        let _held = flock(&parent, FlockOperation::LockShared);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&below)?;
        // The throwaway's programs are nobody then, and pass through to theirs.
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o711))?;
        }
        let lock = File::create_new(dir.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { dir, _lock: lock })
    }

    /// Makes a directory in it for this process alone.
    ///
    /// # Errors
    /// The system's.
    pub fn closed(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.path().join(name);
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Removes it.
    ///
    /// # Errors
    /// The system's.
    pub fn close(self) -> io::Result<()> {
        self.dir.close()
    }
}

/// Removes the directories whose drills were killed, and tells which.
///
/// # Errors
/// The system's.
pub fn sweep(below: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    {
        let parent = File::open(below)?;
        if flock(&parent, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(Vec::new());
        }
        for entry in fs::read_dir(below)? {
            let entry = entry?;
            let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
            if named && entry.file_type()?.is_dir() {
                // Held until it is removed, so that two do not remove it.
                left.extend(abandoned(&entry.path()).map(|lock| (entry.path(), lock)));
            }
        }
    }
    let mut removed = Vec::new();
    for (dir, _lock) in left {
        fs::remove_dir_all(&dir)?;
        removed.push(dir);
    }
    Ok(removed)
}

fn abandoned(dir: &Path) -> Option<File> {
    let path = dir.join(LOCK);
    let own = dir.symlink_metadata().ok()?.uid() == rustix::process::geteuid().as_raw();
    if !own || !path.symlink_metadata().ok()?.is_file() {
        return None;
    }
    // NFS locks for its own only what is open for writing.
    let lock = File::options().write(true).open(path).ok()?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_directories_of_drills_that_are_gone_are_removed() {
        let space = tempfile::tempdir().unwrap();
        let under_way = Scratch::make(space.path()).unwrap();
        let killed = Scratch::make(space.path()).unwrap();
        let Scratch { dir, _lock: lock } = killed;
        let killed = dir.keep();
        fs::write(killed.join("row"), "1").unwrap();
        let other = space.path().join("drill-results");
        fs::create_dir(&other).unwrap();
        assert_eq!(sweep(space.path()).unwrap(), Vec::<PathBuf>::new());
        drop(lock);
        assert_eq!(sweep(space.path()).unwrap(), std::slice::from_ref(&killed));
        assert!(under_way.path().is_dir() && other.is_dir() && !killed.exists());
        let gone = under_way.path().to_owned();
        under_way.close().unwrap();
        assert!(!gone.exists());
    }
}
