//! Copies of manifests on this host. Losing them costs time or a comparison, never a backup; so a copy
//! that cannot be written is a warning.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::bucket::ObjectKey;

/// `<state>/catalog/<bucket>/<manifest key>`.
#[derive(Debug, Clone)]
pub(super) struct LocalCopies {
    root: PathBuf,
}

impl LocalCopies {
    pub(super) fn new(dir: &Path, bucket: &str) -> Self {
        Self { root: dir.join(bucket) }
    }

    /// Keys are relative paths of checked components, so the copy cannot leave the root.
    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.root.join(key.as_str())
    }

    pub(super) fn read(&self, key: &ObjectKey) -> Option<Vec<u8>> {
        std::fs::read(self.path(key)).ok()
    }

    /// Every copy that can be read, with its key.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let entries = walkdir::WalkDir::new(&self.root).into_iter().filter_map(Result::ok);
        entries.filter(|entry| entry.file_type().is_file()).filter_map(|entry| {
            let key = entry.path().strip_prefix(&self.root).ok()?.to_str()?.to_owned();
            Some((key, std::fs::read(entry.path()).ok()?))
        })
    }

    pub(super) fn write(&self, key: &ObjectKey, json: &[u8]) {
        let path = self.path(key);
        if let Err(error) = write_atomically(&path, json) {
            tracing::warn!("keep a copy of the manifest in {}: {error}", path.display());
        }
    }
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
