//! What is read for one object: a file, or all files of a folder that is packed.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::FileError;
use super::upload::{Order, Uploader};
use crate::codec::tar;
use crate::engines::SourceFile;
use crate::model::{RelPath, SetKind};
use crate::source::Stamp;

/// What is encoded: a file, or a folder's files packed into one.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// The file; for a folder its path, with the archive's size.
    pub(super) file: SourceFile,
    /// The folder's files.
    pub(super) members: Option<Arc<[SourceFile]>>,
}

impl Input {
    /// Bytes that are encoded.
    pub(super) fn size(&self) -> u64 {
        self.file.stamp.size
    }

    /// The files that they come from.
    pub(super) fn files(&self) -> &[SourceFile] {
        self.members.as_deref().unwrap_or(std::slice::from_ref(&self.file))
    }

    /// What goes before the file of this index, or behind the last one; a single file stands alone.
    pub(super) fn before(&self, index: usize) -> io::Result<Vec<u8>> {
        let Some(members) = &self.members else { return Ok(Vec::new()) };
        let last = index.checked_sub(1).and_then(|last| members.get(last));
        let mut bytes = last.map_or_else(Vec::new, |last| tar::padding(last.stamp.size));
        match members.get(index) {
            Some(file) => bytes.extend(tar::header(&folder_name(&self.file.path), &entry(file))?),
            None => bytes.extend(tar::END),
        }
        Ok(bytes)
    }
}

/// Bytes of the archive of a folder's files.
fn archive_size(folder: &Path, members: &[SourceFile]) -> io::Result<u64> {
    tar::size(&folder_name(folder), members.iter().map(entry))
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn entry(file: &SourceFile) -> tar::Entry<'_> {
    let SourceFile { rel, stamp, .. } = file;
    tar::Entry { path: rel.as_str(), size: stamp.size, mtime: stamp.mtime, mode: stamp.mode }
}

impl Uploader {
    /// The folder as one input, where it is to be packed: as it was the first time, else as the
    /// configuration says. What lies there file by file is gone on with so.
    pub(super) fn packed(&self, order: &Order, taken: &HashSet<String>) -> Result<Option<Input>, FileError> {
        let set = &order.set;
        let folder = format!("{}{}/", self.shared.bucket.layout().prefix(), order.id.key());
        let packs = match (set.kind, order.stored.first()) {
            (SetKind::File, _) => false,
            (SetKind::Folder, Some(stored)) => !stored.members().is_empty(),
            (SetKind::Folder, None) => {
                order.recipe.pack.is_some() && !taken.iter().any(|key| key.starts_with(&folder))
            }
        };
        if !packs {
            return Ok(None);
        }
        let size = archive_size(&set.path, &set.files)
            .map_err(|source| FileError::Read { path: set.path.clone(), source })?;
        let newest = set.files.iter().map(|file| file.stamp.mtime).max();
        let mtime = newest.unwrap_or(std::time::UNIX_EPOCH);
        // Of the stamp only size and time are used: each file is held against its own.
        let stamp = Stamp { size, mtime, ctime_ns: 0, dev: 0, ino: 0, mode: 0o640 };
        let file = SourceFile { rel: RelPath::empty(), path: set.path.clone(), stamp };
        Ok(Some(Input { file, members: Some(set.files.clone().into()) }))
    }
}
