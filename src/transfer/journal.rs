//! A file of JSON lines in the state directory that grows by one line at a time.
//!
//! What must stay true: a line that a crash cut off says nothing and spoils no other; a journal that cannot be
//! read is never written anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One such file, of lines that are `T`.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// One line at a time.
    writing: Mutex<()>,
}

impl Journal {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// All lines; none where the file cannot be read, which is logged.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Vec<T> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.lines().unwrap_or_else(|error| {
            tracing::warn!("read {}: {error}", self.path.display());
            Vec::new()
        })
    }

    /// Adds one line.
    pub(super) fn add<T: Serialize>(&self, line: &T) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(dir) = self.path.parent() {
            crate::private_dir::make(dir)?;
        }
        // The line before may have been cut off.
        let mut text = b"\n".to_vec();
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
        self.open(OpenOptions::new().create(true).append(true))?.write_all(&text)
    }

    /// Reads all lines and, where `keep` makes fewer of them, writes the file anew with those.
    pub(super) fn shorten<T: Serialize + DeserializeOwned>(
        &self,
        keep: impl FnOnce(Vec<T>) -> Vec<T>,
    ) -> Vec<T> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = self.lines().and_then(|lines| {
            let all = lines.len();
            let kept = keep(lines);
            if kept.len() < all {
                self.rewrite(&kept)?;
            }
            Ok(kept)
        });
        kept.unwrap_or_else(|error| {
            tracing::warn!("shorten {}: {error}", self.path.display());
            Vec::new()
        })
    }

    fn lines<T: DeserializeOwned>(&self) -> io::Result<Vec<T>> {
        let mut bytes = Vec::new();
        match self.open(OpenOptions::new().read(true)) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        let lines = bytes.split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    fn rewrite<T: Serialize>(&self, lines: &[T]) -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new("/")))?;
        for line in lines {
            serde_json::to_writer(&mut file, line)?;
            file.write_all(b"\n")?;
        }
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Not where a link leads: the program may be root, and who put the link there may not.
    fn open(&self, options: &mut OpenOptions) -> io::Result<File> {
        options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_was_cut_off_spoils_neither_the_one_before_nor_the_one_after() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("numbers.jsonl"));
        journal.add(&1).unwrap();
        let mut file = OpenOptions::new().append(true).open(journal.path()).unwrap();
        // In the middle of a character, too.
        file.write_all(b"[\"M\xc3").unwrap();
        journal.add(&2).unwrap();
        assert_eq!(journal.read::<u8>(), [1, 2]);
        assert_eq!(journal.shorten(|_| vec![2_u8]), [2]);
        assert_eq!(journal.read::<u8>(), [2]);
    }

    #[test]
    fn link_in_its_place_is_not_followed_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(dir.path().join("numbers.jsonl"));
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "7\n8\n").unwrap();
        std::os::unix::fs::symlink(&victim, journal.path()).unwrap();
        journal.add(&1).unwrap_err();
        assert!(journal.read::<u8>().is_empty());
        assert!(journal.shorten(|_| vec![1_u8]).is_empty());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "7\n8\n");
        assert!(journal.path().is_symlink());
    }
}
