//! When a retrieval was asked for, which S3 does not tell. Kept on this host so that a wait that was cut
//! short by a reboot can say since when it has lasted; losing it loses that sentence and nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::bucket::{ObjectKey, Tier};
use crate::checksum::{Algorithm, Digest};
use crate::private_dir;

/// `<state>/retrieving/<bucket>/<checksum of the key>.json`.
#[derive(Debug)]
pub struct Note {
    path: PathBuf,
}

/// One request, as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// When.
    pub since: DateTime<Utc>,
    /// The tier's word.
    tier: String,
}

impl Request {
    /// Made now.
    #[must_use]
    pub fn now(tier: Tier) -> Self {
        Self { since: Utc::now(), tier: tier.as_str().to_owned() }
    }

    /// How fast it was wanted.
    #[must_use]
    pub fn tier(&self) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| tier.as_str() == self.tier)
    }
}

impl Note {
    /// The note of a set whose first object has this key.
    #[must_use]
    pub fn of(state: &Path, bucket: &str, key: &ObjectKey) -> Self {
        // A bucket may hold keys such as `a/../../b`; by its checksum the note cannot leave the directory.
        let mut digest = Digest::new(Algorithm::Sha256);
        digest.update(key.as_str().as_bytes());
        let name: String =
            digest.full_object().value.chars().map(|c| if c == '/' { '_' } else { c }).collect();
        Self { path: state.join("retrieving").join(bucket).join(format!("{name}.json")) }
    }

    /// What was noted, where it can be read.
    #[must_use]
    pub fn read(&self) -> Option<Request> {
        serde_json::from_slice(&fs::read(&self.path).ok()?).ok()
    }

    /// Notes a request. A state directory that cannot be written is no reason not to wait.
    pub fn write(&self, request: &Request) {
        let write = || {
            private_dir::make(self.path.parent().unwrap_or(&self.path))?;
            fs::write(&self.path, serde_json::to_vec(request)?)
        };
        if let Err(error) = write() {
            tracing::debug!("note when the retrieval was asked for in {}: {error}", self.path.display());
        }
    }

    /// It is over.
    pub fn remove(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!("remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_outlives_the_process_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let key = ObjectKey::new("backup/mysql/shop/weekly/shop.sql".to_owned()).unwrap();
        let note = Note::of(dir.path(), "vault", &key);
        assert_eq!(note.read(), None);
        let request = Request::now(Tier::Bulk);
        note.write(&request);
        assert_eq!(Note::of(dir.path(), "vault", &key).read(), Some(request));
        fs::write(&note.path, "{").unwrap();
        assert_eq!(note.read(), None);
        note.remove();
        assert!(!note.path.exists());
    }
}
