//! The steps of a plan, and what was passed over, as report and as log lines.

use std::path::Path;

use crate::check::findings::{Findings, Record};
use crate::engines::{Passed, Why};
use crate::model::{Finding, Severity};
use crate::plan::{Action, SkipReason, Step};
use crate::report::{PassedReport, SetReport, Status};
use crate::source;

pub(super) const fn is_shipped(action: &Action) -> bool {
    match action {
        Action::Ship(_) | Action::Wait(_) => true,
        Action::Skip(_) | Action::Refuse(_) => false,
    }
}

pub(super) fn planned(step: &Step) -> SetReport {
    let status = match &step.action {
        Action::Ship(_) | Action::Wait(_) => Status::Planned,
        Action::Skip(_) => Status::Skipped,
        Action::Refuse(_) => Status::Refused,
    };
    let why = step.action.to_string();
    set_report(step, status, why)
}

/// Files that would be sent and that this user may not read: a run finds out when it sends them.
pub(super) fn unreadable(steps: &[Step]) -> Vec<Finding> {
    let sent = steps.iter().filter(|step| is_shipped(&step.action)).flat_map(|step| &step.set.files);
    sent.filter_map(|file| {
        let error = source::may_read(&file.path).err()?;
        Some(Finding {
            severity: Severity::Error,
            subject: file.path.display().to_string(),
            what: format!("this user cannot read it: {error}"),
            advice: "give the user that runs dbbackup the right to read it".to_owned(),
        })
    })
    .collect()
}

pub(super) fn set_report(step: &Step, status: Status, why: String) -> SetReport {
    SetReport {
        key: step.id.key(),
        engine: step.id.engine,
        app: step.id.app.to_string(),
        name: step.id.name.to_string(),
        date: step.set.date,
        category: step.id.category,
        status,
        bytes: step.set.bytes(),
        seconds: 0.0,
        retries: 0,
        proof: None,
        why,
        inspection: step.inspection.clone(),
    }
}

pub(super) fn log_step(step: &Step) {
    match &step.action {
        Action::Ship(_) | Action::Wait(_) => {}
        Action::Skip(reason @ SkipReason::StoredInPlain) => {
            tracing::warn!(bytes = step.set.bytes(), "[SKIP] {}: {reason}", step.id);
        }
        Action::Skip(reason @ (SkipReason::Stored | SkipReason::StoredByCopy)) => {
            tracing::info!(bytes = step.set.bytes(), "[SKIP] {}: {reason}", step.id);
        }
        Action::Refuse(reason) => {
            tracing::error!(bytes = step.set.bytes(), "[REFUSED] {}: {reason}; {}", step.id, reason.advice());
        }
    }
}

pub(super) fn passed_report(passed: &Passed) -> PassedReport {
    let other_day = matches!(passed.why, Why::OtherDate(_));
    PassedReport { path: passed.subject(), why: passed.why.to_string(), other_day }
}

/// Files of other days are the rule, and would fill the log.
pub(super) fn log_passed(passed: &Passed) {
    let path = passed.subject();
    match (&passed.why, passed.why.severity()) {
        (Why::OtherDate(_) | Why::NotABackup | Why::SwitchedOff(_) | Why::Alike, _) => {
            tracing::debug!("[SKIP] {path}: {}", passed.why);
        }
        (_, Some(Severity::Error)) => tracing::error!("{path}: {}", passed.why),
        (_, Some(Severity::Warning)) => {
            tracing::warn!("[SKIP] {path}: {}; {}", passed.why, passed.why.advice());
        }
        (_, None) => tracing::info!("[SKIP] {path}: {}", passed.why),
    }
}

/// The host's open findings of `dbbackup check`, so that they are seen where a fleet's records are queried.
/// They change no exit code of a run: `check` has its own.
pub(super) fn check_findings(state_dir: &Path) -> Vec<Record> {
    match Findings::load(state_dir) {
        Ok(findings) => findings.open().cloned().collect(),
        Err(error) => {
            let file = state_dir.join(crate::check::findings::FILE);
            tracing::warn!(
                "read what `dbbackup check` found in {}: {error}; the run's record names none of it",
                file.display()
            );
            Vec::new()
        }
    }
}
