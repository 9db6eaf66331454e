//! Every form there and back, and what must not change between two passes.

use std::io::{self, Read as _, Write};

use super::*;
use crate::checksum::{Algorithm, Digest};

const FORMS: [Compression; 4] =
    [Compression::Zstd(3), Compression::Zstd(12), Compression::Gzip, Compression::Bzip2];

/// A new secret key, and its public one.
fn key() -> (Identities, Recipient) {
    let identity = ::age::x25519::Identity::generate();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let secret = identity.to_string();
    writeln!(file, "# a key\n{}", ::age::secrecy::ExposeSecret::expose_secret(&secret)).unwrap();
    (Identities::read(file.path()).unwrap(), identity.to_public().to_string().parse().unwrap())
}

/// Every compression, and none, with and without encryption.
fn recipes(recipient: &Recipient) -> Vec<Recipe> {
    let forms = FORMS.into_iter().map(Some).chain([None]);
    let all = forms.flat_map(|compression| {
        [vec![], vec![recipient.clone()]].map(|recipients| Recipe {
            compression,
            recipients,
            ..Recipe::default()
        })
    });
    all.filter(|recipe| !recipe.is_plain()).collect()
}

fn only(compression: Compression) -> Recipe {
    Recipe { compression: Some(compression), ..Recipe::default() }
}

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

fn encoded(plain: &[u8], recipe: &Recipe) -> Vec<u8> {
    let mut out = Vec::new();
    let source = io::Cursor::new(plain.to_vec());
    encode(source, recipe, plain.len() as u64).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn coding(plain: &[u8], recipe: &Recipe) -> Coding {
    let mut digest = Digest::new(Algorithm::Crc64Nvme);
    digest.update(plain);
    let (plain_size, plain_checksum) = (plain.len() as u64, digest.full_object());
    Coding { recipe: recipe.clone(), plain_size, plain_checksum, members: Vec::new() }
}

fn decoded(stored: &[u8], coding: &Coding, identities: &Identities) -> Result<Vec<u8>, DecodeError> {
    let mut back = Vec::new();
    let mut decoding = Decoding::new(coding, identities, &mut back).unwrap();
    // In uneven pieces, as they come from a network.
    for piece in stored.chunks(7_919) {
        decoding.feed(piece)?;
    }
    decoding.finish(coding)?;
    Ok(back)
}

#[test]
fn every_form_gives_the_same_bytes_back_and_stays_within_its_bound() {
    let (identities, recipient) = key();
    let noise = encoded(&bytes(500_000), &only(Compression::Bzip2));
    for form in &recipes(&recipient) {
        // 65,536 is a chunk of age, and 131,072 two of them.
        for plain in [&b""[..], b"x", &noise, &bytes(65_536), &bytes(131_072), &bytes(3_000_000)] {
            let stored = encoded(plain, form);
            assert!(stored.len() as u64 <= form.bound(plain.len() as u64), "{form}");
            let back = decoded(&stored, &coding(plain, form), &identities).unwrap();
            assert!(back == plain, "{form} of {} bytes", plain.len());
        }
    }
}

#[test]
fn compressed_bytes_are_the_same_each_time_and_with_any_number_of_threads() {
    let plain = bytes(20 << 20);
    for form in &[only(Compression::Zstd(3)), only(Compression::Gzip)] {
        assert!(encoded(&plain, form) == encoded(&plain, form), "{form}");
    }
    let with = |threads| {
        let mut out = Vec::new();
        encode::zstd_encoder(
            io::BufReader::new(io::Cursor::new(plain.clone())),
            3,
            plain.len() as u64,
            threads,
        )
        .unwrap()
        .read_to_end(&mut out)
        .unwrap();
        out
    };
    assert!(with(1) == with(4));
    assert!(with(1) == encoded(&plain, &only(Compression::Zstd(3))));
}

#[test]
fn what_is_cut_or_altered_does_not_decode() {
    let (identities, recipient) = key();
    let plain = bytes(300_000);
    for form in &recipes(&recipient) {
        let stored = encoded(&plain, form);
        let mut bad = stored.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 0x40;
        let longer = [&stored[..], b"more"].concat();
        for wrong in [&stored[..stored.len() - 9], &bad, &longer, b""] {
            let refused =
                matches!(decoded(wrong, &coding(&plain, form), &identities), Err(DecodeError::Damaged(_)));
            assert!(refused, "{form} of {} bytes", wrong.len());
        }
    }
}

#[test]
fn another_file_s_bytes_are_refused_however_well_they_decode() {
    let (plain, other) = (bytes(100_000), bytes(99_999));
    let mut altered = plain.clone();
    altered[50_000] ^= 1;
    let (identities, recipient) = key();
    for form in &recipes(&recipient) {
        for wrong in [&other, &altered] {
            let error = decoded(&encoded(wrong, form), &coding(&plain, form), &identities).unwrap_err();
            assert!(error.to_string().contains("where the file had 100000"), "{form}: {error}");
        }
    }
}

#[test]
fn a_bomb_is_stopped_at_the_size_that_the_file_had() {
    let zstd = only(Compression::Zstd(3));
    let bomb = encoded(&vec![0; 50_000_000], &zstd);
    let mut out = Vec::new();
    let mut decoding = Decoding::new(&coding(b"small", &zstd), &Identities::default(), &mut out).unwrap();
    assert!(decoding.feed(&bomb).is_err());
    drop(decoding);
    assert!(out.len() <= 5);
}

#[test]
fn a_full_disk_is_no_damaged_object() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (identities, recipient) = key();
    let plain = bytes(2_000_000);
    for form in &recipes(&recipient) {
        let (stored, coding) = (encoded(&plain, form), coding(&plain, form));
        let mut decoding = Decoding::new(&coding, &identities, Full).unwrap();
        let error = decoding.feed(&stored).and_then(|()| decoding.finish(&coding)).unwrap_err();
        assert!(matches!(error, DecodeError::Write(_)), "{form}: {error}");
    }
}

#[test]
fn what_is_compressed_already_is_told_by_its_name_or_its_first_bytes() {
    for (name, head) in [
        ("shop_20250818.sql.gz", &b""[..]),
        ("shop_20250818.SQL.ZST", b""),
        ("crm_20250818.bak", b"MSSQLBAK\x02\0"),
        ("shop_20250818.sql", &[0x1f, 0x8b, 8]),
    ] {
        assert!(is_compressed(name, head), "{name}");
    }
    assert!(!is_compressed("shop_20250818.sql", b"-- MySQL"));
    assert!(!is_compressed("crm_20250818.bak", b"TAPE\0\0\x03\0"));
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
    let mut suffixes = std::collections::BTreeSet::new();
    let all = recipes(&key().1).into_iter().chain([Recipe::default()]);
    for form in all.flat_map(|form| [None, Some(Pack::Tar)].map(|pack| Recipe { pack, ..form.clone() })) {
        assert!(form.memory(1 << 40) <= MEMORY);
        if form.is_plain() {
            continue;
        }
        // Levels of zstd share theirs.
        suffixes.insert(form.suffix());
        let key = format!("shop.sql{}", form.suffix());
        assert!(without_suffix(&key).any(|bare| bare == "shop.sql"), "{key}");
    }
    assert_eq!(suffixes, SUFFIXES.into());
    let own: Vec<&str> = without_suffix("shop.sql.gz.age").collect();
    assert_eq!(own, ["shop.sql", "shop.sql.gz"]);
}

#[test]
fn what_is_encrypted_is_never_twice_alike_and_opens_with_each_of_its_keys_and_no_other() {
    let ((first, one), (second, two), (other, _)) = (key(), key(), key());
    let plain = bytes(200_000);
    let recipe = Recipe { recipients: vec![one, two], ..Recipe::default() };
    let (stored, coding) = (encoded(&plain, &recipe), coding(&plain, &recipe));
    assert!(stored != encoded(&plain, &recipe));
    assert!(!stored.windows(21).any(|window| window == &plain[..21]));
    for identities in [&first, &second] {
        assert!(identities.open(&recipe.recipients));
        assert!(decoded(&stored, &coding, identities).unwrap() == plain);
    }
    for identities in [&other, &Identities::default()] {
        assert!(!identities.open(&recipe.recipients));
        let error = decoded(&stored, &coding, identities).unwrap_err();
        assert!(error.to_string().contains("none of the identities opens it"), "{error}");
    }
}

#[test]
fn secret_keys_are_taken_from_a_file_of_them_alone_and_shown_nowhere() {
    let secret = {
        let key = ::age::x25519::Identity::generate().to_string();
        ::age::secrecy::ExposeSecret::expose_secret(&key).to_owned()
    };
    let dir = tempfile::tempdir().unwrap();
    let read = |text: &str| {
        std::fs::write(dir.path().join("key.txt"), text).unwrap();
        Identities::read(&dir.path().join("key.txt"))
    };
    assert!(!format!("{:?}", read(&format!("# made today\n\n{secret}\n")).unwrap()).contains(&secret[20..]));
    let cut = &secret[..secret.len() - 3];
    for (text, why) in [
        (format!("{secret}\n{cut}\n"), "line 2 is no secret key"),
        ("age-encryption.org/v1\n".to_owned(), "line 1 is no secret key"),
        ("# nothing\n".to_owned(), "holds no secret key"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains(cut), "{error}");
    }
    std::fs::write(dir.path().join("key.txt"), [0xff, 0xfe, b'\n']).unwrap();
    assert!(Identities::read(&dir.path().join("key.txt")).unwrap_err().to_string().contains("line 1"));
    assert!(
        Identities::read(&dir.path().join("none")).unwrap_err().to_string().contains("read the identity")
    );
    let error = secret.parse::<Recipient>().unwrap_err();
    assert!(error.contains("secret key") && !error.contains(cut), "{error}");
}
