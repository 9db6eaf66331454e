//! Sets and their files: what is sent together, what stops what, and what is left behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::confirmed::Journey;
use super::existing::Same;
use super::parts::SINGLE_PUT_MAX;
use super::pool::{Pool, Slot};
use super::ranked::{Permit, Rank, Ranked};
use super::uploads::Uploads;
use super::{ConfirmedSet, Events, FileError, FileProgress, ShipError, Watch};
use crate::bucket::{Bucket, ErrorKind, ObjectKey, Overwrite, PutOptions};
use crate::checksum::Checksum;
use crate::engines::{BackupSet, SourceFile};
use crate::formats::Judgement;
use crate::manifest::StoredFile;
use crate::model::{Category, SetId, SetKind};
use crate::retry::Policy;
use crate::source;

/// Large files in flight at once; more would only widen the window of unfinished ones.
const LARGE_FILES: usize = 4;

/// What all uploads of a run share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts and pauses.
    pub policy: Policy,
    /// Requests and memory.
    pub pool: Pool,
    /// Smallest part in bytes.
    pub part_size: u64,
    /// Create only, or the operator's word.
    pub overwrite: Overwrite,
    /// Where progress goes.
    pub events: Events,
    /// Ends the run.
    pub cancel: CancellationToken,
    /// Which uploads are this host's own.
    pub uploads: Arc<Uploads>,
}

/// A set to be sent.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which set.
    pub id: SetId,
    /// As it was found.
    pub set: BackupSet,
    /// Who goes first.
    pub rank: Rank,
    /// How its file is watched on its way; for folders it is not.
    pub watch: Option<Watch>,
}

/// Sends sets to one bucket.
#[derive(Debug, Clone)]
pub struct Uploader {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bucket: Arc<Bucket>,
    pub(super) settings: Settings,
    large: Ranked,
}

/// One file on its way.
#[derive(Debug)]
pub(super) struct FileJob {
    shared: Arc<Shared>,
    pub(super) file: SourceFile,
    pub(super) key: ObjectKey,
    pub(super) retries: AtomicU32,
    /// Whether the key is known to be taken.
    pub(super) taken: bool,
    category: Category,
    pub(super) rank: Rank,
    pub(super) watch: Option<Watch>,
}

/// A file that is stored and compared.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) same: Same,
    pub(super) crc64: Checksum,
    pub(super) parts: u32,
    /// Bytes that went over the network.
    pub(super) bytes: u64,
    /// What the tap said.
    pub(super) judgement: Option<Judgement>,
}

impl Uploader {
    /// To `bucket`.
    #[must_use]
    pub fn new(bucket: Arc<Bucket>, settings: Settings) -> Self {
        let large = Ranked::new(LARGE_FILES);
        Self { shared: Arc::new(Shared { bucket, settings, large }) }
    }

    /// Sends every file of a set and has each confirmed. After the first file that fails no further
    /// one is begun; those under way end.
    ///
    /// # Errors
    /// The first failure; nothing of the set counts as stored then.
    pub async fn ship(&self, order: Order) -> Result<ConfirmedSet, ShipError> {
        let begun = Instant::now();
        let mut tasks: JoinSet<Ended> = JoinSet::new();
        let mut outcome = Outcome::default();
        let taken = match self.taken(&order).await {
            Ok(taken) => taken,
            Err(first) => return Err(ShipError { first, failed: 1, retries: 0 }),
        };
        for file in &order.set.files {
            while let Some(finished) = tasks.try_join_next() {
                outcome.take(finished);
            }
            if !outcome.errors.is_empty() {
                break;
            }
            match self.begin(&order, file, &taken, &mut tasks).await {
                Ok(()) => {}
                Err(error) => outcome.errors.push(error),
            }
        }
        while let Some(finished) = tasks.join_next().await {
            outcome.take(finished);
        }
        if outcome.errors.is_empty()
            && let Err(error) = unchanged_since(&order.set)
        {
            outcome.errors.push(error);
        }
        let retries = outcome.retries;
        let failed = outcome.errors.len();
        if let Some(first) = outcome.errors.into_iter().next() {
            return Err(ShipError { first, failed, retries });
        }
        let mut files = outcome.files;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let seconds = begun.elapsed().as_secs_f64();
        let journey = Journey { seconds, sent_bytes: outcome.bytes, judgement: outcome.judgement };
        Ok(ConfirmedSet::new(order.id, order.set, files, journey))
    }

    /// The set's keys that are taken already. Asked where `If-None-Match` may be ignored: there a put
    /// would write over what lies there. Whoever may not list goes on without.
    async fn taken(&self, order: &Order) -> Result<HashSet<String>, FileError> {
        let Shared { bucket, settings, .. } = &*self.shared;
        if bucket.is_aws() || settings.overwrite == Overwrite::Replace {
            return Ok(HashSet::new());
        }
        let slash = match order.set.kind {
            SetKind::File => "",
            SetKind::Folder => "/",
        };
        let prefix = format!("{}{}{slash}", bucket.layout().prefix(), order.id.key());
        let what = format!("look for objects of {}", order.id);
        let retries = AtomicU32::new(0);
        let listed = tokio::select! {
            listed = settings.policy.run(&what, &retries, || bucket.list(&prefix)) => listed,
            () = settings.cancel.cancelled() => return Err(FileError::Cancelled),
        };
        match listed {
            Ok(listed) => Ok(listed.into_iter().map(|object| object.key).collect()),
            Err(error) if error.kind == ErrorKind::Denied => Ok(HashSet::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn begin(
        &self,
        order: &Order,
        file: &SourceFile,
        taken: &HashSet<String>,
        tasks: &mut JoinSet<Ended>,
    ) -> Result<(), FileError> {
        let shared = &self.shared;
        let cancel = shared.settings.cancel.clone();
        let key = shared.bucket.layout().data(&order.id, &file.rel)?;
        let job = Arc::new(FileJob {
            shared: shared.clone(),
            file: file.clone(),
            taken: taken.contains(key.as_str()),
            key,
            retries: AtomicU32::new(0),
            category: order.id.category,
            rank: order.rank,
            watch: order.watch,
        });
        let rank = order.rank;
        let work = async {
            if file.stamp.size <= SINGLE_PUT_MAX {
                Way::Small(shared.settings.pool.slot(rank).await)
            } else {
                Way::Large(shared.large.acquire(rank).await)
            }
        };
        let way = tokio::select! {
            way = work => way,
            () = cancel.cancelled() => return Err(FileError::Cancelled),
        };
        tasks.spawn(async move {
            let result = job.run(way, &cancel).await;
            Ended { result, retries: job.retried() }
        });
        Ok(())
    }
}

/// How a file goes, with the place it holds.
#[derive(Debug)]
enum Way {
    Small(Slot),
    Large(Permit),
}

/// How one file ended: its record with how it went, or why not.
#[derive(Debug)]
struct Ended {
    result: Result<(StoredFile, Sent), FileError>,
    retries: u32,
}

#[derive(Debug, Default)]
struct Outcome {
    files: Vec<StoredFile>,
    errors: Vec<FileError>,
    retries: u32,
    bytes: u64,
    judgement: Option<Judgement>,
}

impl Outcome {
    fn take(&mut self, finished: Result<Ended, tokio::task::JoinError>) {
        match finished {
            Ok(Ended { result: Ok((file, sent)), retries }) => {
                self.files.push(file);
                self.bytes += sent.bytes;
                self.judgement = self.judgement.take().or(sent.judgement);
                self.retries += retries;
            }
            Ok(Ended { result: Err(error), retries }) => {
                self.errors.push(error);
                self.retries += retries;
            }
            Err(error) => self.errors.push(FileError::Internal(format!("a file's task ended: {error}"))),
        }
    }
}

/// The whole set must be what was found, also after its last file was sent.
fn unchanged_since(set: &BackupSet) -> Result<(), FileError> {
    for file in &set.files {
        source::still_the_same(&file.path, &file.stamp)
            .map_err(|changed| FileError::Changed { path: file.path.clone(), changed })?;
    }
    Ok(())
}

impl FileJob {
    pub(super) fn bucket(&self) -> &Bucket {
        &self.shared.bucket
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.shared.settings.pool
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.shared.settings.policy
    }

    pub(super) fn part_size(&self) -> u64 {
        self.shared.settings.part_size
    }

    pub(super) fn overwrite(&self) -> Overwrite {
        self.shared.settings.overwrite
    }

    pub(super) fn uploads(&self) -> &Uploads {
        &self.shared.settings.uploads
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn options(&self) -> PutOptions {
        PutOptions {
            category: Some(self.category),
            overwrite: self.overwrite(),
            content_type: "application/octet-stream",
        }
    }

    async fn run(
        self: &Arc<Self>,
        way: Way,
        cancel: &CancellationToken,
    ) -> Result<(StoredFile, Sent), FileError> {
        let label = self.file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let progress = Arc::new(self.shared.settings.events.start(&label, self.file.stamp.size));
        let begun = Instant::now();
        let result = tokio::select! {
            result = self.send(way, &progress) => result,
            () = cancel.cancelled() => Err(FileError::Cancelled),
        };
        match result {
            Ok(sent) => {
                self.log_sent(&sent, begun.elapsed());
                Ok((self.stored(&sent), sent))
            }
            Err(error) => Err(error),
        }
    }

    async fn send(self: &Arc<Self>, way: Way, progress: &Arc<FileProgress>) -> Result<Sent, FileError> {
        let mut way = Some(way);
        loop {
            let algorithm = self.bucket().algorithm();
            let result = match way.take() {
                Some(Way::Small(slot)) => self.put_small(slot, progress).await,
                Some(Way::Large(permit)) => {
                    let _held = permit;
                    self.put_large(progress).await
                }
                None if self.file.stamp.size <= SINGLE_PUT_MAX => {
                    let slot = self.pool().slot(self.rank).await;
                    self.put_small(slot, progress).await
                }
                None => self.put_large(progress).await,
            };
            match result {
                Err(FileError::Bucket(error))
                    if error.blames_checksum() && self.bucket().step_down(algorithm) => {}
                other => return other,
            }
        }
    }

    fn log_sent(&self, sent: &Sent, took: Duration) {
        let size = self.file.stamp.size;
        let path = self.file.path.display();
        let key = self.bucket().uri(self.key.as_str());
        if sent.bytes == 0 && size > 0 {
            tracing::info!(key, bytes = size, "[PRESENT] {path}: S3 has the same bytes already");
            return;
        }
        let seconds = took.as_secs_f64();
        tracing::info!(
            key,
            bytes = size,
            seconds = format!("{seconds:.2}"),
            rate = super::rate(sent.bytes, seconds),
            "[SENT] {path} ({})",
            ByteSize(size).display().si()
        );
    }

    fn stored(&self, sent: &Sent) -> StoredFile {
        StoredFile {
            path: self.file.rel.clone(),
            key: self.key.to_string(),
            size: self.file.stamp.size,
            mtime: DateTime::<Utc>::from(self.file.stamp.mtime),
            mode: self.file.stamp.mode,
            checksum: sent.crc64.clone(),
            s3_checksum: sent.same.s3_checksum.clone(),
            confirmed: sent.same.confirmed,
            etag: sent.same.etag.clone(),
            version_id: sent.same.version.clone(),
            parts: sent.parts,
            retries: self.retried(),
        }
    }
}
