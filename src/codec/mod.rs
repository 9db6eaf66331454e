//! How an object's bytes are made from a file's, and a file's from an object's: compressed, encrypted,
//! or as they are.
//!
//! What must stay true: every form is one that a standard tool reads (`zstd -d`, `gunzip`, `bunzip2`,
//! `age -d`), told by the suffix of the key; the same file gives the same compressed bytes on every
//! host, so that an interrupted upload can go on; what is encrypted never does.

mod decode;
mod encode;
mod seal;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;

pub use decode::{DecodeError, decode};
pub use encode::encode;
pub use seal::{Identities, IdentityError, Recipient};

/// Level of zstd where none is named: the library's own default.
pub const ZSTD_LEVEL: i32 = 3;
/// Highest level of zstd: above it, decoding needs more memory than `zstd -d` takes unasked.
pub const ZSTD_MAX: i32 = 19;

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
    /// What the key ends in.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Zstd(_) => ".zst",
            Self::Gzip => ".gz",
            Self::Bzip2 => ".bz2",
        }
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
            _ => Err("is no compression that is known".to_owned()),
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

/// What is done to a file's bytes on their way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Codec {
    /// How they are compressed.
    pub compression: Option<Compression>,
    /// Who can decrypt them; nobody is named where they are not encrypted.
    pub recipients: Vec<Recipient>,
}

impl Codec {
    /// Whether the bytes stay as they are.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.compression.is_none() && self.recipients.is_empty()
    }

    /// Whether two passes over one file give different bytes.
    #[must_use]
    pub const fn encrypts(&self) -> bool {
        !self.recipients.is_empty()
    }

    /// What is added to the key.
    #[must_use]
    pub fn suffix(&self) -> String {
        suffix(self.compression, self.encrypts())
    }

    /// Whether a look into the file can change what is done to it.
    #[must_use]
    pub const fn depends_on_content(&self) -> bool {
        self.compression.is_some()
    }

    /// The same without compression where the file is compressed already, by its name or by its first
    /// bytes.
    #[must_use]
    pub fn for_file(&self, name: &str, head: &[u8]) -> Self {
        let mut codec = self.clone();
        if is_compressed(name, head) {
            codec.compression = None;
        }
        codec
    }

    /// Bytes that `plain` bytes become at most. bzip2 adds up to 1 % and 600 bytes (its manual, "libbzip2
    /// programming interface"), zstd 0.4 % (`ZSTD_COMPRESSBOUND`), deflate and age less.
    #[must_use]
    pub fn bound(&self, plain: u64) -> u64 {
        let header = 4096 + 256 * self.recipients.len() as u64;
        plain.saturating_add(plain / 64).saturating_add(header)
    }
}

/// What was done to a stored object, and what was there before: enough to restore it and to prove that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coding {
    /// How it is compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// Public keys of who can decrypt it; empty where it is not encrypted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<String>,
    /// Bytes of the file.
    pub plain_size: u64,
    /// CRC64NVME of the file's bytes.
    pub plain_checksum: Checksum,
}

impl Coding {
    /// What the key has more than the file's name.
    #[must_use]
    pub fn suffix(&self) -> String {
        suffix(self.compression, !self.recipients.is_empty())
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encrypted = if self.recipients.is_empty() { "" } else { "age" };
        match (self.compression, encrypted) {
            (Some(compression), "") => compression.fmt(f),
            (Some(compression), age) => write!(f, "{compression}, {age}"),
            (None, age) => f.write_str(age),
        }
    }
}

fn suffix(compression: Option<Compression>, encrypted: bool) -> String {
    let age = if encrypted { ".age" } else { "" };
    format!("{}{age}", compression.map_or("", Compression::suffix))
}

/// Key suffixes of stored forms, longest first.
pub const SUFFIXES: [&str; 7] = [".zst.age", ".bz2.age", ".gz.age", ".zst", ".bz2", ".gz", ".age"];

/// The file name that a key's last component stands for, where it has one of our suffixes.
#[must_use]
pub fn without_suffix(key: &str) -> Option<&str> {
    SUFFIXES.iter().find_map(|suffix| key.strip_suffix(suffix))
}

/// Bytes of a file's head that tell whether it is compressed.
pub const HEAD: usize = 8;

fn is_compressed(name: &str, head: &[u8]) -> bool {
    const ENDS: [&str; 12] =
        ["gz", "tgz", "zst", "xz", "txz", "bz2", "tbz2", "lz4", "zip", "7z", "age", "gpg"];
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
