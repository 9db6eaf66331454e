//! A file that goes in one request: read into memory, compared, sent.

use std::time::Instant;

use bytes::Bytes;

use super::existing::{Ours, Same};
use super::job::FileJob;
use super::pool::Slot;
use super::reader::{blocking, fill_and_sum, open_as_found, unchanged};
use super::sent::Sent;
use super::tap::Tap;
use super::{FileError, FileProgress};
use crate::bucket::ErrorKind;

impl FileJob {
    /// Sends the file in one request. `_slot` is held until S3 has answered.
    pub(super) async fn put_small(&self, _slot: Slot, progress: &FileProgress) -> Result<Sent, FileError> {
        let size = self.file.stamp.size;
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        let wire = self.bucket().algorithm();
        let mut buffer =
            self.pool().buffer(len).await.map_err(|error| FileError::Internal(error.to_string()))?;
        let file = self.file.clone();
        let mut tap = Tap::new(self.watch);
        let (buffer, sums, judgement) = blocking(move || {
            let open = open_as_found(&file)?;
            let sums = fill_and_sum(&open, &file.path, 0, buffer.bytes_mut(), wire, &mut tap)?;
            unchanged(&open, &file.stamp, &file.path)?;
            let judgement = tap.end(&file.path)?;
            Ok((buffer, sums, judgement))
        })
        .await?;
        let ours =
            Ours { size, crc64: sums.crc64().full_object(), wire: wire.map(|_| sums.wire().full_object()) };
        if self.compare_only {
            let same = self.must_be_same(&ours).await?;
            progress.advance(size);
            return Ok(Sent { same, size, crc64: ours.crc64, parts: 1, bytes: 0, judgement, coding: None });
        }
        let body = buffer.freeze();
        let (same, bytes) = match self.put_once(&body, &ours).await? {
            Some(same) => (same, size),
            // There is such an object: sent before, or by an attempt whose answer was lost.
            None => (self.must_be_same(&ours).await?, 0),
        };
        progress.advance(size);
        Ok(Sent { same, size, crc64: ours.crc64, parts: 1, bytes, judgement, coding: None })
    }

    /// Sends the object's bytes in one request and compares; `None` where the key is taken.
    pub(super) async fn put_once(&self, body: &Bytes, ours: &Ours) -> Result<Option<Same>, FileError> {
        let what = format!("send {}", self.file.path.display());
        let put = async || {
            let sent = Instant::now();
            let reply = self.bucket().put(&self.key, body.clone(), ours.wire.as_ref(), self.options()).await;
            self.pool().answered(sent.elapsed());
            reply
        };
        match self.policy().run(&what, &self.retries, put).await {
            Ok(receipt) => self.confirm(receipt, ours).await.map(Some),
            Err(error) if error.kind == ErrorKind::Precondition => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The object that stands in the way, which must equal the file.
    pub(super) async fn must_be_same(&self, ours: &Ours) -> Result<Same, FileError> {
        self.existing(ours).await?.ok_or_else(|| self.gone())
    }
}
