//! `dbbackup check`: whether this machine, the way, the rights and the bucket are as they should be.
//!
//! What must stay true: it may run at any time. It takes no lock, and writes one small probe object, at
//! most, under `_check/` of the prefix.

mod cron;
mod local;
mod neighbours;
mod probe;
mod road;
mod speed;
mod tls;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::setup::Failure;
use crate::bucket::{Bucket, ErrorKind, Versioning};
use crate::check::findings::{Findings, Subject};
use crate::check::{self, Area, Line, identity};
use crate::cli::{CheckArgs, Global};
use crate::config::Config;
use crate::model::ExitCode;
use crate::{report, source, ui};

/// Checks, tells, and says with the exit code whether anything fails.
pub(super) async fn check(config: &Config, args: &CheckArgs) -> Result<ExitCode, Failure> {
    let now = Utc::now();
    let mut lines = Box::pin(look(config, args, now)).await?;
    // In the order in which a backup meets them, and within each as they were seen.
    lines.sort_by_key(|line| line.area);
    let findings = remember(&config.state.dir, &lines, now);
    let code = if lines.iter().any(Line::is_failure) { ExitCode::Failed } else { ExitCode::Done };
    let text = if args.json {
        let document = serde_json::json!({
            "host": source::host_name(),
            "bucket": place(config),
            "checked": now,
            "dbbackup": crate::cli::VERSION,
            "exit_code": code.number(),
            "lines": lines,
        });
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
    } else if args.report {
        check::findings::report(&subject(config, now), &lines, &findings)
    } else {
        format!("{}\n\n{}", heading(config, now), report::check_text(&lines))
    };
    ui::result(&text).map_err(anyhow::Error::from)?;
    Ok(code)
}

/// Runs it again with the environment that cron gives, and answers with its exit code.
pub(super) fn as_cron(args: &CheckArgs, global: &Global) -> Result<ExitCode, Failure> {
    cron::run(args, global)
}

/// What was looked at, and when: the first line, for whoever reads it in a mail.
fn heading(config: &Config, now: DateTime<Utc>) -> String {
    format!(
        "Check of {} and {}, {}, by {}",
        source::host_name(),
        place(config),
        now.format("%Y-%m-%d %H:%M UTC"),
        config.path.display()
    )
}

/// Bucket and prefix.
fn place(config: &Config) -> String {
    let (bucket, prefix) = (&config.s3.bucket, &config.s3.prefix);
    let slash = if prefix.is_empty() { "" } else { "/" };
    format!("s3://{bucket}{slash}{prefix}")
}

async fn look(config: &Config, args: &CheckArgs, now: DateTime<Utc>) -> Result<Vec<Line>, Failure> {
    let bucket = Arc::new(Bucket::connect(&config.s3, &config.network).await.map_err(Failure::usage)?);
    let to = bucket.destination().await?;
    let (mut lines, way, (trip, reached)) =
        tokio::join!(local::lines(config), road::lines(config, &to), bucket.round_trip());
    if let Some(trip) = &trip {
        lines.push(check::local::clock(Utc::now(), trip.date.as_deref()));
    }
    lines.extend(way);
    let answer = check::road::answer(
        trip.as_ref().map(|trip| trip.took),
        reached.as_ref().err(),
        &config.s3.bucket,
        &lines,
    );
    lines.push(answer);
    lines.push(identity::credentials(&bucket.credentials().await, now));
    let Some(trip) = trip.filter(|_| !check::road::is_no_bucket(reached.as_ref().err())) else {
        lines.extend(unseen([Area::Identity, Area::Bucket]));
        return Ok(lines);
    };
    lines.push(caller(&bucket).await);
    let mut posture = Box::pin(bucket.posture()).await;
    if trip.region.is_some() {
        posture.region = Ok(trip.region);
    }
    let mut facts = check::bucket::posture(&posture, &config.s3, config.backup.categories.daily);
    facts.push(neighbours::line(&bucket, config, now).await);
    if args.read_only {
        lines.push(identity::not_tried());
        lines.extend(facts);
        return Ok(lines);
    }
    let versioning = posture.versioning.as_ref().ok().copied();
    let probed = Box::pin(probe::probe(&bucket, versioning)).await?;
    lines.push(identity::upload(&probed.powers.upload));
    if probed
        .powers
        .upload
        .as_ref()
        .is_err_and(|error| matches!(error.kind, ErrorKind::Credentials | ErrorKind::CredentialsSource))
    {
        // Nothing that such keys are refused says anything of what they may do.
        lines.extend(unseen([Area::Identity, Area::Bucket]));
        return Ok(lines);
    }
    if args.speed {
        lines.extend(speed::lines(&bucket).await);
    }
    lines.extend(identity::powers(
        &probed.powers,
        versioning.or(probed.versioned.then_some(Versioning::Enabled)),
    ));
    let below = probe::below(&bucket);
    lines.push(identity::probe(
        probed.state,
        &bucket.uri(probed.key.as_str()),
        probe::BYTES,
        &below,
        check::bucket::noncurrent_days(&posture, &below),
    ));
    lines.extend(facts);
    let is_auto = config.s3.checksum == crate::config::ChecksumChoice::Auto;
    lines.extend(check::bucket::promises(&probed.promises, is_auto));
    Ok(lines)
}

/// One line for each area of which nothing could be seen.
fn unseen(areas: [Area; 2]) -> impl Iterator<Item = Line> {
    let advice = "mend what FAILs above, and run the check again";
    let line = move |area| Line::unknown(area, "the rest", "not looked at", advice);
    areas.into_iter().map(line)
}

/// STS is AWS's; another store's keys are none of its business.
async fn caller(bucket: &Bucket) -> Line {
    let told =
        ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"].iter().any(|name| std::env::var_os(name).is_some());
    let asked = if bucket.is_aws() || told { Some(bucket.caller().await) } else { None };
    identity::caller(asked.as_ref(), "the store")
}

/// Findings that cannot be kept are no reason not to tell what was seen.
fn remember(state_dir: &Path, lines: &[Line], now: DateTime<Utc>) -> Findings {
    let mut findings = Findings::load(state_dir).unwrap_or_else(|error| {
        let file = state_dir.join(check::findings::FILE);
        tracing::warn!("read former findings of {}: {error}; they begin anew", file.display());
        Findings::default()
    });
    findings.update(lines, now);
    if let Err(error) = findings.save(state_dir) {
        tracing::warn!("keep findings in {}: {error}", state_dir.display());
    }
    findings
}

fn subject(config: &Config, at: DateTime<Utc>) -> Subject {
    let system = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let kernel = format!("{} {}", text(system.sysname()), text(system.release()));
    Subject {
        host: source::host_name(),
        at,
        versions: vec![
            ("dbbackup".to_owned(), crate::cli::VERSION.to_owned()),
            ("kernel".to_owned(), kernel),
            ("system".to_owned(), local::system_name().unwrap_or_else(|| "not told".to_owned())),
        ],
        configuration: config.render(),
    }
}
