//! `dbbackup [all|oracle|mysql|mssql]`: discover, plan, ship, commit, report.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, Local, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::deadline::Deadline;
use super::deliver::Delivery;
use super::expected::{self, Seen};
use super::found::{self, Found};
use super::inspecting::Inspector;
use super::late::{First, Late};
use super::setup::{Failure, Site};
use super::signals::Signals;
use super::steps::{is_shipped, log_passed, log_step, passed_report, planned, set_report, unreadable};
use crate::bucket::{BucketError, Overwrite};
use crate::codec;
use crate::config::{Backup, Config};
use crate::expect::{Dated, Days};
use crate::inspect;
use crate::model::{DateRange, ExitCode, Finding, Severity, Target};
use crate::neighbour;
use crate::plan::{self, Action, Step};
use crate::report::{RunReport, SetReport, Status};
use crate::transfer::{Events, Pool, Ranked, Sealed, Settings, Uploader, Uploads};
use crate::ui;

/// Sets under way at once; their files share one pool.
const SETS_AT_ONCE: usize = 16;
/// After an interruption, what is under way may take this long to end, and the record of the run as
/// long again: together less than the 10 s that operators and systemd are promised.
const GRACE: Duration = Duration::from_secs(4);

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// Which engines.
    pub(super) target: Target,
    /// Which backup dates.
    pub(super) dates: DateRange,
    /// Those of them that were asked for; of the others, sets that are stored go without a word.
    pub(super) usual: DateRange,
    /// Create only, or `--replace`.
    pub(super) overwrite: Overwrite,
    /// No progress bars.
    pub(super) quiet: bool,
}

/// What is done with what was found.
struct Planned {
    steps: Vec<Step>,
    findings: Vec<Finding>,
    /// Those of earlier days that are stored, and are no steps.
    stored: BTreeSet<Dated>,
}

/// A run: what it knows from its start on.
#[derive(Debug)]
pub(super) struct Run<'c> {
    pub(super) config: &'c Config,
    pub(super) request: Request,
    pub(super) signals: Signals,
    pub(super) cancel: CancellationToken,
    /// What was amiss before it began.
    pub(super) before: Vec<Finding>,
    pub(super) lines: ui::Lines,
    pub(super) host: String,
    pub(super) id: String,
    pub(super) started: DateTime<Local>,
    pub(super) clock: Instant,
    /// Since when it is to end.
    pub(super) interrupted: OnceLock<tokio::time::Instant>,
}

impl<'c> Run<'c> {
    /// A run that begins now.
    #[must_use]
    pub(super) fn new(config: &'c Config, request: Request, signals: Signals, lines: ui::Lines) -> Self {
        let started = Local::now();
        let stamp = started.with_timezone(&Utc).format("%Y%m%dT%H%M%SZ");
        let id = format!("{stamp}-{}-{}", request.target, std::process::id());
        let host = crate::source::host_name();
        let (cancel, before, clock) = (signals.token(), Vec::new(), Instant::now());
        let interrupted = OnceLock::new();
        Self { config, request, signals, cancel, before, lines, host, id, started, clock, interrupted }
    }

    /// The plan alone: reads disk and catalog, writes nothing.
    pub(super) async fn plan_only(&self) -> Result<RunReport, Failure> {
        let found = found::discover(self.config, self.request.target, self.request.dates).await?;
        let site = Site::new(self.config).await?;
        if !found.sets.is_empty() {
            site.reach().await?;
        }
        let passed = found.passed.iter().map(passed_report).collect();
        let seen = Seen::of(self.config, &found);
        // A run waits for these.
        let awaited = expected::awaited(self.config, &found.passed);
        let Planned { steps, mut findings, stored } = self.plan(&site, found).await;
        if let Some(deadline) = self.deadline(&steps) {
            findings.extend(deadline.at_the_start(&self.config.state.dir));
        }
        findings.extend(unreadable(&steps));
        let sets: Vec<SetReport> = steps.iter().map(planned).collect();
        if !self.config.expect.is_empty() {
            let missing =
                expected::missing(self.config, &site, self.expected_of(), &sets, (seen, stored)).await;
            findings.extend(missing.into_iter().filter(|finding| !awaited.contains(&finding.subject)));
        }
        findings.extend(self.left_by_earlier(&site, &sets).await);
        Ok(RunReport { passed, ..self.report(sets, findings) })
    }

    /// The whole run. Everything that goes wrong with a set is in the report; only what keeps the
    /// run from doing anything is a failure.
    pub(super) async fn execute(&self) -> Result<RunReport, Failure> {
        let (target, dates) = (self.request.target, self.request.dates);
        tracing::info!(run = %self.id, host = %self.host, "dbbackup {target}: backups of {dates}");
        let found = self.unless_cancelled(found::discover(self.config, target, dates)).await??;
        for passed in found.passed.iter().filter(|passed| !passed.is_unfinished()) {
            log_passed(passed);
        }
        let seen = Seen::of(self.config, &found);
        let first = First::new(&found.sets, &found.passed);
        let rules = &self.config.backup.categories;
        self.keep_begun(found.sets.iter().map(|set| (set, plan::identify(set, rules))));
        let site = Site::new(self.config).await?;
        neighbour::step_back(self.config.backup.nice, self.config.backup.io_class)
            .unwrap_or_else(|error| tracing::warn!("go behind others at processor and disk: {error}"));
        let Planned { steps, mut findings, mut stored } =
            self.unless_cancelled(self.prepare(&site, found)).await??;
        let deadline = self.deadline(&steps);
        for late in deadline.iter().flat_map(|deadline| deadline.at_the_start(&self.config.state.dir)) {
            tracing::warn!("[LATE] {}: {}", late.subject, late.what);
        }
        let (mut sets, mut errors) = self.carry_out(&site, steps, deadline.as_ref()).await;
        if !first.is_complete() {
            // What becomes of them is known at the end only.
            let subjects = first.subjects();
            findings.retain(|finding| !subjects.contains(&finding.subject));
            let cancel = &self.cancel;
            let late = Late { config: self.config, target, dates, begun: self.clock, cancel };
            let (came, left) = late.wait(&first).await;
            findings.extend(left);
            let names: Vec<_> = came.iter().map(|set| set.path.display().to_string()).collect();
            let planned = Box::pin(self.plan(&site, Found { sets: came, ..Found::default() }));
            if let Ok(came) = self.unless_cancelled(planned).await {
                stored.extend(came.stored);
                let (more, more_errors) = self.carry_out(&site, came.steps, None).await;
                sets.extend(more);
                errors.extend(more_errors);
            } else {
                findings.extend(names.into_iter().map(not_looked_at));
            }
        }
        if let Some(late) = deadline.and_then(|deadline| deadline.at_the_end(&sets)) {
            findings.push(late);
        }
        // After all else, so that what this run went on with is none of it.
        let sweeper = self.uploader(&site, Events::default());
        // An interrupted run does neither, nor goes on with them.
        let _ = self.unless_cancelled(sweeper.sweep(self.config.backup.abort_after)).await;
        if !self.config.expect.is_empty() {
            let known = (seen, stored);
            let missing = expected::missing(self.config, &site, self.expected_of(), &sets, known);
            findings.extend(self.unless_cancelled(missing).await.unwrap_or_default());
        }
        let left = self.unless_cancelled(self.left_by_earlier(&site, &sets)).await;
        findings.extend(left.unwrap_or_default());
        findings.splice(0..0, self.before.iter().cloned());
        let mut report = self.report(sets, findings);
        // Nothing got through, and only because the bucket refuses us: then no record would either.
        if nothing_but_bucket_errors(&report.sets, &errors) {
            report.exit_code = self.signals.exit_code().unwrap_or(ExitCode::NoBucket).number();
            self.keep(&report);
        } else {
            let recorded = self.in_time(GRACE * 2, self.record(&site, &mut report)).await;
            if !recorded {
                tracing::warn!("interrupted: the run record is not in the bucket");
                report.exit_code = self.exit_code(&report.sets, &report.findings);
                self.keep(&report);
            }
        }
        Ok(report)
    }

    fn expected_of(&self) -> (Target, Days) {
        let Request { target, dates, usual, .. } = self.request;
        (target, Days { looked_at: dates, asked: usual })
    }

    /// Everything before the first byte is sent.
    async fn prepare(&self, site: &Site, found: Found) -> Result<Planned, Failure> {
        // At once: over a long line each answer takes its time, and a bucket that is not reached ends both.
        let planned = Box::pin(async { Ok(self.plan(site, found).await) });
        let ((), planned) = tokio::try_join!(site.reach(), planned)?;
        self.allow_replace(site).await?;
        Ok(planned)
    }

    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failure {
                code: ExitCode::Interrupted,
                error: anyhow::anyhow!("interrupted before anything was sent"),
            }),
            done = work => Ok(done),
        }
    }

    async fn allow_replace(&self, site: &Site) -> Result<(), Failure> {
        if self.request.overwrite == Overwrite::Never
            || site.policy.ask("ask for versioning of the bucket", || site.bucket.is_versioned()).await?
        {
            return Ok(());
        }
        Err(Failure::usage(anyhow::anyhow!(
            "--replace needs a versioned bucket, so that nothing is lost, and {} is not: switch versioning on first",
            site.bucket.name()
        )))
    }

    async fn plan(&self, site: &Site, found: Found) -> Planned {
        let rules = &self.config.backup.categories;
        let ids: Vec<_> = found.sets.iter().map(|set| plan::identify(set, rules)).collect();
        let inspector = Inspector::new(self.config, site);
        let (known, histories) = tokio::join!(site.catalog.look_at_all(&ids), inspector.histories(&ids));
        let layout = site.bucket.layout();
        let steps: Vec<Step> = found
            .sets
            .into_iter()
            .zip(ids)
            .zip(known)
            .map(|((set, id), known)| {
                let known = known.map_err(|error| format!("{error}; {}", error.advice()));
                let recipe = inspector.recipe(id.engine);
                inspector.recorded(plan::decide(set, id, known, layout, self.request.overwrite, &recipe))
            })
            .collect();
        let (stored, steps) = self.without_what_was_caught_up(steps);
        let steps = inspector.inspect_all(steps, histories).await;
        Planned { steps, findings: found.findings, stored }
    }

    /// Stored sets of the days that are only looked at for what is missing would fill the report.
    fn without_what_was_caught_up(&self, steps: Vec<Step>) -> (BTreeSet<Dated>, Vec<Step>) {
        let usual = self.request.usual;
        let quiet = |step: &Step| matches!(step.action, Action::Skip(_)) && !usual.contains(step.set.date);
        let (stored, steps): (Vec<_>, Vec<_>) = steps.into_iter().partition(quiet);
        if !stored.is_empty() {
            tracing::info!("catch-up: {} sets of the days before {} are stored", stored.len(), usual.first());
        }
        let good = stored.into_iter().filter(|step| step.inspection.as_ref().is_none_or(inspect::is_good));
        (good.map(|step| (step.id.engine, step.id.app, step.set.date)).collect(), steps)
    }

    fn deadline(&self, steps: &[Step]) -> Option<Deadline> {
        let ordered: Vec<Step> = self.in_order(steps.to_vec()).into_iter().map(|(_, step)| step).collect();
        Some(Deadline::new(self.config.backup.deadline?, &ordered))
    }

    /// What matters most goes first, and of that the oldest; each with its place in the plan.
    fn in_order(&self, steps: Vec<Step>) -> Vec<(usize, Step)> {
        let priority = |step: &Step| self.config.sources.get(&step.id.engine).map_or(0, |it| it.priority);
        let mut steps: Vec<(usize, Step)> = steps.into_iter().enumerate().collect();
        steps.sort_by_key(|(_, step)| (Reverse(priority(step)), step.set.date));
        steps
    }

    /// Sends what is to be sent, several sets at once; the reports keep the plan's order.
    async fn carry_out(
        &self,
        site: &Site,
        steps: Vec<Step>,
        deadline: Option<&Deadline>,
    ) -> (Vec<SetReport>, Vec<BucketError>) {
        let total = steps.iter().filter(|step| is_shipped(&step.action)).map(|step| step.set.bytes()).sum();
        let (bars, events) = self.lines.watch("sending", total, self.request.quiet);
        let delivery = Arc::new(Delivery {
            uploader: self.uploader(site, events.clone()),
            site: site.clone(),
            inspector: Inspector::new(self.config, site),
            rules: self.config.backup.categories,
            overwrite: self.request.overwrite,
            run: self.id.clone(),
            host: self.host.clone(),
            places: Ranked::new(SETS_AT_ONCE),
            cancel: self.cancel.clone(),
        });
        let mut reports: BTreeMap<usize, SetReport> = BTreeMap::new();
        let mut errors = Vec::new();
        let mut tasks = JoinSet::new();
        for (index, step) in self.in_order(steps) {
            if !is_shipped(&step.action) {
                log_step(&step);
                reports.insert(index, planned(&step));
                continue;
            }
            reports.insert(index, set_report(&step, Status::Interrupted, "not finished".to_owned()));
            let delivery = delivery.clone();
            tasks.spawn(async move {
                let (report, error) = delivery.deliver(step).await;
                (index, report, error)
            });
        }
        drop(delivery);
        let work = async {
            while !tasks.is_empty() && self.in_time(GRACE, take(&mut tasks, &mut reports, &mut errors)).await
            {
            }
        };
        match deadline {
            Some(deadline) => tokio::select! {
                () = work => {}
                () = deadline.watch(&events) => {}
            },
            None => work.await,
        }
        drop(events);
        tasks.shutdown().await;
        bars.finish().await;
        (reports.into_values().collect(), errors)
    }

    /// Waits for `work`, but only so long after the interruption; false where the time was up.
    async fn in_time(&self, grace: Duration, work: impl Future<Output = ()>) -> bool {
        let late = async {
            self.cancel.cancelled().await;
            let since = *self.interrupted.get_or_init(tokio::time::Instant::now);
            tokio::time::sleep_until(since + grace).await;
        };
        tokio::select! {
            () = work => true,
            () = late => false,
        }
    }

    fn uploader(&self, site: &Site, events: Events) -> Uploader {
        let backup = &self.config.backup;
        // Encoders live in the same memory as the parts.
        let any = self.config.sources.values().any(|source| !source.recipe.is_plain());
        let encoders = if any { codec::MEMORY } else { 0 };
        let memory = backup.buffer_memory().saturating_sub(encoders).max(Backup::LEAST_BUFFERS);
        let settings = Settings {
            policy: site.policy.clone(),
            pool: Pool::opening_by_need(backup.concurrency, memory, backup.part_size),
            part_size: backup.part_size,
            overwrite: self.request.overwrite,
            state: self.config.state.dir.clone(),
            events,
            cancel: self.cancel.clone(),
            uploads: Arc::new(Uploads::new(&self.config.state.dir, site.bucket.name())),
            sealed: Arc::new(Sealed::new(&self.config.state.dir, site.bucket.name())),
        };
        Uploader::new(site.bucket.clone(), settings)
    }
}

fn not_looked_at(path: String) -> Finding {
    Finding {
        severity: Severity::Error,
        subject: path,
        what: "it came while the run went on, and was not looked at: interrupted".to_owned(),
        advice: "run it again".to_owned(),
    }
}

async fn take(
    tasks: &mut JoinSet<(usize, SetReport, Option<BucketError>)>,
    reports: &mut BTreeMap<usize, SetReport>,
    errors: &mut Vec<BucketError>,
) {
    match tasks.join_next().await {
        Some(Ok((index, report, error))) => {
            reports.insert(index, report);
            errors.extend(error);
        }
        Some(Err(error)) => tracing::error!("a set's task ended: {error}"),
        None => {}
    }
}

/// Whether every set failed, and each by the bucket's refusal or silence.
fn nothing_but_bucket_errors(sets: &[SetReport], errors: &[BucketError]) -> bool {
    let all_failed = !sets.is_empty() && sets.iter().all(|set| set.status == Status::Failed);
    all_failed && errors.len() == sets.len() && errors.iter().all(BucketError::is_no_bucket)
}
