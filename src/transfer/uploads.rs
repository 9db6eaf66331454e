//! Which uploads this host began and has not ended: what may be aborted when it is old.
//!
//! What must stay true: only what is written here is ever swept, so nobody else's uploads are. One
//! JSON line is added for each upload that begins or ends, in `<state>/uploads.jsonl`; a journal that is
//! lost costs the price of some parts until the bucket's own lifecycle rule frees them, never a backup.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use crate::bucket::{MultipartUpload, ObjectKey};

/// The journal of one bucket's uploads; the file may hold those of others too.
#[derive(Debug)]
pub struct Uploads {
    journal: Journal,
    bucket: String,
}

/// An upload that was begun here and of whose end nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// S3's identifier.
    pub id: String,
    /// The full key.
    pub key: String,
    /// The bucket's name.
    pub bucket: String,
    /// When.
    pub at: DateTime<Utc>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Begun(Begun),
    Ended(String),
}

impl Uploads {
    /// The journal in a state directory, for uploads to `bucket`.
    #[must_use]
    pub fn new(state: &Path, bucket: &str) -> Self {
        Self { journal: Journal::new(state.join("uploads.jsonl")), bucket: bucket.to_owned() }
    }

    /// An upload began.
    pub(super) fn begun(&self, upload: &MultipartUpload) {
        self.add(&Line::Begun(Begun {
            id: upload.id.clone(),
            key: upload.key.to_string(),
            bucket: self.bucket.clone(),
            at: Utc::now(),
        }));
    }

    /// An upload of an earlier run is gone on with: it is not old any more. Somebody else's stays theirs.
    pub(super) fn gone_on_with(&self, upload: &MultipartUpload) {
        if self.is_ours(&upload.id) {
            self.begun(upload);
        }
    }

    /// Whether this host began it, and its end is not known.
    pub(super) fn is_ours(&self, id: &str) -> bool {
        open(self.journal.read()).iter().any(|begun| begun.bucket == self.bucket && begun.id == id)
    }

    /// An upload was completed or aborted, or is gone.
    pub(super) fn ended(&self, id: &str) {
        self.add(&Line::Ended(id.to_owned()));
    }

    /// Whether an upload of this key was begun here and its end is not known.
    pub(super) fn is_open(&self, key: &ObjectKey) -> bool {
        open(self.journal.read()).iter().any(|begun| begun.bucket == self.bucket && begun.key == key.as_str())
    }

    /// Uploads to this bucket that are older than `age`. What ended is dropped from the file.
    #[must_use]
    pub fn stale(&self, age: Duration) -> Vec<Begun> {
        let mut all = Vec::new();
        self.journal.shorten(|lines| {
            all = open(lines);
            all.iter().cloned().map(Line::Begun).collect()
        });
        let now = Utc::now();
        let old = |begun: &Begun| (now - begun.at).to_std().is_ok_and(|passed| passed > age);
        all.into_iter().filter(|begun| begun.bucket == self.bucket && old(begun)).collect()
    }

    fn add(&self, line: &Line) {
        if let Err(error) = self.journal.add(line) {
            tracing::warn!("note an unfinished upload in {}: {error}", self.journal.path().display());
        }
    }
}

/// What is open after all lines.
fn open(lines: Vec<Line>) -> Vec<Begun> {
    let mut open = BTreeMap::new();
    for line in lines {
        match line {
            Line::Begun(begun) => {
                open.insert(begun.id.clone(), begun);
            }
            Line::Ended(id) => {
                open.remove(&id);
            }
        }
    }
    open.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_uploads_of_this_bucket_that_never_ended_are_stale() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Uploads::new(dir.path(), "acme-backups");
        let days = |days| Utc::now() - chrono::Duration::days(days);
        for (id, bucket, at) in [
            ("old", "acme-backups", days(8)),
            ("new", "acme-backups", days(6)),
            ("done", "acme-backups", days(9)),
            ("elsewhere", "other-backups", days(9)),
        ] {
            let begun = Begun { id: id.into(), key: format!("backup/{id}"), bucket: bucket.into(), at };
            journal.add(&Line::Begun(begun));
        }
        journal.ended("done");
        let week = Duration::from_hours(7 * 24);
        for _ in 0..2 {
            let stale: Vec<String> = journal.stale(week).into_iter().map(|begun| begun.id).collect();
            assert_eq!(stale, ["old"]);
        }
        let left = std::fs::read_to_string(journal.journal.path()).unwrap();
        assert_eq!(left.lines().count(), 3, "{left}");
    }
}
