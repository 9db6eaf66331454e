//! A file being compressed or encrypted, or a folder's files being packed: the plain bytes are summed and
//! shown to the tap in the one read.
//!
//! What must stay true: each file is still the one that was found when its last byte was read; what comes
//! out counts only after [`Encoding::finish`], which says that all of it went in.

use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::FileError;
use super::input::Input;
use super::reader::{Sums, open_as_found, unchanged};
use super::spool::{Room, Spool};
use super::tap::{Tap, Watch};
use crate::checksum::{Algorithm, Digest};
use crate::codec::{self, Coding, Member, Recipe};
use crate::engines::SourceFile;
use crate::formats::Judgement;
use crate::source::{Changed, OpenFile};

/// Bytes handled at once where the encoded bytes are only summed.
const CHUNK: usize = 1 << 20;

/// A file that is being read, or will be.
struct Reading {
    file: SourceFile,
    open: Option<OpenFile>,
    digest: Digest,
}

impl Reading {
    fn of(file: &SourceFile) -> Self {
        Self { file: file.clone(), open: None, digest: Digest::new(Algorithm::Crc64Nvme) }
    }

    /// The next bytes; none at its end, where it must still be what was found.
    fn read(&mut self, room: &mut [u8]) -> Result<usize, FileError> {
        let Self { file, open, digest } = self;
        let open = match open {
            Some(open) => open,
            None => open.insert(open_as_found(file)?),
        };
        let (size, at) = (file.stamp.size, digest.len());
        let most = usize::try_from(size - at).unwrap_or(usize::MAX).min(room.len());
        let room = room.get_mut(..most).unwrap_or_default();
        if room.is_empty() {
            unchanged(open, &file.stamp, &file.path)?;
            return Ok(0);
        }
        let range = at..at + room.len() as u64;
        open.note_cached(&range);
        let path = || file.path.clone();
        let count = open.read_at(room, at).map_err(|source| FileError::Read { path: path(), source })?;
        open.leave_as_found(&range);
        if count == 0 {
            return Err(FileError::Changed { path: path(), changed: Changed::Shrank { from: size, to: at } });
        }
        digest.update(room.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn member(self) -> Member {
        let Self { file, digest, .. } = self;
        Member {
            path: file.rel,
            size: digest.len(),
            mtime: file.stamp.mtime.into(),
            mode: file.stamp.mode,
            checksum: digest.full_object(),
        }
    }
}

/// The plain bytes as they pass into the encoder. Made as they are read: a folder may have very many files.
struct Plain {
    input: Input,
    /// Index of the next file, or one more than the last when nothing is left but what is in `now`.
    next: usize,
    now: Now,
    passed: Arc<Mutex<Passed>>,
    /// A part of a file that compresses well takes long to fill.
    cancel: CancellationToken,
}

/// Where in the plain bytes the reading is.
enum Now {
    /// Before or behind a file.
    Between(Cursor<Vec<u8>>),
    File(Box<Reading>),
}

/// What the plain bytes gave so far.
struct Passed {
    digest: Digest,
    tap: Tap,
    failure: Option<FileError>,
    /// The files that were read to their end, in order.
    members: Vec<Member>,
}

fn lock(passed: &Mutex<Passed>) -> std::sync::MutexGuard<'_, Passed> {
    passed.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plain {
    fn failed(&self, error: FileError) -> io::Error {
        let told = io::Error::other(error.to_string());
        lock(&self.passed).failure = Some(error);
        told
    }
}

impl Read for Plain {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if room.is_empty() {
            return Ok(0);
        }
        if self.cancel.is_cancelled() {
            return Err(self.failed(FileError::Cancelled));
        }
        loop {
            let count = match &mut self.now {
                Now::Between(bytes) => bytes.read(room)?,
                Now::File(reading) => match reading.read(room) {
                    Ok(count) => count,
                    Err(error) => return Err(self.failed(error)),
                },
            };
            if count > 0 {
                let bytes = room.get(..count).unwrap_or_default();
                let mut passed = lock(&self.passed);
                passed.digest.update(bytes);
                passed.tap.feed(bytes);
                return Ok(count);
            }
            let next = match &self.now {
                Now::File(_) => Now::Between(Cursor::new(self.input.before(self.next)?)),
                Now::Between(_) => match self.input.files().get(self.next) {
                    None => return Ok(0),
                    Some(file) => {
                        self.next += 1;
                        Now::File(Box::new(Reading::of(file)))
                    }
                },
            };
            if let Now::File(reading) = std::mem::replace(&mut self.now, next) {
                lock(&self.passed).members.push(reading.member());
            }
        }
    }
}

/// A file being encoded. Its encoder's share of the memory goes back when it is dropped.
pub(super) struct Encoding {
    input: Input,
    recipe: Recipe,
    encoded: Box<dyn Read + Send>,
    passed: Arc<Mutex<Passed>>,
    _memory: OwnedSemaphorePermit,
}

impl Encoding {
    /// Prepares to read; each file must be the one that was found.
    pub(super) fn begin(
        input: Input,
        recipe: Recipe,
        watch: Option<Watch>,
        cancel: CancellationToken,
        memory: OwnedSemaphorePermit,
    ) -> Result<Self, FileError> {
        let internal = |error| FileError::Internal(format!("start to encode as {recipe}: {error}"));
        let now = Now::Between(Cursor::new(input.before(0).map_err(internal)?));
        let (digest, tap) = (Digest::new(Algorithm::Crc64Nvme), Tap::new(watch));
        let passed = Arc::new(Mutex::new(Passed { digest, tap, failure: None, members: Vec::new() }));
        let size = input.size();
        let plain = Plain { input: input.clone(), next: 0, now, passed: passed.clone(), cancel };
        let encoded = codec::encode(plain, &recipe, size).map_err(internal)?;
        Ok(Self { input, recipe, encoded, passed, _memory: memory })
    }

    /// Bytes of the file that went in so far.
    pub(super) fn plain_bytes(&self) -> u64 {
        lock(&self.passed).digest.len()
    }

    /// Fills `room` with what comes out next; the bool tells whether that was all. `not_kept` is told where the room
    /// did not take it.
    pub(super) fn fill(
        &mut self,
        room: Room,
        wire: Option<Algorithm>,
        not_kept: impl FnOnce(io::Error) -> FileError,
    ) -> Result<(Spool, Sums, bool), FileError> {
        let (mut sums, mut was_read) = (Sums::new(wire), true);
        let encoded = &mut self.encoded;
        let read = |buffer: &mut [u8]| {
            let read = encoded.read(buffer);
            was_read = read.is_ok();
            read
        };
        match room.fill(read, |bytes| sums.update(bytes)) {
            Ok((spool, ended)) => Ok((spool, sums, ended)),
            Err(error) if was_read => Err(not_kept(error)),
            Err(error) => Err(self.failed(error)),
        }
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
        known.unwrap_or_else(|| FileError::Read { path: self.input.file.path.clone(), source: error })
    }

    /// What was done to the file, once all of it has passed; it was what was found when its end came.
    pub(super) fn finish(self) -> Result<(Coding, Option<Judgement>), FileError> {
        drop(self.encoded);
        let passed = Arc::try_unwrap(self.passed)
            .map_err(|_| FileError::Internal("an encoder outlived its end".to_owned()))?;
        let Passed { digest, tap, members, .. } = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (size, files) = (self.input.size(), self.input.files().len());
        if digest.len() != size || members.len() != files {
            let why = format!(
                "{} of {} bytes and {} of {files} files were encoded",
                digest.len(),
                size,
                members.len()
            );
            return Err(FileError::Internal(why));
        }
        let coding = Coding {
            recipe: self.recipe,
            plain_size: digest.len(),
            plain_checksum: digest.full_object(),
            members: if self.input.members.is_some() { members } else { Vec::new() },
        };
        Ok((coding, tap.end(&self.input.file.path)?))
    }
}
