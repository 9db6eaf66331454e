//! How an object's bytes are made from a file's, or from a folder's files, and these from an object's:
//! packed, compressed, encrypted, or as they are.
//!
//! What must stay true: every form is one that standard tools read (`tar x`, `zstd -d`, `gzip -d`,
//! `bzip2 -d`, `age -d`), told by the suffix of the key; memory is bounded by [`Recipe::memory`]; without encryption
//! the same file gives the same bytes on every host, so that an interrupted upload can go on.

mod age;
mod compression;
mod decode;
mod encode;
pub mod tar;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;

pub use age::{Identities, IdentityError, Recipient};
pub use compression::{Compression, ZSTD_LEVEL, ZSTD_MAX};
pub use decode::{DecodeError, Decoding};
pub use encode::encode;
pub use tar::Member;

/// Bytes that all encoders at work together may take. A run that compresses has so much less for parts.
pub const MEMORY: u64 = 16 << 20;

/// How a folder's files become one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pack {
    /// As an archive of tar.
    Tar,
}

/// What is done to bytes before they are stored: a folder's files packed, then compressed, then encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recipe {
    /// Whether a folder's files go as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<Pack>,
    /// How they are compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Whom they are encrypted to with age; nobody for not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Recipient>,
}

impl Recipe {
    /// Whether the bytes are stored as they are.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.pack.is_none() && self.compression.is_none() && self.recipients.is_empty()
    }

    /// Whether they are encrypted: then no two passes give the same bytes, and none can be compared
    /// without an identity.
    #[must_use]
    pub const fn encrypts(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// What the key ends in.
    #[must_use]
    pub const fn suffix(&self) -> &'static str {
        match (self.pack, self.compression, self.encrypts()) {
            (None, None, false) => "",
            (None, None, true) => ".age",
            (None, Some(Compression::Zstd(_)), true) => ".zst.age",
            (None, Some(Compression::Gzip), true) => ".gz.age",
            (None, Some(Compression::Bzip2), true) => ".bz2.age",
            (None, Some(compression), false) => compression.suffix(),
            (Some(Pack::Tar), None, false) => ".tar",
            (Some(Pack::Tar), None, true) => ".tar.age",
            (Some(Pack::Tar), Some(Compression::Zstd(_)), false) => ".tar.zst",
            (Some(Pack::Tar), Some(Compression::Zstd(_)), true) => ".tar.zst.age",
            (Some(Pack::Tar), Some(Compression::Gzip), false) => ".tar.gz",
            (Some(Pack::Tar), Some(Compression::Gzip), true) => ".tar.gz.age",
            (Some(Pack::Tar), Some(Compression::Bzip2), false) => ".tar.bz2",
            (Some(Pack::Tar), Some(Compression::Bzip2), true) => ".tar.bz2.age",
        }
    }

    /// Bytes that `plain` bytes become at most.
    #[must_use]
    pub const fn bound(&self, plain: u64) -> u64 {
        let compressed = if self.compression.is_some() { Compression::bound(plain) } else { plain };
        if self.encrypts() { age::bound(compressed, self.recipients.len()) } else { compressed }
    }

    /// Bytes that encoding `plain` bytes takes at most. Never over [`MEMORY`].
    #[must_use]
    pub const fn memory(&self, plain: u64) -> u64 {
        let encoder = match self.compression {
            Some(compression) => compression.memory(plain),
            None => 0,
        };
        let all = if self.encrypts() { encoder + age::MEMORY } else { encoder };
        if all < MEMORY { all } else { MEMORY }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pack = self.pack.map(|Pack::Tar| "tar".to_owned());
        let compression = self.compression.map(|compression| compression.to_string());
        let encryption = self.encrypts().then(|| "age".to_owned());
        let steps: Vec<String> = [pack, compression, encryption].into_iter().flatten().collect();
        f.write_str(&if steps.is_empty() { "none".to_owned() } else { steps.join(" and ") })
    }
}

/// What was done to a stored object, and what was there before: enough to restore it and to prove that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// What was done.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Bytes of the file.
    pub plain_size: u64,
    /// CRC64NVME of the file's bytes.
    pub plain_checksum: Checksum,
    /// The files of a folder that was packed; the file is the archive of them then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// Key suffixes of stored forms; longer ones first.
const SUFFIXES: [&str; 15] = [
    ".tar.zst.age",
    ".tar.gz.age",
    ".tar.bz2.age",
    ".tar.age",
    ".tar.zst",
    ".tar.gz",
    ".tar.bz2",
    ".tar",
    ".zst.age",
    ".gz.age",
    ".bz2.age",
    ".age",
    ".zst",
    ".gz",
    ".bz2",
];

/// What a key may stand for without the suffix of a stored form, where it has one. What a dump's own name
/// ends in is no suffix of ours: `shop.sql.gz.age` stands for `shop.sql.gz` too.
pub fn without_suffix(key: &str) -> impl Iterator<Item = &str> {
    SUFFIXES.iter().filter_map(|suffix| key.strip_suffix(suffix))
}

/// Bytes of a file's head that tell whether it is compressed.
pub const HEAD: usize = 8;

/// Whether a file is compressed or encrypted already, by its name or by its first bytes: to compress it
/// once more would cost time and win nothing.
#[must_use]
pub fn is_compressed(name: &str, head: &[u8]) -> bool {
    const ENDS: [&str; 13] =
        ["gz", "tgz", "zst", "xz", "txz", "bz2", "tbz2", "lz4", "lzo", "zip", "7z", "age", "gpg"];
    const STARTS: [&[u8]; 8] = [
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f, 0xfd],
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        b"BZh",
        b"PK\x03\x04",
        &[0x04, 0x22, 0x4d, 0x18],
        // A SQL Server backup that is compressed or encrypted.
        b"MSSQLBAK",
        b"age-encr",
    ];
    let ending = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
    ending.is_some_and(|end| ENDS.contains(&end.as_str()))
        || STARTS.iter().any(|start| head.starts_with(start))
}

#[cfg(test)]
mod tests;
