//! How an object's bytes are made from a file's, and a file's from an object's: compressed, or as they
//! are.
//!
//! What must stay true: every form is one that a standard tool reads (`zstd -d`, `gzip -d`,
//! `bzip2 -d`), told by the suffix of the key; the same file gives the same bytes on every host, so that
//! an interrupted upload can go on; memory is bounded by [`Compression::memory`].

mod decode;
mod encode;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;

pub use decode::{DecodeError, Decoding};
pub use encode::encode;

/// Level of zstd where none is named: the library's own default.
pub const ZSTD_LEVEL: i32 = 3;
/// Highest level of zstd: above it, decoding needs more memory than `zstd -d` takes unasked.
pub const ZSTD_MAX: i32 = 19;
/// Bytes that all encoders at work together may take. A run that compresses has so much less for parts.
pub const MEMORY: u64 = 16 << 20;

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Compression {
    /// Zstandard (RFC 8878) at this level, 1 to 19.
    Zstd(i32),
    /// gzip (RFC 1952) at level 6, as `gzip` does.
    Gzip,
    /// bzip2 with blocks of 900 kB, as `bzip2` does.
    Bzip2,
}

impl Compression {
    /// The words of the configuration, for messages.
    pub const ALLOWED: &'static str = "\"none\", \"zstd\", \"zstd:1\" to \"zstd:19\", \"gzip\" or \"bzip2\"";

    /// What the key ends in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Zstd(_) => ".zst",
            Self::Gzip => ".gz",
            Self::Bzip2 => ".bz2",
        }
    }

    /// Bytes that `plain` bytes become at most. bzip2 adds up to 1 % and 600 bytes (its manual,
    /// "libbzip2 programming interface"), zstd 0.4 % (`ZSTD_COMPRESSBOUND`), deflate less.
    #[must_use]
    pub const fn bound(plain: u64) -> u64 {
        plain.saturating_add(plain / 64).saturating_add(4096)
    }

    /// Bytes that an encoder of `plain` bytes takes at most: the peak of a process that did nothing
    /// else, rounded up. Never over [`MEMORY`].
    #[must_use]
    pub const fn memory(self, plain: u64) -> u64 {
        let mib = match self {
            Self::Gzip => 1,
            Self::Bzip2 => 8,
            Self::Zstd(level) if level <= encode::LIGHT && plain <= encode::THREADS_FROM => 5,
            Self::Zstd(level) if level <= encode::LIGHT => 12,
            Self::Zstd(_) => 16,
        };
        mib << 20
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zstd(level) => write!(f, "zstd:{level}"),
            Self::Gzip => f.write_str("gzip"),
            Self::Bzip2 => f.write_str("bzip2"),
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "zstd" => Ok(Self::Zstd(ZSTD_LEVEL)),
            None if text == "gzip" => Ok(Self::Gzip),
            None if text == "bzip2" => Ok(Self::Bzip2),
            Some(("zstd", level)) => match level.parse() {
                Ok(level) if (1..=ZSTD_MAX).contains(&level) => Ok(Self::Zstd(level)),
                _ => Err(format!("zstd has no level `{level}` here")),
            },
            _ => Err("no such compression is known".to_owned()),
        }
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

impl TryFrom<String> for Compression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// What was done to a stored object, and what was there before: enough to restore it and to prove that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// How it is compressed.
    pub compression: Compression,
    /// Bytes of the file.
    pub plain_size: u64,
    /// CRC64NVME of the file's bytes.
    pub plain_checksum: Checksum,
}

/// Key suffixes of stored forms.
const SUFFIXES: [&str; 3] = [".zst", ".gz", ".bz2"];

/// What a key stands for without the suffix of a stored form, where it has one.
#[must_use]
pub fn without_suffix(key: &str) -> Option<&str> {
    SUFFIXES.iter().find_map(|suffix| key.strip_suffix(suffix))
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
