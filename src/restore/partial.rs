//! The name that a restore writes to until it is complete, and the journal beside it, which tells that it is
//! one of ours.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::transfer::stored_name;

/// Removes a partial file or folder of which the journal says that no range of it arrived: what it has is room.
///
/// # Errors
/// The system's.
pub fn remove_if_nothing_arrived(partial: &Path) -> io::Result<()> {
    let journal = journal(partial);
    match fs::metadata(&journal) {
        Ok(there) if there.len() == 0 => {}
        Ok(_) | Err(_) => return Ok(()),
    }
    let gone = |error: io::Error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) };
    if partial.symlink_metadata().is_ok_and(|there| there.is_dir()) {
        fs::remove_dir_all(partial)?;
    } else {
        fs::remove_file(partial).or_else(gone)?;
        fs::remove_file(stored_name(partial)).or_else(gone)?;
    }
    fs::remove_file(&journal)
}

/// Bytes of the longest name that Linux file systems take, less those of the longest name beside a partial one's.
const NAME_MAX: usize = 255 - ".dbbackup-stored".len();
const PARTIAL: &str = ".partial";

/// The name while it is not complete: cut, and told apart by a number, where it would be too long.
pub(super) fn partial_name(name: &str) -> String {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    if name.len() + PARTIAL.len() <= NAME_MAX {
        return format!("{name}{PARTIAL}");
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let number = format!("-{:016x}", hasher.finish());
    let kept = name.floor_char_boundary(NAME_MAX - PARTIAL.len() - number.len());
    format!("{}{number}{PARTIAL}", name.get(..kept).unwrap_or_default())
}

pub(super) fn journal(partial: &Path) -> PathBuf {
    let mut name = partial.to_owned().into_os_string();
    name.push(".ranges");
    name.into()
}

/// Whether nothing that anybody could miss has that name.
pub(super) fn is_empty(partial: &Path) -> bool {
    match partial.symlink_metadata() {
        Ok(there) if there.is_dir() => {
            fs::read_dir(partial).is_ok_and(|mut entries| entries.next().is_none())
        }
        Ok(there) => there.is_file() && there.len() == 0,
        Err(_) => true,
    }
}

/// Bytes on the disk that a partial file or folder has taken; none where there is none.
pub(super) fn allocated(partial: &Path) -> u64 {
    let files = walkdir::WalkDir::new(partial).into_iter().filter_map(Result::ok);
    files.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.blocks() * 512).sum()
}
