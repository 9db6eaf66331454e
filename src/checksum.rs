//! Checksums as S3 speaks them: which algorithm, over what, and the value in base64.
//!
//! CRC values of parts fold into the value of the whole, so one read of a file gives both. Source of
//! the algorithms and their base64 form (big-endian): the S3 user guide, "Checking object integrity".

use std::collections::BTreeMap;
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

/// The checksum of a whole, from the digests of its parts in any order: as S3 gives it for an upload in
/// parts, full-object for CRCs, composite for SHA-256. Holds no more than the parts that came too early.
#[derive(Debug, Clone)]
pub struct Fold {
    /// Number of the part that comes next, from 1.
    next: i32,
    whole: Option<Whole>,
    early: BTreeMap<i32, Digest>,
}

#[derive(Clone)]
enum Whole {
    Crc(Algorithm, CrcAlgorithm, u64),
    Sha(Sha256, usize),
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crc(algorithm, ..) => write!(f, "Whole({algorithm})"),
            Self::Sha(_, parts) => write!(f, "Whole({parts} parts)"),
        }
    }
}

impl Default for Fold {
    fn default() -> Self {
        Self { next: 1, whole: None, early: BTreeMap::new() }
    }
}

impl Fold {
    /// Takes the part of this number; parts are numbered from 1, and each comes once.
    pub fn add(&mut self, number: i32, part: Digest) {
        self.early.insert(number, part);
        while let Some(part) = self.early.remove(&self.next) {
            self.next += 1;
            self.append(&part);
        }
    }

    fn append(&mut self, part: &Digest) {
        match (&mut self.whole, &part.0) {
            (None, State::Crc(kind, digest, _)) => {
                self.whole = Some(Whole::Crc(part.algorithm(), *kind, digest.finalize()));
            }
            (None, State::Sha(digest, _)) => {
                self.whole = Some(Whole::Sha(Sha256::new_with_prefix(digest.clone().finalize()), 1));
            }
            (Some(Whole::Crc(_, kind, whole)), State::Crc(_, digest, len)) => {
                *whole = crc_fast::checksum_combine(*kind, *whole, digest.finalize(), *len);
            }
            (Some(Whole::Sha(whole, parts)), State::Sha(digest, _)) => {
                whole.update(digest.clone().finalize());
                *parts += 1;
            }
            // Parts of one whole are of one algorithm.
            (Some(Whole::Crc(..)), State::Sha(..)) | (Some(Whole::Sha(..)), State::Crc(..)) => {}
        }
    }

    /// The whole's checksum; `None` without parts, or where one is missing in between.
    #[must_use]
    pub fn finish(self) -> Option<Checksum> {
        if !self.early.is_empty() {
            return None;
        }
        Some(match self.whole? {
            Whole::Crc(algorithm, kind, value) => {
                Checksum { algorithm, scope: Scope::FullObject, value: crc_base64(kind, value) }
            }
            Whole::Sha(whole, parts) => Checksum {
                algorithm: Algorithm::Sha256,
                scope: Scope::Composite,
                value: format!("{}-{parts}", BASE64.encode(whole.finalize())),
            },
        })
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

    /// What these parts make, in their order.
    fn of_parts(parts: &[Digest]) -> Option<Checksum> {
        let mut fold = Fold::default();
        for (number, part) in (1..).zip(parts) {
            fold.add(number, part.clone());
        }
        fold.finish()
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
                let mut fold = Fold::default();
                for (index, part) in parts.iter().enumerate().rev() {
                    fold.add(i32::try_from(index + 1).unwrap(), part.clone());
                }
                proptest::prop_assert_eq!(fold.finish(), of_parts(&parts), "in any order");
                proptest::prop_assert_eq!(of_parts(&parts).unwrap(), whole.full_object());
            }
        }
    }
}
