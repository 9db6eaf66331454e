//! Backups whose names say that they are still being copied: waited for after the others went.
//!
//! What must stay true: whatever was being written when the run looked ends as a set or as a finding.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::inspecting::pause;
use crate::config::{Config, Source};
use crate::engines::{self, BackupSet, Passed, Why};
use crate::model::{DateRange, Engine, Finding, Severity, Target};
use crate::source::Stamp;
use crate::source::settle::finished_name;

/// What is waited for, and for how long.
pub(super) struct Late<'c> {
    pub(super) config: &'c Config,
    pub(super) target: Target,
    pub(super) dates: DateRange,
    /// When the run began: what the others took counts.
    pub(super) begun: Instant,
    pub(super) cancel: &'c CancellationToken,
}

/// What the run found when it began.
#[derive(Debug)]
pub(super) struct First {
    sets: BTreeMap<PathBuf, Vec<Stamp>>,
    passed: BTreeSet<PathBuf>,
    unfinished: Vec<Passed>,
}

impl First {
    pub(super) fn new(sets: &[BackupSet], passed: &[Passed]) -> Self {
        Self {
            sets: sets.iter().map(|set| (set.path.clone(), stamps(set))).collect(),
            passed: passed.iter().map(|passed| passed.path.clone()).collect(),
            unfinished: passed.iter().filter(|passed| passed.is_unfinished()).cloned().collect(),
        }
    }

    /// Whether there is nothing to wait for.
    pub(super) fn is_complete(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// What is waited for, as findings name it.
    pub(super) fn subjects(&self) -> BTreeSet<String> {
        self.unfinished.iter().map(Passed::subject).collect()
    }
}

/// What another look found.
#[derive(Debug, Default)]
struct Look {
    sets: Vec<BackupSet>,
    passed: Vec<Passed>,
    /// Sources that cannot be searched any more, and why.
    failed: Vec<(PathBuf, Finding)>,
}

impl Late<'_> {
    /// Waits until nothing is unfinished any more, or the time is up. Gives the sets that came of it, and what
    /// is wrong: what is unfinished to the end, what vanished, and what came in its place.
    pub(super) async fn wait(&self, first: &First) -> (Vec<BackupSet>, Vec<Finding>) {
        let mut awaited: BTreeMap<PathBuf, Passed> = BTreeMap::new();
        let mut look = Look { passed: first.unfinished.clone(), ..Look::default() };
        for passed in &first.unfinished {
            tracing::info!("[WAIT] {}: {}", passed.subject(), passed.why);
        }
        let patience = self.config.backup.settle_wait;
        let mut looked = false;
        loop {
            let unfinished = look.passed.iter().filter(|passed| passed.is_unfinished());
            awaited.extend(unfinished.map(|passed| (passed.path.clone(), passed.clone())));
            let left = patience.saturating_sub(self.begun.elapsed());
            // Sending the others may have taken longer than that, and what was unfinished then may be long since done.
            if look.is_complete() || (looked && left.is_zero()) || self.cancel.is_cancelled() {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(pause(patience).min(left)) => {}
                () = self.cancel.cancelled() => break,
            }
            looked = true;
            look = self.look(&awaited).await;
        }
        let findings = findings(first, &awaited, &look, self.begun.elapsed());
        let mut sets = look.sets;
        sets.retain(|set| is_new(set, first, &awaited));
        (sets, findings)
    }

    async fn look(&self, awaited: &BTreeMap<PathBuf, Passed>) -> Look {
        let has_awaited = |source: &Source| awaited.keys().any(|path| path.starts_with(&source.dir));
        let sources: Vec<(Engine, Source)> = self
            .target
            .engines()
            .filter_map(|engine| Some((engine, self.config.sources.get(&engine)?)))
            .filter(|(_, source)| has_awaited(source))
            .map(|(engine, source)| (engine, source.clone()))
            .collect();
        let dates = self.dates;
        let looked = tokio::task::spawn_blocking(move || {
            let mut look = Look::default();
            for (engine, source) in &sources {
                match engines::discover(*engine, source, dates) {
                    Ok(found) => {
                        look.sets.extend(found.sets);
                        look.passed.extend(found.passed);
                    }
                    Err(error) => {
                        look.failed.push((source.dir.clone(), lost_source(source, &error.to_string())));
                    }
                }
            }
            look
        });
        looked.await.unwrap_or_else(|error| {
            let what = format!("internal: it was not looked at again: {error}");
            let failed = awaited.values().filter_map(|passed| {
                let finding = passed.finding()?;
                Some((
                    passed.path.clone(),
                    Finding { severity: Severity::Error, what: what.clone(), ..finding },
                ))
            });
            Look { failed: failed.collect(), ..Look::default() }
        })
    }
}

impl Look {
    fn is_complete(&self) -> bool {
        self.failed.is_empty() && !self.passed.iter().any(Passed::is_unfinished)
    }
}

/// What is wrong after the last look.
fn findings(
    first: &First,
    awaited: &BTreeMap<PathBuf, Passed>,
    look: &Look,
    waited: Duration,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = look.failed.iter().map(|(_, finding)| finding.clone()).collect();
    for passed in &look.passed {
        if passed.is_unfinished() {
            findings.extend(refused(passed, waited));
        } else if !first.passed.contains(&passed.path) {
            findings.extend(passed.finding());
        }
    }
    let is_here =
        |path: &Path| look.passed.iter().any(|passed| passed.path == path && passed.is_unfinished());
    let is_out_of_sight = |path: &Path| look.failed.iter().any(|(dir, _)| path.starts_with(dir));
    let gone = awaited.values().filter(|passed| {
        let path = &passed.path;
        let came = |set: &BackupSet| {
            // A copy may go to its place from a directory for what arrives.
            let new = !first.sets.contains_key(&set.path) && has_the_name(path, &set.path);
            new || came_of(path, &set.path)
        };
        // What is almost a backup is told as that.
        let near = |other: &Passed| matches!(other.why, Why::NearMiss(_)) && came_of(path, &other.path);
        !is_here(path)
            && !is_out_of_sight(path)
            && !look.sets.iter().any(came)
            && !look.passed.iter().any(near)
    });
    findings.extend(gone.map(|passed| Finding {
        severity: Severity::Error,
        subject: passed.subject(),
        what: "it was being written when the run looked, and is gone now: no backup came of it".to_owned(),
        advice: "look at the job that writes it; run again for that date once it is done".to_owned(),
    }));
    findings
}

/// Not found before, or what was awaited took the place of what was.
fn is_new(set: &BackupSet, first: &First, awaited: &BTreeMap<PathBuf, Passed>) -> bool {
    let Some(before) = first.sets.get(&set.path) else { return true };
    *before != stamps(set) && awaited.keys().any(|path| came_of(path, &set.path))
}

/// Whether `set` is what `unfinished` was to become.
fn came_of(unfinished: &Path, set: &Path) -> bool {
    unfinished.parent() == set.parent() && has_the_name(unfinished, set)
}

/// Whether `set` bears the name that `unfinished` was to get, also with a suffix such as a compression's.
fn has_the_name(unfinished: &Path, set: &Path) -> bool {
    let name = |path: &Path| path.file_name().and_then(OsStr::to_str).map(str::to_owned);
    let (Some(unfinished_name), Some(set_name)) = (name(unfinished), name(set)) else { return false };
    finished_name(&unfinished_name).is_some_and(|finished| set_name.starts_with(finished))
}

fn stamps(set: &BackupSet) -> Vec<Stamp> {
    set.files.iter().map(|file| file.stamp).collect()
}

fn lost_source(source: &Source, error: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        subject: source.dir.display().to_string(),
        what: format!("it cannot be searched any more: {error}"),
        advice: "a backup was being written in it; run again for that date once it is there".to_owned(),
    }
}

fn refused(passed: &Passed, waited: Duration) -> Option<Finding> {
    let finding = passed.finding()?;
    let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
    let what = format!("{}, and still did after {waited}; it was not sent", finding.what);
    Some(Finding { severity: Severity::Error, what, ..finding })
}
