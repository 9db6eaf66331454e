//! Is a file still being written?
//!
//! What must stay true: `Settled` is said only where the kernel answered that nobody on this machine has
//! the file open for writing, and it has been left alone for the settle time: RMAN closes a piece before
//! it begins the next, and scripts append to a dump command by command. Where the kernel does not answer
//! (another host may write on a network file system; another owner's file), it is `Remote` or `Unknown`,
//! never `Settled`. A writer that opens the file later is seen by the comparison of size, mtime, ctime and inode
//! before and after the read.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::lease::{self, Lease};

/// Endings by which copying programs mark what is not complete (scp wrappers, browsers, `WinSCP`, rclone,
/// this program).
const MARKERS: [&str; 6] = [".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload"];

/// The answer, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settle {
    /// Nobody has it open for writing, and it is older than the settle time.
    Settled,
    /// Somebody writes it, or did until just now.
    BeingWritten {
        /// What shows that.
        why: String,
    },
    /// Nothing shows a writer, but the kernel could not be asked.
    Unknown {
        /// What could not be learnt.
        why: String,
    },
    /// Nothing on this machine writes it; it lies on another one, whose processes nobody here can see.
    Remote,
}

/// Asks of the regular file at `path` at the time `now` whether it has settled: by its name, its
/// age, a read lease and, where that tells nothing, by the open files of all processes.
///
/// # Errors
/// What opening or looking at the file gave. Symbolic links are not followed.
pub fn check(path: &Path, settle_time: Duration, now: SystemTime) -> io::Result<Settle> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if finished_name(&name).is_some() {
        return Ok(being_written("its name is that of a file which is still being written".to_owned()));
    }
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    // The lease first: it answers for this moment, and age cannot overrule a writer.
    let lease = lease::ask(&file);
    if lease == Lease::Writer {
        return Ok(being_written(writer_text(&meta)));
    }
    if let Some(why) = too_young(meta.modified()?, settle_time, now) {
        return Ok(being_written(why));
    }
    if lease == Lease::NoWriter {
        return Ok(Settle::Settled);
    }
    Ok(match open_writer(&meta) {
        Scan::Found(writer) => being_written(format!("{writer} has it open for writing")),
        Scan::None if lease == Lease::Unknown => Settle::Settled,
        Scan::None | Scan::Incomplete if lease == Lease::Remote => Settle::Remote,
        Scan::None | Scan::Incomplete => Settle::Unknown {
            why: "whether another process has it open for writing cannot be seen: neither a lease (needs the file's \
                  owner or CAP_LEASE) nor all processes' open files (needs root)"
                .to_owned(),
        },
    })
}

fn being_written(why: String) -> Settle {
    Settle::BeingWritten { why }
}

/// The name that something will have once it is complete, where its present name says that it is not:
/// a marker at its end, with the dot before it that hides the name and the checksum of rclone
/// (`NAME.1f3d2a9c.partial`) taken away too, or the `.NAME.XXXXXX` that rsync writes to.
#[must_use]
pub fn finished_name(name: &str) -> Option<&str> {
    let marked = MARKERS.iter().find_map(|marker| {
        let start = name.len().checked_sub(marker.len())?;
        let end = name.get(start..).filter(|end| end.eq_ignore_ascii_case(marker))?;
        let rest = name.get(..start)?;
        Some(if end.eq_ignore_ascii_case(".partial") { without_rclones(rest) } else { rest })
    });
    if let Some(marked) = marked {
        return Some(marked.strip_prefix('.').unwrap_or(marked)).filter(|rest| !rest.is_empty());
    }
    let (stem, suffix) = name.strip_prefix('.')?.rsplit_once('.')?;
    let rsync = suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (rsync && stem.contains('.')).then_some(stem)
}

/// Without the checksum of the source's name and time that rclone writes before `.partial` (its `--partial-suffix`):
/// eight hex digits. Those of a day are the name's own.
fn without_rclones(name: &str) -> &str {
    let Some((stem, sum)) = name.rsplit_once('.') else { return name };
    let hex = sum.len() == 8 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
    let day = sum.starts_with("20") && sum.bytes().all(|byte| byte.is_ascii_digit());
    if hex && !day && !stem.is_empty() { stem } else { name }
}

/// Why a file last modified at `modified` has not rested long enough at `now`.
fn too_young(modified: SystemTime, settle_time: Duration, now: SystemTime) -> Option<String> {
    match now.duration_since(modified) {
        Ok(age) if age < settle_time => Some(format!(
            "it was modified {} s ago, within the settle time of {} s",
            age.as_secs(),
            settle_time.as_secs()
        )),
        // A clock that is a little off makes a fresh file look like one of the future. One that is
        // far off says nothing about when it was written, and must not hold the file back for ever.
        Err(ahead) if ahead.duration() <= settle_time => Some("it was modified just now".to_owned()),
        Ok(_) | Err(_) => None,
    }
}

fn writer_text(meta: &fs::Metadata) -> String {
    match open_writer(meta) {
        Scan::Found(writer) => format!("{writer} has it open for writing"),
        Scan::None | Scan::Incomplete => "another process has it open for writing".to_owned(),
    }
}

enum Scan {
    /// A process, by number and name.
    Found(String),
    None,
    /// Some process could not be looked into.
    Incomplete,
}

/// Looks through `/proc/*/fd` for the file. Reads a few files for each open descriptor on the
/// machine, so it comes last.
fn open_writer(meta: &fs::Metadata) -> Scan {
    let Ok(processes) = fs::read_dir("/proc") else { return Scan::Incomplete };
    let mut complete = true;
    for process in processes.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let descriptors = match fs::read_dir(process.path().join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) => {
                // Processes end while one looks; that is no gap.
                complete &= error.kind() == io::ErrorKind::NotFound;
                continue;
            }
        };
        for descriptor in descriptors.flatten() {
            let open = fs::metadata(descriptor.path());
            // Of a process with more rights its own user sees the numbers, and not what is behind them.
            complete &= !matches!(&open, Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
            let same = open.is_ok_and(|open| open.dev() == meta.dev() && open.ino() == meta.ino());
            let info = process.path().join("fdinfo").join(descriptor.file_name());
            if same && writes(&fs::read_to_string(info).unwrap_or_default()) {
                let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                return Scan::Found(format!("process {pid} ({})", name.trim_end().escape_debug()));
            }
        }
    }
    if complete { Scan::None } else { Scan::Incomplete }
}

/// Whether the `flags:` line of an fdinfo file (octal) has an access mode that writes.
fn writes(fdinfo: &str) -> bool {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & 0o3 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    const SETTLE: Duration = Duration::from_mins(1);

    fn later() -> SystemTime {
        SystemTime::now() + Duration::from_hours(1)
    }

    fn old_file(dir: &tempfile::TempDir, name: &str) -> std::path::PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, "-- dump\n").unwrap();
        path
    }

    #[test]
    fn file_left_alone_is_settled_and_a_fresh_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = old_file(&dir, "shop_20250818.sql");
        assert_eq!(check(&path, SETTLE, later()).unwrap(), Settle::Settled);
        let Settle::BeingWritten { why } = check(&path, SETTLE, SystemTime::now()).unwrap() else { panic!() };
        assert!(why.contains("modified"), "{why}");
    }

    #[test]
    fn file_that_a_thread_holds_open_for_writing_is_not_settled_until_it_is_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = old_file(&dir, "shop_20250818.sql");
        let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
        writer.write_all(b"INSERT").unwrap();
        let Settle::BeingWritten { why } = check(&path, SETTLE, later()).unwrap() else {
            panic!("writer not seen")
        };
        assert!(why.contains("open for writing"), "{why}");
        drop(writer);
        assert_eq!(check(&path, SETTLE, later()).unwrap(), Settle::Settled);
    }

    #[test]
    fn file_that_another_process_writes_is_named_with_that_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = old_file(&dir, "shop_20250818.sql");
        let held = OpenOptions::new().append(true).open(&path).unwrap();
        let mut cat = Command::new("cat").stdin(Stdio::piped()).stdout(held).spawn().unwrap();
        let seen = check(&path, SETTLE, later()).unwrap();
        drop(cat.stdin.take());
        cat.wait().unwrap();
        let Settle::BeingWritten { why } = seen else { panic!("writer not seen: {seen:?}") };
        assert!(why.contains(&cat.id().to_string()), "{why}");
        assert_eq!(check(&path, SETTLE, later()).unwrap(), Settle::Settled);
    }

    #[test]
    fn reader_does_not_hold_a_file_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = old_file(&dir, "shop_20250818.sql");
        let _reader = File::open(&path).unwrap();
        assert_eq!(check(&path, SETTLE, later()).unwrap(), Settle::Settled);
    }

    #[test]
    fn open_files_of_processes_tell_the_writer_without_a_lease() {
        let dir = tempfile::tempdir().unwrap();
        let path = old_file(&dir, "shop_20250818.sql");
        let meta = fs::metadata(&path).unwrap();
        assert!(!matches!(open_writer(&meta), Scan::Found(_)));
        let _writer = OpenOptions::new().append(true).open(&path).unwrap();
        let Scan::Found(who) = open_writer(&meta) else { panic!("writer not seen") };
        assert!(who.contains(&std::process::id().to_string()), "{who}");
    }

    #[test]
    fn marker_names_are_told_in_any_letter_case() {
        assert_eq!(finished_name("shop.sql.FilePart"), Some("shop.sql"));
        assert_eq!(finished_name("shop.sql.crdownload"), Some("shop.sql"));
        assert_eq!(finished_name(".shop.sql.aB3dE9"), Some("shop.sql"));
        assert_eq!(finished_name(".shop_20250818.tmp"), Some("shop_20250818"));
        assert_eq!(finished_name("shop.sql.gz.1f3d2a9c.partial"), Some("shop.sql.gz"));
        assert_eq!(finished_name("shop.20250818.partial"), Some("shop.20250818"));
        for whole in ["shop.sql", ".part", "part", ".bashrc.aB3dE9", "\u{e9}part"] {
            assert_eq!(finished_name(whole), None, "{whole}");
        }
    }

    #[test]
    fn time_far_in_the_future_does_not_hold_a_file_back_for_ever() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        assert!(too_young(now + Duration::from_secs(5), SETTLE, now).is_some());
        assert!(too_young(now + Duration::from_hours(24), SETTLE, now).is_none());
        assert!(too_young(now - Duration::from_secs(59), SETTLE, now).is_some());
        assert!(too_young(now - Duration::from_mins(1), SETTLE, now).is_none());
    }

    #[test]
    fn link_and_folder_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = old_file(&dir, "a.sql");
        std::os::unix::fs::symlink(&path, dir.path().join("b.sql")).unwrap();
        assert!(check(&dir.path().join("b.sql"), SETTLE, later()).is_err());
        assert!(check(dir.path(), SETTLE, later()).is_err());
    }
}
