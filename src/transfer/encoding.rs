//! A file being compressed or encrypted: its plain bytes are summed and shown to the tap in the one read.
//!
//! What must stay true: what comes out counts only after [`Encoding::finish`], which says that the file
//! is still the one that was found and that all of it went in.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::FileError;
use super::reader::{Sums, open_as_found, unchanged};
use super::spool::{Room, Spool};
use super::tap::{Tap, Watch};
use crate::checksum::{Algorithm, Digest};
use crate::codec::{self, Coding, Recipe};
use crate::engines::SourceFile;
use crate::formats::Judgement;
use crate::source::{Changed, OpenFile};

/// Bytes handled at once where the encoded bytes are only summed.
const CHUNK: usize = 1 << 20;

/// The plain bytes as they pass into the encoder.
struct Plain {
    open: Arc<OpenFile>,
    at: u64,
    size: u64,
    passed: Arc<Mutex<Passed>>,
    /// A part of a file that compresses well takes long to fill.
    cancel: CancellationToken,
}

/// What the plain bytes gave so far.
struct Passed {
    digest: Digest,
    tap: Tap,
    failure: Option<FileError>,
}

fn lock(passed: &Mutex<Passed>) -> std::sync::MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.size - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let room = buffer.get_mut(..most).unwrap_or_default();
        if room.is_empty() {
            return Ok(0);
        }
        if self.cancel.is_cancelled() {
            lock(&self.passed).failure = Some(FileError::Cancelled);
            return Err(io::Error::other("interrupted"));
        }
        let range = self.at..self.at + room.len() as u64;
        self.open.note_cached(&range);
        let count = self.open.read_at(room, self.at)?;
        self.open.leave_as_found(&range);
        let mut passed = lock(&self.passed);
        if count == 0 {
            let path = self.open.path().to_owned();
            let changed = Changed::Shrank { from: self.size, to: self.at };
            passed.failure = Some(FileError::Changed { path, changed });
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let bytes = room.get(..count).unwrap_or_default();
        passed.digest.update(bytes);
        passed.tap.feed(bytes);
        self.at += count as u64;
        Ok(count)
    }
}

/// A file being encoded. Its encoder's share of the memory goes back when it is dropped.
pub(super) struct Encoding {
    file: SourceFile,
    recipe: Recipe,
    open: Arc<OpenFile>,
    encoded: Box<dyn Read + Send>,
    passed: Arc<Mutex<Passed>>,
    _memory: OwnedSemaphorePermit,
}

impl Encoding {
    /// Opens the file, which must be the one that was found.
    pub(super) fn begin(
        file: SourceFile,
        recipe: Recipe,
        watch: Option<Watch>,
        cancel: CancellationToken,
        memory: OwnedSemaphorePermit,
    ) -> Result<Self, FileError> {
        let open = Arc::new(open_as_found(&file)?);
        let digest = Digest::new(Algorithm::Crc64Nvme);
        let passed = Arc::new(Mutex::new(Passed { digest, tap: Tap::new(watch), failure: None }));
        let size = file.stamp.size;
        let plain = Plain { open: open.clone(), at: 0, size, passed: passed.clone(), cancel };
        let encoded = codec::encode(plain, &recipe, size)
            .map_err(|error| FileError::Internal(format!("start to encode as {recipe}: {error}")))?;
        Ok(Self { file, recipe, open, encoded, passed, _memory: memory })
    }

    /// Bytes of the file that went in so far.
    pub(super) fn plain_bytes(&self) -> u64 {
        lock(&self.passed).digest.len()
    }

    /// Fills `room` with what comes out next; the bool tells whether that was all.
    pub(super) fn fill(
        &mut self,
        room: Room,
        wire: Option<Algorithm>,
    ) -> Result<(Spool, Sums, bool), FileError> {
        let mut sums = Sums::new(wire);
        let encoded = &mut self.encoded;
        let filled = room.fill(|buffer| encoded.read(buffer), |bytes| sums.update(bytes));
        let (spool, ended) = filled.map_err(|error| self.failed(error))?;
        Ok((spool, sums, ended))
    }

    /// Size and sums of all that comes out, where nothing is to be sent.
    pub(super) fn sum(&mut self, wire: Option<Algorithm>) -> Result<(u64, Sums), FileError> {
        let (mut size, mut sums) = (0, Sums::new(wire));
        let mut chunk = vec![0; CHUNK];
        loop {
            match self.encoded.read(&mut chunk) {
                Ok(0) => return Ok((size, sums)),
                Ok(count) => {
                    sums.update(chunk.get(..count).unwrap_or_default());
                    size += count as u64;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn failed(&self, error: io::Error) -> FileError {
        let known = lock(&self.passed).failure.take();
        known.unwrap_or_else(|| FileError::Read { path: self.file.path.clone(), source: error })
    }

    /// What was done to the file, once all of it has passed; it must still be what was found.
    pub(super) fn finish(self) -> Result<(Coding, Option<Judgement>), FileError> {
        unchanged(&self.open, &self.file.stamp, &self.file.path)?;
        drop(self.encoded);
        let passed = Arc::try_unwrap(self.passed)
            .map_err(|_| FileError::Internal("an encoder outlived its end".to_owned()))?;
        let Passed { digest, tap, .. } = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
        if digest.len() != self.file.stamp.size {
            let why = format!("{} of {} bytes were encoded", digest.len(), self.file.stamp.size);
            return Err(FileError::Internal(why));
        }
        let coding =
            Coding { recipe: self.recipe, plain_size: digest.len(), plain_checksum: digest.full_object() };
        Ok((coding, tap.end(&self.file.path)?))
    }
}
