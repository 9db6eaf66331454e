//! `dbbackup restore`: locate, see that there is room, download, compare, rename.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::retrieve::{self, Reading, Retrieval};
use super::setup::{Failure, Site, identities};
use crate::bucket::ObjectKey;
use crate::checksum::Checksum;
use crate::codec::Member;
use crate::config::Config;
use crate::manifest::{Manifest, StoredFile};
use crate::model::{BackupDate, ExitCode, Selector, SetKind, Severity};
use crate::report;
use crate::restore::{Existing, LocateError, Located, Place, PlaceError, locate, locate_latest};
use crate::transfer::{
    Downloader, FetchError, FileRanges, Folder, Ranges, Wanted, file_of_stored, stored_name,
};
use crate::ui;

/// Files under way at once within a folder; their ranges share one pool.
const FILES_AT_ONCE: usize = 64;

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

/// One object with its place below the destination.
#[derive(Debug, Clone)]
struct Item {
    wanted: Wanted,
    /// Path below the folder; empty for a single file.
    rel: String,
    stamp: Option<(DateTime<Utc>, u32)>,
}

impl Item {
    /// Whether it is a whole folder.
    fn is_packed(&self) -> bool {
        self.wanted.coding.as_ref().is_some_and(|coding| !coding.members.is_empty())
    }
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
        Place::prepare(dir, &job.name, room(&job.items), *existing).map_err(place_failure)?;
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
    Ok(ExitCode::Failed)
}

async fn find(site: &Site, what: &What) -> Result<Located, Failure> {
    let failure = |error: LocateError| match error {
        LocateError::Bucket(error) => Failure::from(error),
        LocateError::OtherBucket { .. }
        | LocateError::Text(_)
        | LocateError::Packed { .. }
        | LocateError::Several { .. } => Failure::usage(error),
        LocateError::Nothing(_) | LocateError::NoSet(_) => Failure::from(anyhow::Error::new(error)),
    };
    match what {
        What::Key { key, unproven } => {
            let located = locate(key, &site.catalog, &site.bucket).await.map_err(failure)?;
            match &located {
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
            let manifest = locate_latest(loaded.entries.values(), selector, *date).map_err(failure)?;
            Ok(Located::Set(Box::new(manifest.clone())))
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
        Located::Loose { name, objects } => {
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
    let partial = place.partial().to_owned();
    let fetched = match job.kind {
        SetKind::File => single(&downloader, &job, &mut place).await,
        SetKind::Folder => {
            place.open_folder().map_err(place_failure)?;
            let result = match job.items.as_slice() {
                [item] if item.is_packed() => packed(&downloader, item, place).await,
                _ => folder(downloader, job.items, place).await,
            };
            return finish(result, &partial);
        }
    };
    finish(fetched.map(|()| place), &partial)
}

/// Bytes that the files take, and beside them the objects that are being decoded.
fn room(items: &[Item]) -> u64 {
    let mut coded: Vec<u64> =
        items.iter().filter(|item| item.wanted.coding.is_some()).map(|item| item.wanted.size).collect();
    coded.sort_unstable_by(|a, b| b.cmp(a));
    let plain: u64 = items.iter().map(|item| item.wanted.plain_size()).sum();
    plain.saturating_add(coded.iter().take(FILES_AT_ONCE).sum())
}

fn finish(fetched: Result<Place, Failure>, partial: &std::path::Path) -> Result<PathBuf, Failure> {
    match fetched {
        Ok(place) => place.finish().map_err(place_failure),
        Err(mut failure) => {
            failure.error = failure.error.context(format!("what arrived is in {}", partial.display()));
            Err(failure)
        }
    }
}

async fn single(downloader: &Downloader, job: &Job, place: &mut Place) -> Result<(), Failure> {
    let file = place.open_file().map_err(place_failure)?;
    let ranges = ranges(place)?;
    for item in &job.items {
        let handle = file.try_clone().context("open the partial file twice")?;
        verified(downloader, item, handle, place.partial(), ranges.of(&item.rel)).await?;
        stamp(&file, item, place.partial());
    }
    tell_reused(&ranges);
    Ok(())
}

/// The journal beside what is written: an interrupted restore goes on with it.
fn ranges(place: &Place) -> Result<Arc<Ranges>, Failure> {
    let journal = place.open_journal().map_err(place_failure)?;
    let ranges = Ranges::open(journal)
        .with_context(|| format!("read the journal beside {}", place.partial().display()))?;
    Ok(ranges)
}

fn tell_reused(ranges: &Ranges) {
    let reused = ranges.reused();
    if reused > 0 {
        tracing::info!(
            reused,
            "[RESUMED] {} were there from a restore that was interrupted: read again, compared, and not fetched again",
            report::bytes(reused)
        );
    }
}

async fn folder(downloader: Downloader, items: Vec<Item>, place: Place) -> Result<Place, Failure> {
    let rels: std::collections::HashSet<String> = items.iter().map(|item| item.rel.clone()).collect();
    let known = |rel: &str| rels.contains(file_of_stored(rel).unwrap_or(rel));
    place.drop_strangers(&known).map_err(place_failure)?;
    let ranges = ranges(&place)?;
    let place = Arc::new(place);
    let mut tasks: JoinSet<Result<(), Failure>> = JoinSet::new();
    let mut first: Option<Failure> = None;
    for item in items {
        while tasks.len() >= FILES_AT_ONCE {
            first = first.or(ended(tasks.join_next().await));
        }
        if first.is_some() {
            break;
        }
        let (downloader, place) = (downloader.clone(), place.clone());
        let before = ranges.of(&item.rel);
        tasks.spawn(async move {
            let (path, file) = place.open_inside(&item.rel).map_err(place_failure)?;
            let handle = file.try_clone().context("open a file twice")?;
            verified(&downloader, &item, handle, &path, before).await?;
            stamp(&file, &item, &path);
            Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        first = first.or(ended(Some(done)));
    }
    if let Some(failure) = first {
        return Err(failure);
    }
    tell_reused(&ranges);
    Arc::try_unwrap(place).map_err(|_| Failure::from(anyhow::anyhow!("internal: the place is still in use")))
}

/// Name inside the partial folder of the object that it is made of.
const ARCHIVE: &str = "archive";

/// A folder out of one object.
async fn packed(downloader: &Downloader, item: &Item, place: Place) -> Result<Place, Failure> {
    let stored = stored_name(std::path::Path::new(ARCHIVE));
    let stored = stored.to_string_lossy();
    place.drop_strangers(&|rel| rel == stored).map_err(place_failure)?;
    let ranges = ranges(&place)?;
    let (path, file) = place.open_inside(&stored).map_err(place_failure)?;
    let place = Arc::new(place);
    let members = item.wanted.coding.as_ref().map_or(&[][..], |coding| &coding.members);
    let before = Some(ranges.of(ARCHIVE));
    downloader
        .fetch_packed(&item.wanted, (file, &path), before, Inside(place.clone()))
        .await
        .map_err(fetch_failure)?;
    tell_reused(&ranges);
    for member in members {
        let (path, file) = place.open_inside(member.path.as_str()).map_err(place_failure)?;
        let stamped = Some((member.mtime, member.mode));
        stamp(&file, &Item { stamp: stamped, ..item.clone() }, &path);
    }
    std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
    Arc::try_unwrap(place).map_err(|_| Failure::from(anyhow::anyhow!("internal: the place is still in use")))
}

/// The partial folder.
struct Inside(Arc<Place>);

impl Folder for Inside {
    fn open(&mut self, member: &Member) -> std::io::Result<std::fs::File> {
        let (_, file) = self.0.open_inside(member.path.as_str()).map_err(std::io::Error::other)?;
        file.set_len(0)?;
        Ok(file)
    }
}

fn ended(done: Option<Result<Result<(), Failure>, tokio::task::JoinError>>) -> Option<Failure> {
    match done {
        None | Some(Ok(Ok(()))) => None,
        Some(Ok(Err(failure))) => Some(failure),
        Some(Err(error)) => Some(Failure::from(anyhow::anyhow!("internal: a file's task ended: {error}"))),
    }
}

/// Fetches one object and, where there is no manifest, compares with the checksum S3 keeps.
async fn verified(
    downloader: &Downloader,
    item: &Item,
    file: std::fs::File,
    path: &std::path::Path,
    before: FileRanges,
) -> Result<(), Failure> {
    let mut wanted = item.wanted.clone();
    if wanted.checksum.is_none() {
        wanted.checksum = s3_checksum(downloader, &wanted.key).await?;
    }
    downloader.fetch(&wanted, file, path, Some(before)).await.map_err(fetch_failure)?;
    Ok(())
}

async fn s3_checksum(downloader: &Downloader, key: &ObjectKey) -> Result<Option<Checksum>, Failure> {
    let info = downloader.bucket.head(key).await?;
    let whole = |sum: &Checksum| {
        sum.scope == crate::checksum::Scope::FullObject && sum.algorithm != crate::checksum::Algorithm::Sha256
    };
    Ok(info.and_then(|info| info.checksum).filter(whole))
}

/// Gives the file the time and the permission bits it had at the source. A file system that refuses
/// them still holds the right bytes, so that is a warning.
fn stamp(file: &std::fs::File, item: &Item, path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let Some((mtime, mode)) = item.stamp else {
        return;
    };
    let set = file
        .set_permissions(std::fs::Permissions::from_mode(mode & 0o777))
        .and_then(|()| file.set_modified(mtime.into()));
    if let Err(error) = set {
        tracing::warn!("keep time and permissions of {}: {error}", path.display());
    }
}

pub(super) fn fetch_failure(error: FetchError) -> Failure {
    match error {
        FetchError::Bucket(error) => Failure::from(error),
        FetchError::Cancelled => Failure { code: ExitCode::Interrupted, error: error.into() },
        FetchError::NoIdentity { .. } => Failure::usage(error),
        FetchError::Damaged { .. }
        | FetchError::Write { .. }
        | FetchError::NoRoom { .. }
        | FetchError::Internal(_) => Failure::from(anyhow::Error::new(error)),
    }
}

fn place_failure(error: PlaceError) -> Failure {
    let code = match &error {
        PlaceError::Busy(_) => ExitCode::Locked,
        PlaceError::Exists(_)
        | PlaceError::NoSpace { .. }
        | PlaceError::Unsafe(_)
        | PlaceError::Io { .. } => ExitCode::Failed,
    };
    Failure { code, error: error.into() }
}
