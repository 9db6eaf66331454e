//! Which uploads this host began and has not ended: what may be aborted when it is old.
//!
//! What must stay true: only what is written here is ever swept, so nobody else's uploads are. One
//! JSON line is added for each upload that begins or ends, in `<state>/uploads.jsonl`; a journal that is
//! lost costs the price of some parts until the bucket's own lifecycle rule frees them, never a backup.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::bucket::{MultipartUpload, ObjectKey};

/// The journal of one bucket's uploads; the file may hold those of others too.
#[derive(Debug)]
pub struct Uploads {
    path: PathBuf,
    bucket: String,
    /// One line at a time.
    writing: Mutex<()>,
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
        Self { path: state.join("uploads.jsonl"), bucket: bucket.to_owned(), writing: Mutex::default() }
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

    /// An upload was completed or aborted, or is gone.
    pub(super) fn ended(&self, id: &str) {
        self.add(&Line::Ended(id.to_owned()));
    }

    /// Whether an upload of this key was begun here and its end is not known.
    pub(super) fn is_open(&self, key: &ObjectKey) -> bool {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        open(&text).iter().any(|begun| begun.bucket == self.bucket && begun.key == key.as_str())
    }

    /// Uploads to this bucket that are older than `age`. What ended is dropped from the file.
    #[must_use]
    pub fn stale(&self, age: Duration) -> Vec<Begun> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(text) = std::fs::read_to_string(&self.path) else {
            return Vec::new();
        };
        let open = open(&text);
        if let Err(error) = rewrite(&self.path, &open) {
            tracing::warn!("shorten {}: {error}", self.path.display());
        }
        let now = Utc::now();
        let old = |begun: &Begun| (now - begun.at).to_std().is_ok_and(|passed| passed > age);
        open.into_iter().filter(|begun| begun.bucket == self.bucket && old(begun)).collect()
    }

    fn add(&self, line: &Line) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = append(&self.path, line) {
            tracing::warn!("note an unfinished upload in {}: {error}", self.path.display());
        }
    }
}

/// What is open after all lines. A line that was cut off by a crash says nothing.
fn open(text: &str) -> Vec<Begun> {
    let mut open = BTreeMap::new();
    for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
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

fn append(path: &Path, line: &Line) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        crate::private_dir::make(dir)?;
    }
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?.write_all(&text)
}

fn rewrite(path: &Path, open: &[Begun]) -> std::io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(Path::new("/")))?;
    for begun in open {
        serde_json::to_writer(&mut file, &Line::Begun(begun.clone()))?;
        file.write_all(b"\n")?;
    }
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
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
            append(&journal.path, &Line::Begun(begun)).unwrap();
        }
        journal.ended("done");
        std::fs::OpenOptions::new()
            .append(true)
            .open(&journal.path)
            .unwrap()
            .write_all(b"{\"begun\":{\"id\":\"cut o")
            .unwrap();
        let week = Duration::from_hours(7 * 24);
        for _ in 0..2 {
            let stale: Vec<String> = journal.stale(week).into_iter().map(|begun| begun.id).collect();
            assert_eq!(stale, ["old"]);
        }
        let left = std::fs::read_to_string(&journal.path).unwrap();
        assert_eq!(left.lines().count(), 3, "{left}");
    }
}
