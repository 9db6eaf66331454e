//! A file that is stored compressed or encrypted: read once, encoded on a blocking thread, cut into parts of one size
//! as the bytes come.
//!
//! What must stay true: whoever fills a part already holds its slot and its memory; an encoder holds its
//! share of [`crate::codec::MEMORY`] as long as it lives. Compression is deterministic, so the parts of an
//! interrupted run are made again and compared; one that differs is sent again in its place. What is
//! encrypted is never the same twice: such an upload begins anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;

use super::arrived::{Arrived, Done};
use super::begin::{Begin, Failed, Parts};
use super::encoding::Encoding;
use super::existing::Ours;
use super::job::FileJob;
use super::multipart::{STREAM_MEMORY, joined, reusable};
use super::parts::{MAX_PARTS, PartPlan};
use super::pool::Slot;
use super::reader::{Sums, blocking};
use super::sent::Sent;
use super::spool::{Room, Spool};
use super::{FileError, FileProgress};
use crate::bucket::{MultipartUpload, Overwrite, PartReceipt};
use crate::codec::{Coding, Recipe};

/// A part that is encoded, with the slot it is sent in.
struct Ready {
    spool: Spool,
    sums: Sums,
    /// Bytes of the file that went into it.
    plain: u64,
    ended: bool,
    slot: Slot,
}

/// How far a file came without parts.
enum Whole {
    Sent(Box<Sent>),
    Begun(Box<Encoding>, Box<Ready>),
}

impl FileJob {
    /// Sends the file in the form that `recipe` gives it. `memory` is the encoder's share.
    pub(super) async fn put_encoded(
        self: &Arc<Self>,
        recipe: &Recipe,
        memory: Option<OwnedSemaphorePermit>,
        progress: &Arc<FileProgress>,
    ) -> Result<Sent, FileError> {
        let bound = recipe.bound(self.file.stamp.size);
        let plan = PartPlan::new(bound, self.part_size())
            .map_err(|source| FileError::TooLarge { path: self.file.path.clone(), source })?;
        let part = plan.part_size().min(bound);
        let mut memory = memory;
        let (mut attempt, mut begin) = (1, Begin::WhereItStopped);
        loop {
            let held = match memory.take() {
                Some(memory) => memory,
                None => self.shared.encoder_memory(recipe, self.file.stamp.size).await?,
            };
            match self.try_encoded(recipe, held, part, progress, begin).await {
                Ok(sent) => return Ok(sent),
                Err(failed) => begin = self.begin_again(failed, &mut attempt).await?,
            }
        }
    }

    /// The file as one object.
    async fn try_encoded(
        self: &Arc<Self>,
        recipe: &Recipe,
        memory: OwnedSemaphorePermit,
        part: u64,
        progress: &Arc<FileProgress>,
        begin: Begin,
    ) -> Result<Sent, Failed> {
        let (encoding, first) = match self.without_parts(recipe, memory, part, progress).await? {
            Whole::Sent(sent) => return Ok(*sent),
            Whole::Begun(encoding, first) => (encoding, first),
        };
        let open = self.upload_for(begin).await?;
        let result = self.send_encoded(&open.upload, &open.parts, *encoding, *first, part, progress).await;
        self.conclude(open, result).await
    }

    /// What is small when it is compressed, or there already, needs no parts.
    async fn without_parts(
        self: &Arc<Self>,
        recipe: &Recipe,
        memory: OwnedSemaphorePermit,
        part: u64,
        progress: &Arc<FileProgress>,
    ) -> Result<Whole, FileError> {
        let sent = |sent: Sent| Ok(Whole::Sent(Box::new(sent)));
        if self.compare_only {
            let info = self.head().await?.ok_or_else(|| self.gone())?;
            return sent(self.compare_encoded(recipe, memory, &info, progress).await?);
        }
        let encoding = self.begin_encoding(recipe, memory).await?;
        let (encoding, first) = self.next_part(encoding, part).await?;
        if first.ended
            && let Some(body) = first.spool.in_memory()
        {
            let (coding, judgement) = blocking(|| encoding.finish()).await?;
            let put = self.put_single(first, body, &coding, progress).await?;
            // What stood there already may have been made from the file in another way.
            return sent(Sent { judgement, coding: put.coding.or(Some(coding)), ..put });
        }
        // `If-None-Match` speaks only at completion; ask before sending terabytes for nothing.
        if self.overwrite() == Overwrite::Never {
            match self.head().await {
                Ok(Some(info)) => {
                    drop((encoding, first));
                    let memory = self.shared.encoder_memory(recipe, self.file.stamp.size).await?;
                    return sent(self.compare_encoded(recipe, memory, &info, progress).await?);
                }
                Ok(None) | Err(FileError::NotCompared { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Whole::Begun(Box::new(encoding), Box::new(first)))
    }

    /// The file, opened and ready to be encoded.
    pub(super) async fn begin_encoding(
        &self,
        recipe: &Recipe,
        memory: OwnedSemaphorePermit,
    ) -> Result<Encoding, FileError> {
        let (input, watch, cancel, recipe) = (self.input(), self.watch, self.cancel(), recipe.clone());
        blocking(move || Encoding::begin(input, recipe, watch, cancel, memory)).await
    }

    /// Encodes the next part of at most `len` bytes.
    async fn next_part(&self, mut encoding: Encoding, len: u64) -> Result<(Encoding, Ready), FileError> {
        let closed = |error: super::pool::Closed| FileError::Internal(error.to_string());
        let slot = self.pool().slot(self.rank).await;
        let on_disk = len > self.pool().largest_buffer();
        let memory = if on_disk { STREAM_MEMORY } else { usize::try_from(len).unwrap_or(usize::MAX) };
        let buffer = self.pool().buffer(memory).await.map_err(closed)?;
        let (wire, state) = (self.bucket().algorithm(), self.state().to_owned());
        blocking(move || {
            let not_kept = |source| FileError::Spool { dir: state.clone(), len, source };
            let room = if on_disk {
                Room::on_disk(&state, len, buffer).map_err(not_kept)?
            } else {
                Room::Memory(buffer)
            };
            let before = encoding.plain_bytes();
            let (spool, sums, ended) = encoding.fill(room, wire, not_kept)?;
            let plain = encoding.plain_bytes() - before;
            Ok((encoding, Ready { spool, sums, plain, ended, slot }))
        })
        .await
    }

    async fn put_single(
        self: &Arc<Self>,
        first: Ready,
        body: bytes::Bytes,
        coding: &Coding,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        let Ready { sums, plain, slot, spool, .. } = first;
        let size = spool.len();
        let wire = self.bucket().algorithm();
        let ours =
            Ours { size, crc64: sums.crc64().full_object(), wire: wire.map(|_| sums.wire().full_object()) };
        self.note_sealed(&ours, 1, coding);
        let (same, bytes) = match self.put_once(&body, &ours).await? {
            Some(same) => (same, size),
            // There is such an object: sent before, or by an attempt whose answer was lost.
            None => match self.must_be_same(&ours).await {
                Ok(same) => (same, 0),
                Err(other @ FileError::OtherContent { .. }) => {
                    drop((body, spool, slot));
                    return self.made_otherwise(&coding.recipe, other, progress).await;
                }
                Err(error) => return Err(error),
            },
        };
        progress.advance(plain);
        Ok(Sent { same, size, crc64: ours.crc64, parts: 1, bytes, judgement: None, coding: None })
    }

    async fn send_encoded(
        self: &Arc<Self>,
        upload: &Arc<MultipartUpload>,
        stored: &Parts,
        mut encoding: Encoding,
        first: Ready,
        part: u64,
        progress: &Arc<FileProgress>,
    ) -> Result<Sent, FileError> {
        let mut tasks: JoinSet<Result<Done, FileError>> = JoinSet::new();
        let mut done = Arrived::default();
        let mut size = 0;
        let mut ready = first;
        let mut number = 1;
        loop {
            while let Some(finished) = tasks.try_join_next() {
                done.add(joined(finished)?);
            }
            let (len, ended) = (ready.spool.len(), ready.ended);
            // The end may come exactly behind a full part.
            if len > 0 || number == 1 {
                size += len;
                let there = stored.get(&number).filter(|stored| stored.size == len);
                let Ready { spool, sums, plain, slot, .. } = ready;
                if let Some(receipt) = reusable(there, &sums) {
                    // Given back before the next part waits for its own: whoever holds memory never waits.
                    drop((spool, slot));
                    progress.advance(plain);
                    done.add((number, receipt, sums, 0));
                } else {
                    let (job, upload, progress) = (self.clone(), upload.clone(), progress.clone());
                    tasks.spawn(async move {
                        let _held = slot;
                        let receipt = job.send_spooled(&upload, number, spool, &sums).await?;
                        progress.advance(plain);
                        Ok((number, receipt, sums, len))
                    });
                }
            }
            if ended {
                break;
            }
            if i64::from(number) >= i64::try_from(MAX_PARTS).unwrap_or(i64::MAX) {
                return Err(FileError::Internal("the encoded bytes exceed their bound".to_owned()));
            }
            number += 1;
            (encoding, ready) = self.next_part(encoding, part).await?;
        }
        let (coding, judgement) = blocking(|| encoding.finish()).await?;
        while let Some(finished) = tasks.join_next().await {
            done.add(joined(finished)?);
        }
        let sent = self.complete(upload, done, size, Some(&coding)).await?;
        Ok(Sent { judgement, coding: Some(coding), ..sent })
    }

    async fn send_spooled(
        &self,
        upload: &MultipartUpload,
        number: i32,
        spool: Spool,
        sums: &Sums,
    ) -> Result<PartReceipt, FileError> {
        let wire = upload.algorithm.map(|_| sums.wire().value());
        let what = format!("send part {number} of {}", self.file.path.display());
        let receipt = self
            .policy()
            .run(&what, &self.retries, || async {
                let (body, feeding) = spool.body();
                let sending = self.bucket().upload_part(upload, number, body, wire.clone());
                let ((), receipt) = tokio::join!(feeding, sending);
                receipt
            })
            .await?;
        self.took_a_part.store(true, Ordering::Relaxed);
        Ok(receipt)
    }
}
