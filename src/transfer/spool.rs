//! Where an encoded part waits for S3: in memory, or, where it is larger than its share of that, in a
//! file without a name. An encoded part cannot be made a second time for another attempt.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::pool::Buffer;
use crate::bucket::{self, PartBody, StreamFeed};

/// Bytes written or sent at once.
const CHUNK: usize = 1 << 20;

/// An encoded part.
#[derive(Debug, Clone)]
pub(super) enum Spool {
    Memory(Bytes),
    Disk {
        file: Arc<File>,
        len: u64,
        /// Kept for sending it; so only a few of them are there at once.
        _memory: Arc<Buffer>,
    },
}

/// A place for a part of at most so many bytes.
#[derive(Debug)]
pub(super) enum Room {
    Memory(Buffer),
    /// The file, the most it takes, and the chunk that goes through memory.
    Disk(File, u64, Buffer),
}

impl Room {
    /// A file without a name in `dir`, which is made where it is not there.
    pub(super) fn on_disk(dir: &Path, len: u64, chunk: Buffer) -> io::Result<Self> {
        crate::private_dir::make(dir)?;
        Ok(Self::Disk(tempfile::tempfile_in(dir)?, len, chunk))
    }

    /// Takes what `read` gives until the room is full or nothing more comes; `seen` gets each piece.
    /// The bool tells whether the end came.
    pub(super) fn fill(
        self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        mut seen: impl FnMut(&[u8]),
    ) -> io::Result<(Spool, bool)> {
        match self {
            Self::Memory(mut buffer) => {
                let (done, ended) = fill(buffer.bytes_mut(), &mut read)?;
                let bytes = buffer.freeze().slice(..done);
                seen(&bytes);
                Ok((Spool::Memory(bytes), ended))
            }
            Self::Disk(mut file, len, mut chunk) => {
                let mut done = 0;
                let mut ended = false;
                while done < len && !ended {
                    let most = usize::try_from(len - done).unwrap_or(usize::MAX).min(CHUNK);
                    let room = chunk.bytes_mut();
                    let most = most.min(room.len());
                    let (count, end) = fill(room.get_mut(..most).unwrap_or_default(), &mut read)?;
                    let bytes = chunk.as_ref().get(..count).unwrap_or_default();
                    seen(bytes);
                    file.write_all(bytes)?;
                    done += count as u64;
                    ended = end;
                }
                let file = Arc::new(file);
                Ok((Spool::Disk { file, len: done, _memory: Arc::new(chunk) }, ended))
            }
        }
    }
}

fn fill(
    buffer: &mut [u8],
    read: &mut impl FnMut(&mut [u8]) -> io::Result<usize>,
) -> io::Result<(usize, bool)> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match read(rest) {
            Ok(0) => return Ok((done, true)),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((done, false))
}

impl Spool {
    pub(super) const fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk { len, .. } => *len,
        }
    }

    /// All bytes, for one request, where they are in memory.
    pub(super) fn in_memory(&self) -> Option<Bytes> {
        match self {
            Self::Memory(bytes) => Some(bytes.clone()),
            Self::Disk { .. } => None,
        }
    }

    /// A body for one attempt, and what feeds it.
    pub(super) fn body(&self) -> (PartBody, impl Future<Output = ()> + Send + 'static) {
        let (body, from) = match self {
            Self::Memory(bytes) => (PartBody::Bytes(bytes.clone()), None),
            Self::Disk { file, len, .. } => {
                let (feed, body) = bucket::stream(*len);
                (body, Some((feed, file.clone(), *len)))
            }
        };
        let feeding = async move {
            if let Some((feed, file, len)) = from {
                // A read that fails ends the feed, and with it the request.
                let _ended = tokio::task::spawn_blocking(move || feed_from(&file, len, &feed)).await;
            }
        };
        (body, feeding)
    }
}

fn feed_from(file: &File, len: u64, feed: &StreamFeed) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let mut chunk = vec![0; usize::try_from(len - done).unwrap_or(usize::MAX).min(CHUNK)];
        file.read_exact_at(&mut chunk, done)?;
        done += chunk.len() as u64;
        if feed.blocking_send(Ok(Bytes::from(chunk))).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::Pool;
    use super::*;

    #[tokio::test]
    async fn a_part_on_the_disk_is_the_part_and_leaves_no_name_behind() {
        let dir = tempfile::tempdir().unwrap();
        let pool = Pool::new(1, 4 << 20, 1 << 20);
        let plain: Vec<u8> = (0..5_000_003_u32).map(|at| at.to_be_bytes()[3]).collect();
        let mut at = 0;
        let read = |room: &mut [u8]| {
            let count = room.len().min(70_001).min(plain.len() - at);
            room[..count].copy_from_slice(&plain[at..at + count]);
            at += count;
            Ok(count)
        };
        let chunk = pool.buffer(1 << 20).await.unwrap();
        let mut seen = 0;
        let room = Room::on_disk(dir.path(), 8_000_000, chunk).unwrap();
        let (spool, ended) = room.fill(read, |bytes| seen += bytes.len()).unwrap();
        assert!(ended && spool.len() == 5_000_003 && seen == 5_000_003);
        let Spool::Disk { file, .. } = &spool else { panic!("it is in memory") };
        let mut back = vec![0; plain.len()];
        file.read_exact_at(&mut back, 0).unwrap();
        assert!(back == plain && spool.in_memory().is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
