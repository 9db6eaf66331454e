//! Comparing: what S3 says it holds, with what the file is.

use std::sync::atomic::Ordering;

use super::FileError;
use super::job::FileJob;
use crate::bucket::{ErrorKind, ObjectInfo, Overwrite, Receipt};
use crate::checksum::{Algorithm, Checksum, Digest};
use crate::manifest::Confirmation;

/// What the file is, from the one read.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    pub(super) size: u64,
    /// CRC64NVME of all bytes.
    pub(super) crc64: Checksum,
    /// What S3 was asked to verify, if anything was.
    pub(super) wire: Option<Checksum>,
}

impl Ours {
    fn describe(&self) -> String {
        format!("{} bytes, {}", self.size, self.crc64)
    }
}

/// An object that equals the file.
#[derive(Debug, Clone)]
pub(super) struct Same {
    pub(super) confirmed: Confirmation,
    pub(super) s3_checksum: Option<Checksum>,
    pub(super) etag: Option<String>,
    pub(super) version: Option<String>,
}

impl FileJob {
    /// Decides whether what S3 just took is what was sent.
    pub(super) async fn confirm(&self, receipt: Receipt, ours: &Ours) -> Result<Same, FileError> {
        let same = |confirmed, s3_checksum| Same {
            confirmed,
            s3_checksum,
            etag: receipt.etag.clone(),
            version: receipt.version.clone(),
        };
        if let (Some(theirs), Some(wire)) = (&receipt.checksum, &ours.wire) {
            match theirs.agrees(wire) {
                Some(true) => return Ok(same(Confirmation::Checksum, Some(theirs.clone()))),
                Some(false) => return Err(self.damaged(ours, theirs.to_string())),
                None => {}
            }
        }
        if !self.bucket().wants_proof() {
            return Ok(same(Confirmation::Accepted, None));
        }
        match self.existing(ours).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(self.damaged(ours, "nothing: the object is not there".to_owned())),
            Err(FileError::OtherContent { ours: sent, theirs, key, .. }) => {
                Err(FileError::Damaged { key, ours: sent, theirs })
            }
            // A write-only identity on a store that gives no checksum: it took the bytes, no more is known.
            Err(FileError::NotCompared { .. }) => Ok(same(Confirmation::Accepted, None)),
            Err(error) => Err(error),
        }
    }

    pub(super) fn damaged(&self, ours: &Ours, theirs: String) -> FileError {
        FileError::Damaged { key: self.key.to_string(), ours: ours.describe(), theirs }
    }

    pub(super) fn other(&self, ours: String, theirs: String) -> FileError {
        FileError::OtherContent { key: self.key.to_string(), path: self.file.path.clone(), ours, theirs }
    }

    /// What S3 holds under this file's key; `None` for nothing.
    pub(super) async fn head(&self) -> Result<Option<ObjectInfo>, FileError> {
        let what = format!("look at {}", self.key);
        let reply = self.policy().run(&what, &self.retries, || self.bucket().head(&self.key)).await;
        reply.map_err(|error| match error.kind {
            ErrorKind::Denied => FileError::NotCompared { key: self.key.to_string() },
            _ => error.into(),
        })
    }

    /// Whether an object of this file's size has its key and may not be written over.
    ///
    /// # Errors
    /// Where an object of another size has it; where there is nothing to compare a file with that is not to be sent.
    pub(super) async fn same_size_there(&self) -> Result<bool, FileError> {
        if self.overwrite() == Overwrite::Replace && !self.compare_only {
            return Ok(false);
        }
        match self.head().await {
            Ok(Some(info)) => self.same_size(&info, self.file.stamp.size).map(|()| true),
            Ok(None) if self.compare_only => Err(self.gone()),
            Err(error @ FileError::NotCompared { .. }) if self.compare_only => Err(error),
            Ok(None) | Err(FileError::NotCompared { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What was there by a listing or a record, and is not.
    pub(super) fn gone(&self) -> FileError {
        FileError::Gone { key: self.key.to_string(), path: self.file.path.clone() }
    }

    /// Refuses at once where the object that is there cannot be this file: another size.
    pub(super) fn same_size(&self, info: &ObjectInfo, ours: u64) -> Result<(), FileError> {
        if info.size == ours {
            return Ok(());
        }
        Err(self.other(format!("{ours} bytes"), format!("{} bytes", info.size)))
    }

    /// Compares the object under this file's key with the file; `None` where there is no object.
    pub(super) async fn existing(&self, ours: &Ours) -> Result<Option<Same>, FileError> {
        let Some(info) = self.head().await? else {
            return Ok(None);
        };
        self.same_size(&info, ours.size)?;
        let same = |confirmed, s3_checksum| {
            Some(Same { confirmed, s3_checksum, etag: info.etag.clone(), version: info.version.clone() })
        };
        if let Some(theirs) = &info.checksum {
            for mine in [Some(&ours.crc64), ours.wire.as_ref()].into_iter().flatten() {
                match theirs.agrees(mine) {
                    Some(true) => return Ok(same(Confirmation::Checksum, Some(theirs.clone()))),
                    Some(false) => return Err(self.other(mine.to_string(), theirs.to_string())),
                    None => {}
                }
            }
        }
        tracing::info!(key = %self.key, "S3 keeps no checksum that can be compared: reading the object back");
        let what = format!("read back {}", self.key);
        let theirs =
            self.policy().run(&what, &self.retries, || self.read_back(&info)).await.map_err(|error| {
                match error.kind {
                    ErrorKind::Denied => FileError::NotCompared { key: self.key.to_string() },
                    _ => FileError::from(error),
                }
            })?;
        if theirs == ours.crc64 {
            return Ok(same(Confirmation::Reread, None));
        }
        Err(self.other(ours.describe(), format!("{} bytes, {theirs}", info.size)))
    }

    async fn read_back(&self, info: &ObjectInfo) -> Result<Checksum, crate::bucket::BucketError> {
        let (_, mut body) = self.bucket().get(&self.key, None, info.etag.as_deref(), None).await?;
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        while let Some(chunk) = body.next().await? {
            digest.update(&chunk);
        }
        Ok(digest.full_object())
    }

    pub(super) fn retried(&self) -> u32 {
        self.retries.load(Ordering::Relaxed)
    }
}
