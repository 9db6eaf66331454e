//! What earlier runs of this host left undone, by the records in `<state>/runs` and by the lock's text.
//!
//! What must stay true: a set that a run did not store is named by the runs of the next days until it is stored. The
//! good night that comes after a bad one is no reason to be silent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};

use super::backup::Run;
use super::setup::Site;
use crate::catalog::{InBucket, Known};
use crate::lock::CutOff;
use crate::model::{Finding, SetId, Severity};
use crate::report::{RunReport, SetReport, Status};

/// Records of so many days count: a weekly run sees the one before it.
pub(super) const DAYS: u32 = 8;

/// A set that an earlier run did not store, as that run told it, and when that run began.
type Left = (DateTime<FixedOffset>, SetReport);

/// The files of the records in the directory, the oldest first: their names begin with the time in UTC.
pub(super) fn files(runs: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(runs) else { return Vec::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| is_record(path));
    files.sort();
    files
}

/// Whether its name is one that a record gets: the run's start in UTC, its target, its process.
pub(super) fn is_record(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_suffix(".json")).is_some_and(|id| started(id).is_some())
}

/// When the run of that identifier began.
fn started(id: &str) -> Option<DateTime<Utc>> {
    let (stamp, rest) = id.split_once('-')?;
    let (target, process) = rest.split_once('-')?;
    target.parse::<crate::model::Target>().ok()?;
    process.parse::<u32>().ok()?;
    Some(chrono::NaiveDateTime::parse_from_str(stamp, "%Y%m%dT%H%M%SZ").ok()?.and_utc())
}

/// The records of the last [`DAYS`] before `now`, the oldest first. One that cannot be read is told: what it names
/// is missed by nobody.
fn recent(runs: &Path, now: DateTime<Utc>) -> Vec<RunReport> {
    let oldest = now - TimeDelta::days(i64::from(DAYS));
    let stem = |path: &Path| path.file_stem().and_then(|stem| started(stem.to_str()?));
    let files = files(runs).into_iter().filter(|path| stem(path).is_some_and(|at| at >= oldest));
    files
        .filter_map(|path| {
            let read = std::fs::read(&path).map_err(|error| error.to_string());
            read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
                .inspect_err(|error| tracing::warn!("read what a run left in {}: {error}", path.display()))
                .ok()
        })
        .collect()
}

/// What those runs did not store, and none after them. Pure.
fn left(records: Vec<RunReport>, host: &str) -> BTreeMap<String, Left> {
    let mut left = BTreeMap::new();
    for record in records.into_iter().filter(|record| record.host == host) {
        for set in record.sets {
            match set.status {
                Status::Sent | Status::Skipped => {
                    left.remove(&set.key);
                }
                Status::Refused | Status::Failed | Status::Interrupted => {
                    left.insert(set.key.clone(), (record.started, set));
                }
                Status::Planned => {}
            }
        }
    }
    left
}

fn finding((at, set): Left) -> Finding {
    let why = match set.status {
        // The plan's own word for it may stand before the reason.
        Status::Refused => format!("refused: {}", set.why.strip_prefix("refuse: ").unwrap_or(&set.why)),
        Status::Failed => format!("failed: {}", set.why),
        Status::Interrupted | Status::Sent | Status::Skipped | Status::Planned => "interrupted".to_owned(),
    };
    Finding {
        severity: Severity::Warning,
        subject: set.key,
        what: format!("it was not stored on {} ({why}) and still is not", at.format("%Y-%m-%d")),
        advice: format!("mend what is named and run `dbbackup all --date {}`", set.date),
    }
}

/// That the run before did not end by itself.
pub(super) fn cut_off(was: &CutOff) -> Finding {
    let who = was.holder.as_ref().map_or_else(
        || "a run".to_owned(),
        |holder| {
            let since = holder.started.format("%Y-%m-%d %H:%M:%S%:z");
            format!("the run `{}` of {since} (process {} on {})", holder.target, holder.pid, holder.host)
        },
    );
    Finding {
        severity: Severity::Warning,
        subject: was.path.display().to_string(),
        what: format!("{who} did not end by itself: it was killed, or the machine went down"),
        advice: "look into the system's log of that time (out of memory, power); what it left is stored by this run or \
                 named in a finding"
            .to_owned(),
    }
}

impl Run<'_> {
    /// What earlier runs did not store of the engines of this one and is not stored now; `sets` are this run's
    /// own, of which it tells itself.
    pub(super) async fn left_by_earlier(&self, site: &Site, sets: &[SetReport]) -> Vec<Finding> {
        let own: BTreeSet<&str> = sets.iter().map(|set| set.key.as_str()).collect();
        let records = recent(&self.config.state.dir.join("runs"), self.started.to_utc());
        let mut left: Vec<Left> = left(records, &self.host).into_values().collect();
        left.retain(|(_, set)| {
            !own.contains(set.key.as_str()) && self.request.target.engines().any(|one| one == set.engine)
        });
        let ids: Vec<Option<SetId>> = left.iter().map(|(_, set)| id(set)).collect();
        let asked: Vec<SetId> = ids.iter().flatten().cloned().collect();
        // Another host or an administrator may have stored it since; and of those that a catch-up finds stored
        // there is no word in a record.
        let mut known = site.catalog.look_at_all(&asked).await.into_iter();
        let is_stored = |set: &SetReport, known: &InBucket| match &known.known {
            Known::Stored(manifest) | Known::Copied(manifest) => {
                known.lost.is_none() && manifest.plain_bytes() == set.bytes
            }
            Known::Absent | Known::Unknown => false,
        };
        let mut findings = Vec::new();
        for (left, id) in left.into_iter().zip(ids) {
            let known = id.and_then(|_| known.next()).and_then(Result::ok);
            if !known.is_some_and(|known| is_stored(&left.1, &known)) {
                findings.push(finding(left));
            }
        }
        findings
    }
}

fn id(set: &SetReport) -> Option<SetId> {
    let (app, name) = (set.app.parse().ok()?, set.name.parse().ok()?);
    Some(SetId { engine: set.engine, app, category: set.category, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a run that began at 01:00 of that day.
    fn record(day: u32, host: &str, sets: &[(&str, Status)]) -> RunReport {
        let at: DateTime<FixedOffset> = format!("2025-08-{day:02}T01:00:00+02:00").parse().unwrap();
        let set = |(name, status): &(&str, Status)| SetReport {
            key: format!("mysql/shop/weekly/{name}"),
            engine: crate::model::Engine::Mysql,
            app: "shop".to_owned(),
            name: (*name).to_owned(),
            date: "2025-08-18".parse().unwrap(),
            category: crate::model::Category::Weekly,
            status: *status,
            bytes: 1,
            seconds: 0.0,
            retries: 0,
            proof: None,
            why: "the line broke".to_owned(),
            inspection: None,
        };
        RunReport {
            version: crate::report::VERSION,
            run: format!("202508{day:02}T230000Z-all-1"),
            host: host.to_owned(),
            target: "all".to_owned(),
            dates: ["2025-08-18".parse().unwrap(); 2],
            started: at,
            finished: at,
            seconds: 0.0,
            dbbackup: "0.1.0".to_owned(),
            exit_code: 1,
            sent: 0,
            skipped: 0,
            refused: 0,
            failed: 0,
            bytes: 0,
            sets: sets.iter().map(set).collect(),
            findings: Vec::new(),
            check_findings: Vec::new(),
            passed: Vec::new(),
        }
    }

    #[test]
    fn a_set_is_left_until_a_later_run_sent_it_or_found_it_stored() {
        let bad = [
            ("a", Status::Failed),
            ("b", Status::Refused),
            ("c", Status::Interrupted),
            ("d", Status::Sent),
            ("e", Status::Failed),
        ];
        let records = vec![
            record(19, "db1", &bad),
            record(20, "db1", &[("a", Status::Sent), ("b", Status::Skipped), ("d", Status::Refused)]),
            record(21, "db2", &[("c", Status::Sent), ("f", Status::Failed)]),
            record(22, "db1", &[("e", Status::Interrupted)]),
        ];
        let texts: Vec<String> = left(records, "db1")
            .into_values()
            .map(|left| {
                let Finding { subject, what, advice, .. } = finding(left);
                format!("{subject}: {what}; {advice}")
            })
            .collect();
        let told = |name: &str, what: &str| {
            format!(
                "mysql/shop/weekly/{name}: it was not stored on 2025-08-{what} and still is not; mend what is named and run \
                 `dbbackup all --date 2025-08-18`"
            )
        };
        assert_eq!(
            texts,
            [
                told("c", "19 (interrupted)"),
                told("d", "20 (refused: the line broke)"),
                told("e", "22 (interrupted)")
            ]
        );
    }

    #[test]
    fn only_records_of_the_last_days_count_and_only_by_their_exact_name() {
        let dir = tempfile::tempdir().unwrap();
        let line = record(19, "db1", &[]).to_line().unwrap();
        for name in [
            "20250818T230000Z-all-1.json",
            "20250801T230000Z-all-1.json",
            "20250819T230000Z-all-2.json.bak",
            "20250819T230000Z-shop-2.json",
            "notes.json",
        ] {
            std::fs::write(dir.path().join(name), &line).unwrap();
        }
        let now = "2025-08-20T01:00:00Z".parse().unwrap();
        assert_eq!(files(dir.path()).len(), 2);
        assert_eq!(recent(dir.path(), now).len(), 1);
    }
}
