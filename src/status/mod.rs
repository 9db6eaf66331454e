//! How well an app is backed up, from the bucket's records and listing alone. Pure.
//!
//! What must stay true: only a set that was compared with its source and whose objects are all there
//! counts; the age is that of the data (from the end of the backup's day, in this host's calendar), not
//! that of the upload.

mod emptied;
mod export;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDateTime, Utc};
use serde::Serialize;

use crate::bucket::Listed;
use crate::catalog::{self, Entry, ProofMark, Shown};
use crate::expect::{self, Expect, Schedule};
use crate::model::{BackupDate, Engine, Proof, RelPath};

pub use emptied::emptied;
pub use export::{metrics, nagios};

/// Backups whose sizes make the median.
const MEDIAN_OF: usize = 5;

/// How an app stands; ordered, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The newest good backup is young enough.
    Ok,
    /// Worth a look.
    Warning,
    /// There is none, it is too old, its last drill failed, or one that was good is damaged.
    Critical,
}

impl State {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// The newest good backup of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// As `list` prints it.
    pub key: String,
    /// The date in its name.
    pub date: BackupDate,
    /// Seconds since the end of that day.
    pub age_seconds: u64,
    /// Bytes.
    pub size: u64,
    /// The best that is known of it.
    pub proof: Proof,
    /// When that was proven.
    pub proven: DateTime<Utc>,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct App {
    /// The database engine.
    pub engine: Engine,
    /// The app; may be empty.
    pub app: RelPath,
    /// How it stands.
    pub state: State,
    /// Why, where it is not `ok`; a sentence each.
    pub why: Vec<String>,
    /// How old the newest may be, in seconds.
    pub rpo_seconds: u64,
    /// The newest good backup.
    pub newest: Option<Newest>,
    /// Median size of the good ones before it, up to five.
    pub median_size: Option<u64>,
}

impl App {
    /// `mysql/shop`.
    #[must_use]
    pub fn name(&self) -> String {
        if self.app.is_empty() { self.engine.to_string() } else { format!("{}/{}", self.engine, self.app) }
    }
}

/// What is wrong with a set's objects by the bucket's listing; `None` where each is there with its size
/// and entity tag.
#[must_use]
fn broken(entry: &Entry, listed: &HashMap<&str, &Listed>) -> Option<String> {
    let written_again = || {
        entry.manifest.files.iter().find_map(|file| {
            let now = listed.get(file.key.as_str())?.etag.as_ref()?;
            let other = now != file.etag.as_ref()?;
            other.then(|| format!("object {} was written again since it was stored", file.key))
        })
    };
    catalog::lost(&entry.manifest, listed).or_else(written_again)
}

/// How each app stands: those in the bucket, and those that are expected. `now` is this host's time.
#[must_use]
pub fn judge(entries: &[Entry], listed: &[Listed], expectations: &[Expect], now: NaiveDateTime) -> Vec<App> {
    let listed: HashMap<&str, &Listed> = listed.iter().map(|object| (object.key.as_str(), object)).collect();
    let mut apps: BTreeMap<(Engine, RelPath), Vec<&Entry>> = BTreeMap::new();
    for expect in expectations {
        if let Some(app) = &expect.app {
            apps.entry((expect.engine, app.clone())).or_default();
        }
    }
    for entry in entries {
        let id = &entry.manifest.id;
        apps.entry((id.engine, id.app.clone())).or_default().push(entry);
    }
    // Maintenance scripts keep full backups, differentials and logs of a database in directories of their own.
    let full: BTreeSet<(Engine, RelPath)> = entries
        .iter()
        .filter(|entry| entry.is_good() && !entry.manifest.needs_another())
        .map(|entry| (entry.manifest.id.engine, entry.manifest.id.app.clone()))
        .collect();
    let mut judged: Vec<App> = apps
        .into_iter()
        .map(|((engine, app), entries)| {
            let expect = expect::of_app(expectations, engine, &app);
            let rpo = expect
                .map_or_else(|| Schedule::Daily.rpo(), |expect| expect.rpo.unwrap_or(expect.schedule.rpo()));
            let based = full.iter().any(|(other, its)| *other == engine && is_beside(its, &app));
            judge_app(engine, app, &entries, &listed, (rpo, based), now)
        })
        .collect();
    let seen: BTreeSet<Engine> = judged.iter().map(|app| app.engine).collect();
    // `*` of an engine without any app: nothing of it is stored at all.
    judged.extend(
        expectations.iter().filter(|expect| expect.app.is_none() && !seen.contains(&expect.engine)).map(
            |expect| {
                let rpo = expect.rpo.unwrap_or(expect.schedule.rpo());
                judge_app(expect.engine, RelPath::empty(), &[], &listed, (rpo, false), now)
            },
        ),
    );
    judged
}

fn judge_app(
    engine: Engine,
    app: RelPath,
    entries: &[&Entry],
    listed: &HashMap<&str, &Listed>,
    (rpo, based): (Duration, bool),
    now: NaiveDateTime,
) -> App {
    let (mut state, mut why) = (State::Ok, Vec::new());
    let mut good: Vec<&Entry> = Vec::new();
    for entry in entries {
        if let Some(what) = broken(entry, listed) {
            state = State::Critical;
            why.push(format!("{} is damaged: {what}; see `dbbackup verify`", entry.manifest.id));
        } else if entry.is_good() && entry.manifest.date.lies_ahead(now.date()) {
            state = State::Critical;
            why.push(format!(
                "{} is dated in the future and not counted: find out what wrote it, and remove its manifest",
                entry.manifest.id
            ));
        } else if entry.is_good() {
            good.push(entry);
        }
    }
    if !based && !good.is_empty() && good.iter().all(|entry| entry.manifest.needs_another()) {
        state = State::Critical;
        why.push("there is no full backup, and those that there are restore only on top of one".to_owned());
    }
    if let Some((entry, mark)) = last_drill(&good).filter(|(_, mark)| mark.shown == Shown::Failed) {
        state = State::Critical;
        let id = &entry.manifest.id;
        let day = mark.at.format("%Y-%m-%d %H:%M UTC");
        why.push(format!("the last drill, of {id} on {day}, failed; see `dbbackup show {id}`"));
    }
    good.sort_by_key(|entry| (entry.manifest.date, entry.manifest.created));
    let newest = good.pop();
    let sizes = good.iter().rev().take(MEDIAN_OF).map(|entry| entry.manifest.plain_bytes()).collect();
    let median_size = median(sizes);
    let newest = newest.map(|entry| newest_of(entry, now));
    match &newest {
        None => {
            state = State::Critical;
            why.push("there is no good backup".to_owned());
        }
        Some(newest) => {
            if newest.age_seconds > rpo.as_secs() {
                state = State::Critical;
                why.push(format!(
                    "the newest good backup is {} old, and {} are allowed",
                    hours(newest.age_seconds),
                    hours(rpo.as_secs())
                ));
            }
            if median_size.is_some_and(|median| newest.size < median / 10) {
                state = state.max(State::Warning);
                why.push("the newest good backup has less than a tenth of the usual size".to_owned());
            }
        }
    }
    App { engine, app, state, why, rpo_seconds: rpo.as_secs(), newest, median_size }
}

/// The last drill of any of these sets.
fn last_drill<'e>(good: &[&'e Entry]) -> Option<(&'e Entry, &'e ProofMark)> {
    let drills = good.iter().filter_map(|entry| Some((*entry, entry.last_drill()?)));
    drills.max_by_key(|(_, mark)| mark.at)
}

/// Whether two apps lie in one directory, below that of the engine.
fn is_beside(one: &RelPath, other: &RelPath) -> bool {
    let parent = |app: &RelPath| app.as_str().rsplit_once('/').map(|(parent, _)| parent.to_owned());
    parent(one).is_some() && parent(one) == parent(other)
}

fn newest_of(entry: &Entry, now: NaiveDateTime) -> Newest {
    let manifest = &entry.manifest;
    let day = manifest.date.day();
    let end = day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(chrono::NaiveTime::MIN);
    let proof = entry.proof();
    let proven = entry
        .proofs
        .iter()
        .rev()
        .find(|mark| mark.shown.proof() == proof)
        .map_or(manifest.created, |mark| mark.at);
    Newest {
        key: manifest.id.key(),
        date: manifest.date,
        age_seconds: u64::try_from((now - end).num_seconds()).unwrap_or(0),
        size: manifest.plain_bytes(),
        proof,
        proven,
    }
}

fn median(mut sizes: Vec<u64>) -> Option<u64> {
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied()
}

/// Seconds as people read ages: `2d 5h`.
#[must_use]
pub fn hours(seconds: u64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// The worst of all. A bucket without any backup is no good news.
#[must_use]
pub fn overall(apps: &[App], unreadable: usize) -> State {
    if unreadable > 0 || apps.is_empty() {
        return State::Critical;
    }
    apps.iter().map(|app| app.state).max().unwrap_or(State::Critical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, Checksum, Scope};
    use crate::manifest::{Confirmation, Manifest, StoredFile};
    use crate::model::{SetId, SetKind};

    fn entry(key: &str, date: &str, size: u64) -> Entry {
        let id = SetId::parse_key(key).unwrap();
        let checksum = Checksum {
            algorithm: Algorithm::Crc64Nvme,
            scope: Scope::FullObject,
            value: "AAAAAAAAAAA=".to_owned(),
        };
        let file = StoredFile {
            path: RelPath::empty(),
            key: format!("b/{key}"),
            size,
            mtime: Utc::now(),
            mode: 0o640,
            checksum,
            s3_checksum: None,
            confirmed: Confirmation::Checksum,
            etag: Some("tag".to_owned()),
            version_id: None,
            parts: 1,
            retries: 0,
            coding: None,
        };
        let json = serde_json::json!({
            "version": 1, "engine": id.engine, "app": id.app, "category": id.category, "name": id.name,
            "date": date, "kind": SetKind::File, "why": "", "files": [file], "bucket": "x", "run": "r",
            "host": "h", "source": "/x", "dbbackup": "1", "created": "2025-08-19T03:00:00Z", "seconds": 1.0,
        });
        let manifest: Manifest = serde_json::from_value(json).unwrap();
        Entry { manifest, proofs: Vec::new() }
    }

    fn object(entry: &Entry) -> Listed {
        let file = &entry.manifest.files[0];
        Listed { key: file.key.clone(), size: file.size, etag: file.etag.clone(), modified: None }
    }

    fn at(text: &str) -> NaiveDateTime {
        text.parse().unwrap()
    }

    #[test]
    fn age_is_that_of_the_data_and_the_rpo_without_an_expectation_is_a_day_and_a_half() {
        let entry = entry("mysql/shop/weekly/shop_20250818.sql", "2025-08-18", 100);
        let listed = [object(&entry)];
        let state = |now: &str| judge(std::slice::from_ref(&entry), &listed, &[], at(now))[0].state;
        assert_eq!(state("2025-08-19T03:00:00"), State::Ok);
        assert_eq!(state("2025-08-20T12:00:00"), State::Ok);
        assert_eq!(state("2025-08-20T12:00:01"), State::Critical);
    }

    #[test]
    fn set_with_a_lost_cut_or_rewritten_object_is_not_good() {
        let entry = entry("mysql/shop/weekly/shop_20250818.sql", "2025-08-18", 100);
        let whole = object(&entry);
        for listed in [
            vec![],
            vec![Listed { size: 99, ..whole.clone() }],
            vec![Listed { etag: Some("other".to_owned()), ..whole.clone() }],
        ] {
            let apps = judge(std::slice::from_ref(&entry), &listed, &[], at("2025-08-19T03:00:00"));
            assert_eq!((apps[0].state, &apps[0].newest), (State::Critical, &None));
        }
    }

    #[test]
    fn set_of_the_future_hides_no_old_one() {
        let entries = [
            entry("mysql/shop/weekly/shop_20250701.sql", "2025-07-01", 100),
            entry("mysql/shop/weekly/shop_20451122.sql", "2045-11-22", 100),
        ];
        let listed: Vec<Listed> = entries.iter().map(object).collect();
        let app = &judge(&entries, &listed, &[], at("2025-08-19T03:00:00"))[0];
        assert_eq!(app.state, State::Critical);
        assert_eq!(app.newest.as_ref().unwrap().date.to_string(), "2025-07-01");
        assert_eq!(app.why.len(), 2, "{:?}", app.why);
    }

    #[test]
    fn logs_without_a_full_backup_are_critical() {
        let log = entry("mssql/crm/weekly/crm_20250818.trn", "2025-08-18", 100);
        let full = entry("mssql/crm/weekly/crm_20250818.bak", "2025-08-18", 100);
        let state = |entries: &[Entry]| {
            let listed: Vec<Listed> = entries.iter().map(object).collect();
            judge(entries, &listed, &[], at("2025-08-19T03:00:00"))[0].state
        };
        assert_eq!(state(std::slice::from_ref(&log)), State::Critical);
        assert_eq!(state(&[log, full]), State::Ok);
        let beside = [
            entry("mssql/DB01/Sales/LOG/weekly/s_20250818.trn", "2025-08-18", 100),
            entry("mssql/DB01/Sales/FULL/weekly/s_20250818.bak", "2025-08-18", 100),
            entry("mssql/DB01/Stock/LOG/weekly/s_20250818.trn", "2025-08-18", 100),
        ];
        let listed: Vec<Listed> = beside.iter().map(object).collect();
        let apps = judge(&beside, &listed, &[], at("2025-08-19T03:00:00"));
        let states: Vec<_> = apps.iter().map(|app| (app.app.as_str(), app.state)).collect();
        let (ok, critical) = (State::Ok, State::Critical);
        assert_eq!(states, [("DB01/Sales/FULL", ok), ("DB01/Sales/LOG", ok), ("DB01/Stock/LOG", critical)]);
    }

    #[test]
    fn drill_that_failed_counts_until_another_one_of_the_app_passes() {
        let mark = |shown, day: u32| ProofMark {
            at: chrono::TimeZone::with_ymd_and_hms(&Utc, 2025, 8, day, 4, 0, 0).unwrap(),
            shown,
            key: String::new(),
        };
        let mut old = entry("mysql/shop/weekly/shop_20250817.sql", "2025-08-17", 100);
        let mut new = entry("mysql/shop/weekly/shop_20250818.sql", "2025-08-18", 100);
        old.proofs.push(mark(Shown::Failed, 18));
        let state = |entries: &[Entry]| {
            let listed: Vec<Listed> = entries.iter().map(object).collect();
            judge(entries, &listed, &[], at("2025-08-19T03:00:00"))[0].state
        };
        assert_eq!(state(&[old.clone(), new.clone()]), State::Critical);
        new.proofs.push(mark(Shown::Restored, 19));
        assert_eq!(state(&[old, new]), State::Ok);
    }

    #[test]
    fn expected_app_without_a_backup_is_critical() {
        let expectations = [
            Expect {
                engine: Engine::Mysql,
                app: Some("crm".parse().unwrap()),
                schedule: Schedule::Daily,
                rpo: None,
            },
            Expect { engine: Engine::Oracle, app: None, schedule: Schedule::Daily, rpo: None },
        ];
        let apps = judge(&[], &[], &expectations, at("2025-08-19T03:00:00"));
        let names: Vec<_> = apps.iter().map(|app| (app.name(), app.state)).collect();
        assert_eq!(
            names,
            [("mysql/crm".to_owned(), State::Critical), ("oracle".to_owned(), State::Critical)]
        );
        assert_eq!(overall(&[], 0), State::Critical);
    }

    #[test]
    fn newest_far_below_the_usual_size_is_a_warning_with_its_figures_for_nagios_and_prometheus() {
        let entries: Vec<Entry> = (12..=18)
            .map(|day| {
                let size = if day == 18 { 9 } else { 1000 };
                entry(&format!("mysql/shop/weekly/shop_202508{day}.sql"), &format!("2025-08-{day}"), size)
            })
            .collect();
        let listed: Vec<Listed> = entries.iter().map(object).collect();
        let apps = judge(&entries, &listed, &[], at("2025-08-19T01:00:00"));
        assert_eq!((apps[0].state, apps[0].median_size), (State::Warning, Some(1000)));
        let (state, line) = nagios(&apps, &[]);
        assert_eq!(state, State::Warning);
        assert!(line.ends_with("| 'mysql/shop_age'=3600s;;129600;0 'mysql/shop_size'=9B;;;0"), "{line}");
        let text = metrics(&apps, 0, Utc::now());
        assert!(text.contains("dbbackup_newest_age_seconds{engine=\"mysql\",app=\"shop\"} 3600\n"), "{text}");
        assert!(text.contains("dbbackup_ok{engine=\"mysql\",app=\"shop\"} 1\n"), "{text}");
    }
}
