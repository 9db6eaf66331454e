//! One set on its way: shipped, looked at once more, and recorded; or why not.

use std::time::Instant;

use super::setup::Site;
use super::steps::set_report;
use crate::bucket::{BucketError, Overwrite};
use crate::catalog::{CommitError, Stamp};
use crate::config::Source;
use crate::engines::{self, BackupSet};
use crate::model::{DateRange, SetKind};
use crate::plan::{Action, ShipReason, Step};
use crate::report::{SetReport, Status};
use crate::transfer::{ConfirmedSet, FileError, Order, ShipError, Uploader};

/// Ships one set and records it.
pub(super) async fn ship(
    uploader: &Uploader,
    site: &Site,
    step: Step,
    stamp: Stamp,
    overwrite: Overwrite,
    source: Option<Source>,
) -> (SetReport, Option<BucketError>) {
    let mut report = set_report(&step, Status::Failed, String::new());
    let begun = Instant::now();
    let shipped = uploader.ship(Order { id: step.id.clone(), set: step.set }).await;
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
    match site.catalog.commit(&confirmed, stamp, overwrite).await {
        Ok(manifest) => {
            report.proof = Some(manifest.proof());
            report.seconds = begun.elapsed().as_secs_f64();
            // Nothing went over the network and the record stood already: it was only compared.
            if confirmed.sent_bytes() == 0 && step.action == Action::Ship(ShipReason::Compare) {
                report.status = Status::Skipped;
                report.why = String::from("already stored with the same content (compared byte for byte)");
            } else {
                report.status = Status::Sent;
            }
            tracing::info!(
                files = manifest.files.len(),
                bytes = report.bytes,
                seconds = format!("{:.2}", report.seconds),
                rate = crate::transfer::rate(confirmed.sent_bytes(), report.seconds),
                proof = %manifest.proof(),
                "[SUCCESS] {} is stored",
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

/// A folder may have got more files while those that were found were sent: then it was not finished,
/// and what was sent is no backup. Looks once more, the way it was found.
async fn has_other_files_now(confirmed: &ConfirmedSet, source: Option<Source>) -> Option<String> {
    let set = confirmed.set();
    let (SetKind::Folder, Some(source)) = (set.kind, source) else {
        return None;
    };
    let (engine, day, path) = (set.engine, DateRange::one(set.date), set.path.clone());
    let looked = tokio::task::spawn_blocking(move || engines::discover(engine, &source, day)).await;
    let names = |set: &BackupSet| set.files.iter().map(|file| file.rel.clone()).collect::<Vec<_>>();
    let now = match looked {
        Ok(Ok(discovery)) => discovery.sets.into_iter().find(|set| set.path == path),
        Ok(Err(error)) => return Some(format!("the folder cannot be looked at again: {error}")),
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
    report.status = match &error.first {
        FileError::Cancelled => Status::Interrupted,
        FileError::Changed { .. } | FileError::OtherContent { .. } | FileError::NotCompared { .. } => {
            Status::Refused
        }
        FileError::Open(_)
        | FileError::Read { .. }
        | FileError::Damaged { .. }
        | FileError::TooLarge { .. }
        | FileError::Key(_)
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
        FileError::Bucket(error) => Some(error),
        _ => None,
    };
    (report, cause)
}
