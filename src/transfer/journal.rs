//! What S3 confirmed of encoded objects whose set has no manifest yet.
//!
//! An encrypted object cannot be compared with its file: encrypting again gives other bytes. So that a
//! run that was killed between two files of a folder, or before the manifest, can go on, this host
//! remembers what it had confirmed. Losing it does no harm: such an object is then refused, never
//! trusted. It holds no secret.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bucket::ObjectInfo;
use crate::checksum::{Algorithm, Digest};
use crate::manifest::StoredFile;

/// The directory of the records.
#[derive(Debug)]
pub(super) struct Journal {
    dir: PathBuf,
    bucket: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    bucket: String,
    file: StoredFile,
}

impl Journal {
    pub(super) fn new(state: &Path, bucket: &str) -> Self {
        Self { dir: state.join("encoded"), bucket: bucket.to_owned() }
    }

    fn path(&self, key: &str) -> PathBuf {
        let mut digest = Digest::new(Algorithm::Sha256);
        digest.update(self.bucket.as_bytes());
        digest.update(b"\0");
        digest.update(key.as_bytes());
        let name: String = digest.value().chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        self.dir.join(format!("{name}.json"))
    }

    /// Remembers an object that S3 confirmed.
    pub(super) fn remember(&self, file: &StoredFile) {
        let record = Record { bucket: self.bucket.clone(), file: file.clone() };
        let path = self.path(&file.key);
        let kept = serde_json::to_vec(&record).map_err(std::io::Error::other).and_then(|json| {
            std::fs::create_dir_all(&self.dir)?;
            let new = path.with_extension("new");
            std::fs::write(&new, json)?;
            std::fs::rename(&new, &path)
        });
        if let Err(error) = kept {
            tracing::warn!("remember {} in {}: {error}", file.key, self.dir.display());
        }
    }

    /// What is remembered of the object under this key, where it is still that object.
    pub(super) fn recall(&self, key: &str, info: &ObjectInfo) -> Option<StoredFile> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let Record { bucket, file } = serde_json::from_slice(&bytes).ok()?;
        (bucket == self.bucket && file.key == key && is(info, &file)).then_some(file)
    }

    /// Removes what is remembered of a key.
    pub(super) fn forget(&self, key: &str) {
        match std::fs::remove_file(self.path(key)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::debug!("forget {key} in {}: {error}", self.dir.display());
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Whether what S3 holds is the object that a record speaks of: by S3's own checksum, or else by its
/// entity tag.
pub(super) fn is(info: &ObjectInfo, file: &StoredFile) -> bool {
    if info.size != file.size {
        return false;
    }
    let ours = [file.s3_checksum.as_ref(), Some(&file.checksum)];
    let agrees = info
        .checksum
        .as_ref()
        .and_then(|theirs| ours.into_iter().flatten().find_map(|ours| ours.agrees(theirs)));
    agrees.unwrap_or_else(|| info.etag.is_some() && info.etag == file.etag)
}
