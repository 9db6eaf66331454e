//! What is wrong with a configuration: every problem with its file, line, column and key.
//!
//! No message carries a line of the file: it might hold a secret.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::locate::Origin;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file.
    #[error("{}", not_found(path, *origin))]
    NotFound {
        /// The file that was looked for.
        path: PathBuf,
        /// What named it.
        origin: Origin,
    },
    /// It is there and cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Nothing is to be backed up.
    #[error(
        "{}: none of [oracle], [mysql], [mssql] is there, so there is nothing to back up; add at least one with its \
         `source`",
        path.display()
    )]
    NoSource {
        /// The file.
        path: PathBuf,
    },
    /// `--host` was given, and the prefix is the same for every host.
    #[error(
        "{}: [s3] prefix is \"{prefix}\", the same for every host: --host needs a prefix with {{hostname}} in it",
        path.display()
    )]
    OneForAll {
        /// The file.
        path: PathBuf,
        /// The prefix.
        prefix: String,
    },
    /// It was read and cannot be used; never without a problem.
    #[error("{}", invalid(path, problems))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong, by line.
        problems: Vec<Problem>,
    },
}

/// One thing wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key as `[section] key`; empty where the text is not TOML.
    pub key: String,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.key, self.what) }
    }
}

/// Collects problems while the file is gone through.
pub(super) struct Report<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl<'a> Report<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, problems: Vec::new() }
    }

    pub(super) fn add(&mut self, at: &Range<usize>, key: impl Into<String>, what: impl Into<String>) {
        let (line, column) = position(self.text, at.start);
        self.problems.push(Problem { line, column, key: key.into(), what: what.into() });
    }

    /// Something that is not in the file is missed at its end.
    pub(super) fn end(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        end..end
    }

    pub(super) const fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn into_error(mut self, path: &Path) -> ConfigError {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        ConfigError::Invalid { path: path.to_owned(), problems: self.problems }
    }
}

/// Line and column, both from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

fn invalid(path: &Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}:{}:{}: {problem}", path.display(), problem.line, problem.column))
        .collect();
    lines.join("\n")
}

fn not_found(path: &Path, origin: Origin) -> String {
    format!(
        "no configuration at {} ({origin}); dbbackup looks for --config PATH, else $DBBACKUP_CONFIG, else {}; \
         start from config.example.toml, which comes with the program, and edit the copy",
        path.display(),
        super::locate::DEFAULT_PATH,
    )
}
