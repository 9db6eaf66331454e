//! One run at a time on a host.
//!
//! What must stay true: the kernel holds the lock, so it ends with the process however that ends,
//! and no stale file can stop a run. The file's text only tells who holds it, and is taken out by whoever
//! ends by itself: text that the next one finds is of a run that did not. The file itself is never removed, for
//! whoever waits would then hold a lock on a file that is not there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Local};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The file in the state directory.
const FILE: &str = "lock";

/// Who holds the lock, as the file tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process number.
    pub pid: u32,
    /// Host name; the state directory may be shared.
    pub host: String,
    /// What it is doing: `all`, `mysql` …
    pub target: String,
    /// Since when.
    pub started: DateTime<Local>,
}

/// Why there is no [`Lock`].
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{}", held(path, holder.as_ref()))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// Who it is; none where it has just begun and not written it yet.
        holder: Option<Holder>,
    },
    /// The system does not give it.
    #[error(
        "cannot lock {}: {source}; {}",
        path.display(),
        if source.kind() == io::ErrorKind::StorageFull {
            "make room on the disk of [state] dir"
        } else {
            "[state] dir has to be a directory on a local disk that this user may write"
        }
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Whether a lock is held, seen without touching it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// By nobody.
    Free,
    /// By a process; none where it has not told who it is.
    Held(Option<Holder>),
}

/// Looks whether the lock of the state directory is held. Trying to take it would turn away a run that
/// begins in the same moment, so the kernel's own list is read.
///
/// # Errors
/// Where that list or the lock file cannot be read.
pub fn look(state_dir: &Path) -> io::Result<Seen> {
    use std::os::unix::fs::MetadataExt as _;
    let path = state_dir.join(FILE);
    let inode = match std::fs::metadata(&path) {
        Ok(about) => about.ino(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::Free),
        Err(error) => return Err(error),
    };
    // Its column of the device is another number than `stat` tells on some file systems.
    let suffix = format!(":{inode}");
    let held = std::fs::read_to_string("/proc/locks")?.lines().any(|line| {
        line.contains(" FLOCK ")
            && !line.contains("->")
            && line.split_whitespace().any(|column| column.ends_with(&suffix))
    });
    if !held {
        return Ok(Seen::Free);
    }
    Ok(Seen::Held(File::open(&path).ok().and_then(|mut file| read(&mut file))))
}

/// The lock, held until this ends.
#[derive(Debug)]
#[must_use = "the lock is released where this ends"]
pub struct Lock {
    file: File,
    cut_off: Option<CutOff>,
}

/// A holder that did not end by itself: it was killed, or the machine went down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CutOff {
    /// The lock file.
    pub path: PathBuf,
    /// Who it was; none where its text cannot be read.
    pub holder: Option<Holder>,
}

impl Lock {
    /// Takes the lock of the state directory, which is made where it is missing; `what` is told to
    /// whoever comes second.
    ///
    /// # Errors
    /// [`LockError::Held`] at once where another process has it; nothing waits.
    pub fn acquire(state_dir: &Path, what: &str) -> Result<Self, LockError> {
        let path = state_dir.join(FILE);
        let failed = |source: io::Error| LockError::Io { path: path.clone(), source };
        let mut file = open(state_dir, &path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(LockError::Held { holder: read(&mut file), path }),
            Err(error) => return Err(failed(error.into())),
        }
        let has_text = file.metadata().map_err(failed)?.len() > 0;
        let cut_off = has_text.then(|| CutOff { path: path.clone(), holder: read(&mut file) });
        let uname = rustix::system::uname();
        let holder = Holder {
            pid: std::process::id(),
            host: uname.nodename().to_string_lossy().into_owned(),
            target: what.to_owned(),
            started: Local::now(),
        };
        write(&mut file, &holder).map_err(failed)?;
        Ok(Self { file, cut_off })
    }

    /// Who held it before and did not end by itself, if the last one did not.
    #[must_use]
    pub const fn cut_off(&self) -> Option<&CutOff> {
        self.cut_off.as_ref()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The text is no longer true. The kernel releases the lock with the file, so a failure here
        // leaves nothing but old text.
        // Synced, as power that fails a moment later must not bring it back.
        let _stale_text = self.file.set_len(0).and_then(|()| self.file.sync_data());
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    crate::private_dir::make(dir)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

fn read(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    // The holder writes a few hundred bytes.
    file.take(64 * 1024).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)?;
    // What a machine that loses its power has to remember. Where it cannot be synced, only that is lost.
    let _unsynced = file.sync_data();
    Ok(())
}

fn held(path: &Path, holder: Option<&Holder>) -> String {
    match holder {
        Some(holder) => format!(
            "another run holds {}: process {} on {}, target {}, since {}; wait for it to end",
            path.display(),
            holder.pid,
            holder.host,
            holder.target,
            holder.started.format("%Y-%m-%d %H:%M:%S%:z")
        ),
        None => format!("another run holds {}; wait for it to end", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    const DIR_VAR: &str = "DBBACKUP_TEST_LOCK_DIR";

    /// Not a fact of its own: the other process of the tests below, which start this one alone.
    #[test]
    fn other_process() {
        let Some(dir) = std::env::var_os(DIR_VAR) else { return };
        let _lock = Lock::acquire(Path::new(&dir), "mysql").unwrap();
        println!("locked");
        // Ends with the pipe, or by a signal.
        let _ended = io::stdin().read_to_end(&mut Vec::new());
    }

    /// A second process that holds the lock when this returns.
    fn start_other(dir: &Path) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::other_process", "--nocapture"])
            .env(DIR_VAR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = String::new();
        let mut byte = [0];
        let mut out = child.stdout.take().unwrap();
        while !seen.contains("locked") {
            assert_eq!(out.read(&mut byte).unwrap(), 1, "the other process ended: {seen}");
            seen.push(char::from(byte[0]));
        }
        // Closed now, the test harness's last words would end it with a broken pipe.
        child.stdout = Some(out);
        child
    }

    #[test]
    fn second_process_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut other = start_other(&state);
        let error = Lock::acquire(&state, "all").unwrap_err();
        let LockError::Held { holder: Some(holder), .. } = &error else { panic!("{error:?}") };
        assert_eq!((holder.pid, holder.target.as_str()), (other.id(), "mysql"));
        let text = error.to_string();
        for part in [other.id().to_string().as_str(), "mysql", "since 20", "state/lock"] {
            assert!(text.contains(part), "{text}");
        }
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        assert!(Lock::acquire(&state, "all").is_ok());
    }

    #[test]
    fn lock_is_seen_without_being_taken() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(look(dir.path()).unwrap(), Seen::Free);
        let mut other = start_other(dir.path());
        let Seen::Held(Some(holder)) = look(dir.path()).unwrap() else { panic!("not seen") };
        assert_eq!(holder.pid, other.id());
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        assert_eq!(look(dir.path()).unwrap(), Seen::Free);
    }

    #[test]
    fn lock_of_a_killed_process_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = start_other(dir.path());
        other.kill().unwrap();
        other.wait().unwrap();
        // Its text is still there and stops nobody.
        assert!(std::fs::read_to_string(dir.path().join(FILE)).unwrap().contains("mysql"));
        let lock = Lock::acquire(dir.path(), "all").unwrap();
        let was = lock.cut_off().unwrap().holder.as_ref().unwrap();
        assert_eq!((was.pid, was.target.as_str()), (other.id(), "mysql"));
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        let holder: Holder = serde_json::from_str(&text).unwrap();
        assert_eq!((holder.pid, holder.target.as_str()), (std::process::id(), "all"));
        drop(lock);
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), "");
        assert_eq!(Lock::acquire(dir.path(), "all").unwrap().cut_off(), None);
    }

    #[test]
    fn text_that_cannot_be_read_is_of_a_holder_that_did_not_end_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "{\"pid\": 4").unwrap();
        let lock = Lock::acquire(dir.path(), "all").unwrap();
        assert_eq!(lock.cut_off().unwrap().holder, None);
    }

    #[test]
    fn holder_that_has_written_nothing_yet_still_holds() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join(FILE)).unwrap();
        flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let error = Lock::acquire(dir.path(), "all").unwrap_err();
        assert!(matches!(&error, LockError::Held { holder: None, .. }), "{error:?}");
    }

    #[test]
    fn state_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("file");
        std::fs::write(&state, "").unwrap();
        let error = Lock::acquire(&state, "all").unwrap_err();
        assert!(matches!(&error, LockError::Io { .. }), "{error:?}");
        assert!(error.to_string().contains("file/lock"), "{error}");
    }
}
