//! Objects become files: ranges in flight together, pinned to one version or entity tag, written where
//! they belong, their checksums folded and compared with the manifest's. What an interrupted restore
//! wrote of the same object is read again and not fetched again.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Events;
use super::parts::PartPlan;
use super::pool::Pool;
use super::range::{Journal, Range};
use super::ranges::FileRanges;
use super::ranked::Rank;
use super::room::preallocate;
use crate::bucket::{Bucket, BucketError, ErrorKind, KeyError, ObjectKey};
use crate::checksum::{Algorithm, Checksum, Digest, Fold};
use crate::codec::{Coding, Identities};
use crate::manifest::StoredFile;
use crate::retry::Policy;

/// An object to be fetched.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The full key.
    pub key: ObjectKey,
    /// Bytes it must have.
    pub size: u64,
    /// The version the manifest names, on a versioned bucket.
    pub version: Option<String>,
    /// What all its bytes must give; none for an object without a manifest.
    pub checksum: Option<Checksum>,
    /// How its bytes were made from a file's, where they are not the same.
    pub coding: Option<Coding>,
}

impl Wanted {
    /// Whether `identities` open it, if it has to be opened.
    ///
    /// # Errors
    /// [`FetchError::NoIdentity`] where they do not.
    pub fn openable(&self, identities: &Identities) -> Result<(), FetchError> {
        let recipients = self.coding.as_ref().map_or(&[][..], |coding| &coding.recipe.recipients);
        if recipients.is_empty() || identities.open(recipients) {
            return Ok(());
        }
        let recipients = recipients.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        Err(FetchError::NoIdentity { key: self.key.to_string(), recipients, none: identities.is_empty() })
    }

    /// The object that a manifest names.
    ///
    /// # Errors
    /// Where its key is none.
    pub fn of(file: &StoredFile) -> Result<Self, KeyError> {
        Ok(Self {
            key: ObjectKey::new(file.key.clone())?,
            size: file.size,
            version: file.version_id.clone(),
            checksum: Some(file.checksum.clone()),
            coding: file.coding.clone(),
        })
    }

    /// Bytes of the file that it becomes.
    #[must_use]
    pub fn plain_size(&self) -> u64 {
        self.coding.as_ref().map_or(self.size, |coding| coding.plain_size)
    }
}

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// S3 or the way to it.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The object is not what the manifest says.
    #[error("{key} is damaged: {how}")]
    Damaged {
        /// The key.
        key: String,
        /// What differs.
        how: String,
    },
    /// It is encrypted to others.
    #[error(
        "{key} is encrypted to {recipients}; {}",
        if *none {
            "name the file that holds the secret key: --identity FILE"
        } else {
            "none of the identities that were given opens it"
        }
    )]
    NoIdentity {
        /// The key.
        key: String,
        /// The public keys that it is for.
        recipients: String,
        /// Whether no identity was given at all.
        none: bool,
    },
    /// The disk did not take it.
    #[error("write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The disk is full, or a quota is.
    #[error(
        "write {}: {source}: it needs {needed} bytes more and its file system has {free} free, {} too few; make room \
         and give the same command again, which goes on where it stopped",
        path.display(),
        needed.saturating_sub(*free)
    )]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// Bytes of it that have no place yet.
        needed: u64,
        /// Bytes that the file system has; a quota may grant fewer.
        free: u64,
        /// The system's words.
        source: std::io::Error,
    },
    /// The run was interrupted.
    #[error("interrupted")]
    Cancelled,
    /// A task of ours ended without an answer.
    #[error("internal: {0}")]
    Internal(String),
}

impl FetchError {
    /// The system's refusal to write to `file`, which is to have `size` bytes.
    pub(super) fn write(path: &Path, file: &File, size: u64, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{QuotaExceeded, StorageFull};
        use std::os::unix::fs::MetadataExt as _;
        let path = path.to_owned();
        if !matches!(source.kind(), StorageFull | QuotaExceeded) {
            return Self::Write { path, source };
        }
        let there = file.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        let free = rustix::fs::fstatvfs(file).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
        Self::NoRoom { path, needed: size.saturating_sub(there), free, source }
    }
}

/// What all downloads of a command share.
#[derive(Debug, Clone)]
pub struct Downloader {
    /// The bucket.
    pub bucket: Arc<Bucket>,
    /// Requests and memory.
    pub pool: Pool,
    /// Attempts and pauses.
    pub policy: Policy,
    /// Bytes of a range.
    pub part_size: u64,
    /// What opens objects that are encrypted.
    pub identities: Identities,
    /// Where progress goes.
    pub events: Events,
    /// Ends the command.
    pub cancel: CancellationToken,
}

/// What the ranges of one object are pinned to.
#[derive(Debug, Clone, Default)]
pub(super) struct Pin {
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
}

impl Pin {
    /// What the ranges of the same object, and of no other, have in common; `None` where nothing tells.
    fn identity(&self, wanted: &Wanted) -> Option<String> {
        let version = self.version.as_ref().map(|version| format!("version {version}"));
        let etag = || self.etag.as_ref().map(|etag| format!("etag {etag}"));
        let content = || wanted.checksum.as_ref().map(ToString::to_string);
        version.or_else(etag).or_else(content)
    }
}

impl Downloader {
    /// Makes a file of one object: fetches it, compares every byte with the wanted checksum, and decodes
    /// it where it is coded (its bytes then lie in [`super::stored_name`] meanwhile). The computed
    /// checksum of the object is returned, for those that had none. Ranges that `before` knows, and that
    /// are still there, are not fetched again.
    ///
    /// # Errors
    /// [`FetchError::Damaged`] where size or checksum differ; the file then holds what arrived.
    pub async fn fetch(
        &self,
        wanted: &Wanted,
        file: File,
        path: &Path,
        before: Option<FileRanges>,
    ) -> Result<Checksum, FetchError> {
        tokio::select! {
            result = self.fetch_and_decode(wanted, file, path, before) => result,
            () = self.cancel.cancelled() => Err(FetchError::Cancelled),
        }
    }

    /// Fetches one object as it is into `file`, which is cut to its size.
    pub(super) async fn fetch_stored(
        &self,
        wanted: &Wanted,
        file: File,
        path: &Path,
        before: Option<FileRanges>,
    ) -> Result<Checksum, FetchError> {
        let label = path.file_name().unwrap_or_default().to_string_lossy();
        let label = label.trim_end_matches(super::unpack::STORED).trim_end_matches(".partial");
        let progress = Arc::new(self.events.start(label, wanted.size));
        let file = Arc::new(file);
        let written = file.clone();
        let write_error = |source| FetchError::write(path, &written, wanted.size, source);
        let was_there = file.metadata().map_err(write_error)?.len() == wanted.size;
        let (roomy, size) = (file.clone(), wanted.size);
        let room = tokio::task::spawn_blocking(move || preallocate(&roomy, size));
        let (room, pin) = tokio::join!(room, self.pin(wanted));
        room.map_err(|error| FetchError::Internal(error.to_string()))?.map_err(write_error)?;
        let pin = pin?;
        let algorithm = wanted.checksum.as_ref().map_or(Algorithm::Crc64Nvme, |sum| sum.algorithm);
        let journal = before.zip(pin.identity(wanted)).map(|(ranges, of)| Journal { ranges, of });
        let plan = PartPlan::ranges(wanted.size, self.range());
        let mut tasks: JoinSet<Result<(i32, Digest), FetchError>> = JoinSet::new();
        let mut whole = Fold::default();
        let turn: Arc<Mutex<()>> = Arc::default();
        for part in plan.parts() {
            while let Some(finished) = tasks.try_join_next() {
                let (number, digest) = joined(finished)?;
                whole.add(number, digest);
            }
            let closed = |error: super::pool::Closed| FetchError::Internal(error.to_string());
            let slot = self.pool.slot(Rank::default()).await;
            let len = usize::try_from(part.len).unwrap_or(usize::MAX);
            let buffer = self.pool.buffer(len).await.map_err(closed)?;
            let range = Range {
                downloader: self.clone(),
                key: wanted.key.clone(),
                size: wanted.size,
                pin: pin.clone(),
                part,
                algorithm,
                file: file.clone(),
                turn: turn.clone(),
                path: path.to_owned(),
                journal: journal.clone(),
                was_there,
            };
            tasks.spawn(range.fetch(slot, buffer, progress.clone()));
        }
        while let Some(finished) = tasks.join_next().await {
            let (number, digest) = joined(finished)?;
            whole.add(number, digest);
        }
        let whole = whole
            .finish()
            .ok_or_else(|| FetchError::Internal("an object without all of its ranges".to_owned()))?;
        compare(wanted, &whole).inspect_err(|_| {
            if let Some(journal) = &journal {
                journal.ranges.forget();
            }
        })?;
        let synced = file.clone();
        tokio::task::spawn_blocking(move || synced.sync_all())
            .await
            .map_err(|error| FetchError::Internal(error.to_string()))?
            .map_err(write_error)?;
        Ok(whole)
    }

    /// Bytes of a range: a usual part, as long as several fit into the memory.
    fn range(&self) -> u64 {
        self.part_size.min(self.pool.largest_buffer())
    }

    /// Several ranges of one object must come from one version of it.
    pub(super) async fn pin(&self, wanted: &Wanted) -> Result<Pin, FetchError> {
        if wanted.version.is_some() || wanted.size <= self.range() {
            return Ok(Pin { etag: None, version: wanted.version.clone() });
        }
        let what = format!("look at {}", wanted.key);
        let info = self.policy.run(&what, &AtomicU32::new(0), || self.bucket.head(&wanted.key)).await?;
        let Some(info) = info else {
            return Err(gone(&wanted.key).into());
        };
        if info.size != wanted.size {
            return Err(other_size(wanted, info.size));
        }
        Ok(Pin { etag: info.etag, version: info.version })
    }
}

pub(super) fn short(key: &ObjectKey, arrived: u64, wanted: u64) -> BucketError {
    BucketError {
        verb: "read object",
        object: key.to_string(),
        kind: ErrorKind::Unreachable,
        detail: format!("the connection ended: {arrived} of {wanted} bytes arrived"),
    }
}

fn gone(key: &ObjectKey) -> BucketError {
    BucketError {
        verb: "look at object",
        object: key.to_string(),
        kind: ErrorKind::NotFound,
        detail: "the manifest names it, and it is not there".to_owned(),
    }
}

fn other_size(wanted: &Wanted, size: u64) -> FetchError {
    FetchError::Damaged {
        key: wanted.key.to_string(),
        how: format!("it has {size} bytes where {} were stored", wanted.size),
    }
}

pub(super) fn other_bytes(key: &ObjectKey, error: &BucketError) -> FetchError {
    FetchError::Damaged { key: key.to_string(), how: error.detail.clone() }
}

pub(super) fn compare(wanted: &Wanted, whole: &Checksum) -> Result<(), FetchError> {
    match wanted.checksum.as_ref().map(|sum| (sum, sum.agrees(whole))) {
        None | Some((_, Some(true))) => Ok(()),
        Some((sum, _)) => Err(FetchError::Damaged {
            key: wanted.key.to_string(),
            how: format!("its bytes give {whole} and the manifest says {sum}"),
        }),
    }
}

fn joined(
    finished: Result<Result<(i32, Digest), FetchError>, tokio::task::JoinError>,
) -> Result<(i32, Digest), FetchError> {
    finished.unwrap_or_else(|error| Err(FetchError::Internal(format!("a range's task ended: {error}"))))
}
