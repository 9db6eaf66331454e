//! A large file: parts in flight together, folded checksum, completion that S3 verifies. Parts that an
//! earlier run left in the bucket are used again where their checksums equal the file's.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::task::JoinSet;

use super::arrived::{Arrived, Done};
use super::begin::{Begin, Failed, First, Unfinished};
use super::existing::Ours;
use super::job::FileJob;
use super::parts::{Part, PartPlan};
use super::reader::{Pages, Sums, blocking, open_as_found, read_into, read_part, read_through, unchanged};
use super::sent::Sent;
use super::tap::Tap;
use super::{FileError, FileProgress};
use crate::bucket::{
    self, BucketError, ErrorKind, MultipartUpload, Overwrite, PartBody, PartReceipt, StoredPart,
};
use crate::codec::Coding;
use crate::source::OpenFile;

/// A streamed part holds about this much memory while it is sent.
pub(super) const STREAM_MEMORY: usize = 3 << 20;

impl FileJob {
    /// Sends the file in parts.
    pub(super) async fn put_large(self: &Arc<Self>, progress: &Arc<FileProgress>) -> Result<Sent, FileError> {
        let size = self.file.stamp.size;
        let plan = PartPlan::new(size, self.part_size())
            .map_err(|source| FileError::TooLarge { path: self.file.path.clone(), source })?;
        let open = Arc::new(open_as_found(&self.file)?);
        // `If-None-Match` speaks only at completion; ask before sending terabytes for nothing.
        let mut begin = match Box::pin(self.ask_and_begin()).await? {
            First::Begin(begin) => begin,
            First::Taken => match self.already_there(&open, plan, progress).await? {
                Some(sent) => return Ok(sent),
                None if self.compare_only => return Err(self.gone()),
                None => Begin::WhereItStopped,
            },
        };
        let mut attempt = 1;
        loop {
            match self.try_large(&open, plan, progress, begin).await {
                Ok(sent) => return Ok(sent),
                Err(failed) => begin = self.begin_again(failed, &mut attempt).await?,
            }
        }
    }

    async fn already_there(
        &self,
        open: &Arc<OpenFile>,
        plan: PartPlan,
        progress: &FileProgress,
    ) -> Result<Option<Sent>, FileError> {
        let size = self.file.stamp.size;
        let path: Arc<Path> = self.file.path.as_path().into();
        let wire = self.bucket().algorithm();
        let tap = Tap::new(self.watch);
        let (sums, tap) = read_through(open.clone(), path, 0, size, wire, tap, Pages::Go).await?;
        unchanged(open, &self.file.stamp, &self.file.path)?;
        let judgement = tap.end(&self.file.path)?;
        let ours = Ours { size, crc64: sums.crc64().full_object(), wire: Some(sums.wire().full_object()) };
        let same = self.existing(&ours).await?;
        progress.advance(size);
        let parts = u32::try_from(plan.count()).unwrap_or(u32::MAX);
        Ok(same.map(|same| Sent { same, size, crc64: ours.crc64, parts, bytes: 0, judgement, coding: None }))
    }

    async fn try_large(
        self: &Arc<Self>,
        open: &Arc<OpenFile>,
        plan: PartPlan,
        progress: &Arc<FileProgress>,
        begin: Begin,
    ) -> Result<Sent, Failed> {
        let open_upload = self.upload_for(begin).await?;
        let Unfinished { upload, parts, .. } = &open_upload;
        let result = self.send_and_complete(upload, parts, open, plan, progress).await;
        self.conclude(open_upload, result).await
    }

    async fn send_and_complete(
        self: &Arc<Self>,
        upload: &Arc<MultipartUpload>,
        stored: &HashMap<i32, StoredPart>,
        open: &Arc<OpenFile>,
        plan: PartPlan,
        progress: &Arc<FileProgress>,
    ) -> Result<Sent, FileError> {
        let (done, tap) = self.send_parts(upload, stored, open, plan, progress).await?;
        unchanged(open, &self.file.stamp, &self.file.path)?;
        let judgement = tap.end(&self.file.path)?;
        let sent = self.complete(upload, done, self.file.stamp.size, None).await?;
        Ok(Sent { judgement, ..sent })
    }

    /// Completes an upload of `size` bytes whose parts are all in the bucket, and compares.
    pub(super) async fn complete(
        &self,
        upload: &MultipartUpload,
        arrived: Arrived,
        size: u64,
        coding: Option<&Coding>,
    ) -> Result<Sent, FileError> {
        let bytes = arrived.bytes;
        let whole = arrived.whole(size, upload.algorithm.is_some());
        let (receipts, ours) =
            whole.ok_or_else(|| FileError::Internal("an upload lacks a part".to_owned()))?;
        let parts = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
        if let Some(coding) = coding {
            self.note_sealed(&ours, parts, coding);
        }
        let what = format!("complete upload of {}", self.file.path.display());
        let reply = self
            .policy()
            .run(&what, &self.retries, || {
                self.bucket().complete_multipart(
                    upload,
                    &receipts,
                    ours.size,
                    ours.wire.as_ref(),
                    self.overwrite(),
                )
            })
            .await;
        let same = match reply {
            Ok(receipt) => self.confirm(receipt, &ours).await?,
            Err(error) => {
                let same = self.after_failed_completion(error, &ours).await?;
                // Somebody else's object equals the file: our parts are of no use then.
                self.abort(upload).await;
                same
            }
        };
        Ok(Sent { same, size, crc64: ours.crc64, parts, bytes, judgement: None, coding: None })
    }

    /// A completion can succeed although its answer was an error, or never came: look before deciding.
    async fn after_failed_completion(
        &self,
        error: BucketError,
        ours: &Ours,
    ) -> Result<super::existing::Same, FileError> {
        let may_be_there = error.is_transient()
            || matches!(error.kind, ErrorKind::Precondition | ErrorKind::NoSuchUpload | ErrorKind::NotFound);
        if !may_be_there {
            return Err(error.into());
        }
        match self.existing(ours).await {
            Ok(Some(same)) => Ok(same),
            Err(FileError::NotCompared { key }) if error.kind == ErrorKind::Precondition => {
                Err(FileError::NotCompared { key })
            }
            Ok(None) | Err(FileError::NotCompared { .. }) => Err(error.into()),
            // What is to be replaced is there still: no news of what became of the completion.
            Err(FileError::OtherContent { .. }) if self.overwrite() == Overwrite::Replace => {
                Err(error.into())
            }
            Err(other) => Err(other),
        }
    }

    async fn send_parts(
        self: &Arc<Self>,
        upload: &Arc<MultipartUpload>,
        stored: &HashMap<i32, StoredPart>,
        open: &Arc<OpenFile>,
        plan: PartPlan,
        progress: &Arc<FileProgress>,
    ) -> Result<(Arrived, Tap), FileError> {
        let mut tap = Tap::new(self.watch);
        let path: Arc<Path> = self.file.path.as_path().into();
        let mut tasks: JoinSet<Result<Done, FileError>> = JoinSet::new();
        let mut done = Arrived::default();
        for part in plan.parts() {
            while let Some(finished) = tasks.try_join_next() {
                done.add(joined(finished)?);
            }
            let closed = |error: super::pool::Closed| FileError::Internal(error.to_string());
            let slot = self.pool().slot(self.rank).await;
            let there = stored.get(&part.number).filter(|stored| stored.size == part.len);
            if part.len > self.pool().largest_buffer() {
                let memory = self.pool().buffer(STREAM_MEMORY).await.map_err(closed)?;
                let (job, upload, open) = (self.clone(), upload.clone(), open.clone());
                let (path, progress, there) = (path.clone(), progress.clone(), there.cloned());
                // Noted here, in the file's order: the tasks read side by side.
                let (noted, range) = (open.clone(), part.offset..part.offset + part.len);
                blocking(move || {
                    noted.note_cached(&range);
                    Ok(())
                })
                .await?;
                let mut sums = None;
                if tap.is_on() {
                    // The tap wants the parts in order, so this one is read before the next is begun.
                    let Part { offset, len, .. } = part;
                    let (open, path) = (open.clone(), path.clone());
                    let read =
                        read_through(open, path, offset, len, upload.algorithm, tap, Pages::Stay).await?;
                    tap = read.1;
                    sums = Some(read.0);
                }
                tasks.spawn(async move {
                    let _held = (slot, memory);
                    let done = job.send_streamed(&upload, part, there, open, path, sums).await?;
                    progress.advance(part.len);
                    Ok(done)
                });
                continue;
            }
            let len = usize::try_from(part.len).unwrap_or(usize::MAX);
            let buffer = self.pool().buffer(len).await.map_err(closed)?;
            let read = read_part(open.clone(), path.clone(), part.offset, buffer, upload.algorithm, tap);
            let (buffer, sums, after) = read.await?;
            tap = after;
            if let Some(receipt) = reusable(there, &sums) {
                progress.advance(part.len);
                done.add((part.number, receipt, sums, 0));
                continue;
            }
            let (job, upload, progress) = (self.clone(), upload.clone(), progress.clone());
            tasks.spawn(async move {
                let _held = slot;
                let body = buffer.freeze();
                let wire = upload.algorithm.map(|_| sums.wire().value());
                let what = format!("send part {} of {}", part.number, job.file.path.display());
                let receipt = job
                    .policy()
                    .run(&what, &job.retries, async || {
                        let (body, sent) = (PartBody::Bytes(body.clone()), Instant::now());
                        let reply = job.bucket().upload_part(&upload, part.number, body, wire.clone()).await;
                        job.pool().answered(sent.elapsed());
                        reply
                    })
                    .await?;
                progress.advance(part.len);
                job.took_a_part.store(true, Ordering::Relaxed);
                Ok((part.number, receipt, sums, part.len))
            });
        }
        while let Some(finished) = tasks.join_next().await {
            done.add(joined(finished)?);
        }
        Ok((done, tap))
    }

    /// A part larger than its share of the memory: read once for its checksum, which has to go ahead
    /// of it, and once more, out of the page cache, while it is sent.
    async fn send_streamed(
        &self,
        upload: &MultipartUpload,
        part: Part,
        there: Option<StoredPart>,
        open: Arc<OpenFile>,
        path: Arc<Path>,
        read: Option<Sums>,
    ) -> Result<Done, FileError> {
        let Part { offset, len, .. } = part;
        let sums = if let Some(sums) = read {
            sums
        } else {
            let (open, path) = (open.clone(), path.clone());
            read_through(open, path, offset, len, upload.algorithm, Tap::default(), Pages::Stay).await?.0
        };
        if let Some(receipt) = reusable(there.as_ref(), &sums) {
            open.leave_as_found(&(offset..offset + len));
            return Ok((part.number, receipt, sums, 0));
        }
        let wire = upload.algorithm.map(|_| sums.wire().value());
        let what = format!("send part {} of {}", part.number, self.file.path.display());
        let unread: Mutex<Option<FileError>> = Mutex::default();
        let sent = self
            .policy()
            .run(&what, &self.retries, || async {
                let (feed, body) = bucket::stream(part.len);
                let sending = self.bucket().upload_part(upload, part.number, body, wire.clone());
                // A read that fails ends the feed, and with it the request.
                let reading = read_into(open.clone(), path.clone(), offset, len, feed);
                let (read, receipt) = tokio::join!(reading, sending);
                *unread.lock().unwrap_or_else(PoisonError::into_inner) = read.err();
                receipt
            })
            .await;
        match (sent, unread.into_inner().unwrap_or_else(PoisonError::into_inner)) {
            (Ok(receipt), _) => {
                self.took_a_part.store(true, Ordering::Relaxed);
                Ok((part.number, receipt, sums, part.len))
            }
            // The request only says that its body ended.
            (Err(_), Some(error)) => Err(error),
            (Err(error), None) => Err(error.into()),
        }
    }
}

/// A stored part whose checksum equals the file's.
pub(super) fn reusable(stored: Option<&StoredPart>, sums: &Sums) -> Option<PartReceipt> {
    let stored = stored?;
    let same = stored.checksum.as_deref() == Some(sums.wire().value().as_str());
    same.then(|| PartReceipt {
        number: stored.number,
        etag: stored.etag.clone(),
        checksum: stored.checksum.clone(),
    })
}

pub(super) fn joined(
    finished: Result<Result<Done, FileError>, tokio::task::JoinError>,
) -> Result<Done, FileError> {
    finished.unwrap_or_else(|error| Err(FileError::Internal(format!("a sending task ended: {error}"))))
}
