//! `dbbackup restore`: locate, see that there is room, download, compare, rename.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::placing::{Item, fetch_failure, folder, packed, place_failure, room, single};
use super::retrieve::{self, Reading, Retrieval};
use super::setup::{Failure, Site, identities};
use crate::bucket::ErrorKind;
use crate::calendar;
use crate::catalog::Entry;
use crate::config::Config;
use crate::manifest::{Manifest, StoredFile};
use crate::model::{BackupDate, ExitCode, Selector, SetKind, Severity};
use crate::report;
use crate::restore::{Existing, LocateError, Located, Place, locate, locate_latest, locate_unrecorded};
use crate::transfer::{Downloader, FetchError, Wanted, stored_name};
use crate::ui;

/// What is to be restored.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// By key, full key or URI.
    Key {
        /// As typed.
        key: String,
        /// Whether objects without a manifest are wanted too.
        unproven: bool,
    },
    /// The newest of an engine or app, or that of a date.
    Latest(Selector, Option<BackupDate>),
}

/// Where it goes.
#[derive(Debug, Clone)]
pub(super) enum Where {
    /// Below a directory.
    Dir(PathBuf),
    /// To standard output, for a pipe.
    Stdout,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub(super) struct Order {
    /// Which set.
    pub(super) what: What,
    /// Whither.
    pub(super) place: Where,
    /// Over what is there, or not.
    pub(super) existing: Existing,
    /// Whether what is in an archive class is retrieved and waited for.
    pub(super) retrieval: Option<Retrieval>,
    /// The secret keys for what is encrypted.
    pub(super) identity: Option<PathBuf>,
}

/// Everything about to be restored, as one name.
#[derive(Debug)]
struct Job {
    name: String,
    /// What names it on the command line.
    key: String,
    kind: SetKind,
    items: Vec<Item>,
    /// Whether there is a manifest to compare with.
    proven: bool,
}

impl Job {
    /// Whether what has its place, if anything, is no more than what is restored.
    fn may_replace(&self, place: &mut Place) -> Result<(), Failure> {
        let names: HashSet<String> = self
            .items
            .iter()
            .flat_map(|item| {
                let packed = item.wanted.coding.iter().flat_map(|coding| &coding.members);
                packed.map(|member| member.path.to_string()).chain([item.rel.clone()])
            })
            .collect();
        place.may_replace(self.kind, names).map_err(place_failure)
    }
}

/// Restores, and says with the exit code whether the bytes were compared with a manifest.
pub(super) async fn restore(
    config: &Config,
    order: &Order,
    cancel: CancellationToken,
    lines: &ui::Lines,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let Order { what, place, existing, retrieval, .. } = order;
    let site = Site::new(config).await?;
    let job = job(find(&site, what).await?)?;
    let bytes = job.items.iter().map(|item| item.wanted.plain_size()).sum();
    let stored = job.items.iter().map(|item| item.wanted.size).sum();
    let identities = identities(order.identity.as_deref())?;
    for item in &job.items {
        item.wanted.openable(&identities).map_err(fetch_failure)?;
    }
    // What is in the way shows before a retrieval is paid for, and before hours of waiting.
    if let Where::Dir(dir) = place {
        let mut place = Place::prepare(dir, &job.name, room(&job.items), *existing).map_err(place_failure)?;
        job.may_replace(&mut place)?;
    }
    let wanted = job.items.iter().map(|item| item.wanted.clone()).collect();
    let reading = Reading { name: &job.key, wanted };
    retrieve::readable(&site, config, &reading, *retrieval, &cancel, lines, quiet).await?;
    let (bars, events) = lines.watch("restoring", stored, quiet);
    let downloader = site.downloader(&config.backup, identities, events, cancel);
    let begun = std::time::Instant::now();
    let proven = job.proven;
    let done = match place {
        Where::Stdout => to_stdout(&downloader, &job).await.map(|()| None),
        Where::Dir(dir) => to_dir(downloader.clone(), job, dir, *existing).await.map(Some),
    };
    drop(downloader);
    bars.finish().await;
    let target = done?;
    let seconds = begun.elapsed().as_secs_f64();
    let whither = target.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string());
    tracing::info!(
        bytes,
        seconds = format!("{seconds:.2}"),
        rate = crate::transfer::rate(bytes, seconds),
        "[RESTORED] {whither} ({})",
        report::bytes(bytes)
    );
    if proven {
        return Ok(ExitCode::Done);
    }
    tracing::warn!(
        "{whither}: it has no manifest, so its bytes were compared with S3's own checksum at most; it is not called good"
    );
    if std::path::Path::new(&whither).extension().is_some_and(|end| end == "age") {
        tracing::warn!(
            "{whither}: it is encrypted, and without a manifest stays so: open it with `age -d -i KEYFILE`"
        );
    }
    Ok(ExitCode::Failed)
}

async fn find(site: &Site, what: &What) -> Result<Located, Failure> {
    match what {
        What::Key { key, unproven } => {
            let located = match locate(key, &site.catalog, (&site.bucket, &site.policy)).await {
                Err(LocateError::Bucket(error)) if *unproven && error.kind == ErrorKind::Damaged => {
                    tracing::warn!("{error}; what lies there is restored without it");
                    locate_unrecorded(key, &site.catalog, (&site.bucket, &site.policy)).await?
                }
                located => located?,
            };
            match &located {
                Located::Loose { above: Some(above), .. } if !unproven => Err(Failure::usage(
                    anyhow::anyhow!("{above}, or `dbbackup restore --latest {}`", above.selector()),
                )),
                Located::Loose { objects, .. } if !unproven => Err(Failure::from(anyhow::anyhow!(
                    "{key} has {} objects in the bucket and no manifest: they were sent by another program, or not \
                     completely; --unproven restores them all the same, and nothing vouches for them",
                    objects.len()
                ))),
                _ => Ok(located),
            }
        }
        What::Latest(selector, date) => {
            let loaded = site.catalog.load(&selector.scope()).await?;
            // A record that cannot be read may be of the newest: an older one must not pass for it.
            if let Some(unread) = loaded.findings.iter().find(|finding| finding.severity == Severity::Error) {
                return Err(Failure::from(anyhow::anyhow!(
                    "which set of {selector} is the newest cannot be told: {}: {}; name the set by its key, as \
                     `dbbackup list` prints it",
                    unread.subject,
                    unread.what
                )));
            }
            let today = calendar::today().day();
            let entry = locate_latest(loaded.entries.values(), selector, *date, today)?;
            let newer = |other: &&Entry| {
                let (id, newer) = (&other.manifest.id, other.manifest.date > entry.manifest.date);
                newer && date.is_none() && selector.matches(id)
            };
            for Entry { manifest, .. } in loaded.entries.values().filter(newer) {
                let why =
                    if manifest.is_cut_short() { "it is cut short" } else { "its date lies in the future" };
                tracing::warn!("{} is newer and passed over: {why}", manifest.id);
            }
            for Entry { manifest, .. } in loaded.expired.entries.values().filter(newer) {
                tracing::warn!(
                    "{} is newer and passed over: by its age the bucket has removed it ([s3] expires)",
                    manifest.id
                );
            }
            if entry.manifest.needs_another() {
                tracing::warn!(
                    "{} restores only on top of the full backup before it: see `dbbackup list {selector}`",
                    entry.manifest.id
                );
            }
            if let Some(mark) = entry.failed_drill() {
                tracing::warn!(
                    "{id}: its drill on {} failed: see `dbbackup show {id}`, and `dbbackup list {selector}` for others",
                    mark.at.format("%Y-%m-%d %H:%M UTC"),
                    id = entry.manifest.id
                );
            }
            Ok(Located::Set(Box::new(entry.manifest.clone())))
        }
    }
}

fn job(located: Located) -> Result<Job, Failure> {
    match located {
        Located::Set(manifest) => {
            let items = manifest.files.iter().map(item).collect::<anyhow::Result<_>>()?;
            announce(&manifest);
            let (name, key) = (manifest.id.name.to_string(), manifest.id.key());
            Ok(Job { name, key, kind: manifest.kind, items, proven: true })
        }
        Located::FileOfSet(manifest, file) => {
            announce(&manifest);
            let name = file.path.components().last().unwrap_or_default().to_owned();
            let item = Item { rel: String::new(), ..item(&file)? };
            let key = item.wanted.key.to_string();
            Ok(Job { name, key, kind: SetKind::File, items: vec![item], proven: true })
        }
        Located::Loose { name, objects, .. } => {
            let single = matches!(objects.as_slice(), [(_, path, _)] if path.is_empty());
            let kind = if single { SetKind::File } else { SetKind::Folder };
            let key = objects.first().map_or_else(String::new, |(key, path, _)| {
                let folder = key.as_str().strip_suffix(path.as_str()).unwrap_or(key.as_str());
                format!("{} --unproven", folder.trim_end_matches('/'))
            });
            let items = objects
                .into_iter()
                .map(|(key, rel, size)| Item {
                    wanted: Wanted { key, size, version: None, checksum: None, coding: None },
                    rel,
                    stamp: None,
                })
                .collect();
            Ok(Job { name, key, kind, items, proven: false })
        }
    }
}

fn announce(manifest: &Manifest) {
    if manifest.is_cut_short() {
        let how = manifest.inspection.as_ref().map(|inspection| inspection.verdict.to_string());
        tracing::warn!(
            "{}: it was stored although it is no whole backup: {}",
            manifest.id,
            how.unwrap_or_default()
        );
    }
    tracing::info!(
        files = manifest.contents().len(),
        bytes = manifest.bytes(),
        "restoring {} of {}, stored {} by {}",
        manifest.id,
        manifest.date,
        manifest.created.format("%Y-%m-%d %H:%M UTC"),
        manifest.host
    );
}

fn item(file: &StoredFile) -> anyhow::Result<Item> {
    Ok(Item {
        wanted: Wanted::of(file).with_context(|| format!("use key of {}", file.path))?,
        rel: file.path.to_string(),
        stamp: Some((file.mtime, file.mode)),
    })
}

async fn to_stdout(downloader: &Downloader, job: &Job) -> Result<(), Failure> {
    let [item] = job.items.as_slice() else {
        return Err(Failure::usage(anyhow::anyhow!(
            "{} is a folder of {} files, and --stdout takes one: name one of them, or use --to",
            job.name,
            job.items.len()
        )));
    };
    // The descriptor itself: the standard library's handle keeps lines back and locks.
    let mut out = std::fs::File::from(rustix::io::dup(std::io::stdout()).context("open standard output")?);
    downloader.stream(&item.wanted, &mut out).await.map_err(fetch_failure)?;
    Ok(())
}

async fn to_dir(
    downloader: Downloader,
    job: Job,
    dir: &std::path::Path,
    existing: Existing,
) -> Result<PathBuf, Failure> {
    let mut place = Place::prepare(dir, &job.name, room(&job.items), existing).map_err(place_failure)?;
    job.may_replace(&mut place)?;
    let partial = place.partial().to_owned();
    let fetched = match job.kind {
        SetKind::File => {
            let file = place.open_file().map_err(place_failure)?;
            match single(&downloader, &job.items, &place, file).await {
                Ok(()) => Ok(place),
                Err(failure) => {
                    // Damaged bytes stay, for whoever wants to save some of them.
                    let damaged = matches!(failure.error.downcast_ref(), Some(FetchError::Damaged { .. }));
                    if !damaged && let Err(error) = place.abandon() {
                        tracing::warn!("remove {}, in which nothing is: {error}", partial.display());
                    }
                    Err(failure)
                }
            }
        }
        SetKind::Folder => {
            place.open_folder().map_err(place_failure)?;
            match job.items.as_slice() {
                [item] if item.is_packed() => packed(&downloader, item, place).await,
                _ => folder(downloader, job.items, place).await,
            }
        }
    };
    match fetched {
        Ok(place) => place.finish().map_err(place_failure),
        Err(mut failure) => {
            let stored = stored_name(&partial);
            let arrived: Vec<_> = [partial, stored]
                .into_iter()
                .filter(|path| path.exists())
                .map(|path| path.display().to_string())
                .collect();
            if !arrived.is_empty() {
                let what = format!("what arrived is in {}", arrived.join(" and "));
                failure.error = failure.error.context(what);
            }
            Err(failure)
        }
    }
}
