//! Backups whose names say that they are still being copied: waited for after the others went.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::inspecting::pause;
use crate::config::{Config, Source};
use crate::engines::{self, BackupSet, Passed, Why};
use crate::model::{DateRange, Engine, Finding, Severity, Target};

/// What is waited for, and for how long.
pub(super) struct Late<'c> {
    pub(super) config: &'c Config,
    pub(super) target: Target,
    pub(super) dates: DateRange,
    /// When the run began: what the others took counts.
    pub(super) begun: Instant,
    pub(super) cancel: &'c CancellationToken,
}

/// Whether its name says that it is not complete yet.
pub(super) fn is_unfinished(passed: &Passed) -> bool {
    passed.why == Why::InProgress
}

impl Late<'_> {
    /// Waits until nothing is unfinished any more, or the time is up. Gives the sets that came of it, those
    /// that are none of `known`, and what is unfinished to the end.
    pub(super) async fn wait(
        &self,
        mut unfinished: Vec<Passed>,
        known: &BTreeSet<PathBuf>,
    ) -> (Vec<BackupSet>, Vec<Finding>) {
        let mut sets = Vec::new();
        for passed in &unfinished {
            tracing::info!("[WAIT] {}: {}", passed.subject(), passed.why);
        }
        let patience = self.config.backup.settle_wait;
        while !unfinished.is_empty() && !self.cancel.is_cancelled() {
            let left = patience.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(pause(patience).min(left)) => {}
                () = self.cancel.cancelled() => break,
            }
            (sets, unfinished) = self.look().await;
        }
        sets.retain(|set| !known.contains(&set.path));
        let waited = self.begun.elapsed();
        (sets, unfinished.iter().filter_map(|passed| refused(passed, waited)).collect())
    }

    async fn look(&self) -> (Vec<BackupSet>, Vec<Passed>) {
        let sources: Vec<(Engine, Source)> = self
            .target
            .engines()
            .filter_map(|engine| Some((engine, self.config.sources.get(&engine)?.clone())))
            .collect();
        let dates = self.dates;
        let looked = tokio::task::spawn_blocking(move || {
            let (mut sets, mut unfinished) = (Vec::new(), Vec::new());
            // A source that cannot be searched was told when the run began.
            for found in
                sources.iter().filter_map(|(engine, source)| engines::discover(*engine, source, dates).ok())
            {
                sets.extend(found.sets);
                unfinished.extend(found.passed.into_iter().filter(is_unfinished));
            }
            (sets, unfinished)
        });
        looked.await.unwrap_or_default()
    }
}

fn refused(passed: &Passed, waited: Duration) -> Option<Finding> {
    let finding = passed.finding()?;
    let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
    let what = format!("{}, and still did after {waited}; it was not sent", finding.what);
    Some(Finding { severity: Severity::Error, what, ..finding })
}
