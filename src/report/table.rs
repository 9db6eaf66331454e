//! Tables for people.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use bytesize::ByteSize;
use chrono::{DateTime, Utc};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::{RunReport, SetReport};
use crate::catalog::Entry;
use crate::check::{Line, Outcome};
use crate::formats::Judgement;
use crate::model::Finding;
use crate::printable::printable;
use crate::status::{self, App};

/// Bytes as people read them: `2.8 GB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

/// Time since `then`, in the two largest units: `3d 4h`.
#[must_use]
pub fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - then).num_seconds().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// The table at the end of a run: engine, app, size, time, retries, status.
#[must_use]
pub fn summary_table(sets: &[SetReport]) -> String {
    let mut table =
        plain(&["Engine", "App", "Backup", "Category", "Size", "Time", "Retries", "Verdict", "Status"]);
    for set in sets {
        table.add_row([
            Cell::new(set.engine.title()),
            Cell::new(app(&set.app)),
            Cell::new(&set.name),
            Cell::new(set.category),
            right(bytes(set.bytes)),
            right(format!("{:.1} s", set.seconds)),
            right(set.retries),
            Cell::new(verdict(set.inspection.as_ref())),
            Cell::new(set.status.as_str()),
        ]);
    }
    format!("{table}{}", remarks(sets))
}

/// The plan of a dry run, with the reason for each step and for everything passed over.
#[must_use]
pub fn plan_text(report: &RunReport) -> String {
    let mut table = plain(&["Engine", "Key", "Size", "Verdict", "Plan"]);
    for set in &report.sets {
        table.add_row([
            Cell::new(set.engine.title()),
            Cell::new(&set.key),
            right(bytes(set.bytes)),
            Cell::new(verdict(set.inspection.as_ref())),
            Cell::new(&set.why),
        ]);
    }
    let mut text = if report.sets.is_empty() { String::new() } else { format!("{table}\n") };
    text.push_str(remarks(&report.sets).trim_start_matches('\n'));
    if !report.findings.is_empty() {
        text.push_str("\nFindings:\n");
    }
    for finding in &report.findings {
        let Finding { subject, what, advice, .. } = finding;
        let _infallible =
            writeln!(text, "  {}: {}: {what}; {advice}", finding.severity.as_str(), printable(subject));
    }
    let said: BTreeSet<&str> = report.findings.iter().map(|finding| finding.subject.as_str()).collect();
    let passed = report.passed.iter().filter(|passed| !said.contains(passed.path.as_str()));
    let (other_days, told): (Vec<_>, Vec<_>) = passed.partition(|passed| passed.other_day);
    if !told.is_empty() {
        text.push_str("\nPassed over:\n");
    }
    for passed in told {
        let _infallible = writeln!(text, "  {}: {}", passed.path, passed.why);
    }
    if !other_days.is_empty() {
        let _infallible = writeln!(text, "\n{} backups of other days (named with --json)", other_days.len());
    }
    text
}

/// The table of `list`.
#[must_use]
pub fn sets_table<'e>(entries: impl Iterator<Item = &'e Entry>, now: DateTime<Utc>) -> String {
    let mut table = plain(&["Key", "Date", "Category", "Files", "Size", "Verdict", "Proof", "Age"]);
    for entry in entries {
        let manifest = &entry.manifest;
        table.add_row([
            Cell::new(manifest.id.key()),
            Cell::new(manifest.date),
            Cell::new(manifest.id.category),
            right(manifest.contents().len()),
            right(bytes(manifest.plain_bytes())),
            Cell::new(verdict(manifest.inspection.as_ref())),
            Cell::new(if entry.failed_drill().is_some() { "DRILL FAILED" } else { entry.proof().as_str() }),
            right(age(manifest.created, now)),
        ]);
    }
    table.to_string()
}

/// The table of `status`.
#[must_use]
pub fn status_table(apps: &[App], now: DateTime<Utc>) -> String {
    let mut table =
        plain(&["App", "Newest", "Age", "RPO", "Full", "Size", "Median", "Proof", "Proven", "State"]);
    for app in apps {
        let newest = app.newest.as_ref();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.add_row([
            Cell::new(app.name()),
            Cell::new(or_dash(newest.map(|newest| newest.date.to_string()))),
            right(or_dash(newest.map(|newest| status::hours(newest.age_seconds)))),
            right(or_dash(app.rpo_seconds.map(status::hours))),
            right(or_dash(app.newest_full.as_ref().map(|full| status::hours(full.age_seconds)))),
            right(or_dash(newest.map(|newest| bytes(newest.size)))),
            right(or_dash(app.median_size.map(bytes))),
            Cell::new(or_dash(newest.map(|newest| newest.proof.to_string()))),
            right(or_dash(newest.map(|newest| age(newest.proven, now)))),
            Cell::new(app.state.as_str()),
        ]);
    }
    table.to_string()
}

/// A server's words on why it does not answer; more of them is for `--json`.
const UNKNOWN_CHARS: usize = 100;

/// The table of `check`, and below it what to do about each line that is not `ok`, the worst first.
#[must_use]
pub fn check_text(lines: &[Line]) -> String {
    let mut table = plain(&["Area", "Check", "Result", "Seen"]);
    for line in lines {
        table.add_row([
            Cell::new(line.area.as_str()),
            Cell::new(&line.what),
            Cell::new(line.outcome.word()),
            Cell::new(seen(line)),
        ]);
    }
    // Filled up with spaces to the width of the longest, which wraps in a mail.
    let mut text = String::new();
    for line in table.to_string().lines() {
        let _infallible = writeln!(text, "{}", line.trim_end());
    }
    let mut advised: Vec<&Line> = lines.iter().filter(|line| !line.advice.is_empty()).collect();
    advised.sort_by_key(|line| match line.outcome {
        Outcome::Fail => 0,
        Outcome::Warn => 1,
        Outcome::Unknown { .. } => 2,
        Outcome::Ok => 3,
    });
    if !advised.is_empty() {
        text.push_str("\nWhat to do:\n");
    }
    for line in advised {
        let (word, area) = (line.outcome.word(), line.area.as_str());
        let _infallible = writeln!(text, "  {word:<7} {area}, {}: {}", line.what, line.advice);
    }
    let [ok, warn, fail, unknown] = crate::check::bucket::tally(lines);
    let end = match (fail, warn + unknown) {
        (0, 0) => "everything is as it should be",
        (0, _) => "nothing FAILs",
        _ => "a backup, a restore or a promise breaks on what FAILs: exit code 1",
    };
    let _infallible = writeln!(text, "\n{ok} ok, {warn} warn, {fail} FAIL, {unknown} unknown: {end}");
    text
}

fn seen(line: &Line) -> String {
    match &line.outcome {
        Outcome::Unknown { missing_permission: Some(permission) } => {
            format!("these credentials may not ask: {permission} is missing")
        }
        Outcome::Unknown { missing_permission: None } => match line.seen.char_indices().nth(UNKNOWN_CHARS) {
            Some((at, _)) => format!("{} …", line.seen.get(..at).unwrap_or_default().trim_end()),
            None => line.seen.clone(),
        },
        Outcome::Ok | Outcome::Warn | Outcome::Fail => line.seen.clone(),
    }
}

fn verdict(inspection: Option<&Judgement>) -> &'static str {
    inspection.map_or("-", |inspection| inspection.verdict.word())
}

/// The warnings of the inspections, a line each, below a table.
fn remarks(sets: &[SetReport]) -> String {
    let mut text = String::new();
    for set in sets {
        for note in set.inspection.iter().flat_map(|inspection| &inspection.notes) {
            let _infallible = write!(text, "\n{}: {}: {}", note.severity.as_str(), set.key, note.text);
        }
    }
    text
}

fn app(app: &str) -> &str {
    if app.is_empty() { "-" } else { app }
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// A table without lines, with these heads.
#[must_use]
pub fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}
