//! What a run finds on the disk, in the sources of its target.

use std::collections::BTreeSet;

use super::setup::Failure;
use crate::config::{Config, Source};
use crate::engines::{self, BackupSet, Passed, SourceError};
use crate::expect::Schedule;
use crate::model::{DateRange, Engine, Finding, RelPath, Severity, Target};

/// Sets found on the disk, before the bucket was asked.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sets: Vec<BackupSet>,
    pub(super) passed: Vec<Passed>,
    pub(super) findings: Vec<Finding>,
    pub(super) apps: BTreeSet<(Engine, RelPath)>,
}

/// Looks through the sources of a target for backups of these dates. What is wrong with one is a finding.
///
/// # Errors
/// Where an engine was asked for by name and has no section.
pub(super) async fn discover(config: &Config, target: Target, dates: DateRange) -> Result<Found, Failure> {
    let config = config.clone();
    // A network file system that is dead must not keep a signal from being heard.
    let looked = tokio::task::spawn_blocking(move || look(&config, target, dates)).await;
    looked
        .map_err(|error| Failure::from(anyhow::anyhow!("internal: looking through the sources: {error}")))?
}

fn look(config: &Config, target: Target, dates: DateRange) -> Result<Found, Failure> {
    let mut found = Found::default();
    for engine in target.engines() {
        let Some(source) = config.sources.get(&engine) else {
            if !target.names(engine) {
                continue;
            }
            return Err(Failure::usage(anyhow::anyhow!(
                "{engine} was asked for, but {} has no [{engine}] section: add one with its `source`",
                config.path.display()
            )));
        };
        // A backup of it is missed where there is none: because it was asked for, or is expected.
        let missed = target.names(engine)
            || config
                .expect
                .iter()
                .any(|expect| expect.engine == engine && expect.schedule != Schedule::Never);
        search(engine, source, dates, missed, &mut found);
    }
    Ok(found)
}

fn search(engine: Engine, source: &Source, dates: DateRange, missed: bool, found: &mut Found) {
    tracing::info!("{}: looking in {}", engine.title(), source.dir.display());
    match engines::discover(engine, source, dates) {
        Ok(discovery) => {
            found.sets.extend(discovery.sets);
            found.findings.extend(discovery.passed.iter().filter_map(Passed::finding));
            found.passed.extend(discovery.passed);
            found.apps.extend(discovery.apps.into_iter().map(|app| (engine, app)));
        }
        Err(SourceError::Missing(path)) if !missed => {
            tracing::warn!("[SKIP] {} directory missing: {}", engine.title(), path.display());
        }
        Err(error) => found.findings.push(Finding {
            severity: Severity::Error,
            subject: source.dir.display().to_string(),
            what: error.to_string(),
            advice: format!("check `source` in [{engine}] and its permissions"),
        }),
    }
}
