//! Walking a source.
//!
//! What must stay true: symbolic links are seen and not followed (the top itself may be one); what is
//! excluded is neither entered nor opened, so that a dead mount can be excluded; and a folder that cannot
//! be read is told and does not end the walk.

use std::fs::{self, FileType};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use super::Excludes;

/// Something met on the walk.
pub(crate) struct Seen<'a> {
    /// Absolute path.
    pub(crate) path: &'a Path,
    /// The same, relative to the source.
    pub(crate) rel: &'a Path,
    /// Levels below the top that the walk began at: its own entries have 1, an error in reading it 0.
    pub(crate) depth: usize,
    /// What it is.
    pub(crate) kind: Kind<'a>,
}

/// What something met on the walk is.
pub(crate) enum Kind<'a> {
    /// A regular file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A pipe, a socket or a device: its name in words.
    Special(&'static str),
    /// Excluded by this pattern.
    Excluded(&'a str),
    /// It, or what is in it, could not be read.
    Unreadable(io::Error),
}

/// What the walk does after a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Into it.
    Enter,
    /// Past it.
    Pass,
}

/// An entry of a folder, not yet shown.
struct Entry {
    path: PathBuf,
    depth: usize,
    file_type: io::Result<FileType>,
}

/// Shows `visit` everything below `top` in the order of names, folders before what is in them. `top` is
/// `source` or a folder in it; exclusions are relative to `source`. A folder that cannot be read is shown
/// a second time, as unreadable.
pub(crate) fn walk(source: &Path, top: &Path, excludes: &Excludes, mut visit: impl FnMut(&Seen<'_>) -> Next) {
    // Last in, first out: a folder's entries are pushed in reverse order of their names.
    let mut waiting = Vec::new();
    let mut into = Some((top.to_owned(), 0));
    loop {
        if let Some((folder, depth)) = into.take()
            && let Err(error) = list(&folder, depth + 1, &mut waiting)
        {
            let rel = folder.strip_prefix(source).unwrap_or(&folder);
            visit(&Seen { path: &folder, rel, depth, kind: Kind::Unreadable(error) });
        }
        let Some(Entry { path, depth, file_type }) = waiting.pop() else {
            return;
        };
        let rel = path.strip_prefix(source).unwrap_or(&path);
        let kind = match (excludes.matched(rel), file_type) {
            (Some(pattern), _) => Kind::Excluded(pattern),
            (None, Ok(file_type)) => kind_of(file_type),
            (None, Err(error)) => Kind::Unreadable(error),
        };
        let folder = matches!(kind, Kind::Dir);
        if visit(&Seen { path: &path, rel, depth, kind }) == Next::Enter && folder {
            into = Some((path, depth));
        }
    }
}

/// Adds the entries of `folder`; those read before an error stay.
fn list(folder: &Path, depth: usize, waiting: &mut Vec<Entry>) -> io::Result<()> {
    let start = waiting.len();
    let mut outcome = Ok(());
    for entry in fs::read_dir(folder)? {
        match entry {
            Ok(entry) => waiting.push(Entry { path: entry.path(), depth, file_type: entry.file_type() }),
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    if let Some(new) = waiting.get_mut(start..) {
        new.sort_unstable_by(|a, b| b.path.cmp(&a.path));
    }
    outcome
}

fn kind_of(file_type: FileType) -> Kind<'static> {
    if file_type.is_dir() {
        Kind::Dir
    } else if file_type.is_file() {
        Kind::File
    } else if file_type.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Special(special(file_type))
    }
}

/// What a file that is neither regular nor a folder nor a link is called.
pub(super) fn special(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        "a folder"
    } else if file_type.is_fifo() {
        "a named pipe"
    } else if file_type.is_socket() {
        "a socket"
    } else if file_type.is_block_device() || file_type.is_char_device() {
        "a device"
    } else {
        "no regular file"
    }
}
