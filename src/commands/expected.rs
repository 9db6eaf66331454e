//! `[[expect]]` at the end of a run: what of its days is missing, on the disk or in the bucket.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::setup::Site;
use crate::bucket::ErrorKind;
use crate::config::Config;
use crate::engines::Passed;
use crate::expect::{self, Days, Outcome};
use crate::manifest::Manifest;
use crate::model::{BackupDate, Engine, Finding, Proof, RelPath, Severity, Target};
use crate::report::{SetReport, Status};

/// With `app = "*"`, an app that had a backup within so many days before the run is expected.
const EXPECT_DAYS: u64 = 30;

/// A backup of an app, by its date.
pub(super) type Dated = (Engine, RelPath, BackupDate);

/// What is known of the apps, on the disk and in the bucket.
#[derive(Debug)]
struct Known {
    apps: BTreeSet<(Engine, RelPath)>,
    /// Good backups in the bucket.
    stored: BTreeSet<Dated>,
    /// Each app's earliest backup, of whatever worth.
    firsts: BTreeMap<(Engine, RelPath), BackupDate>,
    /// An app with a backup since then is one that goes on.
    recent: NaiveDate,
}

impl Known {
    fn begins(&mut self, app: (Engine, RelPath), date: BackupDate) {
        let first = self.firsts.entry(app).or_insert(date);
        *first = date.min(*first);
    }

    fn add(&mut self, manifest: &Manifest, is_good: bool) {
        let (id, date) = (&manifest.id, manifest.date);
        let app = (id.engine, id.app.clone());
        self.begins(app.clone(), date);
        if date.day() >= self.recent {
            self.apps.insert(app);
        }
        if is_good {
            self.stored.insert((id.engine, id.app.clone(), date));
        }
    }
}

/// What `[[expect]]` demands of the days of this run and is not in the bucket after it.
///
/// `apps` are those that the sources know; `"*"` also means those with a backup in the last days. `stored` are
/// backups of which the run knows that the bucket has them, besides `sets`.
pub(super) async fn missing(
    config: &Config,
    site: &Site,
    (target, days): (Target, Days),
    sets: &[SetReport],
    (apps, stored): (BTreeSet<(Engine, RelPath)>, BTreeSet<Dated>),
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let first = days.looked_at.first().day();
    let recent = first.checked_sub_days(chrono::Days::new(EXPECT_DAYS)).unwrap_or(first);
    let mut known = Known { apps, stored: BTreeSet::new(), firsts: BTreeMap::new(), recent };
    for (engine, app, date) in stored {
        known.begins((engine, app.clone()), date);
        known.stored.insert((engine, app, date));
    }
    for set in sets {
        // An app that is no path was refused where its set was found.
        if let Ok(app) = set.app.parse() {
            known.begins((set.engine, app), set.date);
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
    let Known { mut apps, stored, firsts, .. } = known;
    let named = config.expect.iter().filter_map(|expect| Some((expect.engine, expect.app.clone()?)));
    apps.extend(named);
    let asked: Vec<Engine> = target.engines().collect();
    apps.retain(|(engine, _)| asked.contains(engine));
    let expectations: Vec<_> =
        config.expect.iter().filter(|expect| asked.contains(&expect.engine)).cloned().collect();
    let outcomes: Vec<Outcome<'_>> = sets
        .iter()
        .map(|set| Outcome {
            engine: set.engine,
            app: &set.app,
            date: set.date,
            // A plan is as good as it can be.
            stored: matches!(set.status, Status::Sent | Status::Skipped | Status::Planned)
                && !set.is_cut_short(),
            cut_short: set.is_cut_short(),
            why: if set.is_cut_short() { "it is cut short" } else { &set.why },
        })
        .collect();
    findings.extend(expect::missing(&expectations, &apps, &outcomes, &stored, &firsts, days));
    findings
}

/// Apps, as findings name them, of which a backup is still being copied.
pub(super) fn awaited(config: &Config, passed: &[Passed]) -> BTreeSet<String> {
    let app = |passed: &Passed| {
        config.sources.iter().find_map(|(engine, source)| {
            let app = passed.path.strip_prefix(&source.dir).ok()?.parent()?;
            Some(if app.as_os_str().is_empty() {
                engine.to_string()
            } else {
                format!("{engine}/{}", app.display())
            })
        })
    };
    passed.iter().filter(|passed| passed.is_unfinished()).filter_map(app).collect()
}
