//! Objects become files in the place that was prepared for them.

use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use super::setup::Failure;
use crate::bucket::ObjectKey;
use crate::checksum::Checksum;
use crate::codec::Member;
use crate::model::ExitCode;
use crate::report;
use crate::restore::{Place, PlaceError};
use crate::transfer::{
    Downloader, FetchError, FileRanges, Folder, Ranges, Wanted, file_of_stored, stored_name,
};

/// Files under way at once within a folder; their ranges share one pool.
const FILES_AT_ONCE: usize = 64;

/// One object with its place below the destination.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) wanted: Wanted,
    /// Path below the folder; empty for a single file.
    pub(super) rel: String,
    pub(super) stamp: Option<(DateTime<Utc>, u32)>,
}

impl Item {
    /// Whether it is a whole folder.
    pub(super) fn is_packed(&self) -> bool {
        self.wanted.coding.as_ref().is_some_and(|coding| !coding.members.is_empty())
    }
}

/// Bytes that the files take, and beside them the objects that are being decoded.
pub(super) fn room(items: &[Item]) -> u64 {
    let mut coded: Vec<u64> =
        items.iter().filter(|item| item.wanted.coding.is_some()).map(|item| item.wanted.size).collect();
    coded.sort_unstable_by(|a, b| b.cmp(a));
    let plain: u64 = items.iter().map(|item| item.wanted.plain_size()).sum();
    plain.saturating_add(coded.iter().take(FILES_AT_ONCE).sum())
}

pub(super) async fn single(
    downloader: &Downloader,
    items: &[Item],
    place: &Place,
    file: std::fs::File,
) -> Result<(), Failure> {
    let ranges = ranges(place)?;
    for item in items {
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

pub(super) async fn folder(downloader: Downloader, items: Vec<Item>, place: Place) -> Result<Place, Failure> {
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
pub(super) async fn packed(downloader: &Downloader, item: &Item, place: Place) -> Result<Place, Failure> {
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
    let what = format!("look at {key}");
    let info = downloader.policy.ask(&what, || downloader.bucket.head(key)).await?;
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

pub(super) fn place_failure(error: PlaceError) -> Failure {
    let code = match &error {
        PlaceError::Busy(_) => ExitCode::Locked,
        PlaceError::Exists(_)
        | PlaceError::NotOurs { .. }
        | PlaceError::OtherKind { .. }
        | PlaceError::Strangers { .. }
        | PlaceError::NoSpace { .. }
        | PlaceError::Unsafe(_)
        | PlaceError::Foreign(_)
        | PlaceError::Io { .. } => ExitCode::Failed,
    };
    Failure { code, error: error.into() }
}
