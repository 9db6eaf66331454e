//! What a run did: one record, read by people as a table, by machines as one JSON line.
//!
//! The JSON is a public promise (`version`): it lies in the bucket under `_runs/` and is queried there.

mod table;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::formats::Judgement;
use crate::inspect;
use crate::model::{BackupDate, Category, Engine, ExitCode, Finding, Proof, Severity, Verdict};

pub use table::{age, bytes, check_text, plain, plan_text, sets_table, status_table, summary_table};

/// Form of the record.
pub const VERSION: u32 = 1;

/// What became of one set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Stored by this run, and confirmed.
    Sent,
    /// Stored before, with the same content.
    Skipped,
    /// Not sent, for a reason that lies in the set or the bucket.
    Refused,
    /// Begun and not stored.
    Failed,
    /// Not begun, or given up, because the run was interrupted.
    Interrupted,
    /// A dry run would send it.
    Planned,
}

impl Status {
    /// The word for tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Skipped => "skipped",
            Self::Refused => "REFUSED",
            Self::Failed => "FAILED",
            Self::Interrupted => "INTERRUPTED",
            Self::Planned => "to send",
        }
    }
}

/// One set of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetReport {
    /// As `list` prints it.
    pub key: String,
    /// The database engine.
    pub engine: Engine,
    /// The app; may be empty.
    pub app: String,
    /// File or folder name.
    pub name: String,
    /// The date in its name.
    pub date: BackupDate,
    /// Weekly, monthly or daily.
    pub category: Category,
    /// What became of it.
    pub status: Status,
    /// Bytes of the set.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Attempts that failed and were tried again.
    pub retries: u32,
    /// How well it is known to be good, where it is stored.
    pub proof: Option<Proof>,
    /// Why it was skipped, refused or failed.
    pub why: String,
    /// What inspection said of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspection: Option<Judgement>,
}

impl SetReport {
    /// Whether its content is known to be incomplete.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.inspection.as_ref().is_some_and(|inspection| match inspection.verdict {
            Verdict::CutShort { .. } => true,
            Verdict::Whole { .. } | Verdict::StillBeingWritten { .. } | Verdict::NotJudged { .. } => false,
        })
    }

    /// Whether inspection has nothing against counting it as a good backup.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.inspection.as_ref().is_none_or(inspect::is_good)
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Form of this record.
    pub version: u32,
    /// Identifier: start in UTC, target, process.
    pub run: String,
    /// This host.
    pub host: String,
    /// all, oracle, mysql or mssql.
    pub target: String,
    /// First and last backup date asked for.
    pub dates: [BackupDate; 2],
    /// Begin, local time.
    pub started: DateTime<FixedOffset>,
    /// End, local time.
    pub finished: DateTime<FixedOffset>,
    /// Seconds between them.
    pub seconds: f64,
    /// dbbackup's version.
    pub dbbackup: String,
    /// What the process told the operating system; that was 1 in place of 0 or 3 where standard output did not take
    /// what it had to say.
    pub exit_code: u8,
    /// Sets stored by this run.
    pub sent: usize,
    /// Sets that were stored before.
    pub skipped: usize,
    /// Sets refused.
    pub refused: usize,
    /// Sets that failed or were interrupted.
    pub failed: usize,
    /// Bytes of the sets sent.
    pub bytes: u64,
    /// Every set, in the order of the plan.
    pub sets: Vec<SetReport>,
    /// What was wrong besides.
    pub findings: Vec<Finding>,
    /// What the last `dbbackup check` on this host had found and no check has seen mended since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check_findings: Vec<check::findings::Record>,
    /// What was seen and not taken; only a dry run tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<PassedReport>,
}

/// A file or folder that a dry run saw and would not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedReport {
    /// Where it lies.
    pub path: String,
    /// Why not.
    pub why: String,
    /// Whether it is a backup of another day than asked for; those are many.
    pub other_day: bool,
}

impl RunReport {
    /// How many sets have that status.
    #[must_use]
    pub fn count(sets: &[SetReport], status: Status) -> usize {
        sets.iter().filter(|set| set.status == status).count()
    }

    /// As one JSON line, without its newline.
    pub fn to_line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// How a run ends, from what became of its sets and what was found. Pure.
#[must_use]
pub fn exit_code(sets: &[SetReport], findings: &[Finding]) -> ExitCode {
    let bad = sets.iter().any(|set| match set.status {
        Status::Refused | Status::Failed | Status::Interrupted => true,
        // Also one that was stored before: a run is not well while its newest backup is cut short.
        Status::Sent | Status::Skipped | Status::Planned => !set.is_good(),
    });
    if bad || findings.iter().any(|finding| finding.severity == Severity::Error) {
        ExitCode::Failed
    } else if sets.is_empty() {
        ExitCode::NothingFound
    } else {
        ExitCode::Done
    }
}
