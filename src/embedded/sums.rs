//! Checksums as a server sees them: declared by the client, computed from the bytes, folded from parts.
//!
//! Separate from [`crate::checksum`] on purpose: a mistake there must not be confirmed by the server
//! that the tests hold it against.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use s3s::crypto::{Checksum as _, Md5, Sha1, Sha256};
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde::{Deserialize, Serialize};

/// An algorithm of `x-amz-checksum-*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Kind {
    #[serde(rename = "CRC32")]
    Crc32,
    #[serde(rename = "CRC32C")]
    Crc32c,
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    #[serde(rename = "SHA1")]
    Sha1,
    #[serde(rename = "SHA256")]
    Sha256,
}

/// Base64 values by algorithm.
pub(super) type Sums = BTreeMap<Kind, String>;

impl Kind {
    pub(super) const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As in `x-amz-checksum-algorithm`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The header that carries the value.
    pub(super) fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// Bytes of a value.
    fn width(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether S3 keeps the algorithm as a checksum of the whole multipart object unless told otherwise.
    pub(super) fn full_object_by_default(self) -> bool {
        self == Self::Crc64Nvme
    }

    pub(super) fn can_be_full_object(self) -> bool {
        self.crc().is_some()
    }

    /// Refuses what cannot be a value of this algorithm. A composite one may end in `-<parts>`.
    pub(super) fn check_form(self, value: &str) -> S3Result<()> {
        let digits = value.split_once('-').map_or(value, |(digits, _)| digits);
        match BASE64.decode(digits) {
            Ok(bytes) if bytes.len() == self.width() => Ok(()),
            _ => Err(invalid(format!("Value for {} header is invalid.", self.header()))),
        }
    }
}

enum Running {
    Crc(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

/// MD5 and any number of checksums over one stream.
pub(super) struct Hashing {
    md5: Md5,
    running: Vec<(Kind, Running)>,
}

impl Hashing {
    pub(super) fn new(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let running = kinds
            .into_iter()
            .map(|kind| {
                let state = match (kind.crc(), kind) {
                    (Some(crc), _) => Running::Crc(crc_fast::Digest::new(crc)),
                    (None, Kind::Sha1) => Running::Sha1(Sha1::new()),
                    (None, _) => Running::Sha256(Sha256::new()),
                };
                (kind, state)
            })
            .collect();
        Self { md5: Md5::new(), running }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for (_, state) in &mut self.running {
            match state {
                Running::Crc(digest) => digest.update(bytes),
                Running::Sha1(digest) => digest.update(bytes),
                Running::Sha256(digest) => digest.update(bytes),
            }
        }
    }

    pub(super) fn finish(self) -> ([u8; 16], Sums) {
        let sums = self
            .running
            .into_iter()
            .map(|(kind, state)| {
                let value = match state {
                    Running::Crc(digest) => crc_text(kind, digest.finalize()),
                    Running::Sha1(digest) => BASE64.encode(digest.finalize()),
                    Running::Sha256(digest) => BASE64.encode(digest.finalize()),
                };
                (kind, value)
            })
            .collect();
        (self.md5.finalize(), sums)
    }
}

fn crc_text(kind: Kind, value: u64) -> String {
    let bytes = value.to_be_bytes();
    BASE64.encode(bytes.get(8 - kind.width()..).unwrap_or(&bytes))
}

fn crc_value(text: &str) -> Option<u64> {
    let bytes = BASE64.decode(text).ok()?;
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

/// The checksum of the whole from those of its parts, in order, with their sizes.
pub(super) fn full_object<'a>(kind: Kind, parts: impl IntoIterator<Item = (&'a str, u64)>) -> Option<String> {
    let crc = kind.crc()?;
    let mut whole: Option<u64> = None;
    for (text, size) in parts {
        let part = crc_value(text)?;
        whole = Some(match whole {
            Some(before) => crc_fast::checksum_combine(crc, before, part, size),
            None => part,
        });
    }
    whole.map(|value| crc_text(kind, value))
}

/// The checksum of the parts' checksums, without the `-<parts>` that S3 appends.
pub(super) fn composite<'a>(kind: Kind, parts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut hashing = Hashing::new([kind]);
    for text in parts {
        hashing.update(&BASE64.decode(text).ok()?);
    }
    hashing.finish().1.remove(&kind)
}

/// The entity tag of a multipart object: the MD5 of the parts' MD5s, and their count.
pub(super) fn multipart_etag<'a>(md5s: impl IntoIterator<Item = &'a [u8; 16]>) -> String {
    let mut md5 = Md5::new();
    let mut count = 0_u32;
    for part in md5s {
        md5.update(part);
        count += 1;
    }
    format!("{}-{count}", hex(&md5.finalize()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| text + &format!("{byte:02x}"))
}

/// Holds what the client declared against what was computed.
pub(super) fn verify(declared: &Sums, computed: &Sums) -> S3Result<()> {
    for (kind, value) in declared {
        kind.check_form(value)?;
        if computed.get(kind) != Some(value) {
            return Err(S3Error::with_message(
                S3ErrorCode::BadDigest,
                format!("The {} you specified did not match the calculated checksum.", kind.name()),
            ));
        }
    }
    Ok(())
}

/// Holds a `Content-MD5` header against the MD5 of the body.
pub(super) fn verify_md5(declared: Option<&str>, computed: &[u8; 16]) -> S3Result<()> {
    let Some(declared) = declared else { return Ok(()) };
    match BASE64.decode(declared) {
        Ok(bytes) if bytes == computed => Ok(()),
        Ok(bytes) if bytes.len() == 16 => Err(S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        )),
        _ => Err(S3Error::with_message(
            S3ErrorCode::InvalidDigest,
            "The Content-MD5 you specified is not valid.",
        )),
    }
}

/// 400 `InvalidRequest`.
pub(super) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value that the catalogue of CRC algorithms gives for `123456789`.
    const CHECK: [u8; 8] = 0xae8b_1486_0a79_9888_u64.to_be_bytes();

    fn sums_of(bytes: &[u8]) -> Sums {
        let mut hashing = Hashing::new(Kind::ALL);
        hashing.update(bytes);
        hashing.finish().1
    }

    #[test]
    fn crc64nvme_has_its_check_value_and_folds() {
        let whole = sums_of(b"123456789");
        assert_eq!(whole[&Kind::Crc64Nvme], BASE64.encode(CHECK));
        for kind in Kind::ALL.into_iter().filter(|kind| kind.can_be_full_object()) {
            let (head, tail) = (sums_of(b"1234"), sums_of(b"56789"));
            let folded = full_object(kind, [(head[&kind].as_str(), 4), (tail[&kind].as_str(), 5)]);
            assert_eq!(folded.as_ref(), Some(&whole[&kind]), "{kind:?}");
        }
    }

    #[test]
    fn a_wrong_or_malformed_checksum_is_refused() {
        let computed = sums_of(b"body");
        let declare = |value: String| verify(&Sums::from([(Kind::Crc64Nvme, value)]), &computed);
        assert!(declare(computed[&Kind::Crc64Nvme].clone()).is_ok());
        assert_eq!(declare(BASE64.encode(CHECK)).unwrap_err().code(), &S3ErrorCode::BadDigest);
        assert_eq!(declare("short".to_owned()).unwrap_err().code(), &S3ErrorCode::InvalidRequest);
    }
}
