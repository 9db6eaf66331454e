//! One open file: everything read of it goes through one handle.
//!
//! What must stay true: opening never blocks and never touches a device; the bytes read are those of the
//! inode that was stamped; and a file that changed under the reader is told from one that did not.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroU64;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Local};
use rustix::fs::{Advice, Mode, OFlags};
use rustix::io::Errno;

use super::Stamp;
use super::cached::Missing;
use super::walk::special;

/// More bytes than a folio of the page cache has that reading ahead made.
const FOLIO: u64 = 16 << 20;

/// A regular file, open for reading; may be read from several threads at once.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
    path: PathBuf,
    stamp: Stamp,
    missing: Missing,
}

/// Why a file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing of that name.
    #[error("open {}: it is no longer there; see whether a clean-up job removed it", .0.display())]
    Vanished(PathBuf),
    /// Links are not followed: what they lead to may be anything.
    #[error("open {}: it is a symbolic link, and links are not followed", .0.display())]
    Symlink(PathBuf),
    /// A folder, a pipe, a socket or a device.
    #[error("open {}: it is {kind}, not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What it is, in words.
        kind: &'static str,
    },
    /// The system's refusal.
    #[error("open {}: {source}; see that the user dbbackup runs as may read it", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// How a file differs from what it was when it was found.
#[derive(Debug, thiserror::Error)]
pub enum Changed {
    /// Something still writes to it.
    #[error("it grew from {from} to {to} bytes")]
    Grew {
        /// Bytes before.
        from: u64,
        /// Bytes now.
        to: u64,
    },
    /// It was cut.
    #[error("it shrank from {from} to {to} bytes")]
    Shrank {
        /// Bytes before.
        from: u64,
        /// Bytes now.
        to: u64,
    },
    /// Same size, written again.
    #[error("it was modified at {}", local(*at))]
    Modified {
        /// The new modification time.
        at: SystemTime,
    },
    /// Size and modification time are as before, the inode is not: its owner, mode or links changed, or
    /// its content did and the time was set back.
    #[error("its inode changed while it was read (owner, mode or links, or content whose time was set back)")]
    Touched,
    /// Another file has the name now.
    #[error("another file took its place")]
    Replaced,
    /// Nothing has the name now.
    #[error("it was removed or renamed")]
    Vanished,
    /// It could not be looked at again.
    #[error("it could not be looked at again: {0}")]
    Unknown(#[source] io::Error),
}

impl OpenFile {
    /// Opens the regular file at `path`, without following a link in its last component, without waiting
    /// for a writer of a pipe, and without changing its access time where the system permits that.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => OpenError::Vanished(path.to_owned()),
            _ => OpenError::Io { path: path.to_owned(), source },
        };
        // Looked at first, because opening a device alone can have effects (a tape rewinds).
        regular(path, &fs::symlink_metadata(path).map_err(failed)?)?;
        let file = match open(path) {
            Ok(file) => file,
            Err(Errno::LOOP) => return Err(OpenError::Symlink(path.to_owned())),
            Err(errno) => return Err(failed(errno.into())),
        };
        let meta = file.metadata().map_err(failed)?;
        regular(path, &meta)?;
        // A hint: the kernel may ignore it, and so may we.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
        Ok(Self { file, path: path.to_owned(), stamp: Stamp::of(&meta), missing: Missing::default() })
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it looked like when it was opened.
    #[must_use]
    pub const fn stamp(&self) -> &Stamp {
        &self.stamp
    }

    /// Reads at `offset` until `buf` is full or the file ends; gives the number of bytes read.
    ///
    /// # Errors
    /// The system's; what was read before is lost.
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(filled)
    }

    /// Whether handle and path still are the file that `before` speaks of, untouched. To be asked after
    /// the last read and before anything is called complete.
    ///
    /// # Errors
    /// What changed.
    pub fn verify_unchanged(&self, before: &Stamp) -> Result<(), Changed> {
        let now = Stamp::of(&self.file.metadata().map_err(Changed::Unknown)?);
        still_the_same(&self.path, before)?;
        compare(before, &now)
    }

    /// Whether what was opened is the file that `before` speaks of, as it was.
    ///
    /// # Errors
    /// What changed.
    pub fn is_as_found(&self, before: &Stamp) -> Result<(), Changed> {
        compare(before, &self.stamp)
    }

    /// To be called before `range` (bytes) is read: notes what of it is in the page cache already.
    pub fn note_cached(&self, range: &Range<u64>) {
        self.missing.note(&self.file, range, self.stamp.size);
    }

    /// To be called after `range` was read: tells the kernel that the pages which reading brought in are not
    /// needed again, so that a backup does not push a database's pages out of memory. A hint; failure is of
    /// no account.
    pub fn leave_as_found(&self, range: &Range<u64>) {
        // The kernel lets go of whole folios only: the one that the range before ended in goes with this one.
        let with_last = range.start.saturating_sub(FOLIO)..range.end;
        for brought in self.missing.within(&with_last) {
            if let Some(len) = brought.end.checked_sub(brought.start).and_then(NonZeroU64::new) {
                let _ = rustix::fs::fadvise(&self.file, brought.start, Some(len), Advice::DontNeed);
            }
        }
    }
}

/// Whether the path, without being opened, still is the file that `before` speaks of, untouched.
///
/// # Errors
/// What changed.
pub fn still_the_same(path: &Path, before: &Stamp) -> Result<(), Changed> {
    match fs::symlink_metadata(path) {
        Ok(meta) => compare(before, &Stamp::of(&meta)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Err(Changed::Vanished),
        Err(err) => Err(Changed::Unknown(err)),
    }
}

fn open(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    // O_NOATIME is for the file's owner and root only.
    match rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::open(path, flags, Mode::empty()),
        other => other,
    }
    .map(File::from)
}

fn regular(path: &Path, meta: &fs::Metadata) -> Result<(), OpenError> {
    if meta.is_file() {
        Ok(())
    } else if meta.is_symlink() {
        Err(OpenError::Symlink(path.to_owned()))
    } else {
        Err(OpenError::NotRegular { path: path.to_owned(), kind: special(meta.file_type()) })
    }
}

fn compare(before: &Stamp, now: &Stamp) -> Result<(), Changed> {
    let (from, to) = (before.size, now.size);
    if !now.same_file(before) {
        Err(Changed::Replaced)
    } else if to > from {
        Err(Changed::Grew { from, to })
    } else if to < from {
        Err(Changed::Shrank { from, to })
    } else if now.mtime != before.mtime {
        Err(Changed::Modified { at: now.mtime })
    } else if now.ctime_ns != before.ctime_ns {
        Err(Changed::Touched)
    } else {
        Ok(())
    }
}

fn local(at: SystemTime) -> impl std::fmt::Display {
    DateTime::<Local>::from(at).format("%Y-%m-%d %H:%M:%S%.3f %:z")
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, mknodat};

    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop_20250818.sql");
        fs::write(&path, content).unwrap();
        (dir, path)
    }

    #[test]
    fn read_at_fills_the_buffer_from_any_offset_and_from_several_threads() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (_dir, path) = file(&content);
        let open = OpenFile::open(&path).unwrap();
        std::thread::scope(|scope| {
            for part in 0..4_u32 {
                let (open, content) = (&open, &content);
                scope.spawn(move || {
                    let start = part as usize * 25_000;
                    let mut buf = vec![0; 25_000];
                    assert_eq!(open.read_at(&mut buf, start as u64).unwrap(), 25_000);
                    assert_eq!(buf, content[start..start + 25_000]);
                });
            }
        });
        let mut buf = [0; 10];
        assert_eq!(open.read_at(&mut buf, 99_996).unwrap(), 4);
        assert_eq!(open.read_at(&mut buf, 200_000).unwrap(), 0);
        open.verify_unchanged(open.stamp()).unwrap();
    }

    /// Bytes of the file in the page cache, as util-linux's `fincore` says.
    fn cached(path: &Path) -> u64 {
        let said = std::process::Command::new("fincore")
            .args(["--bytes", "--noheadings", "--output", "RES"])
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(said.stdout).unwrap().trim().parse().unwrap()
    }

    #[test]
    fn page_cache_is_left_as_it_was_found() {
        let size = 24 << 20;
        let (_dir, path) = file(&vec![7; size]);
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.sync_all().unwrap();
        let forget = || rustix::fs::fadvise(&writer, 0, None, Advice::DontNeed).unwrap();
        forget();
        if cached(&path) > 0 {
            eprintln!("ignored: the file system of {} keeps all in memory", path.display());
            return;
        }
        // The second MiB was in use before.
        let first = File::open(&path).unwrap();
        rustix::fs::fadvise(&first, 0, None, Advice::Random).unwrap();
        let mut used = vec![0; 1 << 20];
        first.read_exact_at(&mut used, 1 << 20).unwrap();
        let before = cached(&path);
        assert!(before >= 1 << 20);
        let open = OpenFile::open(&path).unwrap();
        let mut buffer = vec![0; 8 << 20];
        for part in 0..3_u64 {
            let range = part * (8 << 20)..(part + 1) * (8 << 20);
            open.note_cached(&range);
            open.read_at(&mut buffer, range.start).unwrap();
            assert!(cached(&path) > before, "reading brought pages in");
            open.leave_as_found(&range);
        }
        assert_eq!(cached(&path), before);
    }

    #[test]
    fn what_the_kernel_reads_ahead_by_itself_does_not_pass_for_found() {
        let (_dir, path) = file(&vec![7; 64 << 20]);
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.sync_all().unwrap();
        rustix::fs::fadvise(&writer, 0, None, Advice::DontNeed).unwrap();
        if cached(&path) > 0 {
            eprintln!("ignored: the file system of {} keeps all in memory", path.display());
            return;
        }
        let open = OpenFile::open(&path).unwrap();
        let mut buffer = vec![0; 1 << 20];
        for piece in 0..64_u64 {
            let range = piece << 20..(piece + 1) << 20;
            open.note_cached(&range);
            open.read_at(&mut buffer, range.start).unwrap();
            open.leave_as_found(&range);
        }
        assert_eq!(cached(&path), 0);
    }

    #[test]
    fn file_that_was_only_read_is_unchanged() {
        let (_dir, path) = file(b"dump");
        let open = OpenFile::open(&path).unwrap();
        let before = Stamp::of(&fs::symlink_metadata(&path).unwrap());
        fs::read(&path).unwrap();
        open.verify_unchanged(&before).unwrap();
    }

    #[test]
    fn file_that_grew_or_shrank_says_from_what_to_what() {
        let (_dir, path) = file(b"dump");
        let open = OpenFile::open(&path).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b" more").unwrap();
        let grew = open.verify_unchanged(open.stamp()).unwrap_err();
        assert_eq!(grew.to_string(), "it grew from 4 to 9 bytes");
        OpenOptions::new().write(true).open(&path).unwrap().set_len(1).unwrap();
        let shrank = open.verify_unchanged(open.stamp()).unwrap_err();
        assert_eq!(shrank.to_string(), "it shrank from 4 to 1 bytes");
    }

    #[test]
    fn rewrite_of_equal_size_is_seen_even_where_its_time_is_set_back() {
        let (_dir, path) = file(b"dump");
        let open = OpenFile::open(&path).unwrap();
        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.set_modified(open.stamp().mtime + Duration::from_secs(5)).unwrap();
        assert!(matches!(open.verify_unchanged(open.stamp()), Err(Changed::Modified { .. })));
        // The kernel stamps with the time of its last tick: wait until that has moved on.
        while Stamp::of(&writer.metadata().unwrap()).ctime_ns == open.stamp().ctime_ns {
            writer.set_modified(open.stamp().mtime).unwrap();
        }
        writer.set_modified(open.stamp().mtime).unwrap();
        assert!(matches!(open.verify_unchanged(open.stamp()), Err(Changed::Touched)));
    }

    #[test]
    fn file_that_was_replaced_or_removed_is_told_apart() {
        let (dir, path) = file(b"dump");
        let open = OpenFile::open(&path).unwrap();
        let other = dir.path().join("new");
        fs::write(&other, b"dump").unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(matches!(open.verify_unchanged(open.stamp()), Err(Changed::Replaced)));
        let reopened = OpenFile::open(&path).unwrap();
        assert!(matches!(reopened.verify_unchanged(open.stamp()), Err(Changed::Replaced)));
        assert!(matches!(still_the_same(&path, open.stamp()), Err(Changed::Replaced)));
        still_the_same(&path, reopened.stamp()).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(open.verify_unchanged(open.stamp()), Err(Changed::Vanished)));
        assert!(matches!(still_the_same(&path, open.stamp()), Err(Changed::Vanished)));
        assert!(matches!(OpenFile::open(&path), Err(OpenError::Vanished(_))));
    }

    #[test]
    fn link_folder_pipe_and_socket_are_refused_without_waiting() {
        let (dir, path) = file(b"dump");
        let link = dir.path().join("link.sql");
        symlink(&path, &link).unwrap();
        assert!(matches!(OpenFile::open(&link), Err(OpenError::Symlink(_))));
        let pipe = dir.path().join("pipe.sql");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let socket = dir.path().join("socket.sql");
        let _listener = UnixListener::bind(&socket).unwrap();
        for (path, said) in [
            (dir.path(), "a folder"),
            (&pipe, "a named pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/null"), "a device"),
        ] {
            match OpenFile::open(path) {
                Err(OpenError::NotRegular { kind, .. }) => assert_eq!(kind, said),
                other => panic!("{}: {other:?}", path.display()),
            }
        }
    }

    #[test]
    fn stamp_carries_the_permission_bits_alone() {
        let (_dir, path) = file(b"dump");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(OpenFile::open(&path).unwrap().stamp().mode, 0o640);
    }
}
