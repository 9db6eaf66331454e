//! One range of an object becomes bytes of a file: taken from where an earlier restore left it, or fetched.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use super::download::{Pin, other_bytes, short};
use super::parts::Part;
use super::pool::{Buffer, Slot};
use super::ranges::FileRanges;
use super::{Downloader, FetchError, FileProgress};
use crate::bucket::{BucketError, ErrorKind, ObjectKey};
use crate::checksum::{Algorithm, Digest};

/// One range of one object.
pub(super) struct Range {
    pub(super) downloader: Downloader,
    pub(super) key: ObjectKey,
    pub(super) size: u64,
    pub(super) pin: Pin,
    pub(super) part: Part,
    pub(super) algorithm: Algorithm,
    pub(super) file: Arc<File>,
    /// Held while the file is written: the kernel lets one write at a time, and the others spin. They sleep here.
    pub(super) turn: Arc<Mutex<()>>,
    pub(super) path: PathBuf,
    pub(super) journal: Option<Journal>,
    /// Whether the file had its size before, so that ranges of an earlier restore may be in it.
    pub(super) was_there: bool,
}

/// The journal, and the object that its new lines are of.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    pub(super) ranges: FileRanges,
    pub(super) of: String,
}

impl Range {
    pub(super) async fn fetch(
        self,
        slot: Slot,
        buffer: Buffer,
        progress: Arc<FileProgress>,
    ) -> Result<(i32, Digest), FetchError> {
        let _held = slot;
        let buffer = match self.already_there(buffer).await? {
            Ok(digest) => {
                progress.advance(self.part.len);
                return Ok((self.part.number, digest));
            }
            Err(buffer) => Mutex::new(buffer),
        };
        let what = format!("read {} from byte {}", self.key, self.part.offset);
        if self.part.len > 0 {
            let policy = self.downloader.policy.clone();
            policy.run(&what, &AtomicU32::new(0), || self.fill(&buffer)).await.map_err(
                |error| match error.kind {
                    ErrorKind::Changed if self.pin.etag.is_none() => other_bytes(&self.key, &error),
                    _ => error.into(),
                },
            )?;
        }
        let buffer = buffer.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (part, size, file, path, journal) = (self.part, self.size, self.file, self.path, self.journal);
        let turn = self.turn;
        let mut digest = Digest::new(self.algorithm);
        let digest = tokio::task::spawn_blocking(move || {
            digest.update(buffer.as_ref());
            {
                let _ours = turn.lock().unwrap_or_else(PoisonError::into_inner);
                file.write_all_at(buffer.as_ref(), part.offset)
            }
            .map_err(|source| FetchError::write(&path, &file, size, source))?;
            if let Some(journal) = journal {
                journal.ranges.add(&journal.of, size, part, &digest);
            }
            Ok::<_, FetchError>(digest)
        })
        .await
        .map_err(|error| FetchError::Internal(format!("a writing thread ended: {error}")))??;
        progress.advance(part.len);
        Ok((part.number, digest))
    }

    /// Reads the range from the file where an earlier restore wrote it: its digest if the bytes are
    /// still those, else the buffer back.
    async fn already_there(&self, mut buffer: Buffer) -> Result<Result<Digest, Buffer>, FetchError> {
        let (Some(journal), true) = (&self.journal, self.was_there && self.part.len > 0) else {
            return Ok(Err(buffer));
        };
        let Some(sum) = journal.ranges.find(&journal.of, self.size, self.part).map(str::to_owned) else {
            return Ok(Err(buffer));
        };
        let (file, offset) = (self.file.clone(), self.part.offset);
        let mut digest = Digest::new(self.algorithm);
        let found = tokio::task::spawn_blocking(move || {
            // What cannot be read is fetched again; a disk that is broken shows when it is written.
            if file.read_exact_at(buffer.bytes_mut(), offset).is_err() {
                return Err(buffer);
            }
            digest.update(buffer.as_ref());
            if digest.full_object().to_string() == sum { Ok(digest) } else { Err(buffer) }
        })
        .await
        .map_err(|error| FetchError::Internal(format!("a reading thread ended: {error}")))?;
        if found.is_ok() {
            journal.ranges.count_reused(self.part.len);
        }
        Ok(found)
    }

    async fn fill(&self, buffer: &Mutex<Buffer>) -> Result<(), BucketError> {
        let whole = self.part.len == self.size;
        let range = (!whole).then(|| (self.part.offset, self.part.offset + self.part.len - 1));
        let bucket = &self.downloader.bucket;
        let (info, mut body) =
            bucket.get(&self.key, range, self.pin.etag.as_deref(), self.pin.version.as_deref()).await?;
        if info.size != self.part.len {
            return Err(BucketError {
                verb: "get object",
                object: self.key.to_string(),
                kind: ErrorKind::Changed,
                detail: format!("it has {} bytes where {} were stored", info.size, self.part.len),
            });
        }
        let mut done = 0_usize;
        while let Some(chunk) = body.next().await? {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            match buffer.bytes_mut().get_mut(done..done + chunk.len()) {
                Some(place) => place.copy_from_slice(&chunk),
                None => return Err(short(&self.key, self.part.len + 1, self.part.len)),
            }
            done += chunk.len();
        }
        if done as u64 == self.part.len { Ok(()) } else { Err(short(&self.key, done as u64, self.part.len)) }
    }
}
