//! What a run finds on the disk, in the sources of its target.

use std::collections::BTreeSet;

use super::backup::Run;
use super::setup::Failure;
use crate::config::Source;
use crate::engines::{self, BackupSet, Passed, SourceError};
use crate::model::{Engine, Finding, RelPath, Severity};

/// Sets found on the disk, before the bucket was asked.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sets: Vec<BackupSet>,
    pub(super) passed: Vec<Passed>,
    pub(super) findings: Vec<Finding>,
    pub(super) apps: BTreeSet<(Engine, RelPath)>,
}

impl Run<'_> {
    pub(super) fn discover(&self) -> Result<Found, Failure> {
        let mut found = Found::default();
        for engine in self.request.target.engines() {
            match self.config.sources.get(&engine) {
                Some(source) => self.discover_one(engine, source, &mut found),
                None if self.request.target.names(engine) => {
                    return Err(Failure::usage(anyhow::anyhow!(
                        "{engine} was asked for, but {} has no [{engine}] section: add one with its `source`",
                        self.config.path.display()
                    )));
                }
                None => {}
            }
        }
        Ok(found)
    }

    fn discover_one(&self, engine: Engine, source: &Source, found: &mut Found) {
        tracing::info!("{}: looking in {}", engine.title(), source.dir.display());
        match engines::discover(engine, source, self.request.dates) {
            Ok(discovery) => {
                found.sets.extend(discovery.sets);
                found.findings.extend(discovery.passed.iter().filter_map(Passed::finding));
                found.passed.extend(discovery.passed);
                found.apps.extend(discovery.apps.into_iter().map(|app| (engine, app)));
            }
            Err(SourceError::Missing(path))
                if !self.request.target.names(engine) && !self.expects(engine) =>
            {
                tracing::warn!("[SKIP] {} directory missing: {}", engine.title(), path.display());
            }
            Err(error) => {
                found.findings.push(Finding {
                    severity: Severity::Error,
                    subject: source.dir.display().to_string(),
                    what: error.to_string(),
                    advice: format!("check `source` in [{engine}] and its permissions"),
                });
            }
        }
    }

    /// Whether a backup of this engine is missed where there is none.
    fn expects(&self, engine: Engine) -> bool {
        self.config.expect.iter().any(|expect| expect.engine == engine)
    }
}
