//! Copies of manifests on this host. Losing them costs time or a comparison, never a backup; so a copy
//! that cannot be written or read is a warning.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::bucket::ObjectKey;

/// `<state>/catalog/<bucket and store>/<manifest key>`. A copy speaks of one store: in another one with a bucket of
/// that name nothing is stored.
#[derive(Debug, Clone)]
pub(super) struct LocalCopies {
    root: PathBuf,
}

impl LocalCopies {
    /// Of a bucket by [`crate::bucket::Bucket::directory`].
    pub(super) fn new(dir: &Path, bucket: &str) -> Self {
        Self { root: dir.join(bucket) }
    }

    /// Keys are relative paths of checked components, so the copy cannot leave the root.
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    pub(super) fn read(&self, key: &ObjectKey) -> Option<Vec<u8>> {
        read(&self.path(key))
    }

    /// That what [`Self::read`] gave is no manifest.
    pub(super) fn is_damaged(&self, key: &ObjectKey, why: &str) {
        unreadable(&self.path(key), why);
    }

    /// Every copy that can be read, with its key.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let entries = walkdir::WalkDir::new(&self.root).into_iter().filter_map(|entry| {
            let missing = |error: &walkdir::Error| {
                error.io_error().is_some_and(|error| error.kind() == ErrorKind::NotFound)
            };
            entry
                .inspect_err(|error| {
                    if !missing(error) {
                        unreadable(error.path().unwrap_or(&self.root), error);
                    }
                })
                .ok()
        });
        entries.filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
            let key = entry.path().strip_prefix(&self.root).ok()?.to_str()?.to_owned();
            Some((key, read(entry.path())?))
        })
    }

    pub(super) fn write(&self, key: &ObjectKey, json: &[u8]) {
        let path = self.path(key);
        if let Err(error) = write_atomically(&path, json) {
            tracing::warn!("keep a copy of the manifest in {}: {error}", path.display());
        }
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => {
            unreadable(path, error);
            None
        }
    }
}

fn unreadable(path: &Path, why: impl std::fmt::Display) {
    tracing::warn!(
        "read this host's copy of a manifest in {}: {why}; going on as if it were not there: remove it where the disk is \
         well",
        path.display()
    );
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    crate::private_dir::make(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
