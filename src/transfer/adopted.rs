//! The other state that may come before a manifest: an object that was there, and was read.

use chrono::{DateTime, Utc};

use super::{Downloader, FetchError, Wanted};
use crate::bucket::{ErrorKind, ObjectKey};
use crate::checksum::{Algorithm, Checksum, Scope};
use crate::manifest::{Confirmation, StoredFile};
use crate::model::{BackupDate, RelPath, SetId};

/// A set of one object that another program stored: every byte was read here once, and agrees with
/// S3's own checksum where it keeps one. Only [`Downloader::adopt`] can make one. Nobody compared it
/// with its source, so its manifest says `unproven`.
#[derive(Debug)]
pub struct AdoptedSet {
    id: SetId,
    date: BackupDate,
    file: StoredFile,
    seconds: f64,
}

impl AdoptedSet {
    /// Which set.
    #[must_use]
    pub const fn id(&self) -> &SetId {
        &self.id
    }

    /// The date in its name.
    #[must_use]
    pub const fn date(&self) -> BackupDate {
        self.date
    }

    /// Its object.
    #[must_use]
    pub const fn file(&self) -> &StoredFile {
        &self.file
    }

    /// Seconds that the reading took.
    #[must_use]
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }
}

impl Downloader {
    /// Reads an object that has no manifest, and shows its bytes to `watch`.
    ///
    /// # Errors
    /// [`FetchError::Damaged`] where its bytes are not those that S3's checksum speaks of.
    pub async fn adopt(
        &self,
        id: SetId,
        date: BackupDate,
        key: ObjectKey,
        watch: &mut (impl std::io::Write + Send),
    ) -> Result<AdoptedSet, FetchError> {
        let begun = std::time::Instant::now();
        let what = format!("look at {key}");
        let Some(info) = self.policy.ask(&what, || self.bucket.head(&key)).await? else {
            return Err(FetchError::Bucket(crate::bucket::BucketError {
                verb: "look at object",
                object: key.to_string(),
                kind: ErrorKind::NotFound,
                detail: "it was listed, and is gone".to_owned(),
            }));
        };
        let wanted =
            Wanted { key, size: info.size, version: info.version.clone(), checksum: None, coding: None };
        let checksum = self.stream(&wanted, watch).await?;
        let theirs: Option<Checksum> = info
            .checksum
            .filter(|sum| sum.scope == Scope::FullObject && sum.algorithm == Algorithm::Crc64Nvme);
        if let Some(theirs) = theirs.as_ref().filter(|theirs| **theirs != checksum) {
            let how = format!("its bytes give {checksum}, and S3 says {theirs}");
            return Err(FetchError::Damaged { key: wanted.key.to_string(), how });
        }
        let file = StoredFile {
            path: RelPath::empty(),
            key: wanted.key.to_string(),
            size: info.size,
            mtime: info.modified.map_or_else(Utc::now, DateTime::from),
            mode: 0o640,
            checksum,
            s3_checksum: theirs,
            confirmed: Confirmation::Accepted,
            etag: info.etag,
            version_id: info.version,
            parts: 1,
            retries: 0,
            coding: None,
        };
        Ok(AdoptedSet { id, date, file, seconds: begun.elapsed().as_secs_f64() })
    }
}
