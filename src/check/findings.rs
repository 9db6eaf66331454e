//! What was found wrong, over time: `<state>/findings.json`, and the report made of it.
//!
//! What must stay true: a finding closes only where its line came out `ok`, or where its subject is no
//! longer this machine's. One that could not be seen this time, or was not looked at, stays open.

use std::fmt::Write as _;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Area, Line, Outcome};

/// The file in the state directory.
pub const FILE: &str = "findings.json";

/// Lines about the shell that the check was typed in, which are gone with it.
const OF_THE_SHELL: [&str; 2] = ["user", "environment"];

/// Closed findings that are remembered.
const KEPT_CLOSED: usize = 500;

/// Something that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What was seen last: `warn` or `fail`.
    #[serde(flatten)]
    pub line: Line,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
    /// When a check came out `ok` again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<DateTime<Utc>>,
}

/// Every finding, in the order in which they were first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Open and closed ones.
    pub findings: Vec<Record>,
}

impl Findings {
    /// Those of the state directory; none where there is no file.
    ///
    /// # Errors
    /// Where it cannot be read, or is no such file.
    pub fn load(state_dir: &Path) -> io::Result<Self> {
        match std::fs::read(state_dir.join(FILE)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes them beside the old file and renames: half a file is never there. It holds no secret, and
    /// whoever runs the check, the nightly run's user must be able to read it.
    ///
    /// # Errors
    /// Where the state directory cannot be made or written.
    pub fn save(&self, state_dir: &Path) -> io::Result<()> {
        crate::private_dir::make(state_dir)?;
        let mut file = tempfile::Builder::new().prefix(".findings-").tempfile_in(state_dir)?;
        file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(state_dir.join(FILE)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Takes in what a check said now.
    pub fn update(&mut self, lines: &[Line], now: DateTime<Utc>) {
        let of_the_shell =
            |line: &&Line| line.area == Area::Local && OF_THE_SHELL.contains(&line.what.as_str());
        for line in lines.iter().filter(|line| !of_the_shell(line)) {
            let open = self.findings.iter_mut().find(|record| {
                record.closed.is_none() && (record.line.area, &record.line.what) == (line.area, &line.what)
            });
            match (&line.outcome, open) {
                (Outcome::Warn | Outcome::Fail, Some(record)) => {
                    record.line = line.clone();
                    record.last_seen = now;
                }
                (Outcome::Warn | Outcome::Fail, None) => self.findings.push(Record {
                    line: line.clone(),
                    first_seen: now,
                    last_seen: now,
                    closed: None,
                }),
                (Outcome::Ok, Some(record)) => record.closed = Some(now),
                (Outcome::Ok, None) | (Outcome::Unknown { .. }, _) => {}
            }
        }
        self.close_what_is_gone(lines, now);
        self.forget();
    }

    /// This machine is looked at wholly by every check, but for its clock. What has no line any more, such
    /// as a source that was taken out of the configuration, is no finding any more.
    fn close_what_is_gone(&mut self, lines: &[Line], now: DateTime<Utc>) {
        if lines.iter().all(|line| line.area != Area::Local) {
            return;
        }
        let open = self.findings.iter_mut().filter(|record| record.closed.is_none());
        for record in open.filter(|record| record.line.area == Area::Local && record.line.what != "clock") {
            if lines.iter().all(|line| (line.area, &line.what) != (record.line.area, &record.line.what)) {
                record.closed = Some(now);
            }
        }
    }

    /// The oldest closed ones go, so that the file does not grow for ever.
    fn forget(&mut self) {
        let mut surplus = self.closed().count().saturating_sub(KEPT_CLOSED);
        self.findings.retain(|record| {
            let goes = surplus > 0 && record.closed.is_some();
            surplus -= usize::from(goes);
            !goes
        });
    }

    /// Those that are not closed.
    pub fn open(&self) -> impl Iterator<Item = &Record> {
        self.findings.iter().filter(|record| record.closed.is_none())
    }

    /// Those that are.
    pub fn closed(&self) -> impl Iterator<Item = &Record> {
        self.findings.iter().filter(|record| record.closed.is_some())
    }
}

/// What the report names besides the lines.
#[derive(Debug, Clone)]
pub struct Subject {
    /// This host.
    pub host: String,
    /// When the check ran.
    pub at: DateTime<Utc>,
    /// Versions of this program and of the system.
    pub versions: Vec<(String, String)>,
    /// The effective configuration.
    pub configuration: String,
}

/// The preventive-maintenance report, as Markdown that also reads as plain text.
#[must_use]
pub fn report(subject: &Subject, lines: &[Line], findings: &Findings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# Preventive maintenance of {}\n", subject.host);
    let [ok, warn, fail, unknown] = super::bucket::tally(lines);
    let _ = writeln!(
        text,
        "Checked {}: {ok} ok, {warn} warn, {fail} FAIL, {unknown} unknown.",
        minute(subject.at)
    );
    let _ = writeln!(text, "\n## Open findings\n");
    list(&mut text, findings.open());
    let _ = writeln!(text, "\n## Closed findings\n");
    list(&mut text, findings.closed());
    let _ = writeln!(text, "\n## Versions\n");
    for (name, version) in &subject.versions {
        let _ = writeln!(text, "- {name}: {version}");
    }
    let is_capacity = |line: &Line| line.area == Area::Local && line.what.ends_with("directory");
    section(&mut text, "Capacity", lines, is_capacity);
    section(&mut text, "Access", lines, |line| line.area == Area::Identity);
    section(&mut text, "Machine", lines, |line| line.area == Area::Local && !is_capacity(line));
    section(&mut text, "Network", lines, |line| line.area == Area::Network);
    section(&mut text, "Bucket", lines, |line| line.area == Area::Bucket);
    let _ = writeln!(text, "\n## Configuration\n\n```toml\n{}```", subject.configuration);
    text
}

fn section(text: &mut String, title: &str, lines: &[Line], of: impl Fn(&Line) -> bool) {
    let _ = writeln!(text, "\n## {title}\n");
    for line in lines.iter().filter(|line| of(line)) {
        let _ = writeln!(text, "- {}: {} ({})", line.what, line.seen, line.outcome.word());
    }
}

fn list<'r>(text: &mut String, records: impl Iterator<Item = &'r Record>) {
    let mut none = true;
    for record in records {
        none = false;
        let state = match record.closed {
            Some(closed) => format!("closed {}", minute(closed)),
            None => format!("last seen {}", minute(record.last_seen)),
        };
        let _ = writeln!(
            text,
            "- {} {} {}: {} (first seen {}, {state})",
            record.line.outcome.word(),
            record.line.area.as_str(),
            record.line.what,
            record.line.seen,
            minute(record.first_seen)
        );
        if record.closed.is_none() {
            let _ = writeln!(text, "  To do: {}.", record.line.advice);
        }
    }
    if none {
        text.push_str("None.\n");
    }
}

fn minute(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%Y-%m-%d %H:%M UTC")
}
