//! Trying out on one small object what this identity may do, and whether S3 keeps its promises.
//!
//! What must stay true: nothing but the probe object is ever written, written over or deleted (and, where
//! a store accepts what it must refuse, the upload that shows it). An object of another size under its key
//! is not ours, and is left alone.

use bytes::Bytes;

use super::super::setup::Failure;
use crate::bucket::{
    Bucket, BucketError, ErrorKind, MultipartUpload, ObjectKey, Overwrite, PartBody, PutOptions, Receipt,
    Versioning,
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

/// Where probe objects lie, with a `/` at the end.
pub(super) fn below(bucket: &Bucket) -> String {
    format!("{}_check/", bucket.layout().prefix())
}

/// Writes the probe object, tries everything on it, and removes it where that is allowed. Its key is the
/// same every time, so that at most one is ever there for a host.
pub(super) async fn probe(bucket: &Bucket, versioning: Option<Versioning>) -> Result<Probed, Failure> {
    let name = format!("{}{}", below(bucket), source::host_name());
    let key = ObjectKey::new(name.clone()).map_err(anyhow::Error::from)?;
    let never = ObjectKey::new(format!("{name}-never")).map_err(anyhow::Error::from)?;
    let probe = Prober { bucket, key, never, body: Bytes::from(vec![b'.'; BYTES]) };
    let mut written = Written::default();
    let (upload, wrong_part, wrong_whole) = probe.without_a_trace().await;
    let wrong_left = probe.sweep(&wrong_whole).await;
    let right_whole = if upload.is_ok() { probe.store().await } else { upload.clone().map(|()| none()) };
    // A store without CRC64NVME is tried all the same, with an object that carries none.
    let has_crc64 = !matches!(&right_whole, Err(error) if error.blames_checksum());
    let checksum = has_crc64.then(|| probe.checksum());
    let put = |overwrite| probe.put(checksum.as_ref(), overwrite);
    let stored = if has_crc64 { right_whole.clone() } else { put(Overwrite::Never).await };
    written.note(&stored);
    let taken = matches!(&stored, Err(error) if error.kind == ErrorKind::Precondition);
    let second_write = if written.any { Some(put(Overwrite::Never).await) } else { None };
    if let Some(second) = &second_write {
        written.note(second);
    }
    let list = Tried::from(bucket.list_one(&below(bucket), "").await);
    let (mut read, mut state) = (Tried::NotTried(NONE), Probe::None);
    let mut changed = [NONE; 3].map(Tried::NotTried);
    if written.any || taken {
        let got = bucket.get(&probe.key, None, None, None).await;
        let mut is_ours = true;
        if let Ok((info, _)) = &got {
            written.of_before = info.version.clone().filter(|_| taken);
            is_ours = info.size == BYTES as u64;
        }
        read = Tried::from(got);
        if is_ours {
            (changed, state) = probe.change(checksum.as_ref(), &mut written, taken, versioning).await;
        } else {
            changed = [NOT_OURS; 3].map(Tried::NotTried);
        }
    }
    let [overwrite, delete, delete_version] = changed;
    Ok(Probed {
        key: probe.key,
        powers: Powers { upload, read, list, overwrite, delete, delete_version },
        promises: Promises {
            wrong_part,
            wrong_whole: wrong_whole.map(|_| ()),
            wrong_left,
            right_whole: right_whole.map(|_| ()),
            second_write: second_write.map(|second| second.map(|_| ())),
        },
        state,
        versioned: !written.versions.is_empty(),
    })
}

const NONE: &str = "no probe object could be written";
const NOT_OURS: &str = "an object that is no probe has the probe's key, and is left alone";

/// What was written so far.
#[derive(Default)]
struct Written {
    any: bool,
    /// Of this check: of the object, and of markers that say it is deleted.
    versions: Vec<String>,
    /// The object's, where an earlier check left it.
    of_before: Option<String>,
}

impl Written {
    fn note(&mut self, result: &Result<Receipt, BucketError>) {
        if let Ok(receipt) = result {
            self.any = true;
            self.versions.extend(receipt.version.clone());
        }
    }

    /// What stays, where `left` versions and markers of this check could not be deleted, and perhaps that
    /// of an earlier one.
    fn state(&self, taken: bool, is_deleted: bool, left: Left) -> Probe {
        if self.versions.is_empty() && self.of_before.is_none() {
            return if is_deleted { Probe::Removed } else { Probe::Stays { growth: 0 } };
        }
        // Of before there is one more, which is deleted by its version or comes to light again.
        let before_stays = taken && (left.of_before || self.of_before.is_none());
        if left.of_this == 0 && !before_stays {
            return Probe::Removed;
        }
        // The object itself is no growth: the next check uses it.
        let object = usize::from(!taken && !is_deleted);
        Probe::Stays { growth: left.of_this.saturating_sub(object) }
    }
}

/// What could not be deleted for good.
#[derive(Default, Clone, Copy)]
struct Left {
    of_this: usize,
    of_before: bool,
}

fn none() -> Receipt {
    Receipt { etag: None, version: None, checksum: None }
}

struct Prober<'b> {
    bucket: &'b Bucket,
    key: ObjectKey,
    /// Of the upload that must be refused.
    never: ObjectKey,
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
    ///
    /// Its key is never taken where checksums are checked, so that the refusal is for the checksum.
    async fn without_a_trace(
        &self,
    ) -> (Result<(), BucketError>, Result<(), BucketError>, Result<Receipt, BucketError>) {
        let options = Self::options(Overwrite::Never);
        let begun = self.bucket.create_multipart(&self.never, Some(Algorithm::Crc64Nvme), options).await;
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

    /// Overwrites and deletes the object, and its versions: what of it was allowed, in that order, and what
    /// stays.
    async fn change(
        &self,
        checksum: Option<&Checksum>,
        written: &mut Written,
        taken: bool,
        versioning: Option<Versioning>,
    ) -> ([Tried; 3], Probe) {
        let over = self.put(checksum, Overwrite::Replace).await;
        written.note(&over);
        let deleted = self.bucket.delete(&self.key, None).await;
        let is_deleted = deleted.is_ok();
        if let Ok(marker) = &deleted {
            written.versions.extend(marker.clone());
        }
        let (delete_version, left) = self.delete_versions(written, versioning, is_deleted).await;
        let state = written.state(taken, is_deleted, left);
        ([Tried::from(over), Tried::from(deleted), delete_version], state)
    }

    /// Removes what a store that checks nothing has made of the wrong upload, now or earlier; where it
    /// lies, if that fails.
    async fn sweep(&self, wrong: &Result<Receipt, BucketError>) -> Option<String> {
        let version = match wrong {
            Ok(receipt) => receipt.version.as_deref(),
            Err(error) if error.kind == ErrorKind::Precondition => None,
            Err(_) => return None,
        };
        let deleted = self.bucket.delete(&self.never, version).await;
        deleted.is_err().then(|| self.bucket.uri(self.never.as_str()))
    }

    /// Deletes the versions that this check wrote, for good, and the one it found. Of an object whose
    /// version is not known, `null`: an id that is always valid, and of nothing on a versioned bucket.
    async fn delete_versions(
        &self,
        written: &Written,
        versioning: Option<Versioning>,
        is_deleted: bool,
    ) -> (Tried, Left) {
        let mut left = Left::default();
        let mut all: Result<(), BucketError> = Ok(());
        for version in &written.versions {
            let deleted = self.bucket.delete(&self.key, Some(version)).await.map(|_| ());
            left.of_this += usize::from(deleted.is_err());
            all = all.and(deleted);
        }
        if let Some(version) = &written.of_before {
            let deleted = self.bucket.delete(&self.key, Some(version)).await.map(|_| ());
            left.of_before = deleted.is_err();
            all = all.and(deleted);
        }
        if !written.versions.is_empty() || written.of_before.is_some() {
            return (Tried::from(all), left);
        }
        // Deleting set no marker: there are no versions here.
        if versioning == Some(Versioning::Never) || is_deleted {
            return (Tried::NotTried(Tried::NO_VERSIONS), left);
        }
        (Tried::from(self.bucket.delete(&self.key, Some("null")).await), left)
    }
}
