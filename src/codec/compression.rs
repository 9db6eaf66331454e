//! How bytes are compressed: the forms, their names, their bounds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::encode;

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
    /// else, rounded up. Never over [`super::MEMORY`].
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
                _ => Err("zstd has no such level".to_owned()),
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
