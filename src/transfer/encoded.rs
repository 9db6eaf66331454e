//! A file whose object is compressed or encrypted: read once, encoded on a blocking thread, cut into
//! parts of one size as the bytes come.
//!
//! What must stay true: the plain bytes are summed in the same read, and a file that changed is never
//! completed; whoever fills a part already holds its slot and its memory; what is encrypted is never
//! continued from an earlier run, because its bytes are others each time.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::existing::{Ours, Same};
use super::journal;
use super::multipart::{Done, STREAM_MEMORY, joined, reusable};
use super::parts::{MAX_PARTS, PartPlan, SINGLE_PUT_MAX};
use super::pool::Slot;
use super::reader::{Sums, blocking, open_as_found, read_through, unchanged};
use super::spool::{Room, Spool};
use super::tap::Tap;
use super::upload::{FileJob, Sent};
use super::{FileError, FileProgress};
use crate::bucket::{ErrorKind, MultipartUpload, ObjectInfo, Overwrite, PartReceipt, StoredPart};
use crate::checksum::{Algorithm, Checksum, Digest};
use crate::codec::{self, Coding};
use crate::engines::SourceFile;
use crate::formats::Judgement;
use crate::manifest::{Confirmation, StoredFile};
use crate::source::{Changed, OpenFile};

/// Unfinished uploads of one key that are aborted before an encrypted one begins.
const ABORT_MOST: usize = 16;
/// Bytes read at once where the encoded bytes are only summed.
const CHUNK: usize = 1 << 20;

/// The plain bytes as they pass into the encoder.
struct Plain {
    open: Arc<OpenFile>,
    at: u64,
    size: u64,
    passed: Arc<Mutex<Passed>>,
}

/// What the plain bytes gave so far.
struct Passed {
    digest: Digest,
    tap: Tap,
    changed: Option<Changed>,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.size - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let room = buffer.get_mut(..most).unwrap_or_default();
        if room.is_empty() {
            return Ok(0);
        }
        let count = self.open.read_at(room, self.at)?;
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            passed.changed = Some(Changed::Shrank { from: self.size, to: self.at });
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        let bytes = room.get(..count).unwrap_or_default();
        passed.digest.update(bytes);
        passed.tap.feed(bytes);
        self.at += count as u64;
        Ok(count)
    }
}

/// A file being encoded.
struct Encoding {
    file: SourceFile,
    codec: codec::Codec,
    open: Arc<OpenFile>,
    encoded: Box<dyn Read + Send>,
    passed: Arc<Mutex<Passed>>,
}

/// A part that is encoded, with the slot it is sent in.
struct Ready {
    spool: Spool,
    sums: Sums,
    /// Bytes of the file that went into it.
    plain: u64,
    ended: bool,
    slot: Slot,
}

impl Encoding {
    fn failed(&self, error: std::io::Error) -> FileError {
        let path = self.file.path.clone();
        let changed = self.passed.lock().unwrap_or_else(PoisonError::into_inner).changed.take();
        match changed {
            Some(changed) => FileError::Changed { path, changed },
            None => FileError::Read { path, source: error },
        }
    }

    fn plain_bytes(&self) -> u64 {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).digest.len()
    }

    fn fill(&mut self, room: Room, wire: Option<Algorithm>) -> Result<(Spool, Sums, bool), FileError> {
        let mut sums = Sums::new(wire);
        let encoded = &mut self.encoded;
        let filled = room.fill(|buffer| encoded.read(buffer), |bytes| sums.update(bytes));
        let (spool, ended) = filled.map_err(|error| self.failed(error))?;
        Ok((spool, sums, ended))
    }

    /// What was done to the file, once all of it has passed; it must still be what was found.
    fn finish(self) -> Result<(Coding, Option<Judgement>), FileError> {
        unchanged(&self.open, &self.file.stamp, &self.file.path)?;
        drop(self.encoded);
        let passed = Arc::try_unwrap(self.passed)
            .map_err(|_| FileError::Internal("an encoder outlived its end".to_owned()))?;
        let Passed { digest, tap, .. } = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
        if digest.len() != self.file.stamp.size {
            let why = format!("{} of {} bytes were encoded", digest.len(), self.file.stamp.size);
            return Err(FileError::Internal(why));
        }
        let coding = Coding {
            compression: self.codec.compression,
            recipients: self.codec.recipients.iter().map(ToString::to_string).collect(),
            plain_size: digest.len(),
            plain_checksum: digest.full_object(),
        };
        Ok((coding, tap.end(&self.file.path)?))
    }
}

impl FileJob {
    /// Sends the file in the form that its codec gives it.
    pub(super) async fn put_encoded(self: &Arc<Self>, progress: &Arc<FileProgress>) -> Result<Sent, FileError> {
        if let Some(known) = &self.known {
            return self.compare_known(known, progress).await;
        }
        let bound = self.codec.bound(self.file.stamp.size);
        let plan = PartPlan::new(bound, self.part_size())
            .map_err(|source| FileError::TooLarge { path: self.file.path.clone(), source })?;
        let part = plan.part_size().min(bound);
        let mut attempt = 1;
        loop {
            let error = match self.try_encoded(part, progress).await {
                Err(FileError::Bucket(error)) => error,
                other => return other,
            };
            let again = matches!(error.kind, ErrorKind::Conflict | ErrorKind::NoSuchUpload);
            match self.policy().pause_after(attempt).filter(|_| again) {
                Some(pause) => {
                    tracing::warn!("[RETRY] {}: begun again: {error}", self.file.path.display());
                    self.count_retry();
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                None => return Err(error.into()),
            }
        }
    }

    async fn begin_encoding(&self) -> Result<Encoding, FileError> {
        let (file, codec, watch) = (self.file.clone(), self.codec.clone(), self.watch);
        blocking(move || {
            let open = Arc::new(open_as_found(&file)?);
            let passed = Arc::new(Mutex::new(Passed {
                digest: Digest::new(Algorithm::Crc64Nvme),
                tap: Tap::new(watch),
                changed: None,
            }));
            let size = file.stamp.size;
            let plain = Plain { open: open.clone(), at: 0, size, passed: passed.clone() };
            let encoded = codec::encode(plain, &codec, size)
                .map_err(|error| FileError::Internal(format!("start the encoder: {error}")))?;
            Ok(Encoding { file, codec, open, encoded, passed })
        })
        .await
    }

    /// Encodes the next part of at most `len` bytes.
    async fn next_part(&self, mut encoding: Encoding, len: u64) -> Result<(Encoding, Ready), FileError> {
        let closed = |error: super::pool::Closed| FileError::Internal(error.to_string());
        let slot = self.pool().slot().await.map_err(closed)?;
        let on_disk = len > self.pool().largest_buffer();
        let memory = if on_disk { STREAM_MEMORY } else { usize::try_from(len).unwrap_or(usize::MAX) };
        let buffer = self.pool().buffer(memory).await.map_err(closed)?;
        let (wire, state) = (self.bucket().algorithm(), self.state().to_owned());
        blocking(move || {
            let room = if on_disk {
                Room::on_disk(&state, len, buffer).map_err(|error| {
                    FileError::Internal(format!("make room for a part in {}: {error}", state.display()))
                })?
            } else {
                Room::Memory(buffer)
            };
            let before = encoding.plain_bytes();
            let (spool, sums, ended) = encoding.fill(room, wire)?;
            let plain = encoding.plain_bytes() - before;
            Ok((encoding, Ready { spool, sums, plain, ended, slot }))
        })
        .await
    }

    async fn try_encoded(self: &Arc<Self>, part: u64, progress: &Arc<FileProgress>) -> Result<Sent, FileError> {
        if self.taken
            && let Some(info) = self.head().await?
        {
            return self.compare_encoded(&info, progress).await;
        }
        let encoding = self.begin_encoding().await?;
        let (encoding, first) = self.next_part(encoding, part).await?;
        if first.ended && first.spool.len() <= SINGLE_PUT_MAX {
            return self.put_single(encoding, first, progress).await;
        }
        // `If-None-Match` speaks only at completion; ask before sending terabytes for nothing.
        if self.overwrite() == Overwrite::Never {
            match self.head().await {
                Ok(Some(info)) => {
                    drop((encoding, first));
                    return self.compare_encoded(&info, progress).await;
                }
                Ok(None) | Err(FileError::NotCompared { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (upload, stored) = self.begin_upload().await?;
        let result = self.send_encoded(&upload, &stored, encoding, first, part, progress).await;
        if let Err(error) = &result {
            if self.codec.encrypts() {
                self.abort(&upload).await;
            } else {
                self.after_failure(&upload, error).await;
            }
        }
        result
    }

    /// An upload to go on with, or a new one. Parts of an encrypted one fit no other.
    async fn begin_upload(
        &self,
    ) -> Result<(Arc<MultipartUpload>, std::collections::HashMap<i32, StoredPart>), FileError> {
        let algorithm = self.bucket().algorithm();
        if self.codec.encrypts() {
            for _ in 0..ABORT_MOST {
                let Some((old, _)) = self.unfinished(algorithm).await else { break };
                self.abort(&old).await;
            }
        } else if let Some((upload, stored)) = self.unfinished(algorithm).await {
            return Ok((Arc::new(upload), stored));
        }
        let what = format!("begin upload of {}", self.file.path.display());
        let begin = || self.bucket().create_multipart(&self.key, algorithm, self.options());
        let upload = self.policy().run(&what, &self.retries, begin).await?;
        Ok((Arc::new(upload), std::collections::HashMap::new()))
    }

    async fn put_single(
        &self,
        encoding: Encoding,
        first: Ready,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        let Ready { spool, sums, plain, slot: _held, .. } = first;
        let (coding, judgement) = blocking(|| encoding.finish()).await?;
        let size = spool.len();
        let wire = self.bucket().algorithm();
        let ours =
            Ours { size, crc64: sums.crc64().full_object(), wire: wire.map(|_| sums.wire().full_object()) };
        let body = spool.whole().map_err(|error| FileError::Internal(format!("read a part: {error}")))?;
        let what = format!("send {}", self.file.path.display());
        let reply = self
            .policy()
            .run(&what, &self.retries, || {
                self.bucket().put(&self.key, body.clone(), ours.wire.as_ref(), self.options())
            })
            .await;
        let same = match reply {
            Ok(receipt) => self.confirm(receipt, &ours).await?,
            Err(error) if error.kind == ErrorKind::Precondition => {
                return self.standing_in_the_way(&ours, coding, judgement, progress).await;
            }
            Err(error) => return Err(error.into()),
        };
        progress.advance(plain);
        let sent =
            Sent { same, size, crc64: ours.crc64, parts: 1, bytes: size, judgement, coding: Some(coding) };
        self.remember(&sent).await;
        Ok(sent)
    }

    /// There is such an object: sent before, or by an attempt whose answer was lost.
    async fn standing_in_the_way(
        &self,
        ours: &Ours,
        coding: Coding,
        judgement: Option<Judgement>,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        let info = self.head().await?.ok_or_else(|| {
            FileError::Internal(format!("{} was reported as present, and is not there", self.key))
        })?;
        // An attempt of this very run whose answer was lost has these very bytes.
        if info.size == ours.size
            && let Ok(Some(same)) = self.existing(ours).await
        {
            progress.advance(coding.plain_size);
            let crc64 = ours.crc64.clone();
            let sent =
                Sent { same, size: ours.size, crc64, parts: 1, bytes: 0, judgement, coding: Some(coding) };
            self.remember(&sent).await;
            return Ok(sent);
        }
        self.compare_encoded(&info, progress).await
    }

    async fn send_encoded(
        self: &Arc<Self>,
        upload: &Arc<MultipartUpload>,
        stored: &std::collections::HashMap<i32, StoredPart>,
        mut encoding: Encoding,
        first: Ready,
        part: u64,
        progress: &Arc<FileProgress>,
    ) -> Result<Sent, FileError> {
        let mut tasks: JoinSet<Result<Done, FileError>> = JoinSet::new();
        let mut done: Vec<Done> = Vec::new();
        let mut size = 0;
        let mut ready = first;
        let mut number = 1;
        loop {
            while let Some(finished) = tasks.try_join_next() {
                done.push(joined(finished)?);
            }
            let (len, ended) = (ready.spool.len(), ready.ended);
            // The end may come exactly behind a full part.
            if len > 0 || number == 1 {
                size += len;
                let there = stored.get(&number).filter(|stored| stored.size == len);
                if let Some(receipt) = reusable(there, &ready.sums) {
                    progress.advance(ready.plain);
                    done.push((number, receipt, ready.sums, 0));
                } else {
                    let (job, upload, progress) = (self.clone(), upload.clone(), progress.clone());
                    let Ready { spool, sums, plain, slot, .. } = ready;
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
        while let Some(finished) = tasks.join_next().await {
            done.push(joined(finished)?);
        }
        let (coding, judgement) = blocking(|| encoding.finish()).await?;
        let sent = self.complete(upload, done, size).await?;
        let sent = Sent { judgement, coding: Some(coding), ..sent };
        self.remember(&sent).await;
        Ok(sent)
    }

    async fn send_spooled(
        &self,
        upload: &MultipartUpload,
        number: i32,
        spool: Spool,
        sums: &Sums,
    ) -> Result<PartReceipt, FileError> {
        let len = spool.len();
        let wire = upload.algorithm.map(|_| sums.wire().value());
        let what = format!("send part {number} of {}", self.file.path.display());
        let receipt = self
            .policy()
            .run(&what, &self.retries, || async {
                let (body, feeding) = spool.body();
                let sending =
                    self.bucket().upload_part(upload, number, body, wire.clone(), self.timeout(len));
                let ((), receipt) = tokio::join!(feeding, sending);
                receipt
            })
            .await?;
        Ok(receipt)
    }

    async fn remember(self: &Arc<Self>, sent: &Sent) {
        let (job, file) = (self.clone(), self.stored(sent));
        let _kept = blocking(move || {
            job.journal().remember(&file);
            Ok(())
        })
        .await;
    }

    /// Compares the object under this file's key with the file, without sending anything.
    async fn compare_encoded(
        self: &Arc<Self>,
        info: &ObjectInfo,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        if let Some(record) = self.journal().recall(self.key.as_str(), info) {
            return self.compare_plain(&record, info, progress).await;
        }
        if self.codec.encrypts() {
            return Err(FileError::Sealed { key: self.key.to_string(), path: self.file.path.clone() });
        }
        let wire = self.bucket().algorithm();
        let mut encoding = self.begin_encoding().await?;
        let (size, sums, coding, judgement) = blocking(move || {
            let (mut size, mut sums) = (0, Sums::new(wire));
            let mut chunk = vec![0; CHUNK];
            loop {
                match encoding.encoded.read(&mut chunk) {
                    Ok(0) => break,
                    Ok(count) => {
                        sums.update(chunk.get(..count).unwrap_or_default());
                        size += count as u64;
                    }
                    Err(error) => return Err(encoding.failed(error)),
                }
            }
            let (coding, judgement) = encoding.finish()?;
            Ok((size, sums, coding, judgement))
        })
        .await?;
        let ours =
            Ours { size, crc64: sums.crc64().full_object(), wire: wire.map(|_| sums.wire().full_object()) };
        let Some(same) = self.existing(&ours).await? else {
            return Err(FileError::Internal(format!("{} was there a moment ago, and is not", self.key)));
        };
        progress.advance(self.file.stamp.size);
        Ok(Sent { same, size, crc64: ours.crc64, parts: 1, bytes: 0, judgement, coding: Some(coding) })
    }

    /// Compares the file with a stored object whose manifest tells what it was made from.
    async fn compare_known(&self, known: &StoredFile, progress: &FileProgress) -> Result<Sent, FileError> {
        let Some(info) = self.head().await? else {
            let ours = Ours { size: known.size, crc64: known.checksum.clone(), wire: None };
            return Err(self.damaged(&ours, "nothing: the object is not there".to_owned()));
        };
        if !journal::is(&info, known) {
            let ours = Ours { size: known.size, crc64: known.checksum.clone(), wire: None };
            let theirs = info.checksum.map_or_else(String::new, |sum| format!(", {sum}"));
            return Err(self.damaged(&ours, format!("{} bytes{theirs}", info.size)));
        }
        self.compare_plain(known, &info, progress).await
    }

    /// Reads the file and compares it with what an object was made from.
    async fn compare_plain(
        &self,
        stored: &StoredFile,
        info: &ObjectInfo,
        progress: &FileProgress,
    ) -> Result<Sent, FileError> {
        let size = self.file.stamp.size;
        let describe = |size: u64, sum: &Checksum| format!("{size} bytes, {sum}");
        let theirs = describe(stored.plain_size(), stored.plain_checksum());
        if size != stored.plain_size() {
            return Err(self.other(format!("{size} bytes"), theirs));
        }
        let (file, watch) = (self.file.clone(), self.watch);
        let open = blocking(move || Ok(Arc::new(open_as_found(&file)?))).await?;
        let path: Arc<Path> = self.file.path.as_path().into();
        let (sums, tap) = read_through(open.clone(), path, 0, size, None, Tap::new(watch)).await?;
        unchanged(&open, &self.file.stamp, &self.file.path)?;
        let judgement = tap.end(&self.file.path)?;
        let ours = sums.crc64().full_object();
        if ours != *stored.plain_checksum() {
            return Err(self.other(describe(size, &ours), theirs));
        }
        progress.advance(size);
        let checksum = matches!(stored.confirmed, Confirmation::Checksum).then(|| info.checksum.clone());
        let same = Same {
            confirmed: stored.confirmed,
            s3_checksum: checksum.flatten().or_else(|| stored.s3_checksum.clone()),
            etag: info.etag.clone(),
            version: info.version.clone(),
        };
        let (crc64, coding) = (stored.checksum.clone(), stored.coding.clone());
        Ok(Sent { same, size: stored.size, crc64, parts: stored.parts, bytes: 0, judgement, coding })
    }
}
