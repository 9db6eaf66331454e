//! Which ranges of a partial file or folder are there already: a journal beside it, one line a range.
//!
//! What must stay true: a line is a hint and no proof. A range counts only where the line is of the same
//! entity tag or version, and the bytes on the disk were read again and give the line's checksum; a power
//! cut may have kept the line and lost the bytes. The checksum of the whole is compared in any case.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::parts::Part;
use crate::checksum::Digest;

/// One range that was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Line {
    /// Path below the partial folder; empty for a single file.
    file: String,
    /// What the object was pinned to.
    of: String,
    /// Bytes of the object.
    size: u64,
    offset: u64,
    len: u64,
    /// Algorithm and value over the range.
    sum: String,
}

/// The journal of one partial file or folder.
#[derive(Debug)]
pub struct Ranges {
    journal: Mutex<File>,
    /// What an earlier restore wrote, by file and offset; a later line of the same range is the one that counts.
    known: HashMap<(String, u64), Line>,
    reused: AtomicU64,
    complained: AtomicBool,
}

/// One file's share of the journal.
#[derive(Debug, Clone)]
pub struct FileRanges {
    all: Arc<Ranges>,
    file: String,
}

impl Ranges {
    /// Reads what is in the journal, opened for reading and appending; new lines go to its end. Lines that
    /// cannot be read (the last may be torn) are passed over: their ranges are fetched again.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn open(mut journal: File) -> io::Result<Arc<Self>> {
        let mut known = HashMap::new();
        for line in BufReader::new(&journal).split(b'\n') {
            if let Ok(line) = serde_json::from_slice::<Line>(&line?) {
                known.insert((line.file.clone(), line.offset), line);
            }
        }
        // A torn last line must not swallow the first new one.
        if journal.metadata()?.len() > 0 {
            journal.write_all(b"\n")?;
        }
        Ok(Arc::new(Self {
            journal: Mutex::new(journal),
            known,
            reused: AtomicU64::new(0),
            complained: AtomicBool::new(false),
        }))
    }

    /// The share of one file: its path below the partial folder, empty for a single file.
    #[must_use]
    pub fn of(self: &Arc<Self>, file: &str) -> FileRanges {
        FileRanges { all: self.clone(), file: file.to_owned() }
    }

    /// Bytes that were there already and proved right.
    #[must_use]
    pub fn reused(&self) -> u64 {
        self.reused.load(Ordering::Relaxed)
    }
}

impl FileRanges {
    /// The checksum that this range had when it was written from the object `of`, if it ever was.
    pub(super) fn find(&self, of: &str, size: u64, part: Part) -> Option<&str> {
        let line = self.all.known.get(&(self.file.clone(), part.offset))?;
        (line.of == of && line.size == size && line.len == part.len).then_some(line.sum.as_str())
    }

    pub(super) fn count_reused(&self, bytes: u64) {
        self.all.reused.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Remembers a range that was written. Without the line it would only be fetched again, so a journal
    /// that cannot be written is told once and stops nothing.
    pub(super) fn add(&self, of: &str, size: u64, part: Part, digest: &Digest) {
        let line = Line {
            file: self.file.clone(),
            of: of.to_owned(),
            size,
            offset: part.offset,
            len: part.len,
            sum: digest.full_object().to_string(),
        };
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut text| {
            text.push(b'\n');
            self.all.journal.lock().unwrap_or_else(PoisonError::into_inner).write_all(&text)
        });
        if let Err(error) = written
            && !self.all.complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("an interruption would begin anew: write what arrived to the journal: {error}");
        }
    }

    /// Forgets every range of every file: something in them is wrong, and nobody knows which.
    pub(super) fn forget(&self) {
        let journal = self.all.journal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = journal.set_len(0) {
            tracing::warn!("empty the journal of a damaged restore: {error}; remove the .partial by hand");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::Algorithm;

    fn open(path: &std::path::Path) -> Arc<Ranges> {
        Ranges::open(File::options().read(true).append(true).create(true).open(path).unwrap()).unwrap()
    }

    fn digest(bytes: &[u8]) -> Digest {
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        digest.update(bytes);
        digest
    }

    #[test]
    fn ranges_are_found_again_for_the_same_object_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.partial.ranges");
        let part = Part { number: 2, offset: 5, len: 3 };
        open(&path).of("piece").add("etag a", 8, part, &digest(b"abc"));
        let again = open(&path).of("piece");
        assert_eq!(again.find("etag a", 8, part), Some(digest(b"abc").full_object().to_string().as_str()));
        assert_eq!(again.find("etag b", 8, part), None);
        assert_eq!(again.find("etag a", 9, part), None);
        assert_eq!(again.find("etag a", 8, Part { len: 2, ..part }), None);
        assert_eq!(open(&path).of("other").find("etag a", 8, part), None);
    }

    #[test]
    fn a_torn_line_costs_its_range_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.partial.ranges");
        let (first, second) = (Part { number: 1, offset: 0, len: 5 }, Part { number: 2, offset: 5, len: 3 });
        open(&path).of("").add("etag a", 8, first, &digest(b"first"));
        let whole = std::fs::metadata(&path).unwrap().len();
        open(&path).of("").add("etag a", 8, second, &digest(b"abc"));
        File::options().write(true).open(&path).unwrap().set_len(whole + 20).unwrap();
        let torn = open(&path).of("");
        assert!(torn.find("etag a", 8, first).is_some() && torn.find("etag a", 8, second).is_none());
        torn.add("etag a", 8, second, &digest(b"abc"));
        assert!(open(&path).of("").find("etag a", 8, second).is_some());
        torn.forget();
        assert!(open(&path).of("").find("etag a", 8, first).is_none());
    }
}
