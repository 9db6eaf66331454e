//! Finding backup sets: one database engine a file.
//!
//! What must stay true: nothing in a source is passed over without a [`Why`]; a set holds every file that
//! it consists of, or says in `troubles` that it does not.

mod dates;
mod day_dirs;
mod files;
mod folder;
mod mssql;
mod mysql;
mod names;
mod oracle;
mod search;
#[cfg(test)]
mod tests;
mod why;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

pub use crate::source::{Excludes, Stamp};
pub use day_dirs::{above_a_day, day_directory};
pub use oracle::is_level_1;
pub use why::{Passed, Why};

use crate::config::Source;
use crate::model::{BackupDate, DateRange, Engine, RelPath, SetKind, SetName};
use names::NameRules;
use search::Search;

/// One set found in a source, with every file it consists of.
#[derive(Debug, Clone)]
pub struct BackupSet {
    /// The database engine.
    pub engine: Engine,
    /// Parent directory relative to the source.
    pub app: RelPath,
    /// The date in the name.
    pub date: BackupDate,
    /// File or folder name.
    pub name: SetName,
    /// One object, or a folder of them.
    pub kind: SetKind,
    /// Absolute path of the file or the folder.
    pub path: PathBuf,
    /// The files, sorted by `rel`; for [`SetKind::File`] exactly one whose `rel` is empty.
    pub files: Vec<SourceFile>,
    /// What is odd about it and does no harm (a second date in its name), a sentence each.
    pub notes: Vec<String>,
    /// Why `files` is not all of it (a link, an unreadable subfolder), a sentence each. A set with any
    /// must not be sent: what arrived could not be called the backup.
    pub troubles: Vec<String>,
}

impl BackupSet {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.stamp.size).sum()
    }
}

/// One regular file of a set.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Path inside the folder; empty for the file of a single-file set.
    pub rel: RelPath,
    /// Absolute path.
    pub path: PathBuf,
    /// What it looked like when found.
    pub stamp: Stamp,
}

/// What a walk of one source gave.
#[derive(Debug, Default)]
pub struct Discovery {
    /// Sets whose date was asked for, sorted by app, date, name.
    pub sets: Vec<BackupSet>,
    /// Everything passed over, with the reason, in the order of the walk.
    pub passed: Vec<Passed>,
    /// Every app directory, with or without a set of those days: of Oracle, those directly below the
    /// source; of the others, those that hold files, and those that hold nothing at all.
    pub apps: BTreeSet<RelPath>,
}

/// Why a source as a whole could not be searched.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing of that name; also where it is a symbolic link to nothing.
    #[error("search {}: there is no such directory; see that its disk is mounted", .0.display())]
    Missing(PathBuf),
    /// It is a file, say.
    #[error("search {}: it is no directory; `source` is the directory that holds the backups", .0.display())]
    NotADirectory(PathBuf),
    /// The system's refusal.
    #[error("search {}: {source}; see that the user dbbackup runs as may read it", path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

/// The date in the name of a set, as discovery reads it.
#[must_use]
pub fn date_in_name(engine: Engine, name: &str) -> Option<BackupDate> {
    let found = match engine {
        Engine::Mssql => dates::in_tape_name(name),
        Engine::Mysql => dates::in_file_name(name),
        Engine::Oracle => dates::in_rman_folder_name(name),
    };
    found.dates().next()
}

/// Whether a name is that of a MySQL dump, its date aside.
#[must_use]
pub fn is_mysql_dump(name: &str) -> bool {
    matches!(mysql::kind(name), names::NameKind::Backup)
}

/// Finds the sets of `engine` in `source` whose date lies in `wanted`.
///
/// The source itself may be a symbolic link, since that is how operators move a directory to another
/// disk; links in it are not followed. What cannot be read in it is a [`Why::Unreadable`] and does not
/// end the search.
///
/// # Errors
/// [`SourceError`] where the source itself cannot be searched.
pub fn discover(engine: Engine, source: &Source, wanted: DateRange) -> Result<Discovery, SourceError> {
    let path = &source.dir;
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing(path.clone()),
        io::ErrorKind::NotADirectory => SourceError::NotADirectory(path.clone()),
        _ => SourceError::Unreadable { path: path.clone(), source: error },
    };
    let real = fs::canonicalize(path).map_err(refused)?;
    // Opened here for its error alone.
    fs::read_dir(path).map_err(refused)?;

    let begin = |kind, dates| {
        let rules = NameRules { kind, dates, wanted };
        Search { engine, source, real, rules, dated: Vec::new(), found: Discovery::default() }
    };
    let mut found = match engine {
        Engine::Oracle => {
            let kind = |name: &str| oracle::kind(name, source);
            oracle::discover(begin(&kind, dates::in_rman_folder_name))
        }
        Engine::Mysql => files::discover(begin(&mysql::kind, dates::in_file_name), mysql::is_dump_folder),
        Engine::Mssql => {
            let kind = |name: &str| mssql::kind(name, source);
            files::discover(begin(&kind, dates::in_tape_name), |_, _| false)
        }
    };
    why::gather(&mut found.passed);
    found.sets.sort_unstable_by(|a, b| (&a.app, a.date, &a.name).cmp(&(&b.app, b.date, &b.name)));
    Ok(found)
}
