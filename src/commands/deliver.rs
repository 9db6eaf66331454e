//! One set on its way: waited for, checked, sent, recorded.

use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::inspecting::{Inspector, find_again};
use super::setup::Site;
use super::steps::{log_step, planned, set_report};
use crate::bucket::{BucketError, Overwrite};
use crate::calendar::{self, CategoryRules};
use crate::catalog::{CommitError, Stamp};
use crate::config::Source;
use crate::engines::BackupSet;
use crate::inspect;
use crate::model::{SetKind, Severity, Verdict};
use crate::plan::{Action, ShipReason, Step};
use crate::report::{SetReport, Status};
use crate::transfer::{ConfirmedSet, FileError, Order, Rank, Ranked, ShipError, Uploader, Watch};

/// What delivering needs, the same for all sets of a run.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) uploader: Uploader,
    pub(super) site: Site,
    pub(super) inspector: Inspector,
    pub(super) rules: CategoryRules,
    pub(super) overwrite: Overwrite,
    pub(super) run: String,
    pub(super) host: String,
    /// Sets under way at once; those that are waited for or checked do not count.
    pub(super) places: Ranked,
    pub(super) cancel: CancellationToken,
}

impl Delivery {
    /// One set, from where it may have to be waited for to its record.
    pub(super) async fn deliver(&self, step: Step) -> (SetReport, Option<BucketError>) {
        let begun = Instant::now();
        let interrupted = set_report(&step, Status::Interrupted, "interrupted".to_owned());
        let ready = async {
            let step = self.inspector.wait(step, &self.rules, self.overwrite).await;
            let step = self.inspector.check(step).await;
            let place = self.places.acquire(self.rank(&step)).await;
            (step, place)
        };
        let (step, _place) = tokio::select! {
            ready = ready => ready,
            () = self.cancel.cancelled() => return (interrupted, None),
        };
        if let Action::Ship(_) = step.action {
            return self.ship(step, Instant::now()).await;
        }
        log_step(&step);
        let seconds = begun.elapsed().as_secs_f64();
        (SetReport { seconds, ..planned(&step) }, None)
    }

    fn rank(&self, step: &Step) -> Rank {
        let priority = self.inspector.source(step.id.engine).map_or(0, |source| source.priority);
        Rank::new(priority, step.set.date.day())
    }

    /// Ships one set and records it.
    async fn ship(&self, step: Step, begun: Instant) -> (SetReport, Option<BucketError>) {
        let mut report = set_report(&step, Status::Failed, String::new());
        let watch =
            inspect::watched(&step.set).map(|format| Watch { format, refuse: self.inspector.refuses() });
        let rank = self.rank(&step);
        let recipe = self.inspector.recipe(step.id.engine);
        let source = self.inspector.source(step.id.engine).cloned();
        let (id, set, stored) = (step.id.clone(), step.set, step.stored);
        let shipped = self.uploader.ship(Order { id, set, rank, watch, recipe, stored }).await;
        report.seconds = begun.elapsed().as_secs_f64();
        let confirmed = match shipped {
            Ok(confirmed) => confirmed,
            Err(error) => return failed(report, error),
        };
        report.retries = confirmed.files().iter().map(|file| file.retries).sum();
        if let Some(why) = has_other_files_now(&confirmed, source).await {
            tracing::error!(
                "[REFUSED] {}: {why}; run it again when the database has finished writing it",
                report.key
            );
            report.status = Status::Refused;
            report.why = why;
            return (report, None);
        }
        report.inspection = self.inspector.after(&confirmed, step.inspection);
        let stamp = Stamp {
            run: self.run.clone(),
            host: self.host.clone(),
            why: calendar::why_category(confirmed.set().date, &self.rules),
            inspection: report.inspection.as_ref().map(inspect::softened),
        };
        match self.site.catalog.commit(&confirmed, stamp, self.overwrite).await {
            Ok(manifest) => {
                report.proof = Some(manifest.proof());
                report.seconds = begun.elapsed().as_secs_f64();
                // Nothing went over the network and the record stood already: it was only compared.
                if confirmed.sent_bytes() == 0 && step.action == Action::Ship(ShipReason::Compare) {
                    report.status = Status::Skipped;
                    report.why =
                        String::from("already stored with the same content (compared byte for byte)");
                } else {
                    report.status = Status::Sent;
                }
                log_inspection(&report);
                tracing::info!(
                    files = manifest.files.len(),
                    bytes = report.bytes,
                    seconds = format!("{:.2}", report.seconds),
                    rate = crate::transfer::rate(confirmed.sent_bytes(), report.seconds),
                    proof = %manifest.proof(),
                    "[{}] {} is stored",
                    if report.is_cut_short() { "CUT SHORT" } else { "SUCCESS" },
                    report.key
                );
                (report, None)
            }
            Err(error) => {
                tracing::error!("{}: its data is in the bucket but not its manifest: {error}", report.key);
                report.why = format!("its data is in the bucket but not its manifest: {error}");
                let cause = match error {
                    // Exit code 5 says that nothing was done, and here data was sent.
                    CommitError::Bucket(error) if confirmed.sent_bytes() == 0 => Some(error),
                    CommitError::Bucket(_)
                    | CommitError::Other(_)
                    | CommitError::NotCompared(_)
                    | CommitError::Key(_)
                    | CommitError::Json(_) => None,
                };
                (report, cause)
            }
        }
    }
}

/// A folder may have got more files while those that were found were sent: then it was not finished,
/// and what was sent is no backup. Looks once more, the way it was found.
async fn has_other_files_now(confirmed: &ConfirmedSet, source: Option<Source>) -> Option<String> {
    let set = confirmed.set();
    let (SetKind::Folder, Some(source)) = (set.kind, source) else {
        return None;
    };
    let names = |set: &BackupSet| set.files.iter().map(|file| file.rel.clone()).collect::<Vec<_>>();
    let now = match find_again(set, source).await {
        Ok(now) => now,
        Err(error) => return Some(format!("the folder cannot be looked at again: {error}")),
    };
    match now {
        Some(now) if names(&now) == names(set) && now.troubles.is_empty() => None,
        Some(now) => Some(format!(
            "the folder has {} files now and had {} when it was found: it is still being written",
            now.files.len(),
            set.files.len()
        )),
        None => Some("the folder is gone or has no file any more".to_owned()),
    }
}

fn failed(mut report: SetReport, error: ShipError) -> (SetReport, Option<BucketError>) {
    report.retries = error.retries;
    report.why = error.to_string();
    if let (FileError::CutShort { why, .. }, Some(inspection)) = (&error.first, &mut report.inspection) {
        inspection.verdict = Verdict::CutShort { why: why.clone() };
    }
    report.status = match &error.first {
        FileError::Cancelled => Status::Interrupted,
        FileError::Changed { .. }
        | FileError::CutShort { .. }
        | FileError::OtherContent { .. }
        | FileError::NotCompared { .. }
        | FileError::Sealed { .. }
        | FileError::Gone { .. } => Status::Refused,
        FileError::Open(_)
        | FileError::Read { .. }
        | FileError::Damaged { .. }
        | FileError::TooLarge { .. }
        | FileError::Key(_)
        | FileError::Spool { .. }
        | FileError::Bucket(_)
        | FileError::Internal(_) => Status::Failed,
    };
    tracing::error!(
        retries = report.retries,
        "[{}] {}: {error}; {}",
        report.status.as_str(),
        report.key,
        error.first.advice()
    );
    let cause = match error.first {
        // Exit code 5 says that nothing was done.
        FileError::Bucket(cause) if !error.arrived => Some(cause),
        _ => None,
    };
    (report, cause)
}

/// What inspection found remarkable, for the log.
fn log_inspection(report: &SetReport) {
    let Some(inspection) = &report.inspection else { return };
    match &inspection.verdict {
        Verdict::CutShort { why } | Verdict::StillBeingWritten { why } => {
            tracing::error!(
                "[CUT SHORT] {} was sent all the same and is no backup to count on: {why}",
                report.key
            );
        }
        Verdict::NotJudged { why } => tracing::info!("{} is not judged: {why}", report.key),
        Verdict::Whole { how } => tracing::debug!("{} is whole: {how}", report.key),
    }
    for note in &inspection.notes {
        match note.severity {
            Severity::Warning => tracing::warn!("{}: {}", report.key, note.text),
            Severity::Error => tracing::error!("{}: {}", report.key, note.text),
        }
    }
}
