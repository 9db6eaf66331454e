//! What encrypted objects were made from: noted before each is stored, because nobody here can look
//! into it afterwards.
//!
//! What must stay true: a note vouches for an object only where S3's checksum of it is the note's, and
//! for a file only where the file's own checksum is. A run that ends between an object and its manifest
//! leaves the note for the next; one that is lost costs a question to the operator, never a backup.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use crate::manifest::StoredFile;

/// The notes on one bucket's objects, in `<state>/encrypted.jsonl`; the file may hold those on others too.
#[derive(Debug)]
pub struct Sealed {
    journal: Journal,
    bucket: String,
    /// The notes on each object of this bucket, the last one first; none before they were asked for.
    known: Mutex<Option<HashMap<String, VecDeque<StoredFile>>>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    bucket: String,
    at: DateTime<Utc>,
    file: StoredFile,
}

impl Sealed {
    /// The notes in a state directory, on objects of `bucket`.
    #[must_use]
    pub fn new(state: &Path, bucket: &str) -> Self {
        Self {
            journal: Journal::new(state.join("encrypted.jsonl")),
            bucket: bucket.to_owned(),
            known: Mutex::default(),
        }
    }

    /// An object is about to be stored.
    pub(super) fn note(&self, file: &StoredFile) {
        let note = Note { bucket: self.bucket.clone(), at: Utc::now(), file: file.clone() };
        if let Err(error) = self.journal.add(&note) {
            tracing::warn!("note an encrypted object in {}: {error}", self.journal.path().display());
            return;
        }
        if let Some(known) = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner) {
            known.entry(file.key.clone()).or_default().push_front(file.clone());
        }
    }

    /// The notes on the object under `key`, the last one first. Several were written where an attempt followed one
    /// whose object was stored and whose answer was lost: which of them speaks of the object, its checksum tells.
    pub(super) fn on(&self, key: &str) -> Vec<StoredFile> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_with(|| {
            let mut known: HashMap<String, VecDeque<StoredFile>> = HashMap::new();
            for note in self.journal.read::<Note>().into_iter().filter(|note| note.bucket == self.bucket) {
                known.entry(note.file.key.clone()).or_default().push_front(note.file);
            }
            known
        });
        known.get(key).into_iter().flatten().cloned().collect()
    }

    /// Drops notes that are older than `age`.
    pub fn forget(&self, age: Duration) {
        let now = Utc::now();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.journal.shorten(|mut notes: Vec<Note>| {
            notes.retain(|note| (now - note.at).to_std().map_or(true, |passed| passed <= age));
            notes
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Algorithm, Digest};
    use crate::manifest::Confirmation;
    use crate::model::RelPath;

    fn file(key: &str, content: &[u8]) -> StoredFile {
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        digest.update(content);
        StoredFile {
            path: RelPath::empty(),
            key: key.to_owned(),
            size: digest.len(),
            mtime: Utc::now(),
            mode: 0o640,
            checksum: digest.full_object(),
            s3_checksum: None,
            confirmed: Confirmation::Checksum,
            etag: None,
            version_id: None,
            parts: 1,
            retries: 0,
            coding: None,
        }
    }

    #[test]
    fn notes_on_an_object_of_this_bucket_come_last_first_until_they_are_old() {
        let dir = tempfile::tempdir().unwrap();
        let notes = Sealed::new(dir.path(), "acme-backups");
        let key = "backup/mysql/shop/weekly/shop_20250818.sql.age";
        assert!(notes.on(key).is_empty());
        notes.note(&file(key, b"first"));
        notes.note(&file(key, b"second"));
        notes.note(&file("backup/mysql/shop/weekly/other.sql.age", b"third"));
        Sealed::new(dir.path(), "other-backups").note(&file(key, b"fourth"));
        let sums =
            |content: &[&[u8]]| content.iter().map(|content| file(key, content).checksum).collect::<Vec<_>>();
        let last_first: Vec<_> = notes.on(key).into_iter().map(|file| file.checksum).collect();
        assert_eq!(last_first, sums(&[b"second", b"first"]));
        notes.forget(Duration::from_hours(1));
        assert_eq!(notes.on(key).len(), 2);
        std::thread::sleep(Duration::from_millis(5));
        notes.forget(Duration::from_millis(1));
        assert!(notes.on(key).is_empty());
    }
}
