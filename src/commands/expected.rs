//! `[[expect]]` at the end of a run: what of its days is missing, on the disk or in the bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::NaiveDate;

use super::found::Found;
use super::setup::Site;
use crate::bucket::ErrorKind;
use crate::config::Config;
use crate::engines::{self, Passed, Why};
use crate::expect::{self, Dated, Days, Known, Outcome};
use crate::manifest::Manifest;
use crate::model::{BackupDate, Engine, Finding, Proof, RelPath, Severity, Target};
use crate::report::{SetReport, Status};

/// With `app = "*"`, an app that had a backup within so many days before the run is expected.
const EXPECT_DAYS: u64 = 30;

/// What the sources know.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    apps: BTreeSet<(Engine, RelPath)>,
    left_out: BTreeMap<Dated, &'static str>,
}

impl Seen {
    pub(super) fn of(config: &Config, found: &Found) -> Self {
        let left_out = found.passed.iter().filter_map(|passed| {
            let option = match passed.why {
                Why::SwitchedOff(option) => option,
                Why::Level1 => "include_level1",
                Why::Excluded(_)
                | Why::OtherDate(_)
                | Why::NoDate
                | Why::InvalidDate(_)
                | Why::NotABackup
                | Why::NearMiss(_)
                | Why::Alike
                | Why::InProgress
                | Why::Symlink
                | Why::LinkedFolder
                | Why::DanglingLink
                | Why::LinkInside
                | Why::BadName(_)
                | Why::Unreadable(_)
                | Why::EmptyFolder => return None,
            };
            let (engine, app) = app_of(config, passed)?;
            let date = engines::date_in_name(engine, passed.path.file_name()?.to_str()?)?;
            Some(((engine, app.to_str()?.parse().ok()?, date), option))
        });
        Self { apps: found.apps.clone(), left_out: left_out.collect() }
    }
}

/// What is being learnt of the apps, on the disk and in the bucket, by which of them they are counted as.
struct Learning<'c> {
    config: &'c Config,
    known: Known<'c>,
    /// An app with a backup since then is one that goes on.
    recent: NaiveDate,
    /// Directories of one day, by the app that they count as.
    days: BTreeMap<(Engine, RelPath), RelPath>,
}

impl Learning<'_> {
    /// The app that one counts as, noted where that is another.
    fn counted(&mut self, engine: Engine, app: RelPath) -> RelPath {
        match engines::above_a_day(&self.config.expect, engine, &app) {
            Some((above, _)) => {
                self.days.insert((engine, above.clone()), app);
                above
            }
            None => app,
        }
    }

    fn is_excluded(&self, engine: Engine, app: &RelPath) -> bool {
        let source = self.config.sources.get(&engine);
        source.is_some_and(|source| source.exclude.matched(Path::new(app.as_str())).is_some())
    }

    /// An app of the source.
    fn saw(&mut self, engine: Engine, app: RelPath) {
        let day = engines::above_a_day(&self.config.expect, engine, &app).map(|(_, day)| day);
        // Old ones may be left from another way to write them.
        if day.is_none_or(|day| day.day() >= self.recent) {
            let app = self.counted(engine, app);
            self.known.apps.insert((engine, app));
        }
    }

    fn begins(&mut self, engine: Engine, app: RelPath, date: BackupDate) {
        let first = self.known.firsts.entry((engine, app)).or_insert(date);
        *first = date.min(*first);
    }

    fn add(&mut self, manifest: &Manifest, is_good: bool) {
        let (engine, date) = (manifest.id.engine, manifest.date);
        // What is excluded now is not missed for what was sent of it once.
        let goes_on = date.day() >= self.recent && !self.is_excluded(engine, &manifest.id.app);
        let app = if goes_on {
            self.counted(engine, manifest.id.app.clone())
        } else {
            let above = engines::above_a_day(&self.config.expect, engine, &manifest.id.app);
            above.map_or_else(|| manifest.id.app.clone(), |(above, _)| above)
        };
        self.begins(engine, app.clone(), date);
        if goes_on {
            self.known.apps.insert((engine, app.clone()));
        }
        if is_good {
            self.known.stored.insert((engine, app, date));
        }
    }
}

/// What `[[expect]]` demands of the days of this run and is not in the bucket after it.
///
/// `"*"` means the apps that the sources know, and those with a backup in the last days. `stored` are backups of
/// which the run knows that the bucket has them, besides `sets`.
pub(super) async fn missing(
    config: &Config,
    site: &Site,
    (target, days): (Target, Days),
    sets: &[SetReport],
    (seen, stored): (Seen, BTreeSet<Dated>),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    // A catch-up looks further back, and an app that ended before is none of it.
    let first = days.asked.first().day();
    let recent = first.checked_sub_days(chrono::Days::new(EXPECT_DAYS)).unwrap_or(first);
    let mut known = Learning { config, known: Known::default(), recent, days: BTreeMap::new() };
    for (engine, app) in seen.apps {
        known.saw(engine, app);
    }
    for ((engine, app, date), option) in seen.left_out {
        let app = known.counted(engine, app);
        known.known.left_out.insert((engine, app, date), option);
    }
    for (engine, app, date) in stored {
        let app = known.counted(engine, app);
        known.begins(engine, app.clone(), date);
        known.known.stored.insert((engine, app, date));
    }
    for set in sets {
        // An app that is no path was refused where its set was found.
        if let Ok(app) = set.app.parse() {
            let app = known.counted(set.engine, app);
            known.begins(set.engine, app.clone(), set.date);
            known.known.outcomes.push(Outcome {
                engine: set.engine,
                app,
                date: set.date,
                // A plan is as good as it can be.
                stored: matches!(set.status, Status::Sent | Status::Skipped | Status::Planned)
                    && !set.is_cut_short(),
                cut_short: set.is_cut_short(),
                why: if set.is_cut_short() { "it is cut short" } else { &set.why },
            });
        }
    }
    // What this host stored it knows, whatever it may read.
    let mut own = Vec::new();
    match site.catalog.load("").await {
        Ok(loaded) => {
            if !loaded.unreadable.is_empty() {
                own.extend(site.catalog.copies());
            }
            // What has expired was there.
            for entry in loaded.entries.values().chain(loaded.expired.entries.values()) {
                known.add(&entry.manifest, entry.is_good());
            }
        }
        Err(error) if error.kind == ErrorKind::Denied => {
            tracing::debug!("the catalog cannot be read for [[expect]]: {error}");
            own.extend(site.catalog.copies());
        }
        Err(error) => findings.push(Finding {
            severity: Severity::Error,
            subject: "[[expect]]".to_owned(),
            what: format!("what is missing cannot be told: {error}"),
            advice: "see the cause, and run it again".to_owned(),
        }),
    }
    for manifest in own {
        known.add(&manifest, manifest.proof() >= Proof::Stored && !manifest.is_cut_short());
    }
    let Learning { mut known, days: day_directories, .. } = known;
    let named = config.expect.iter().filter_map(|expect| Some((expect.engine, expect.app.clone()?)));
    known.apps.extend(named);
    let asked: Vec<Engine> = target.engines().collect();
    known.apps.retain(|(engine, _)| asked.contains(engine));
    let expectations: Vec<_> =
        config.expect.iter().filter(|expect| asked.contains(&expect.engine)).cloned().collect();
    findings.extend(expect::missing(&expectations, &known, days));
    let by_star = |engine, app: &RelPath| {
        expect::of_app(&expectations, engine, app).is_some_and(|expect| expect.app.is_none())
    };
    let by_star = day_directories.iter().filter(|((engine, above), _)| by_star(*engine, above));
    findings.extend(by_star.map(|((engine, above), app)| engines::day_directory(*engine, app, above)));
    findings
}

/// Apps, as findings name them, of which a backup is still being copied.
pub(super) fn awaited(config: &Config, passed: &[Passed]) -> BTreeSet<String> {
    let name = |passed: &Passed| {
        let (engine, app) = app_of(config, passed)?;
        // One that is no path of an app is expected by nobody.
        let app: RelPath = app.to_str()?.parse().ok()?;
        let app = engines::above_a_day(&config.expect, engine, &app).map_or(app, |(above, _)| above);
        Some(if app.is_empty() { engine.to_string() } else { format!("{engine}/{app}") })
    };
    passed.iter().filter(|passed| passed.is_unfinished()).filter_map(name).collect()
}

/// Where something passed over would belong.
fn app_of<'p>(config: &Config, passed: &'p Passed) -> Option<(Engine, &'p Path)> {
    config
        .sources
        .iter()
        .find_map(|(engine, source)| Some((*engine, passed.path.strip_prefix(&source.dir).ok()?.parent()?)))
}
