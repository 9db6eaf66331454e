//! The place on the disk where a restore ends: what is in the way, whether there is room, the partial
//! name that is written, and the rename at the end.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, RenameFlags, flock, openat, renameat_with, statvfs};
use rustix::io::Errno;

use super::error::PlaceError;
use super::partial::{allocated, is_empty, journal, partial_name};
use crate::model::SetKind;
use crate::transfer::stored_name;

/// Whether something at the destination may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Never.
    Keep,
    /// The operator said `--force`.
    Replace,
}

/// A destination: `DIR/NAME`, written as `DIR/NAME.partial`.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
    target: PathBuf,
    partial: PathBuf,
    existing: Existing,
    /// Whether the partial file is of this restore's making.
    made: bool,
    /// What may be replaced: see [`Self::may_replace`].
    replaced: Option<(SetKind, HashSet<String>)>,
    lock: Option<File>,
}

fn io_error(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { verb, path, source }
}

impl Place {
    /// Checks that `name` may be written below `dir` and that `bytes` find room; makes `dir`.
    pub fn prepare(dir: &Path, name: &str, bytes: u64, existing: Existing) -> Result<Self, PlaceError> {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            return Err(PlaceError::Unsafe(name.to_owned()));
        }
        fs::create_dir_all(dir).map_err(io_error("make directory", dir))?;
        let target = dir.join(name);
        if existing == Existing::Keep && target.symlink_metadata().is_ok() {
            return Err(PlaceError::Exists(target));
        }
        let stat = statvfs(dir).map_err(|error| io_error("ask for free space of", dir)(error.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let partial = dir.join(partial_name(name));
        let journal = journal(&partial);
        let stored = stored_name(&partial);
        if !(is_empty(&partial) && is_empty(&stored)) && journal.symlink_metadata().is_err() {
            return Err(PlaceError::NotOurs { partial, journal });
        }
        // What an interrupted restore took already is not needed twice.
        let needed = bytes.saturating_sub(allocated(&partial)).saturating_sub(allocated(&stored));
        if free < needed {
            return Err(PlaceError::NoSpace { dir: dir.to_owned(), target, needed, free });
        }
        let dir = dir.to_owned();
        Ok(Self { dir, target, partial, existing, made: false, replaced: None, lock: None })
    }

    /// Refuses to replace what `--force` was not meant for: something of another kind, or a folder with files
    /// that are not among those restored. `names` are those, by their paths below it. Asked again at the end, for
    /// hours may lie between.
    pub fn may_replace(&mut self, kind: SetKind, names: HashSet<String>) -> Result<(), PlaceError> {
        let (kind, names) = self.replaced.insert((kind, names));
        replaceable(&self.target, *kind, names)
    }

    /// The final name.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The name while it is not complete.
    #[must_use]
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Opens the partial file for a single object, for one restore at a time.
    pub fn open_file(&mut self) -> Result<File, PlaceError> {
        // First, for it tells a later restore that the partial file is one's own.
        self.open_journal()?;
        self.made = self.partial.symlink_metadata().is_err();
        let file = open_new(&self.partial)?;
        self.lock = Some(locked(&self.partial, file.try_clone().map_err(io_error("lock", &self.partial))?)?);
        Ok(file)
    }

    /// Makes the partial folder, for one restore at a time. What an interrupted restore left in it is
    /// written over file by file.
    pub fn open_folder(&mut self) -> Result<(), PlaceError> {
        self.open_journal()?;
        let make = fs::DirBuilder::new().mode(0o755).create(&self.partial);
        if let Err(error) = make
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(io_error("make directory", &self.partial)(error));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = openat(CWD, &self.partial, flags, Mode::empty())
            .map_err(|error| io_error("open", &self.partial)(error.into()))?;
        let dir = File::from(dir);
        owned(&dir, &self.partial)?;
        if dir.metadata().map_err(io_error("look at", &self.partial))?.mode() & 0o022 != 0 {
            return Err(PlaceError::Foreign(self.partial.clone()));
        }
        self.lock = Some(locked(&self.partial, dir)?);
        Ok(())
    }

    /// Opens the journal of what arrived, beside the partial file or folder; only who holds those
    /// reads or writes it.
    pub fn open_journal(&self) -> Result<File, PlaceError> {
        let path = journal(&self.partial);
        options().append(true).open(&path).map_err(io_error("open", &path))
    }

    /// Opens one file below the partial folder.
    pub fn open_inside(&self, rel: &str) -> Result<(PathBuf, File), PlaceError> {
        let safe = !rel.is_empty() && rel.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !safe {
            return Err(PlaceError::Unsafe(rel.to_owned()));
        }
        let path = self.partial.join(rel);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(io_error("make directory", parent))?;
        }
        let file = open_new(&path)?;
        Ok((path, file))
    }

    /// Removes from the partial folder what is not in `keep` (paths below it): leftovers of an earlier
    /// restore must not slip into this one.
    pub fn drop_strangers(&self, keep: &dyn Fn(&str) -> bool) -> Result<(), PlaceError> {
        for entry in walkdir::WalkDir::new(&self.partial).min_depth(1) {
            let entry = entry.map_err(|error| io_error("read directory", &self.partial)(error.into()))?;
            let rel = entry.path().strip_prefix(&self.partial).unwrap_or(entry.path());
            let known = rel.to_str().is_some_and(keep);
            if !entry.file_type().is_dir() && !known {
                fs::remove_file(entry.path()).map_err(io_error("remove leftover", entry.path()))?;
            }
        }
        Ok(())
    }

    /// Removes the partial file where this restore made it and no range of it arrived: what it has is room.
    ///
    /// # Errors
    /// The system's.
    pub fn abandon(self) -> io::Result<()> {
        let journal = journal(&self.partial);
        if !self.made || fs::metadata(&journal)?.len() > 0 {
            return Ok(());
        }
        for path in [&stored_name(&self.partial), &self.partial, &journal] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Gives the complete file or folder its final name. A name that appeared meanwhile is kept.
    pub fn finish(self) -> Result<PathBuf, PlaceError> {
        match renameat_with(CWD, &self.partial, CWD, &self.target, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            // Some network file systems know no such rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
                if self.target.symlink_metadata().is_err() =>
            {
                fs::rename(&self.partial, &self.target).map_err(io_error("rename to", &self.target))?;
            }
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => self.finish_over()?,
            Err(error) => return Err(io_error("rename to", &self.target)(error.into())),
        }
        sync_dir(&self.dir)?;
        let journal = journal(&self.partial);
        match fs::remove_file(&journal) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("remove {}: {error}; it is of no more use", journal.display());
            }
            Ok(()) | Err(_) => {}
        }
        Ok(self.target.clone())
    }

    fn finish_over(&self) -> Result<(), PlaceError> {
        if self.existing == Existing::Keep {
            return Err(PlaceError::Exists(self.target.clone()));
        }
        if let Some((kind, names)) = &self.replaced {
            replaceable(&self.target, *kind, names)?;
        }
        if !self.target.is_dir() {
            return fs::rename(&self.partial, &self.target).map_err(io_error("rename to", &self.target));
        }
        // The old folder takes the partial name for a moment, so that one of the two is always there.
        renameat_with(CWD, &self.partial, CWD, &self.target, RenameFlags::EXCHANGE)
            .map_err(|error| io_error("exchange with", &self.target)(error.into()))?;
        fs::remove_dir_all(&self.partial).map_err(io_error("remove the old", &self.partial))
    }
}

/// Whether what lies there, if anything, is no more than what is restored.
fn replaceable(path: &Path, kind: SetKind, names: &HashSet<String>) -> Result<(), PlaceError> {
    let Ok(there) = path.symlink_metadata() else { return Ok(()) };
    let other = |is, wanted| Err(PlaceError::OtherKind { path: path.to_owned(), is, wanted });
    match (kind, there.is_dir()) {
        (SetKind::File, false) => return Ok(()),
        (SetKind::File, true) => return other("a directory", "a file"),
        (SetKind::Folder, false) => return other("no directory", "a folder"),
        (SetKind::Folder, true) => {}
    }
    let (mut count, mut first) = (0, None);
    for entry in walkdir::WalkDir::new(path).min_depth(1) {
        let entry = entry.map_err(|error| io_error("look into", path)(error.into()))?;
        let rel = entry.path().strip_prefix(path).unwrap_or(entry.path()).to_string_lossy();
        if !entry.file_type().is_dir() && !names.contains(rel.as_ref()) {
            count += 1;
            first.get_or_insert_with(|| rel.into_owned());
        }
    }
    match first {
        None => Ok(()),
        Some(first) => Err(PlaceError::Strangers { path: path.to_owned(), count, first }),
    }
}

fn open_new(path: &Path) -> Result<File, PlaceError> {
    let open = || options().write(true).truncate(false).open(path);
    let opened = match open() {
        // A file that an interrupted restore completed has the mode of its source, which may be read only.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_own_file(path) => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).and_then(|()| open())
        }
        opened => opened,
    };
    let file = opened.map_err(io_error("open", path))?;
    owned(&file, path)?;
    // Whatever mode it had: nobody else reads or writes it until it is complete.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io_error("set the mode of", path))?;
    Ok(file)
}

/// Whoever owns a file or folder may write to it at any time.
fn owned(opened: &File, path: &Path) -> Result<(), PlaceError> {
    let there = opened.metadata().map_err(io_error("look at", path))?;
    if there.uid() == rustix::process::geteuid().as_raw() {
        Ok(())
    } else {
        Err(PlaceError::Foreign(path.to_owned()))
    }
}

fn is_own_file(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|there| there.is_file() && there.uid() == rustix::process::geteuid().as_raw())
}

fn options() -> fs::OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options
        .read(true)
        .create(true)
        // A backup holds everything the database holds: nobody else reads it meanwhile.
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or(0));
    options
}

fn locked(path: &Path, file: File) -> Result<File, PlaceError> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(PlaceError::Busy(path.to_owned())),
        Err(error) => Err(io_error("lock", path)(error.into())),
    }
}

/// Makes a rename last over a power cut.
fn sync_dir(dir: &Path) -> Result<(), PlaceError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync directory", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_appears_during_the_restore_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Place::prepare(dir.path(), "shop.sql", 3, Existing::Keep).unwrap();
        place.open_file().unwrap();
        fs::write(dir.path().join("shop.sql"), "theirs").unwrap();
        assert!(matches!(place.finish(), Err(PlaceError::Exists(_))));
        assert_eq!(fs::read(dir.path().join("shop.sql")).unwrap(), b"theirs");
    }

    #[test]
    fn force_replaces_a_folder_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("rman")).unwrap();
        fs::write(dir.path().join("rman/old"), "old").unwrap();
        let mut place = Place::prepare(dir.path(), "rman", 3, Existing::Replace).unwrap();
        place.open_folder().unwrap();
        drop(place.open_inside("sub/new").unwrap());
        let target = place.finish().unwrap();
        assert!(target.join("sub/new").is_file() && !target.join("old").exists());
        assert!(!dir.path().join("rman.partial").exists());
    }

    #[test]
    fn two_restores_of_one_name_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Place::prepare(dir.path(), "a.bak", 3, Existing::Keep).unwrap();
        let mut second = Place::prepare(dir.path(), "a.bak", 3, Existing::Keep).unwrap();
        let _held = first.open_file().unwrap();
        assert!(matches!(second.open_file(), Err(PlaceError::Busy(_))));
    }

    #[test]
    fn path_out_of_the_bucket_cannot_leave_the_destination() {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Place::prepare(dir.path(), "rman", 3, Existing::Keep).unwrap();
        place.open_folder().unwrap();
        for rel in ["../x", "a/../../x", "/etc/x", "", "a//b"] {
            assert!(matches!(place.open_inside(rel), Err(PlaceError::Unsafe(_))), "{rel}");
        }
    }

    #[test]
    fn too_little_room_is_said_before_a_byte_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let error = Place::prepare(dir.path(), "a", u64::MAX, Existing::Keep).unwrap_err();
        assert!(matches!(error, PlaceError::NoSpace { .. }));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
