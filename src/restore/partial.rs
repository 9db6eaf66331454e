//! The name that a restore writes to until it is complete, and the journal beside it, which tells that it is
//! one of ours.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::checksum::{Algorithm, Digest};

/// Bytes of the longest name that Linux file systems take, less those of the longest name beside a partial one's.
const NAME_MAX: usize = 255 - ".dbbackup-stored".len();
const PARTIAL: &str = ".partial";

/// The name while it is not complete: cut, and told apart by a number, where it would be too long.
pub(super) fn partial_name(name: &str) -> String {
    if name.len() + PARTIAL.len() <= NAME_MAX {
        return format!("{name}{PARTIAL}");
    }
    let mut digest = Digest::new(Algorithm::Crc64Nvme);
    digest.update(name.as_bytes());
    // Base64, whose slash no name may have.
    let number = format!("-{}", digest.full_object().value.replace('/', "_"));
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
