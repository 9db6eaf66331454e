//! An object of the bucket as something that can be read at any offset, for inspection.
//!
//! What must stay true: only kilobytes are fetched, pinned to one version or entity tag.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use tokio::runtime::Handle;

use super::Downloader;
use crate::bucket::{BucketError, KeyError, ObjectKey};
use crate::formats::ReadAt;
use crate::manifest::StoredFile;

/// Bytes that one request fetches: an inspection looks at neighbouring places.
const WINDOW: usize = 256 << 10;

/// An object, read in windows. Reading blocks, so it belongs on a blocking thread.
#[derive(Debug)]
pub struct RemoteFile {
    downloader: Downloader,
    key: ObjectKey,
    size: u64,
    etag: Option<String>,
    version: Option<String>,
    runtime: Handle,
    window: Mutex<Window>,
}

/// The bytes that came last, and where they lie.
#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn from(&self, offset: u64) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..).filter(|rest| !rest.is_empty())
    }
}

impl RemoteFile {
    /// The object that was adopted, and no later one under its key. Belongs into the runtime.
    ///
    /// # Errors
    /// Where its key is none, which cannot be for an object that was read.
    pub fn of(downloader: &Downloader, file: &StoredFile) -> Result<Self, KeyError> {
        Ok(Self {
            downloader: downloader.clone(),
            key: ObjectKey::new(file.key.clone())?,
            size: file.size,
            etag: file.etag.clone(),
            version: file.version_id.clone(),
            runtime: Handle::current(),
            window: Mutex::default(),
        })
    }

    async fn fetch(&self, start: u64) -> Result<Vec<u8>, BucketError> {
        let last = start.saturating_add(WINDOW as u64).min(self.size).saturating_sub(1);
        let (etag, version) = (self.etag.as_deref(), self.version.as_deref());
        let (_, mut body) = self.downloader.bucket.get(&self.key, Some((start, last)), etag, version).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await? {
            bytes.extend_from_slice(&chunk);
            bytes.truncate(WINDOW);
        }
        Ok(bytes)
    }
}

impl ReadAt for RemoteFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        if offset >= self.size {
            return Ok(0);
        }
        let mut window = self.window.lock().map_err(|_| io::Error::other("a read of it panicked"))?;
        if window.from(offset).is_none() {
            let what = format!("read {}", self.key);
            let retries = AtomicU32::new(0);
            let fetched = self.downloader.policy.run(&what, &retries, || self.fetch(offset));
            let bytes = self.runtime.block_on(fetched).map_err(io::Error::other)?;
            *window = Window { start: offset, bytes };
        }
        window.from(offset).unwrap_or_default().read_at(0, into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_answers_for_its_own_bytes_only() {
        let window = Window { start: 100, bytes: vec![1, 2, 3] };
        assert_eq!(window.from(101), Some(&[2_u8, 3][..]));
        assert_eq!((window.from(99), window.from(103)), (None, None));
    }
}
