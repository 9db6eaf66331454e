//! Inspection within a run: which sets, when, with what history; and waiting for those being written.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::setup::Site;
use crate::bucket::Overwrite;
use crate::calendar::CategoryRules;
use crate::catalog::History;
use crate::codec::Recipe;
use crate::config::{Config, OnCutShort, Source};
use crate::engines::{self, BackupSet};
use crate::formats::{Facts, Judgement};
use crate::inspect::{self, Measure, Rest};
use crate::model::{DateRange, Engine, RelPath, SetId, Verdict};
use crate::plan::{self, Action, RefuseReason, Step};
use crate::transfer::ConfirmedSet;

/// Sets inspected at once.
const AT_ONCE: usize = 8;
/// Longest and shortest pause between two looks at a set that is being written.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What is stored of each app, as far as it was asked for.
pub(super) type Histories = BTreeMap<(Engine, RelPath), Arc<History>>;

/// Inspects the sets of one run.
#[derive(Debug, Clone)]
pub(super) struct Inspector {
    site: Site,
    sources: Arc<BTreeMap<Engine, Source>>,
    settle_time: Duration,
    settle_wait: Duration,
    on_cut_short: OnCutShort,
    strict: bool,
    /// That writers cannot be seen is said once, not of each set.
    blind: Arc<Once>,
    /// The operator's checks load the database server: one at a time.
    checks: Arc<Semaphore>,
}

impl Inspector {
    pub(super) fn new(config: &Config, site: &Site) -> Self {
        let backup = &config.backup;
        Self {
            site: site.clone(),
            sources: Arc::new(config.sources.clone()),
            settle_time: backup.settle_time,
            settle_wait: backup.settle_wait,
            on_cut_short: backup.on_cut_short,
            strict: backup.strict,
            blind: Arc::new(Once::new()),
            checks: Arc::new(Semaphore::new(1)),
        }
    }

    /// The engine's section.
    pub(super) fn source(&self, engine: Engine) -> Option<&Source> {
        self.sources.get(&engine)
    }

    /// What is done to the bytes of an engine's sets.
    pub(super) fn recipe(&self, engine: Engine) -> Recipe {
        self.source(engine).map(|source| source.recipe.clone()).unwrap_or_default()
    }

    /// Whether a set that is cut short is refused.
    pub(super) fn refuses(&self) -> bool {
        self.on_cut_short == OnCutShort::Refuse
    }

    /// What is stored of the app of the first set of which this host has no record: asked while the catalog
    /// is, as over a long line each answer takes its time. The others' apps are asked for when it is known
    /// that anything of them is sent.
    pub(super) async fn histories(&self, ids: &[SetId]) -> Histories {
        let mut histories = Histories::new();
        if let Some(id) = ids.iter().find(|id| !self.site.catalog.has_copy(id))
            && let Some(history) = self.history(id).await
        {
            histories.insert((id.engine, id.app.clone()), Arc::new(history));
        }
        histories
    }

    /// Every step that would send, with what inspection makes of it; the order stays.
    pub(super) async fn inspect_all(&self, steps: Vec<Step>, mut histories: Histories) -> Vec<Step> {
        // One failure is enough: asking again for every app would only hold the run up.
        let mut answers = true;
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for (index, step) in steps.into_iter().enumerate() {
            let app = (step.id.engine, step.id.app.clone());
            let history = match histories.get(&app) {
                Some(history) => history.clone(),
                None if answers && matches!(step.action, Action::Ship(_)) => {
                    let found = self.history(&step.id).await;
                    answers = found.is_some();
                    let history = Arc::new(found.unwrap_or_default());
                    histories.insert(app, history.clone());
                    history
                }
                None => Arc::default(),
            };
            let (inspector, places) = (self.clone(), places.clone());
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                (index, inspector.inspect(step, &history).await)
            });
        }
        let mut steps = tasks.join_all().await;
        steps.sort_by_key(|(index, _)| *index);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// What is stored of the set's app. Who may not look goes without: only a warning is lost.
    async fn history(&self, id: &SetId) -> Option<History> {
        let history = self.site.catalog.history(id.engine, &id.app).await;
        history
            .inspect_err(|error| {
                tracing::debug!("{id}: sizes are not compared with the last ones: {error}");
            })
            .ok()
    }

    async fn inspect(&self, step: Step, history: &History) -> Step {
        if !matches!(step.action, Action::Ship(_)) {
            return step;
        }
        let measure = self.measure(&step, history).await;
        let (set, settle_time) = (step.set.clone(), self.settle_time);
        let blind = self.blind.clone();
        let looked = tokio::task::spawn_blocking(move || {
            match inspect::rest(&set, settle_time, SystemTime::now()) {
                Rest::BeingWritten(why) => return unseen(Verdict::StillBeingWritten { why }),
                Rest::Unseen(why) => blind.call_once(|| {
                    tracing::warn!("{}: {why}; the same holds for others of this run", set.path.display());
                }),
                Rest::Left => {}
            }
            inspect::judge(&set, &measure)
        });
        let judgement = looked.await.unwrap_or_else(|error| {
            unseen(Verdict::NotJudged { why: format!("the inspection itself failed: {error}") })
        });
        self.decide(step, judgement)
    }

    /// What is recorded of a set, by today's configuration.
    pub(super) fn recorded(&self, mut step: Step) -> Step {
        if let Some(inspection) = step.inspection.as_mut().filter(|_| self.strict) {
            inspect::harden(inspection);
        }
        step
    }

    fn decide(&self, step: Step, mut judgement: Judgement) -> Step {
        if self.strict {
            inspect::harden(&mut judgement);
        }
        plan::inspected(step, judgement, self.on_cut_short)
    }

    async fn measure(&self, step: &Step, history: &History) -> Measure {
        let shape = inspect::shape(step.id.name.as_str());
        let alike = |id: &SetId| *id != step.id && inspect::shape(id.name.as_str()) == shape;
        let recent = self.site.catalog.recent(history, alike, inspect::HISTORY).await;
        Measure {
            min_size: self.source(step.id.engine).map_or(0, |source| source.min_size),
            history: recent
                .iter()
                .filter(|manifest| !manifest.is_cut_short())
                .map(crate::manifest::Manifest::plain_bytes)
                .collect(),
        }
    }

    /// Waits until nobody writes the set any more, and decides again on what it is then. One that is
    /// not finished in time is refused.
    pub(super) async fn wait(&self, mut step: Step, rules: &CategoryRules, overwrite: Overwrite) -> Step {
        let begun = Instant::now();
        let pause = pause(self.settle_wait);
        if let Action::Wait(why) = &step.action {
            tracing::info!("[WAIT] {}: still being written: {why}; the others go on", step.id);
        }
        while let Action::Wait(why) = &step.action {
            let left = self.settle_wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let why = format!("{why}, and still after {} s of waiting", self.settle_wait.as_secs());
                return Step { action: Action::Refuse(RefuseReason::BeingWritten(why)), ..step };
            }
            tokio::time::sleep(pause.min(left)).await;
            step = self.look_again(step, rules, overwrite).await;
        }
        step
    }

    async fn look_again(&self, step: Step, rules: &CategoryRules, overwrite: Overwrite) -> Step {
        let (set, settle_time) = (step.set.clone(), self.settle_time);
        let writing =
            tokio::task::spawn_blocking(move || inspect::rest(&set, settle_time, SystemTime::now()));
        if let Ok(Rest::BeingWritten(why)) = writing.await {
            return Step { action: Action::Wait(why), ..step };
        }
        let Some(source) = self.source(step.id.engine).cloned() else { return step };
        let set = match find_again(&step.set, source).await {
            Ok(Some(set)) => set,
            Ok(None) => return refused(step, "it was removed or renamed while it was waited for".to_owned()),
            Err(error) => return refused(step, format!("it cannot be looked at again: {error}")),
        };
        let id = plan::identify(&set, rules);
        let known = self.site.catalog.look_at(&id).await;
        let known = known.map_err(|error| format!("{error}; {}", error.advice()));
        let step =
            plan::decide(set, id, known, self.site.bucket.layout(), overwrite, &self.recipe(step.id.engine));
        let step = self.recorded(step);
        let history = self.history(&step.id).await.unwrap_or_default();
        self.inspect(step, &history).await
    }

    /// Runs the operator's own check, where there is one, on a set that would be sent.
    pub(super) async fn check(&self, step: Step) -> Step {
        let source = self.source(step.id.engine).filter(|source| !source.check.command.is_empty());
        let (Some(source), Action::Ship(_), Some(inspection)) = (source, &step.action, &step.inspection)
        else {
            return step;
        };
        let _one = self.checks.acquire().await;
        // Its arguments may hold a password.
        let program = source.check.command.first().map_or("", String::as_str);
        tracing::info!("[CHECK] {}: {program}", step.id);
        let mut judgement = inspection.clone();
        inspect::run_check(&source.check, &step.set.path).await.apply(&mut judgement);
        self.decide(step, judgement)
    }

    /// What is recorded of a set that was sent: what was seen on the way goes before what kilobytes of it
    /// said.
    pub(super) fn after(&self, confirmed: &ConfirmedSet, before: Option<Judgement>) -> Option<Judgement> {
        let mut judgement = match (before, confirmed.judgement()) {
            (Some(before), Some(tapped)) => inspect::passed(confirmed.set(), before, tapped.clone()),
            (before, tapped) => before.or_else(|| tapped.cloned())?,
        };
        if self.strict {
            inspect::harden(&mut judgement);
        }
        Some(judgement)
    }
}

/// How long to leave what is being written alone between two looks.
pub(super) fn pause(settle_wait: Duration) -> Duration {
    (settle_wait / 20).clamp(LOOK.0, LOOK.1)
}

fn refused(step: Step, why: String) -> Step {
    Step { action: Action::Refuse(RefuseReason::Incomplete(why)), ..step }
}

/// A verdict on a set whose content was not looked at.
fn unseen(verdict: Verdict) -> Judgement {
    Judgement {
        verdict,
        facts: Facts { format: "unknown".to_owned(), ..Facts::default() },
        notes: Vec::new(),
    }
}

/// The set as it is on the disk now, found the way it was found before; none where it is gone.
///
/// # Errors
/// Why it cannot be looked at, for people.
pub(super) async fn find_again(set: &BackupSet, source: Source) -> Result<Option<BackupSet>, String> {
    let (engine, day, path) = (set.engine, DateRange::one(set.date), set.path.clone());
    let looked = tokio::task::spawn_blocking(move || engines::discover(engine, &source, day)).await;
    match looked {
        Ok(Ok(discovery)) => Ok(discovery.sets.into_iter().find(|set| set.path == path)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
