//! What a run says of itself: its report, and the record that is kept on the host and in the bucket.
//!
//! What must stay true: from the first look at the sets on, the host has a record that names each of them, so that
//! a run which is killed is seen to have left them.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use chrono::{Local, Utc};

use super::backup::Run;
use super::setup::{Failure, Site};
use super::steps::check_findings;
use crate::causes;
use crate::engines::BackupSet;
use crate::model::{Finding, SetId, Severity};
use crate::report::{self, RunReport, SetReport, Status};

impl Run<'_> {
    pub(super) fn report(&self, sets: Vec<SetReport>, findings: Vec<Finding>) -> RunReport {
        let count = |status| RunReport::count(&sets, status);
        let dates = self.request.dates;
        RunReport {
            version: report::VERSION,
            run: self.id.clone(),
            host: self.host.clone(),
            target: self.request.target.to_string(),
            dates: [dates.first(), dates.last()],
            started: self.started.fixed_offset(),
            finished: Local::now().fixed_offset(),
            seconds: self.clock.elapsed().as_secs_f64(),
            dbbackup: env!("CARGO_PKG_VERSION").to_owned(),
            exit_code: self.exit_code(&sets, &findings),
            sent: sets.iter().filter(|set| set.status == Status::Sent && !set.is_cut_short()).count(),
            skipped: count(Status::Skipped),
            refused: count(Status::Refused),
            failed: count(Status::Failed) + count(Status::Interrupted),
            bytes: sets.iter().filter(|set| set.status == Status::Sent).map(|set| set.bytes).sum(),
            sets,
            findings,
            check_findings: check_findings(&self.config.state.dir),
            passed: Vec::new(),
        }
    }

    /// A signal decides it, whatever else was in the way.
    pub(super) fn exit_code(&self, sets: &[SetReport], findings: &[Finding]) -> u8 {
        self.signals.exit_code().unwrap_or_else(|| report::exit_code(sets, findings)).number()
    }

    /// Keeps a record of sets of which nothing is known yet: it stays where this run is killed.
    pub(super) fn keep_begun<'s>(&self, sets: impl Iterator<Item = (&'s BackupSet, SetId)>) {
        let sets: Vec<SetReport> = sets.map(|(set, id)| not_begun(set, &id)).collect();
        if !sets.is_empty() {
            self.keep(&self.report(sets, self.before.clone()));
        }
    }

    /// Changes the record of a run that could do nothing: that was the reason, no kill.
    pub(super) fn keep_failed(&self, failure: &Failure) {
        let path = self.path();
        let Some(mut report) = std::fs::read(&path).ok().and_then(|it| serde_json::from_slice(&it).ok())
        else {
            return;
        };
        let RunReport { sets, exit_code, .. } = &mut report;
        *exit_code = self.signals.exit_code().unwrap_or(failure.code).number();
        if self.signals.exit_code().is_none() {
            for set in sets {
                set.status = Status::Failed;
                set.why = causes::told(failure.error.as_ref());
            }
        }
        self.keep(&report);
    }

    /// Keeps the record on the host; the next run looks into it.
    pub(super) fn keep(&self, report: &RunReport) {
        let path = self.path();
        let line = report.to_line().map_err(std::io::Error::other);
        if let Err(error) = line.and_then(|line| write(&path, &line)) {
            tracing::warn!("keep the run record in {}: {error}", path.display());
        }
    }

    fn path(&self) -> std::path::PathBuf {
        self.config.state.dir.join("runs").join(format!("{}.json", self.id))
    }

    /// Keeps the record on the host and in the bucket. A record that cannot be kept there is a finding: the
    /// next one to look must not take the silence for health.
    pub(super) async fn record(&self, site: &Site, report: &mut RunReport) {
        self.keep(report);
        if let Err(what) = self.store(site, report).await {
            tracing::error!("the run record is not in the bucket: {what}");
            report.findings.push(Finding {
                severity: Severity::Error,
                subject: format!("run {}", self.id),
                what: format!("its record is not in the bucket: {what}"),
                advice: "the backups themselves are as reported; check the bucket and run it again"
                    .to_owned(),
            });
            report.exit_code = self.exit_code(&report.sets, &report.findings);
            self.keep(report);
        }
    }

    async fn store(&self, site: &Site, report: &RunReport) -> Result<(), String> {
        let line = report.to_line().map_err(|error| format!("write it as JSON: {error}"))?;
        let utc = self.started.with_timezone(&Utc);
        let (date, stamp) = (utc.format("%Y-%m-%d").to_string(), utc.format("%Y%m%dT%H%M%SZ").to_string());
        let layout = site.bucket.layout();
        let key = layout.run(&self.host, &date, &stamp, &report.target).map_err(|error| error.to_string())?;
        site.catalog.record_run(&key, &line).await.map_err(|error| error.to_string())
    }
}

fn not_begun(set: &BackupSet, id: &SetId) -> SetReport {
    SetReport {
        key: id.key(),
        engine: id.engine,
        app: id.app.to_string(),
        name: id.name.to_string(),
        date: set.date,
        category: id.category,
        status: Status::Interrupted,
        bytes: set.bytes(),
        seconds: 0.0,
        retries: 0,
        proof: None,
        why: "the run did not come to it".to_owned(),
        inspection: None,
    }
}

/// Whole or not at all, whenever this is killed. Neither it nor what a symbolic link in its place points to is
/// written over; for owner and group alone.
fn write(path: &Path, line: &str) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    crate::private_dir::make(dir)?;
    let mut file = tempfile::Builder::new()
        .prefix(".run-")
        .permissions(Permissions::from_mode(0o640))
        .tempfile_in(dir)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_in_a_records_place_is_not_followed_and_others_read_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, path) = (dir.path().join("victim"), dir.path().join("runs/a.json"));
        std::fs::write(&victim, "precious").unwrap();
        std::fs::create_dir(dir.path().join("runs")).unwrap();
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        write(&path, "{}").unwrap();
        assert_eq!(std::fs::read_to_string(victim).unwrap(), "precious");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
        let about = std::fs::symlink_metadata(&path).unwrap();
        assert!(about.is_file() && about.permissions().mode().trailing_zeros() >= 3, "{about:?}");
    }
}
