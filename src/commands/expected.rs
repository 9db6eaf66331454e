//! `[[expect]]` at the end of a run: what of its days is missing, on the disk or in the bucket.

use std::collections::BTreeSet;

use super::setup::Site;
use crate::config::Config;
use crate::expect::{self, Outcome};
use crate::model::{DateRange, Engine, Finding, RelPath, Target};
use crate::report::{SetReport, Status};

/// With `app = "*"`, an app that had a backup within so many days before the run is expected.
const EXPECT_DAYS: u64 = 30;

/// What `[[expect]]` demands of the days of this run and is not in the bucket after it.
///
/// `apps` are those that the sources know; `"*"` also means those with a backup in the last days.
pub(super) async fn missing(
    config: &Config,
    site: &Site,
    (target, days): (Target, DateRange),
    sets: &[SetReport],
    mut apps: BTreeSet<(Engine, RelPath)>,
) -> Vec<Finding> {
    let first = days.first().day();
    let recent = first.checked_sub_days(chrono::Days::new(EXPECT_DAYS)).unwrap_or(first);
    let mut stored = BTreeSet::new();
    match site.catalog.load("").await {
        Ok(loaded) => {
            for entry in loaded.entries.values() {
                let (id, date) = (&entry.manifest.id, entry.manifest.date);
                if date.day() >= recent {
                    apps.insert((id.engine, id.app.clone()));
                }
                if entry.is_good() {
                    stored.insert((id.engine, id.app.clone(), date));
                }
            }
        }
        // A write-only identity knows what this run stored, and the apps on the disk.
        Err(error) => tracing::debug!("the catalog cannot be read for [[expect]]: {error}"),
    }
    let named = config.expect.iter().filter_map(|expect| Some((expect.engine, expect.app.clone()?)));
    apps.extend(named);
    let asked: Vec<Engine> = target.engines().collect();
    apps.retain(|(engine, _)| asked.contains(engine));
    let outcomes: Vec<Outcome<'_>> = sets
        .iter()
        .map(|set| Outcome {
            engine: set.engine,
            app: &set.app,
            date: set.date,
            stored: matches!(set.status, Status::Sent | Status::Skipped) && !set.is_cut_short(),
            cut_short: set.is_cut_short(),
            why: if set.is_cut_short() { "it is cut short" } else { &set.why },
        })
        .collect();
    expect::missing(&config.expect, &apps, &outcomes, &stored, days)
}
