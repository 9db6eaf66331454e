//! Checksums as S3 speaks them: which algorithm, over what, and the value in base64.
//!
//! CRC values of parts fold into the value of the whole, so one read of a file gives both. Source of
//! the algorithms and their base64 form (big-endian): the S3 user guide, "Checking object integrity".

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// An algorithm that S3 verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-64/NVME; S3 keeps it only for the whole object.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// CRC-32C (Castagnoli).
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// SHA-256; of a multipart object S3 keeps only the hash of the parts' hashes.
    #[serde(rename = "SHA256")]
    Sha256,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32c => "CRC32C",
            Self::Sha256 => "SHA256",
        })
    }
}

/// What the value covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Every byte of the object.
    #[serde(rename = "FULL_OBJECT")]
    FullObject,
    /// The checksums of the parts, one after the other.
    #[serde(rename = "COMPOSITE")]
    Composite,
}

/// A checksum of an object or a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// What it covers.
    #[serde(rename = "type")]
    pub scope: Scope,
    /// Base64 of the big-endian value; a composite one may end in `-<parts>`, as S3 writes it.
    pub value: String,
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, self.value)
    }
}

impl Checksum {
    /// Whether both speak of the same bytes in the same way; `None` where they cannot be compared.
    #[must_use]
    pub fn agrees(&self, other: &Self) -> Option<bool> {
        (self.algorithm == other.algorithm && self.scope == other.scope).then(|| self.value == other.value)
    }
}

/// A checksum being computed, or computed, over a run of bytes.
#[derive(Clone)]
pub struct Digest(State);

#[derive(Clone)]
enum State {
    Crc(CrcAlgorithm, crc_fast::Digest, u64),
    Sha(Sha256, u64),
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({} of {} bytes)", self.algorithm(), self.len())
    }
}

impl Digest {
    /// Of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let crc = |kind| State::Crc(kind, crc_fast::Digest::new(kind), 0);
        Self(match algorithm {
            Algorithm::Crc64Nvme => crc(CrcAlgorithm::Crc64Nvme),
            Algorithm::Crc32c => crc(CrcAlgorithm::Crc32Iscsi),
            Algorithm::Sha256 => State::Sha(Sha256::new(), 0),
        })
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match &self.0 {
            State::Crc(CrcAlgorithm::Crc64Nvme, ..) => Algorithm::Crc64Nvme,
            State::Crc(..) => Algorithm::Crc32c,
            State::Sha(..) => Algorithm::Sha256,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Crc(_, digest, len) => {
                digest.update(bytes);
                *len += bytes.len() as u64;
            }
            State::Sha(digest, len) => {
                digest.update(bytes);
                *len += bytes.len() as u64;
            }
        }
    }

    /// Bytes taken.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            State::Crc(_, _, len) | State::Sha(_, len) => *len,
        }
    }

    /// Whether no byte was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value over the bytes taken, base64.
    #[must_use]
    pub fn value(&self) -> String {
        match &self.0 {
            State::Crc(kind, digest, _) => crc_base64(*kind, digest.finalize()),
            State::Sha(digest, _) => BASE64.encode(digest.clone().finalize()),
        }
    }

    /// As the checksum of a whole object of these bytes.
    #[must_use]
    pub fn full_object(&self) -> Checksum {
        Checksum { algorithm: self.algorithm(), scope: Scope::FullObject, value: self.value() }
    }
}

/// Width of the value: CRC64 has eight bytes, CRC32C four.
fn crc_base64(kind: CrcAlgorithm, value: u64) -> String {
    let bytes = value.to_be_bytes();
    match kind {
        CrcAlgorithm::Crc64Nvme => BASE64.encode(bytes),
        _ => BASE64.encode(bytes.get(4..).unwrap_or(&bytes)),
    }
}

/// The checksum S3 computes for a multipart object, from its parts in order: the folded value of the
/// whole for CRCs, the hash of hashes for SHA-256. `None` for no parts.
#[must_use]
pub fn of_parts(parts: &[Digest]) -> Option<Checksum> {
    let first = parts.first()?;
    let algorithm = first.algorithm();
    match &first.0 {
        State::Crc(kind, digest, _) => {
            let whole = parts.iter().skip(1).fold(digest.finalize(), |whole, part| match &part.0 {
                State::Crc(_, digest, len) => {
                    crc_fast::checksum_combine(*kind, whole, digest.finalize(), *len)
                }
                State::Sha(..) => whole,
            });
            Some(Checksum { algorithm, scope: Scope::FullObject, value: crc_base64(*kind, whole) })
        }
        State::Sha(..) => {
            let mut whole = Sha256::new();
            for part in parts {
                if let State::Sha(digest, _) = &part.0 {
                    whole.update(digest.clone().finalize());
                }
            }
            let value = format!("{}-{}", BASE64.encode(whole.finalize()), parts.len());
            Some(Checksum { algorithm, scope: Scope::Composite, value })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_value_of_crc64nvme_is_the_published_one() {
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        digest.update(b"123456789");
        assert_eq!(digest.value(), BASE64.encode(0xae8b_1486_0a79_9888_u64.to_be_bytes()));
    }

    #[test]
    fn check_value_of_crc32c_is_the_published_one() {
        let mut digest = Digest::new(Algorithm::Crc32c);
        digest.update(b"123456789");
        assert_eq!(digest.value(), BASE64.encode(0xe306_9283_u32.to_be_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn parts_fold_into_the_whole(
            data in proptest::collection::vec(proptest::num::u8::ANY, 1..5000),
            size in 1_usize..700,
        ) {
            for algorithm in [Algorithm::Crc64Nvme, Algorithm::Crc32c] {
                let mut whole = Digest::new(algorithm);
                whole.update(&data);
                let parts: Vec<Digest> = data
                    .chunks(size)
                    .map(|chunk| {
                        let mut part = Digest::new(algorithm);
                        part.update(chunk);
                        part
                    })
                    .collect();
                proptest::prop_assert_eq!(of_parts(&parts).unwrap(), whole.full_object());
            }
        }
    }
}
