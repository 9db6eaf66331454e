//! Reading a file's bytes and their checksums in one pass, on blocking threads.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::FileError;
use super::pool::Buffer;
use super::tap::Tap;
use crate::bucket::StreamFeed;
use crate::checksum::{Algorithm, Digest};
use crate::engines::{SourceFile, Stamp};
use crate::source::{Changed, OpenFile};

/// Chunk of a streamed part.
const CHUNK: u64 = 1 << 20;
/// Bytes that are read and then summed while they still lie in the processor's cache.
const CACHED: usize = 256 << 10;

/// The two checksums that one pass gives: CRC64NVME for the manifest, and what goes over the wire
/// where that is another algorithm.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    crc64: Digest,
    wire: Option<Digest>,
}

impl Sums {
    pub(super) fn new(wire: Option<Algorithm>) -> Self {
        let wire = wire.filter(|algorithm| *algorithm != Algorithm::Crc64Nvme).map(Digest::new);
        Self { crc64: Digest::new(Algorithm::Crc64Nvme), wire }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        if let Some(wire) = &mut self.wire {
            wire.update(bytes);
        }
    }

    pub(super) const fn crc64(&self) -> &Digest {
        &self.crc64
    }

    /// Both, the second where it is another algorithm.
    pub(super) fn into_parts(self) -> (Digest, Option<Digest>) {
        (self.crc64, self.wire)
    }

    /// What is compared with S3's value.
    pub(super) fn wire(&self) -> &Digest {
        self.wire.as_ref().unwrap_or(&self.crc64)
    }
}

/// Opens a file and checks that it is the one that was found.
pub(super) fn open_as_found(file: &SourceFile) -> Result<OpenFile, FileError> {
    let open = OpenFile::open(&file.path)?;
    let found = open.is_as_found(&file.stamp);
    found.map_err(|changed| FileError::Changed { path: file.path.clone(), changed })?;
    Ok(open)
}

/// Checks that an open file is still the one that `stamp` describes.
pub(super) fn unchanged(open: &OpenFile, stamp: &Stamp, path: &Path) -> Result<(), FileError> {
    open.verify_unchanged(stamp).map_err(|changed| FileError::Changed { path: path.to_owned(), changed })
}

/// Fills `buffer` from `offset` on.
pub(super) fn fill(open: &OpenFile, path: &Path, offset: u64, buffer: &mut [u8]) -> Result<(), FileError> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let read = open
            .read_at(rest, offset + done as u64)
            .map_err(|source| FileError::Read { path: path.to_owned(), source })?;
        if read == 0 {
            let (from, to) = (open.stamp().size, offset + done as u64);
            return Err(FileError::Changed { path: path.to_owned(), changed: Changed::Shrank { from, to } });
        }
        done += read;
    }
    Ok(())
}

/// Fills `buffer` from `offset` on, past the tap, and sums it in the same pass.
pub(super) fn fill_and_sum(
    open: &OpenFile,
    path: &Path,
    mut offset: u64,
    buffer: &mut [u8],
    wire: Option<Algorithm>,
    tap: &mut Tap,
) -> Result<Sums, FileError> {
    let range = offset..offset + buffer.len() as u64;
    open.note_cached(&range);
    let mut sums = Sums::new(wire);
    for chunk in buffer.chunks_mut(CACHED) {
        fill(open, path, offset, chunk)?;
        sums.update(chunk);
        tap.feed(chunk);
        offset += chunk.len() as u64;
    }
    open.leave_as_found(&range);
    Ok(sums)
}

/// Reads one part into a buffer, past the tap.
pub(super) async fn read_part(
    open: Arc<OpenFile>,
    path: Arc<Path>,
    offset: u64,
    mut buffer: Buffer,
    wire: Option<Algorithm>,
    mut tap: Tap,
) -> Result<(Buffer, Sums, Tap), FileError> {
    blocking(move || {
        let sums = fill_and_sum(&open, &path, offset, buffer.bytes_mut(), wire, &mut tap)?;
        Ok((buffer, sums, tap))
    })
    .await
}

/// What becomes of the pages that a reading brought into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pages {
    /// They stay: the same bytes are read once more soon. Whoever reads them has noted what was there before.
    Stay,
    /// They go.
    Go,
}

/// Reads `len` bytes from `offset` past the tap.
pub(super) async fn read_through(
    open: Arc<OpenFile>,
    path: Arc<Path>,
    offset: u64,
    len: u64,
    wire: Option<Algorithm>,
    mut tap: Tap,
    pages: Pages,
) -> Result<(Sums, Tap), FileError> {
    blocking(move || {
        let mut sums = Sums::new(wire);
        let mut chunk = vec![0; usize::try_from(CHUNK.min(len)).unwrap_or(usize::MAX)];
        let mut done = 0;
        while done < len {
            let size = usize::try_from(CHUNK.min(len - done)).unwrap_or(usize::MAX);
            chunk.truncate(size);
            let range = offset + done..offset + done + size as u64;
            if pages == Pages::Go {
                open.note_cached(&range);
            }
            fill(&open, &path, range.start, &mut chunk)?;
            if pages == Pages::Go {
                open.leave_as_found(&range);
            }
            sums.update(&chunk);
            tap.feed(&chunk);
            done += size as u64;
        }
        Ok((sums, tap))
    })
    .await
}

/// Reads `len` bytes from `offset` and gives each chunk to `feed`.
pub(super) async fn read_into(
    open: Arc<OpenFile>,
    path: Arc<Path>,
    offset: u64,
    len: u64,
    feed: StreamFeed,
) -> Result<(), FileError> {
    blocking(move || {
        let mut done = 0;
        while done < len {
            let size = usize::try_from(CHUNK.min(len - done)).unwrap_or(usize::MAX);
            let mut chunk = vec![0; size];
            let range = offset + done..offset + done + size as u64;
            fill(&open, &path, range.start, &mut chunk)?;
            open.leave_as_found(&range);
            done += size as u64;
            // Nobody takes it any more: the request failed, and says why itself.
            if feed.blocking_send(Ok(Bytes::from(chunk))).is_err() {
                break;
            }
        }
        Ok(())
    })
    .await
}

/// Runs `work` where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FileError::Internal(format!("a reading thread ended: {error}"))))
}
