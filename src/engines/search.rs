//! What the engines share in searching a source: taking a set, passing something over, judging a link.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::names::{Judged, NameRules, sidecar};
use super::{BackupSet, Discovery, Passed, SourceFile, Why};
use crate::config::Source;
use crate::model::{BackupDate, Engine, ModelError, RelPath, SetKind, SetName};
use crate::source::Stamp;

/// A search under way.
pub(super) struct Search<'a> {
    pub(super) engine: Engine,
    pub(super) source: &'a Source,
    /// The source with every link in it resolved.
    pub(super) real: PathBuf,
    pub(super) rules: NameRules<'a>,
    /// Directories of a day asked for that were gone into, in the order of the walk.
    pub(super) dated: Vec<PathBuf>,
    pub(super) found: Discovery,
}

/// Where a set belongs, from its path.
pub(super) struct Place {
    pub(super) app: RelPath,
    pub(super) name: SetName,
}

impl Search<'_> {
    pub(super) fn pass(&mut self, path: &Path, why: Why) {
        self.found.passed.push(Passed { path: path.to_owned(), why });
    }

    /// What the name of `rel` says; a name that is no UTF-8 is judged by what is legible of it.
    pub(super) fn judge(&self, rel: &Path) -> Judged {
        match self.rules.judge(&last_name(rel)) {
            // A broken name may well have lost its date.
            Judged::Pass(Why::NoDate | Why::InvalidDate(_)) if place(rel).is_err() => {
                Judged::Pass(Why::BadName(place(rel).err().unwrap_or_default()))
            }
            // Such as the carriage return of a script that was written on Windows.
            Judged::Pass(Why::NearMiss(what)) => Judged::Pass(Why::NearMiss(match place(rel) {
                Ok(_) => what,
                Err(why) => format!("{why} in its name, and {what}"),
            })),
            Judged::Pass(Why::NotABackup) => Judged::Pass(self.near_by_directory(rel)),
            judged => judged,
        }
    }

    fn near_by_directory(&self, rel: &Path) -> Why {
        let dir = last_name(rel.parent().unwrap_or(Path::new("")));
        let near = self.rules.near_by_directory(&last_name(rel), &dir);
        near.map_or(Why::NotABackup, Why::NearMiss)
    }

    /// Directories of a day asked for in which nothing was taken, and nothing passed over that told why.
    pub(super) fn note_hollow(&mut self, what: &str) {
        let mut told: Vec<&Path> = Vec::new();
        let mut hollow = Vec::new();
        for dir in &self.dated {
            let speaks =
                |passed: &Passed| !matches!(passed.why, Why::NotABackup) && passed.path.starts_with(dir);
            if told.iter().any(|above| dir.starts_with(above))
                || self.found.sets.iter().any(|set| set.path.starts_with(dir))
                || self.found.passed.iter().any(speaks)
                || holds_sidecars_only(dir)
            {
                continue;
            }
            told.push(dir);
            hollow.push(Passed { path: dir.clone(), why: Why::NearMiss(what.to_owned()) });
        }
        self.found.passed.extend(hollow);
    }

    /// Why a symbolic link is passed over; never taken, whatever it leads to.
    pub(super) fn judge_link(&self, path: &Path, rel: &Path) -> Why {
        let target = self.inside(path);
        match self.judge(rel) {
            Judged::Set(..) => match target.as_deref().map(|target| self.judge(target)) {
                Some(Judged::Set(..)) => Why::LinkInside,
                Some(Judged::Pass(_)) | None => Why::Symlink,
            },
            Judged::Pass(Why::NotABackup) => match fs::metadata(path) {
                Ok(meta) if meta.is_dir() && target.is_none() => Why::LinkedFolder,
                Ok(_) if target.is_some() => Why::LinkInside,
                // Whether it led to a folder only its name can tell now.
                Err(_) if !last_name(rel).contains('.') => Why::DanglingLink,
                Ok(_) | Err(_) => Why::NotABackup,
            },
            Judged::Pass(why) if why.severity().is_some() && target.is_some() => Why::LinkInside,
            Judged::Pass(why) => why,
        }
    }

    /// Whether anything directly in a directory is named like a backup of some day.
    pub(super) fn has_backups(&self, dir: &Path) -> bool {
        let Ok(entries) = fs::read_dir(dir) else { return false };
        entries.flatten().any(|entry| {
            let judged = self.rules.judge(&entry.file_name().to_string_lossy());
            matches!(judged, Judged::Set(..) | Judged::Pass(Why::OtherDate(_)))
        })
    }

    /// What a link leads to, relative to the source, where that is in the source and not excluded.
    fn inside(&self, link: &Path) -> Option<PathBuf> {
        let target = fs::canonicalize(link).ok()?;
        let rel = target.strip_prefix(&self.real).ok()?;
        self.source.exclude.matched(rel).is_none().then(|| rel.to_owned())
    }

    /// Notes an app directory. One whose name cannot be an app's holds no set either, and is told when it does.
    pub(super) fn app(&mut self, rel: &Path) {
        self.found.apps.extend(rel_path(rel).ok());
    }

    /// Takes a set whose files are known.
    pub(super) fn take(&mut self, set: BackupSet) {
        self.found.apps.insert(set.app.clone());
        self.found.sets.push(set);
    }

    /// A set without files, for the caller to fill.
    pub(super) fn set(
        &self,
        path: &Path,
        place: Place,
        kind: SetKind,
        (date, notes): (BackupDate, Vec<String>),
    ) -> BackupSet {
        BackupSet {
            engine: self.engine,
            app: place.app,
            date,
            name: place.name,
            kind,
            path: path.to_owned(),
            files: Vec::new(),
            notes,
            troubles: Vec::new(),
        }
    }
}

/// Whether what is in a directory, and there is something, lies beside backups only: a directory of logs, say.
pub(super) fn holds_sidecars_only(dir: &Path) -> bool {
    // What cannot be read is told by the walk.
    let Ok(entries) = fs::read_dir(dir) else { return true };
    let mut any = false;
    for entry in entries.flatten() {
        any = true;
        let beside = match entry.file_type() {
            Ok(kind) if kind.is_dir() => holds_sidecars_only(&entry.path()),
            Ok(_) => sidecar(&entry.file_name().to_string_lossy()),
            Err(_) => false,
        };
        if !beside {
            return false;
        }
    }
    any
}

/// The last component, what is not UTF-8 in it replaced.
pub(super) fn last_name(rel: &Path) -> std::borrow::Cow<'_, str> {
    rel.file_name().map_or_else(Default::default, OsStr::to_string_lossy)
}

/// App and name of the set at `rel`.
///
/// # Errors
/// Why the path cannot be one of an object.
pub(super) fn place(rel: &Path) -> Result<Place, String> {
    let app = rel_path(rel.parent().unwrap_or(Path::new("")))?;
    let name = rel.file_name().and_then(OsStr::to_str).ok_or(NOT_UTF8)?;
    Ok(Place { app, name: name.parse().map_err(reason)? })
}

/// A path below the source or below a set's folder as it stands in keys.
///
/// # Errors
/// Why it cannot stand there.
pub(super) fn rel_path(path: &Path) -> Result<RelPath, String> {
    path.to_str().ok_or(NOT_UTF8)?.parse().map_err(reason)
}

const NOT_UTF8: &str = "it is not UTF-8";

fn reason(err: ModelError) -> String {
    match err {
        ModelError::Component { why, .. } => why.to_owned(),
        other => other.to_string(),
    }
}

/// The regular file at `path`, as it looks now.
///
/// # Errors
/// The system's, and one of its own where something else has taken the file's place.
pub(super) fn source_file(path: &Path, rel: RelPath) -> io::Result<SourceFile> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no longer a regular file"));
    }
    Ok(SourceFile { rel, path: path.to_owned(), stamp: Stamp::of(&meta) })
}
