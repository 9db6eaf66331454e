//! From the command line to a command, and from its end to the exit code.

use std::future::Future;
use std::io;
use std::time::Duration;

use chrono::Local;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::backup::{Request, Run};
use super::retrieve::{DEFAULT_DAYS, Retrieval};
use super::setup::{Failure, Site};
use super::signals::Signals;
use super::telling::{failure_as_json, last_line};
use super::{
    adopt, check, completions, config_check, drill, earlier, estimate, list, man, policy, restore, show,
    status, verify, zone,
};
use crate::bucket::{Overwrite, Tier};
use crate::calendar::{self, Day};
use crate::causes;
use crate::cli::{
    BackupArgs, Cli, Command, ConfigCommand, DemoArgs, DrillArgs, ListArgs, RestoreArgs, StatusArgs,
    VerifyArgs,
};
use crate::config::Config;
use crate::lock::{Lock, LockError};
use crate::log::{self, FileOptions, Log, LogGuard, LogOptions, SweepReport, Verbosity};
use crate::model::{ExitCode, Finding, Severity};
use crate::report::{self, RunReport};
use crate::restore::Existing;
use crate::ui;

/// How long a command may take to end after a signal: what it does then is no network's business.
const GRACE: Duration = Duration::from_secs(3);

/// Does what was asked for. Whatever goes wrong is told before this returns.
pub async fn run(cli: Cli) -> ExitCode {
    let terminal = Terminal {
        lines: ui::Lines::default(),
        verbosity: Verbosity::from_flags(cli.global.quiet, cli.global.verbose),
        quiet: cli.global.quiet,
    };
    let json = cli.wants_json();
    match Box::pin(terminal.dispatch(cli)).await {
        Ok(code) => code,
        Err(failure) => {
            if json {
                failure_as_json(&failure, failure.code);
            }
            ui::notice(&format!("error: {}", causes::told(failure.error.as_ref())));
            failure.code
        }
    }
}

/// How this process talks.
struct Terminal {
    lines: ui::Lines,
    verbosity: Verbosity,
    quiet: bool,
}

impl Terminal {
    async fn dispatch(&self, cli: Cli) -> Result<ExitCode, Failure> {
        let global = cli.global.clone();
        let path = cli.global.config;
        let load = |host: Option<&str>| Config::load(path.as_deref(), host).map_err(Failure::usage);
        match cli.command {
            None => {
                let config = load(None)?.with_sources().map_err(Failure::usage)?;
                Box::pin(self.backup(&config, &cli.backup)).await
            }
            Some(Command::Restore(args)) => self.restore(&load(args.host.as_deref())?, args).await,
            Some(Command::List(args)) => {
                let config = load(args.host.as_deref())?;
                let _log = self.terminal_log();
                list::list(&config, &query(args)).await
            }
            Some(Command::Show(args)) => {
                let config = load(args.host.as_deref())?;
                let _log = self.terminal_log();
                show::show(&config, &args.key, args.json).await
            }
            Some(Command::Verify(args)) => self.verify(&load(args.host.as_deref())?, args).await,
            Some(Command::Status(args)) => {
                let config = load(args.host.as_deref())?;
                let _log = self.terminal_log();
                status::status(&config, form(args)).await
            }
            Some(Command::Drill(args)) => self.drill(&load(args.host.as_deref())?, args).await,
            Some(Command::Adopt(args)) => {
                let config = load(args.host.as_deref())?;
                let _log = self.terminal_log();
                let signals = listen()?;
                let (selector, token) = (args.selector, signals.token());
                let adopted =
                    adopt::adopt(&config, selector.as_ref(), args.dry_run, token, &self.lines, self.quiet);
                Box::pin(interruptible(adopted, &signals)).await
            }
            Some(Command::Check(args)) if args.as_cron => check::as_cron(&args, &global),
            Some(Command::Check(args)) => {
                let config = load(None)?;
                let _log = self.terminal_log();
                Box::pin(check::check(&config, &args)).await
            }
            Some(Command::Estimate(args)) => {
                let _log = self.terminal_log();
                let line = match args.line {
                    Some(rate) => estimate::Line::Told(rate),
                    None => estimate::Line::Measured(Box::new(Site::new(&load(None)?).await?)),
                };
                estimate::estimate(line, args.files, args.json, self.quiet).await
            }
            Some(Command::Config(ConfigCommand::Check)) => {
                let config = load(None)?;
                written(config_check::config_check(
                    &config,
                    &mut io::stdout().lock(),
                    &mut io::stderr().lock(),
                ))
            }
            Some(Command::Policy(args)) => policy::policy(&load(args.host.as_deref())?, &args, self.quiet),
            Some(Command::Demo(args)) => self.demo(args).await,
            Some(Command::Completions { shell }) => {
                written(completions::completions(shell, &mut io::stdout().lock()).map(|()| ExitCode::Done))
            }
            Some(Command::Man) => written(man::man(&mut io::stdout().lock()).map(|()| ExitCode::Done)),
        }
    }

    fn terminal_log(&self) -> LogGuard {
        self.log(None)
    }

    fn log(&self, file: Option<FileOptions>) -> LogGuard {
        let lines = self.lines.clone();
        Log::start(LogOptions {
            verbosity: self.verbosity,
            terminal: BoxMakeWriter::new(move || lines.clone()),
            file,
        })
    }

    async fn backup(&self, config: &Config, args: &BackupArgs) -> Result<ExitCode, Failure> {
        zone::refuse_unknown()?;
        let dates = args.days().resolve(calendar::today()).map_err(Failure::usage)?;
        let catch_up = args.catch_up_days(config.backup.catch_up_days);
        let request = Request {
            target: args.target,
            dates: dates.reaching_back(catch_up),
            usual: dates,
            overwrite: if args.replace { Overwrite::Replace } else { Overwrite::Never },
            quiet: self.quiet || args.json,
        };
        if args.dry_run {
            let _log = self.terminal_log();
            let signals = listen()?;
            let run = Run::new(config, request, signals.clone(), self.lines.clone());
            let planned = async { self.tell_plan(&run.plan_only().await?, args.json) };
            return Box::pin(interruptible(planned, &signals)).await;
        }
        let lock = Lock::acquire(&config.state.dir, &args.target.to_string()).map_err(lock_failure)?;
        let started = Local::now();
        let file = FileOptions {
            dir: config.log.dir.clone(),
            format: config.log.format,
            target: args.target,
            started,
        };
        let log = self.log(Some(file));
        let signals = listen()?;
        let before = lock.cut_off().map(earlier::cut_off).into_iter().collect();
        let run = Run { before, ..Run::new(config, request, signals.clone(), self.lines.clone()) };
        let ended = Box::pin(run.execute()).await;
        let code = match &ended {
            Ok(report) => self.tell_run(report, args.json),
            Err(failure) => {
                run.keep_failed(failure);
                tell_findings(&run.before);
                tracing::error!("{}", causes::told(failure.error.as_ref()));
                let code = signals.exit_code().unwrap_or(failure.code);
                if args.json {
                    failure_as_json(failure, code);
                }
                code
            }
        };
        sweep(config, &log);
        last_line(ended.as_ref().ok());
        if log.lost_lines() > 0 {
            ui::notice(&format!("warning: {} lines could not be written to the log file", log.lost_lines()));
        }
        Ok(code)
    }

    fn tell_plan(&self, report: &RunReport, json: bool) -> Result<ExitCode, Failure> {
        let code = report::exit_code(&report.sets, &report.findings);
        let text = if json { json_text(report)? } else { report::plan_text(report) };
        ui::result(&text).map_err(anyhow::Error::from)?;
        if !json && report.sets.is_empty() && !self.quiet {
            ui::notice(&format!("No backups of {} were found.", span(report)));
        }
        Ok(code)
    }

    /// What is amiss first: a table that cannot be written must not hide it.
    fn tell_run(&self, report: &RunReport, json: bool) -> ExitCode {
        tell_findings(&report.findings);
        let code = match report.exit_code {
            0 => ExitCode::Done,
            3 => ExitCode::NothingFound,
            5 => ExitCode::NoBucket,
            129 => ExitCode::HungUp,
            130 => ExitCode::Interrupted,
            143 => ExitCode::Terminated,
            _ => ExitCode::Failed,
        };
        let text = if json {
            json_text(report)
        } else if report.sets.is_empty() || (self.quiet && code == ExitCode::Done) {
            return code;
        } else {
            Ok(report::summary_table(&report.sets))
        };
        let written = text.and_then(|text| Ok(ui::result(&text).map_err(anyhow::Error::from)?));
        let Err(failure) = written else { return code };
        tracing::error!("{}", causes::told(failure.error.as_ref()));
        if matches!(code, ExitCode::Done | ExitCode::NothingFound) { ExitCode::Failed } else { code }
    }

    async fn restore(&self, config: &Config, args: RestoreArgs) -> Result<ExitCode, Failure> {
        let today = calendar::today();
        let what = match (args.key, args.latest) {
            (Some(key), _) => restore::What::Key { key, unproven: args.unproven },
            (None, Some(selector)) => {
                restore::What::Latest(selector, args.date.map(|day| day.resolve(today)))
            }
            (None, None) => {
                return Err(Failure::usage(anyhow::anyhow!("name a KEY, or --latest ENGINE/APP")));
            }
        };
        let place = if args.stdout {
            restore::Where::Stdout
        } else {
            restore::Where::Dir(args.to.unwrap_or_else(|| ".".into()))
        };
        let existing = if args.force { Existing::Replace } else { Existing::Keep };
        let _log = self.terminal_log();
        let signals = listen()?;
        let retrieval = args.retrieval.wait.then(|| Retrieval {
            tier: args.retrieval.tier.unwrap_or(Tier::Standard),
            days: args.retrieval.days.unwrap_or(DEFAULT_DAYS),
        });
        let identity = args.identity.file;
        let order = restore::Order { what, place, existing, retrieval, identity };
        let done = restore::restore(config, &order, signals.token(), &self.lines, self.quiet);
        Box::pin(interruptible(done, &signals)).await
    }

    async fn verify(&self, config: &Config, args: VerifyArgs) -> Result<ExitCode, Failure> {
        let query = verify::Query {
            selector: args.selector,
            local: args.local,
            reread: args.reread,
            identity: args.identity.file,
            sample: args.sample.map(count),
            json: args.json,
        };
        let _log = self.terminal_log();
        let signals = listen()?;
        let quiet = self.quiet || args.json;
        let verified = verify::verify(config, &query, signals.token(), &self.lines, quiet);
        Box::pin(interruptible(verified, &signals)).await
    }

    async fn drill(&self, config: &Config, args: DrillArgs) -> Result<ExitCode, Failure> {
        let _log = self.terminal_log();
        let signals = listen()?;
        let (selector, sample) = (args.selector, args.sample.map(count));
        let (selector, identity) = (selector.as_ref(), args.identity.file.as_deref());
        let (token, lines) = (signals.token(), &self.lines);
        let drilled = drill::drill(config, selector, sample, identity, token, lines, self.quiet);
        Box::pin(interruptible(drilled, &signals)).await
    }

    #[cfg(feature = "embedded")]
    async fn demo(&self, args: DemoArgs) -> Result<ExitCode, Failure> {
        let _log = self.terminal_log();
        match args.serve {
            None => super::demo::demo().await,
            Some(dir) => {
                let signals = listen()?;
                super::demo::serve(&dir, signals.token()).await
            }
        }
    }

    #[cfg(not(feature = "embedded"))]
    #[allow(clippy::unused_async, reason = "the same call as with the feature")]
    async fn demo(&self, _args: DemoArgs) -> Result<ExitCode, Failure> {
        Err(Failure::usage(anyhow::anyhow!(
            "this dbbackup was built without its embedded S3 server: build it with `--features embedded`"
        )))
    }
}

fn tell_findings(findings: &[Finding]) {
    for Finding { severity, subject, what, advice } in findings {
        match severity {
            Severity::Error => tracing::error!("[FINDING] {subject}: {what}; {advice}"),
            Severity::Warning => tracing::warn!("[FINDING] {subject}: {what}; {advice}"),
        }
    }
}

/// A signal decides the exit code, whatever else was in the way; what does not end by itself in a while after it
/// is given up.
async fn interruptible(
    work: impl Future<Output = Result<ExitCode, Failure>>,
    signals: &Signals,
) -> Result<ExitCode, Failure> {
    let late = async {
        signals.token().cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let done = tokio::select! {
        done = work => done,
        () = late => Err(anyhow::anyhow!("interrupted").into()),
    };
    match signals.exit_code() {
        None => done,
        Some(code) => done.map(|_| code).map_err(|failure| Failure { code, ..failure }),
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn form(args: StatusArgs) -> status::Form {
    match args.metrics {
        Some(path) => status::Form::Metrics(path),
        None if args.nagios => status::Form::Nagios,
        None if args.json => status::Form::Json,
        None => status::Form::Table,
    }
}

fn query(args: ListArgs) -> list::Query {
    let today = calendar::today();
    let day = |day: Option<Day>| day.map(|day| day.resolve(today));
    list::Query {
        selector: args.selector,
        since: day(args.since),
        until: day(args.until),
        category: args.category,
        all: args.all,
        json: args.json,
    }
}

fn listen() -> Result<Signals, Failure> {
    Signals::listen().map_err(|error| Failure::from(anyhow::Error::new(error).context("listen for signals")))
}

/// The program at the other end of a pipe may have seen enough; that is no failure.
fn written(done: io::Result<ExitCode>) -> Result<ExitCode, Failure> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::Done),
        other => other
            .map_err(|error| Failure::from(anyhow::Error::new(error).context("write to standard output"))),
    }
}

fn json_text(report: &RunReport) -> Result<String, Failure> {
    serde_json::to_string_pretty(report).map_err(|error| Failure::from(anyhow::Error::from(error)))
}

fn span(report: &RunReport) -> String {
    match report.dates {
        [first, last] if first == last => first.to_string(),
        [first, last] => format!("{first} to {last}"),
    }
}

fn lock_failure(error: LockError) -> Failure {
    let code = match &error {
        LockError::Held { .. } => ExitCode::Locked,
        LockError::Io { .. } => ExitCode::Failed,
    };
    Failure { code, error: error.into() }
}

/// Removes what is older than `[log] keep_days`: log files, and this host's records of runs but for those that the
/// next run looks into.
fn sweep(config: &Config, log: &LogGuard) {
    let (now, days) = (std::time::SystemTime::now(), config.log.keep_days);
    let logs = log::sweep(&config.log.dir, days, now, log.path());
    let runs = config.state.dir.join("runs");
    let records = if runs.exists() {
        log::sweep_files(&runs, days.max(earlier::DAYS + 1), now, earlier::is_record)
    } else {
        SweepReport::default()
    };
    for (what, swept) in [("log", &logs), ("record of runs", &records)] {
        for (path, why) in &swept.failed {
            tracing::warn!("remove the old {what} {}: {why}", path.display());
        }
    }
    if !logs.removed.is_empty() {
        tracing::info!("{} log files older than {days} days were removed", logs.removed.len());
    }
    if !records.removed.is_empty() {
        tracing::debug!("{} records of runs older than that were removed", records.removed.len());
    }
}
