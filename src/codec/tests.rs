//! Every form there and back, and what must not change between two passes.

use std::io::{self, Read};

use age::secrecy::ExposeSecret as _;

use super::*;
use crate::checksum::{Algorithm, Digest};

/// Text with repetition, and noise between it.
fn bytes(len: usize) -> Vec<u8> {
    let mut state = 7_u32;
    (0..len)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at % 7 == 0 { state.to_be_bytes()[0] } else { b"INSERT INTO t VALUES "[at % 21] }
        })
        .collect()
}

fn encoded(plain: &[u8], codec: &Codec) -> Vec<u8> {
    let mut out = Vec::new();
    let source = io::Cursor::new(plain.to_vec());
    encode(source, codec, plain.len() as u64).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn coding(plain: &[u8], codec: &Codec) -> Coding {
    let mut digest = Digest::new(Algorithm::Crc64Nvme);
    digest.update(plain);
    Coding {
        compression: codec.compression,
        recipients: codec.recipients.iter().map(ToString::to_string).collect(),
        plain_size: plain.len() as u64,
        plain_checksum: digest.full_object(),
    }
}

fn key(dir: &tempfile::TempDir, name: &str) -> (Recipient, Identities) {
    let identity = age::x25519::Identity::generate();
    let path = dir.path().join(name);
    std::fs::write(&path, format!("# made for a test\n{}\n", identity.to_string().expose_secret())).unwrap();
    (identity.to_public().to_string().parse().unwrap(), Identities::load(&path).unwrap())
}

#[test]
fn every_form_gives_the_same_bytes_back_and_stays_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let (recipient, identities) = key(&dir, "key.txt");
    let noise: Vec<u8> =
        encoded(&bytes(500_000), &Codec { compression: Some(Compression::Bzip2), recipients: vec![] });
    let forms = [None, Some(Compression::Zstd(3)), Some(Compression::Gzip), Some(Compression::Bzip2)];
    for compression in forms {
        for recipients in [vec![], vec![recipient.clone()]] {
            let codec = Codec { compression, recipients };
            for plain in [&b""[..], b"x", &noise, &bytes(3_000_000)] {
                let stored = encoded(plain, &codec);
                assert!(stored.len() as u64 <= codec.bound(plain.len() as u64), "{codec:?}");
                let mut back = Vec::new();
                let coding = coding(plain, &codec);
                let mut reader = decode(io::Cursor::new(stored), &coding, &identities).unwrap();
                reader.read_to_end(&mut back).unwrap();
                assert!(back == plain, "{codec:?} of {} bytes", plain.len());
            }
        }
    }
}

#[test]
fn compressed_bytes_are_the_same_each_time_and_encrypted_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let (recipient, _) = key(&dir, "key.txt");
    let plain = bytes(20 << 20);
    for compression in [Compression::Zstd(3), Compression::Gzip] {
        let codec = Codec { compression: Some(compression), recipients: vec![] };
        assert!(encoded(&plain, &codec) == encoded(&plain, &codec), "{compression}");
    }
    let codec = Codec { compression: None, recipients: vec![recipient] };
    assert_ne!(encoded(b"secret", &codec), encoded(b"secret", &codec));
}

#[test]
fn what_is_cut_or_altered_does_not_decode() {
    let dir = tempfile::tempdir().unwrap();
    let (recipient, identities) = key(&dir, "key.txt");
    let plain = bytes(300_000);
    for compression in [None, Some(Compression::Zstd(3)), Some(Compression::Gzip), Some(Compression::Bzip2)] {
        for recipients in [vec![], vec![recipient.clone()]] {
            let codec = Codec { compression, recipients };
            if codec.is_plain() {
                continue;
            }
            let stored = encoded(&plain, &codec);
            let mut bad = stored.clone();
            let middle = bad.len() / 2;
            bad[middle] ^= 0x40;
            for wrong in [stored[..stored.len() - 9].to_vec(), bad] {
                let coding = coding(&plain, &codec);
                let read = decode(io::Cursor::new(wrong), &coding, &identities)
                    .map_err(|error| error.to_string())
                    .and_then(|mut reader| {
                        let mut back = Vec::new();
                        reader.read_to_end(&mut back).map(|_| back).map_err(|error| error.to_string())
                    });
                assert!(read.is_err(), "{codec:?}");
            }
        }
    }
}

#[test]
fn another_identity_is_told_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (recipient, ours) = key(&dir, "ours.txt");
    let (_, theirs) = key(&dir, "theirs.txt");
    let wanted = [recipient.to_string()];
    assert!(ours.suit(&wanted).is_ok());
    assert!(theirs.suit(&wanted).unwrap_err().to_string().contains(&recipient.to_string()));
    assert!(matches!(Identities::default().suit(&wanted), Err(IdentityError::Missing(_))));
    let codec = Codec { compression: None, recipients: vec![recipient] };
    let stored = encoded(b"secret", &codec);
    let opened = decode(io::Cursor::new(stored), &coding(b"secret", &codec), &theirs);
    assert!(matches!(opened.err(), Some(DecodeError::OtherIdentity(_))));
}

#[test]
fn no_message_shows_a_line_of_an_identity_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.txt");
    std::fs::write(&path, "AGE-SECRET-KEY-1BROKEN\n").unwrap();
    let error = Identities::load(&path).unwrap_err().to_string();
    assert!(error.contains("line 1") && !error.contains("BROKEN"), "{error}");
}

#[test]
fn what_is_compressed_already_is_left_alone_and_encrypted_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (recipient, _) = key(&dir, "key.txt");
    let codec = Codec { compression: Some(Compression::Zstd(3)), recipients: vec![recipient] };
    for (name, head) in [
        ("shop_20250818.sql.gz", &b""[..]),
        ("shop_20250818.SQL.ZST", b""),
        ("crm_20250818.bak", b"MSSQLBAK\x02\0"),
        ("shop_20250818.sql", &[0x1f, 0x8b, 8]),
    ] {
        assert_eq!(codec.for_file(name, head).suffix(), ".age", "{name}");
    }
    assert_eq!(codec.for_file("shop_20250818.sql", b"-- MySQL").suffix(), ".zst.age");
}

#[test]
fn words_of_the_configuration_are_read_and_written_alike() {
    for text in ["zstd:1", "zstd:19", "gzip", "bzip2"] {
        assert_eq!(text.parse::<Compression>().unwrap().to_string(), text);
    }
    assert_eq!("zstd".parse(), Ok(Compression::Zstd(ZSTD_LEVEL)));
    for text in ["zstd:0", "zstd:20", "zstd:", "gzip:6", "lz4", ""] {
        assert!(text.parse::<Compression>().is_err(), "{text}");
    }
}
