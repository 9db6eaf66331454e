//! What a run says of itself: its report, and the record that is kept on the host and in the bucket.

use std::path::Path;

use chrono::{Local, Utc};

use super::backup::Run;
use super::setup::Site;
use super::steps::check_findings;
use crate::model::{Finding, Severity};
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
            exit_code: report::exit_code(&sets, &findings).number(),
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

    /// Keeps the record on the host and in the bucket. A record that cannot be kept is a finding: the
    /// next one to look must not take the silence for health.
    pub(super) async fn record(&self, site: &Site, report: &mut RunReport) {
        let line = match report.to_line() {
            Ok(line) => line,
            Err(error) => {
                tracing::error!("write the run record as JSON: {error}");
                return;
            }
        };
        let dir = self.config.state.dir.join("runs");
        if let Err(error) = keep(&dir, &self.id, &line) {
            tracing::warn!("keep the run record in {}: {error}", dir.display());
        }
        let utc = self.started.with_timezone(&Utc);
        let (date, stamp) = (utc.format("%Y-%m-%d").to_string(), utc.format("%Y%m%dT%H%M%SZ").to_string());
        let key = site.bucket.layout().run(&self.host, &date, &stamp, &report.target);
        let stored = match key {
            Ok(key) => site.catalog.record_run(&key, &line).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(what) = stored {
            tracing::error!("the run record is not in the bucket: {what}");
            report.findings.push(Finding {
                severity: Severity::Error,
                subject: format!("run {}", self.id),
                what: format!("its record is not in the bucket: {what}"),
                advice: "the backups themselves are as reported; check the bucket and run it again"
                    .to_owned(),
            });
            report.exit_code = report::exit_code(&report.sets, &report.findings).number();
        }
    }
}

fn keep(dir: &Path, id: &str, line: &str) -> std::io::Result<()> {
    crate::private_dir::make(dir)?;
    std::fs::write(dir.join(format!("{id}.json")), format!("{line}\n"))
}
