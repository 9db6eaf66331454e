//! What encrypted objects were made from: noted before each is stored, because nobody here can look
//! into it afterwards.
//!
//! What must stay true: a note vouches for an object only where S3's checksum of it is the note's, and
//! for a file only where the file's own checksum is. A run that ends between an object and its manifest
//! leaves the note for the next; one that is lost costs a question to the operator, never a backup.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::manifest::StoredFile;

/// The notes on one bucket's objects, in `<state>/encrypted.jsonl`; the file may hold those on others too.
#[derive(Debug)]
pub struct Sealed {
    path: PathBuf,
    bucket: String,
    /// One line at a time.
    writing: Mutex<()>,
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
        Self { path: state.join("encrypted.jsonl"), bucket: bucket.to_owned(), writing: Mutex::default() }
    }

    /// An object is about to be stored.
    pub(super) fn note(&self, file: &StoredFile) {
        let note = Note { bucket: self.bucket.clone(), at: Utc::now(), file: file.clone() };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.append(&note) {
            tracing::warn!("note an encrypted object in {}: {error}", self.path.display());
        }
    }

    /// The notes on the object under `key`, the last one first. Several were written where an attempt followed one
    /// whose object was stored and whose answer was lost: which of them speaks of the object, its checksum tells.
    pub(super) fn on(&self, key: &str) -> Vec<StoredFile> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let notes = self.read().into_iter().rev();
        notes
            .filter(|note| note.bucket == self.bucket && note.file.key == key)
            .map(|note| note.file)
            .collect()
    }

    /// Drops notes that are older than `age`.
    pub fn forget(&self, age: Duration) {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notes = self.read();
        let all = notes.len();
        let now = Utc::now();
        notes.retain(|note| (now - note.at).to_std().map_or(true, |passed| passed <= age));
        if notes.len() < all
            && let Err(error) = self.rewrite(&notes)
        {
            tracing::warn!("shorten {}: {error}", self.path.display());
        }
    }

    /// A line that was cut off by a crash says nothing.
    fn read(&self) -> Vec<Note> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn append(&self, note: &Note) -> std::io::Result<()> {
        if let Some(dir) = self.path.parent() {
            crate::private_dir::make(dir)?;
        }
        // The line before may have been cut off.
        let mut text = b"\n".to_vec();
        serde_json::to_writer(&mut text, note)?;
        text.push(b'\n');
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?.write_all(&text)
    }

    fn rewrite(&self, notes: &[Note]) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new("/")))?;
        for note in notes {
            serde_json::to_writer(&mut file, note)?;
            file.write_all(b"\n")?;
        }
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
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
        std::fs::OpenOptions::new().append(true).open(&notes.path).unwrap().write_all(b"{\"buck").unwrap();
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
