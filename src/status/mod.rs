//! How well an app is backed up, from the bucket's records and listing alone. Pure.
//!
//! What must stay true: only a set that was compared with its source and whose objects are all there
//! counts; the age is that of the data (from the end of the backup's day, in this host's calendar), not
//! that of the upload.

mod emptied;
mod export;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Days, NaiveDateTime, Utc};
use serde::Serialize;

use crate::bucket::Listed;
use crate::catalog::{self, Entry, ProofMark, Shown};
use crate::engines;
use crate::expect::{self, Ages, Expect, Schedule};
use crate::inspect;
use crate::model::{BackupDate, Engine, Finding, Proof, RelPath};

pub use emptied::emptied;
pub use export::{metrics, nagios};

/// Backups whose sizes make the median.
const MEDIAN_OF: usize = 5;

/// How an app stands; ordered, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing is expected of it any more.
    Retired,
    /// The newest good backup is young enough.
    Ok,
    /// Worth a look.
    Warning,
    /// There is none, it or the newest full one is too old, its last drill failed, or one that was good is damaged.
    Critical,
}

impl State {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retired => "retired",
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

/// The newest full backup of an app, or of a directory beside it where its own are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Full {
    /// As `list` prints it.
    pub key: String,
    /// The date in its name.
    pub date: BackupDate,
    /// Seconds since the end of that day.
    pub age_seconds: u64,
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
    /// How old the newest may be, in seconds; none of a retired one.
    pub rpo_seconds: Option<u64>,
    /// How old the newest full one may be, in seconds.
    pub full_rpo_seconds: Option<u64>,
    /// The newest good backup.
    pub newest: Option<Newest>,
    /// The newest good one that restores by itself.
    pub newest_full: Option<Full>,
    /// Median size of the good ones before it whose names are like its own but for the digits, up to five.
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
    let mut fulls: BTreeMap<(Engine, RelPath), &Entry> = BTreeMap::new();
    for entry in entries {
        let id = &entry.manifest.id;
        let app = (id.engine, counted_as(expectations, entry));
        if is_full(entry, now) {
            let newest = fulls.entry(app.clone()).or_insert(entry);
            *newest = if entry.manifest.date > newest.manifest.date { entry } else { newest };
        }
        apps.entry(app).or_default().push(entry);
    }
    let mut judged: Vec<App> = apps
        .into_iter()
        .map(|((engine, app), entries)| {
            let expect = expect::of_app(expectations, engine, &app);
            let ages = expect.map_or(Some(Ages::USUAL), Expect::ages);
            // Maintenance scripts keep full backups, differentials and logs of a database in directories of their own.
            let beside = || {
                let beside =
                    fulls.iter().filter(|((other, its), _)| *other == engine && is_beside(its, &app));
                beside.map(|(_, full)| *full).max_by_key(|full| full.manifest.date)
            };
            let full = fulls.get(&(engine, app.clone())).copied().or_else(beside);
            judge_app((engine, app), &entries, &listed, (ages, full), now)
        })
        .collect();
    let seen: BTreeSet<Engine> = judged.iter().map(|app| app.engine).collect();
    // `*` of an engine without any app: nothing of it is stored at all.
    judged.extend(
        expectations
            .iter()
            .filter(|expect| expect.app.is_none() && expect.schedule != Schedule::Never)
            .filter(|expect| !seen.contains(&expect.engine))
            .map(|expect| {
                judge_app((expect.engine, RelPath::empty()), &[], &listed, (expect.ages(), None), now)
            }),
    );
    judged
}

/// What is to be said of apps of which each day has a directory of its own, once of each.
#[must_use]
pub fn day_directories(entries: &[Entry], expectations: &[Expect]) -> Vec<Finding> {
    let mut newest: BTreeMap<(Engine, RelPath), &Entry> = BTreeMap::new();
    for entry in entries {
        let one = newest.entry((entry.manifest.id.engine, counted_as(expectations, entry))).or_insert(entry);
        *one = if entry.manifest.date > one.manifest.date { entry } else { one };
    }
    let by_day = newest.into_iter().filter(|((_, app), entry)| *app != entry.manifest.id.app);
    by_day
        .filter(|((engine, app), _)| {
            expect::of_app(expectations, *engine, app).is_none_or(|expect| expect.app.is_none())
        })
        .map(|((engine, app), entry)| engines::day_directory(engine, &entry.manifest.id.app, &app))
        .collect()
}

/// The app that a set counts for.
fn counted_as(expectations: &[Expect], entry: &Entry) -> RelPath {
    let id = &entry.manifest.id;
    let above = engines::above_a_day(expectations, id.engine, &id.app);
    above.map_or_else(|| id.app.clone(), |(above, _)| above)
}

/// Whether a set is a good one that restores by itself.
fn is_full(entry: &Entry, now: NaiveDateTime) -> bool {
    entry.is_good() && !entry.manifest.date.lies_ahead(now.date()) && !entry.manifest.needs_another()
}

fn judge_app(
    (engine, app): (Engine, RelPath),
    entries: &[&Entry],
    listed: &HashMap<&str, &Listed>,
    (ages, full): (Option<Ages>, Option<&Entry>),
    now: NaiveDateTime,
) -> App {
    let (mut state, mut why) = (if ages.is_some() { State::Ok } else { State::Retired }, Vec::new());
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
    if full.is_none() && !good.is_empty() && ages.is_some() {
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
    // Several databases, and fulls and logs of one, may lie in one directory.
    let shape = |entry: &Entry| inspect::shape(entry.manifest.id.name.as_str());
    let alike = good.iter().rev().filter(|entry| newest.is_some_and(|newest| shape(newest) == shape(entry)));
    let median_size = median(alike.take(MEDIAN_OF).map(|entry| entry.manifest.plain_bytes()).collect());
    let newest = newest.map(|entry| newest_of(entry, now));
    let newest_full = full.map(|entry| Full {
        key: entry.manifest.id.key(),
        date: entry.manifest.date,
        age_seconds: age_seconds(entry.manifest.date, now),
    });
    match (&newest, ages) {
        (_, None) => {}
        (None, Some(_)) => {
            state = State::Critical;
            why.push("there is no good backup".to_owned());
        }
        (Some(newest), Some(ages)) => {
            let is_old = newest.age_seconds > ages.newest.as_secs();
            if is_old {
                state = State::Critical;
                why.push(format!(
                    "the newest good backup is {} old, and {} are allowed",
                    hours(newest.age_seconds),
                    hours(ages.newest.as_secs())
                ));
            }
            // Of one that is the newest too it was said.
            if let Some(full) = newest_full.as_ref().filter(|full| !is_old || full.key != newest.key)
                && full.age_seconds > ages.full.as_secs()
            {
                state = State::Critical;
                why.push(format!(
                    "the newest full backup, {}, is {} old, and {} are allowed (full_rpo): what came after it \
                     restores only on top of it",
                    full.key,
                    hours(full.age_seconds),
                    hours(ages.full.as_secs())
                ));
            }
            if median_size.is_some_and(|median| newest.size < median / 10) {
                state = state.max(State::Warning);
                why.push("the newest good backup has less than a tenth of the usual size".to_owned());
            }
        }
    }
    App {
        engine,
        app,
        state,
        why,
        rpo_seconds: ages.map(|ages| ages.newest.as_secs()),
        full_rpo_seconds: ages.map(|ages| ages.full.as_secs()),
        newest,
        newest_full,
        median_size,
    }
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
        age_seconds: age_seconds(manifest.date, now),
        size: manifest.plain_bytes(),
        proof,
        proven,
    }
}

/// Seconds since the end of a day.
fn age_seconds(date: BackupDate, now: NaiveDateTime) -> u64 {
    let day = date.day();
    let end = day.checked_add_days(Days::new(1)).unwrap_or(day).and_time(chrono::NaiveTime::MIN);
    u64::try_from((now - end).num_seconds()).unwrap_or(0)
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
    // Where all are retired, nothing is amiss.
    apps.iter().map(|app| app.state).max().map_or(State::Critical, |worst| worst.max(State::Ok))
}
