//! tar: a folder's files as one object, as `tar x` reads it (GNU format, POSIX.1-1988 with long names).
//!
//! What must stay true: the same files give the same bytes on every host (no owner, times in whole
//! seconds, sorted by path), and how many they are is known before the first is read.

use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::checksum::{Checksum, Digest};
use crate::model::RelPath;

/// Files are padded to blocks of so many bytes.
const BLOCK: u64 = 512;
/// Two empty blocks end an archive.
pub const END: [u8; 1024] = [0; 1024];
/// Bytes handled at once.
const CHUNK: usize = 256 << 10;

/// A file of a packed folder, as it lay at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Path inside the folder.
    pub path: RelPath,
    /// Bytes.
    pub size: u64,
    /// Last modification.
    pub mtime: DateTime<Utc>,
    /// Permission bits.
    pub mode: u32,
    /// CRC64NVME of its bytes.
    pub checksum: Checksum,
}

/// A file about to be packed.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Path inside the folder.
    pub path: &'a str,
    /// Bytes.
    pub size: u64,
    /// Last modification.
    pub mtime: SystemTime,
    /// Permission bits.
    pub mode: u32,
}

/// Bytes of the archive of `entries` below the folder `name`.
///
/// # Errors
/// Where a name does not go into a header.
pub fn size<'a>(name: &str, entries: impl Iterator<Item = Entry<'a>>) -> io::Result<u64> {
    let mut size = END.len() as u64;
    for entry in entries {
        size += header(name, &entry)?.len() as u64 + entry.size.next_multiple_of(BLOCK);
    }
    Ok(size)
}

/// What goes before an entry's bytes; more than a block where its path has over 100 bytes.
///
/// # Errors
/// Where its name does not go into a header.
pub fn header(name: &str, entry: &Entry<'_>) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(entry.size);
    header.set_mode(entry.mode & 0o777);
    header.set_mtime(entry.mtime.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    header.set_uid(0);
    header.set_gid(0);
    let mut builder = tar::Builder::new(Vec::new());
    // The file's bytes come after it, from elsewhere.
    builder.append_data(&mut header, format!("{name}/{}", entry.path), io::empty())?;
    // Taken out: the end that the builder writes when it goes is not part of a header.
    Ok(std::mem::take(builder.get_mut()))
}

/// Zeros that go behind so many bytes of an entry.
#[must_use]
pub fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or(0)]
}

/// Takes an archive apart: each file's bytes go where `open` says, compared with what `members` tells.
///
/// # Errors
/// [`Unpacked::Damaged`] where it holds anything else than the members, in their order.
pub fn unpack<W: io::Write>(
    archive: impl Read,
    members: &[Member],
    mut open: impl FnMut(&Member) -> io::Result<W>,
    mut close: impl FnMut(&Member, W) -> io::Result<()>,
) -> Result<(), Unpacked> {
    let damaged = |error: io::Error| Unpacked::Damaged(format!("it is no such archive: {error}"));
    let mut archive = tar::Archive::new(archive);
    let mut expected = members.iter();
    let mut chunk = vec![0; CHUNK];
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let inside = path.split_once('/').map_or("", |(_, inside)| inside);
        let Some(member) = expected.next().filter(|member| member.path.as_str() == inside) else {
            return Err(Unpacked::Damaged(format!("it holds {path}, which its record does not name there")));
        };
        let mut out = open(member).map_err(|error| Unpacked::Write(inside.to_owned(), error))?;
        let mut digest = Digest::new(member.checksum.algorithm);
        loop {
            let count = entry.read(&mut chunk).map_err(damaged)?;
            let Some(bytes) = chunk.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
            if digest.len() + bytes.len() as u64 > member.size {
                return Err(Unpacked::Damaged(format!("{inside} has more than its {} bytes", member.size)));
            }
            out.write_all(bytes).map_err(|error| Unpacked::Write(inside.to_owned(), error))?;
            digest.update(bytes);
        }
        let sum = digest.full_object();
        if digest.len() != member.size || sum.agrees(&member.checksum) != Some(true) {
            let (len, size) = (digest.len(), member.size);
            let why = format!("{inside} has {len} bytes ({sum}) where it had {size} ({})", member.checksum);
            return Err(Unpacked::Damaged(why));
        }
        close(member, out).map_err(|error| Unpacked::Write(inside.to_owned(), error))?;
    }
    match expected.next() {
        None => Ok(()),
        Some(member) => Err(Unpacked::Damaged(format!("it ends before {}", member.path))),
    }
}

/// Why an archive did not come apart.
#[derive(Debug, thiserror::Error)]
pub enum Unpacked {
    /// It is none, or another one.
    #[error("{0}")]
    Damaged(String),
    /// A file could not be written: its path inside the folder, and why.
    #[error("write {0}: {1}")]
    Write(String, io::Error),
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Cursor;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::checksum::Algorithm;

    fn files() -> Vec<(String, Vec<u8>)> {
        let long = format!("{}/{}", "d".repeat(90), "o1_mf_nnndf_TAG20250818T010003_é".repeat(4));
        vec![
            ("0a3v1k2m_1_1".to_owned(), vec![7; 511]),
            ("0b3v1k2m_1_1".to_owned(), vec![8; 512]),
            ("empty".to_owned(), Vec::new()),
            ("logs/with a space.log".to_owned(), vec![9; 70_001]),
            (long, vec![1; 3]),
        ]
    }

    fn entries(files: &[(String, Vec<u8>)]) -> Vec<Entry<'_>> {
        let mtime = UNIX_EPOCH + Duration::new(1_755_500_000, 5);
        files
            .iter()
            .map(|(path, bytes)| Entry { path, size: bytes.len() as u64, mtime, mode: 0o100_640 })
            .collect()
    }

    fn archive(files: &[(String, Vec<u8>)]) -> Vec<u8> {
        let name = "rman_erp_18-08-2025";
        let mut bytes = Vec::new();
        for (entry, (_, content)) in entries(files).iter().zip(files) {
            bytes.extend(header(name, entry).unwrap());
            bytes.extend(content);
            bytes.extend(padding(entry.size));
        }
        bytes.extend(END);
        assert_eq!(bytes.len() as u64, size(name, entries(files).into_iter()).unwrap());
        bytes
    }

    fn members(files: &[(String, Vec<u8>)]) -> Vec<Member> {
        let member = |entry: Entry<'_>, bytes: &[u8]| {
            let mut digest = Digest::new(Algorithm::Crc64Nvme);
            digest.update(bytes);
            let (path, checksum) = (entry.path.parse().unwrap(), digest.full_object());
            Member { path, size: entry.size, mtime: entry.mtime.into(), mode: entry.mode, checksum }
        };
        entries(files).into_iter().zip(files).map(|(entry, (_, bytes))| member(entry, bytes)).collect()
    }

    fn unpacked(archive: &[u8], members: &[Member]) -> Result<BTreeMap<String, Vec<u8>>, Unpacked> {
        let mut back = BTreeMap::new();
        let close = |member: &Member, bytes| {
            back.insert(member.path.to_string(), bytes);
            Ok(())
        };
        unpack(Cursor::new(archive), members, |_| Ok(Vec::new()), close)?;
        Ok(back)
    }

    #[test]
    fn what_is_packed_comes_apart_again_and_gnu_tar_reads_it() {
        let files = files();
        let archive = archive(&files);
        assert_eq!(unpacked(&archive, &members(&files)).unwrap(), files.iter().cloned().collect());
        assert_eq!(archive, self::archive(&files));
        let dir = tempfile::tempdir().unwrap();
        let mut tar = Command::new("tar")
            .args(["x", "-C", dir.path().to_str().unwrap()])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        io::copy(&mut Cursor::new(&archive), &mut tar.stdin.take().unwrap()).unwrap();
        assert!(tar.wait().unwrap().success());
        for (path, bytes) in &files {
            let file = dir.path().join("rman_erp_18-08-2025").join(path);
            assert!(std::fs::read(&file).unwrap() == *bytes, "{path}");
            let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
            assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(1_755_500_000));
        }
    }

    #[test]
    fn an_archive_of_other_files_is_refused() {
        let files = files();
        let (whole, members) = (archive(&files), members(&files));
        let mut altered = files.clone();
        altered[3].1[500] ^= 1;
        let mut longer = files.clone();
        longer[0].1.push(7);
        let mut renamed = files.clone();
        renamed[1].0 = "0z3v1k2m_1_1".to_owned();
        let more = [&files[..], &[("zz".to_owned(), vec![1])]].concat();
        for (wrong, why) in [
            (&altered, "where it had 70001"),
            (&longer, "more than its 511 bytes"),
            (&renamed, "does not name there"),
            (&files[..4].to_vec(), "ends before"),
            (&more, "does not name there"),
        ] {
            let error = unpacked(&archive(wrong), &members).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        for cut in [0, 100, 1_000, whole.len() / 2] {
            assert!(unpacked(&whole[..cut], &members).is_err(), "{cut}");
        }
    }
}
