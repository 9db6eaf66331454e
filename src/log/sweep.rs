//! Removes log files that have grown old.
//!
//! What must stay true: nothing goes but regular files whose name is exactly one that [`file_name`]
//! makes, or that the caller of [`sweep_files`] knows for its own; neither the file of this run, nor what a symbolic link points to.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Local, NaiveDateTime};

use crate::model::Target;

/// `upload_<target>_<YYYYMMDD_HHMMSS>.log`, in local time.
pub(super) fn file_name(target: Target, started: DateTime<Local>) -> String {
    format!("upload_{target}_{}.log", started.format("%Y%m%d_%H%M%S"))
}

/// What a sweep did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SweepReport {
    /// Files that are gone, sorted.
    pub removed: Vec<PathBuf>,
    /// Files or directories that could not be looked at or removed, with the system's reason.
    pub failed: Vec<(PathBuf, String)>,
}

/// Removes the log files of `dir` last written more than `keep_days` days before `now`, except
/// `current`.
#[must_use]
pub fn sweep(dir: &Path, keep_days: u32, now: SystemTime, current: Option<&Path>) -> SweepReport {
    sweep_files(dir, keep_days, now, |path| {
        let name = path.file_name();
        name.and_then(|name| name.to_str()).is_some_and(is_log_name)
            && current.and_then(Path::file_name) != name
    })
}

/// Removes the files of `dir` that `is_ours` takes and that were last written more than `keep_days` days before
/// `now`.
#[must_use]
pub fn sweep_files(
    dir: &Path,
    keep_days: u32,
    now: SystemTime,
    is_ours: impl Fn(&Path) -> bool,
) -> SweepReport {
    let mut report = SweepReport::default();
    let Some(oldest) = now.checked_sub(Duration::from_secs(u64::from(keep_days) * 24 * 3600)) else {
        return report;
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            report.failed.push((dir.to_owned(), error.to_string()));
            return report;
        }
    };
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                report.failed.push((dir.to_owned(), error.to_string()));
                continue;
            }
        };
        let path = entry.path();
        if !is_ours(&path) {
            continue;
        }
        match is_old(&path, oldest)
            .and_then(|old| if old { fs::remove_file(&path) } else { Ok(()) }.map(|()| old))
        {
            Ok(true) => report.removed.push(path),
            Ok(false) => {}
            Err(error) => report.failed.push((path, error.to_string())),
        }
    }
    report.removed.sort();
    report
}

/// Whether it is a regular file, not a link to one, last written before `oldest`.
fn is_old(path: &Path, oldest: SystemTime) -> std::io::Result<bool> {
    let metadata = fs::symlink_metadata(path)?;
    Ok(metadata.file_type().is_file() && metadata.modified()? < oldest)
}

/// Whether [`file_name`] can have made it: a target in small letters and a time that exists.
pub(super) fn is_log_name(name: &str) -> bool {
    let Some((target, time)) = name
        .strip_prefix("upload_")
        .and_then(|rest| rest.strip_suffix(".log"))
        .and_then(|middle| middle.split_once('_'))
    else {
        return false;
    };
    let known = target.parse::<Target>().is_ok_and(|parsed| parsed.to_string() == target);
    let shape = time.len() == 15
        && time
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 8 { byte == b'_' } else { byte.is_ascii_digit() });
    known && shape && NaiveDateTime::parse_from_str(time, "%Y%m%d_%H%M%S").is_ok()
}
