//! The log: one file a run, and the same lines on the terminal.
//!
//! What must stay true: a line is with the kernel before the call that logs it returns, so a process
//! that is killed has lost none; a backup goes on where its log cannot be written; one event is one
//! line, whatever a file's name holds.

mod format;
mod sweep;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Local};
use tracing::Dispatch;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::ChronoLocal;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::config::LogFormat;
use crate::model::Target;

pub use sweep::{SweepReport, sweep, sweep_files};

/// Local time with its offset: `2025-08-19T01:00:02.123+02:00`.
const TIME: &str = "%Y-%m-%dT%H:%M:%S%.3f%:z";

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// `-q`: warnings and errors on the terminal.
    Quiet,
    /// What happened to each file.
    #[default]
    Normal,
    /// `-v`: also why.
    Verbose,
    /// `-vv`: also what the libraries below say of their own doings.
    Debug,
}

impl Verbosity {
    /// From `-q` and the number of `-v`.
    #[must_use]
    pub const fn from_flags(quiet: bool, verbose: u8) -> Self {
        match (quiet, verbose) {
            (true, _) => Self::Quiet,
            (false, 0) => Self::Normal,
            (false, 1) => Self::Verbose,
            (false, _) => Self::Debug,
        }
    }

    /// Ours and the libraries' levels. The libraries never get below INFO: their debug lines hold
    /// requests with their signatures.
    fn filter(self) -> Targets {
        let (own, others) = match self {
            Self::Quiet => (LevelFilter::WARN, LevelFilter::WARN),
            Self::Normal => (LevelFilter::INFO, LevelFilter::WARN),
            Self::Verbose => (LevelFilter::DEBUG, LevelFilter::WARN),
            Self::Debug => (LevelFilter::TRACE, LevelFilter::INFO),
        };
        // It says of credentials, over many lines, what the error that follows says in one.
        let credentials = if others == LevelFilter::WARN { LevelFilter::ERROR } else { others };
        Targets::new()
            .with_default(others)
            .with_target("aws_config", credentials)
            .with_target("dbbackup", own)
    }
}

/// The log file that a run wants.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Directory; made where it is missing, for its owner and group alone.
    pub dir: PathBuf,
    /// Text or JSON lines.
    pub format: LogFormat,
    /// Part of the file's name.
    pub target: Target,
    /// Part of the file's name.
    pub started: DateTime<Local>,
}

/// What [`Log::start`] needs.
pub struct LogOptions {
    /// How much is said; the file keeps at least what [`Verbosity::Normal`] says.
    pub verbosity: Verbosity,
    /// Where terminal lines go; a progress bar can be set aside here while one is written.
    pub terminal: BoxMakeWriter,
    /// The file; none for commands that only look.
    pub file: Option<FileOptions>,
}

impl LogOptions {
    /// Lines on standard error alone.
    #[must_use]
    pub fn terminal(verbosity: Verbosity) -> Self {
        Self { verbosity, terminal: BoxMakeWriter::new(io::stderr), file: None }
    }
}

/// Starts the log.
#[derive(Debug)]
pub struct Log;

impl Log {
    /// Makes the log that of the whole process. A file that cannot be made is told on the terminal;
    /// the run goes on without it.
    pub fn start(options: LogOptions) -> LogGuard {
        let (dispatch, file) = Self::build(options);
        // It fails where one is set already (tests in one process): then that one stays.
        let _set_before = tracing::dispatcher::set_global_default(dispatch);
        file.into_guard()
    }

    fn build(options: LogOptions) -> (Dispatch, Opened) {
        let LogOptions { verbosity, terminal, file } = options;
        let terminal = tracing_subscriber::fmt::layer()
            .event_format(format::Text)
            .with_ansi(false)
            .with_writer(terminal)
            .with_filter(verbosity.filter());
        let format = file.as_ref().map_or(LogFormat::Text, |file| file.format);
        let opened = Opened(file.map(|options| LogFile::create(&options)));
        let writer = || opened.file().cloned();
        let kept = match verbosity {
            Verbosity::Quiet => Verbosity::Normal,
            other => other,
        };
        let (text, json) = match format {
            LogFormat::Text => (writer(), None),
            LogFormat::Json => (None, writer()),
        };
        let text = text.map(|file| {
            tracing_subscriber::fmt::layer()
                .event_format(format::Text)
                .with_ansi(false)
                .with_writer(file)
                .with_filter(kept.filter())
        });
        let json = json.map(|file| {
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .with_target(false)
                .with_current_span(false)
                .with_span_list(false)
                .with_timer(ChronoLocal::new(TIME.to_owned()))
                .with_writer(file)
                .with_filter(kept.filter())
        });
        let subscriber = tracing_subscriber::registry().with(terminal).with(text).with(json);
        (Dispatch::new(subscriber), opened)
    }
}

/// The file as it was asked for: none, open, or refused by the system.
struct Opened(Option<Result<LogFile, (PathBuf, io::Error)>>);

impl Opened {
    fn file(&self) -> Option<&LogFile> {
        self.0.as_ref().and_then(|result| result.as_ref().ok())
    }

    /// The guard; a refusal is logged now, when somebody listens.
    fn into_guard(self) -> LogGuard {
        match self.0 {
            None => LogGuard { file: None },
            Some(Ok(file)) => LogGuard { file: Some(file) },
            Some(Err((path, error))) => {
                tracing::warn!(
                    "cannot write the log file {}: {error}; going on with this output alone: make the directory \
                     writable for this user, or set [log] dir",
                    path.display()
                );
                LogGuard { file: None }
            }
        }
    }
}

/// Keeps the log file; at its end the file is on the disk.
#[derive(Debug)]
#[must_use = "the log file is closed where the guard ends"]
pub struct LogGuard {
    file: Option<LogFile>,
}

impl LogGuard {
    /// The log file, where there is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Lines that could not be written to the file, as on a full disk.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.lost.load(Ordering::Relaxed))
    }
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Lines are with the kernel already; this guards against a machine that dies. There is
            // nowhere left to tell of a failure.
            let _unsynced = file.file.sync_all();
        }
    }
}

/// The open file. Each line is one `write`, appended, without a buffer of our own.
#[derive(Debug, Clone)]
struct LogFile {
    file: Arc<File>,
    lost: Arc<AtomicU64>,
    path: PathBuf,
}

impl LogFile {
    fn create(options: &FileOptions) -> Result<Self, (PathBuf, io::Error)> {
        let path = options.dir.join(sweep::file_name(options.target, options.started));
        match open(&options.dir, &path) {
            Ok(file) => Ok(Self { file: Arc::new(file), lost: Arc::default(), path }),
            Err(error) => Err((path, error)),
        }
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    crate::private_dir::make(dir)?;
    // A second run in the same second appends; a symbolic link in the file's place is refused.
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(nofollow).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&*self.file).write_all(bytes);
        if let Err(error) = written
            && self.lost.fetch_add(1, Ordering::Relaxed) == 0
        {
            // Not through the log: that would come back here.
            let path = self.path.display();
            let _closed =
                writeln!(io::stderr().lock(), "cannot write the log file {path}: {error}; going on without");
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests;
