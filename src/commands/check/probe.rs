//! Trying out on one small object what this identity may do, and whether S3 keeps its promises.
//!
//! What must stay true: nothing but the probe object is ever written, written over or deleted.

use bytes::Bytes;

use super::super::setup::Failure;
use crate::bucket::{
    Bucket, BucketError, MultipartUpload, ObjectKey, Overwrite, PartBody, PutOptions, Receipt, Versioning,
};
use crate::check::bucket::Promises;
use crate::check::identity::{Powers, Probe, Tried};
use crate::checksum::{Algorithm, Checksum, Digest};
use crate::source;

/// Size of the probe object.
pub(super) const BYTES: usize = 64;

/// What came of it.
pub(super) struct Probed {
    pub(super) key: ObjectKey,
    pub(super) powers: Powers,
    pub(super) promises: Promises,
    pub(super) state: Probe,
    /// Whether S3 gave versions to what was written.
    pub(super) versioned: bool,
}

/// Writes the probe object, tries everything on it, and removes it where that is allowed. Its key is the
/// same every time, so that at most one is ever there for a host.
pub(super) async fn probe(bucket: &Bucket, versioning: Option<Versioning>) -> Result<Probed, Failure> {
    let below = format!("{}_check/", bucket.layout().prefix());
    let key = ObjectKey::new(format!("{below}{}", source::host_name())).map_err(anyhow::Error::from)?;
    let probe = Prober { bucket, key: key.clone(), body: Bytes::from(vec![b'.'; BYTES]) };
    let mut written = Written::default();
    let (upload, wrong_part, wrong_whole) = probe.without_a_trace().await;
    written.note(&wrong_whole);
    let right_whole = if upload.is_ok() { probe.store().await } else { upload.clone().map(|()| none()) };
    // A store without CRC64NVME is tried all the same, with an object that carries none.
    let has_crc64 = !matches!(&right_whole, Err(error) if error.blames_checksum());
    let checksum = has_crc64.then(|| probe.checksum());
    let put = |overwrite| probe.put(checksum.as_ref(), overwrite);
    let stored = if has_crc64 { right_whole.clone() } else { put(Overwrite::Never).await };
    written.note(&stored);
    let taken = matches!(&stored, Err(error) if error.kind == crate::bucket::ErrorKind::Precondition);
    let second_write = if written.any { Some(put(Overwrite::Never).await) } else { None };
    if let Some(second) = &second_write {
        written.note(second);
    }
    let list = Tried::from(bucket.list_one(&below).await);
    let is_there = written.any || taken;
    let untried = || Tried::NotTried("no probe object could be written");
    let (mut read, mut overwrite, mut delete, mut delete_version) =
        (untried(), untried(), untried(), untried());
    let mut state = if is_there { Probe::Stays } else { Probe::None };
    if is_there {
        let got = bucket.get(&key, None, None, None).await;
        if let Ok((info, _)) = &got {
            // Of an earlier check.
            written.versions.extend(info.version.clone().filter(|_| written.versions.is_empty()));
        }
        read = Tried::from(got);
        let over = put(Overwrite::Replace).await;
        written.note(&over);
        overwrite = Tried::from(over);
        let deleted = bucket.delete(&key, None).await;
        if let Ok(marker) = &deleted {
            written.versions.extend(marker.clone());
            state = if written.versions.is_empty() { Probe::Removed } else { Probe::Stays };
        }
        delete = Tried::from(deleted);
        (delete_version, state) = probe.delete_versions(&written.versions, versioning, state).await;
    }
    Ok(Probed {
        key,
        powers: Powers { upload, read, list, overwrite, delete, delete_version },
        promises: Promises {
            wrong_part,
            wrong_whole: wrong_whole.map(|_| ()),
            right_whole: right_whole.map(|_| ()),
            second_write: second_write.map(|second| second.map(|_| ())),
        },
        state,
        versioned: !written.versions.is_empty(),
    })
}

/// What was written so far.
#[derive(Default)]
struct Written {
    any: bool,
    versions: Vec<String>,
}

impl Written {
    fn note(&mut self, result: &Result<Receipt, BucketError>) {
        if let Ok(receipt) = result {
            self.any = true;
            self.versions.extend(receipt.version.clone());
        }
    }
}

fn none() -> Receipt {
    Receipt { etag: None, version: None, checksum: None }
}

struct Prober<'b> {
    bucket: &'b Bucket,
    key: ObjectKey,
    body: Bytes,
}

impl Prober<'_> {
    fn options(overwrite: Overwrite) -> PutOptions {
        PutOptions { category: None, overwrite, content_type: "text/plain" }
    }

    fn checksum(&self) -> Checksum {
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        digest.update(&self.body);
        digest.full_object()
    }

    /// Of other bytes.
    fn wrong_checksum() -> Checksum {
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        digest.update(b"other bytes");
        digest.full_object()
    }

    async fn part(
        &self,
        upload: &MultipartUpload,
        checksum: &Checksum,
    ) -> Result<crate::bucket::PartReceipt, BucketError> {
        let value = upload.algorithm.map(|_| checksum.value.clone());
        self.bucket.upload_part(upload, 1, PartBody::Bytes(self.body.clone()), value).await
    }

    /// Begins an upload, sends a part with a wrong checksum and one with the right one, completes with
    /// a wrong checksum of the whole, and aborts: the way of every backup, and nothing is stored unless
    /// the store checks nothing. A store that has no CRC64NVME gets the upload without it.
    async fn without_a_trace(
        &self,
    ) -> (Result<(), BucketError>, Result<(), BucketError>, Result<Receipt, BucketError>) {
        let options = Self::options(Overwrite::Never);
        let begun = self.bucket.create_multipart(&self.key, Some(Algorithm::Crc64Nvme), options).await;
        let upload = match begun {
            Ok(upload) => upload,
            Err(error) if error.blames_checksum() => {
                return (self.without_checksum().await, Err(error.clone()), Err(error));
            }
            Err(error) => return (Err(error.clone()), Err(error.clone()), Err(error)),
        };
        let wrong_part = self.part(&upload, &Self::wrong_checksum()).await.map(|_| ());
        let sent = self.part(&upload, &self.checksum()).await;
        let wrong_whole = match &sent {
            Ok(part) => self.complete(&upload, part, &Self::wrong_checksum()).await,
            Err(error) => Err(error.clone()),
        };
        let aborted = self.bucket.abort_multipart(&upload).await;
        (sent.and(aborted), wrong_part, wrong_whole)
    }

    async fn without_checksum(&self) -> Result<(), BucketError> {
        let options = Self::options(Overwrite::Never);
        let upload = self.bucket.create_multipart(&self.key, None, options).await?;
        let sent = self.part(&upload, &self.checksum()).await;
        let aborted = self.bucket.abort_multipart(&upload).await;
        sent.and(aborted)
    }

    async fn complete(
        &self,
        upload: &MultipartUpload,
        part: &crate::bucket::PartReceipt,
        checksum: &Checksum,
    ) -> Result<Receipt, BucketError> {
        let (parts, size) = (std::slice::from_ref(part), self.body.len() as u64);
        self.bucket.complete_multipart(upload, parts, size, Some(checksum), Overwrite::Never).await
    }

    /// The probe object, as a backup is stored: in parts, proven, create-only.
    async fn store(&self) -> Result<Receipt, BucketError> {
        let options = Self::options(Overwrite::Never);
        let upload = self.bucket.create_multipart(&self.key, Some(Algorithm::Crc64Nvme), options).await?;
        let stored = match self.part(&upload, &self.checksum()).await {
            Ok(part) => self.complete(&upload, &part, &self.checksum()).await,
            Err(error) => Err(error),
        };
        if stored.is_err() {
            // What cannot be aborted is for the bucket's lifecycle rule.
            let _left_open = self.bucket.abort_multipart(&upload).await;
        }
        stored
    }

    async fn put(&self, checksum: Option<&Checksum>, overwrite: Overwrite) -> Result<Receipt, BucketError> {
        self.bucket.put(&self.key, self.body.clone(), checksum, Self::options(overwrite)).await
    }

    /// Deletes the versions that this check wrote, for good.
    async fn delete_versions(
        &self,
        versions: &[String],
        versioning: Option<Versioning>,
        state: Probe,
    ) -> (Tried, Probe) {
        if versions.is_empty() {
            let why = match versioning {
                Some(Versioning::Never) => Tried::NO_VERSIONS,
                _ => "the probe object's version is not known to this identity",
            };
            return (Tried::NotTried(why), state);
        }
        let mut all: Result<(), BucketError> = Ok(());
        for version in versions {
            all = all.and(self.bucket.delete(&self.key, Some(version)).await.map(|_| ()));
        }
        let state = if all.is_ok() { Probe::Removed } else { Probe::Stays };
        (Tried::from(all), state)
    }
}
