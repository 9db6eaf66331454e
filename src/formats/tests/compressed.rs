use std::io::Write;

use super::super::compressed::{Kind, Tap, judge, precheck};
use super::*;

fn word(kind: Kind, bytes: &[u8]) -> &'static str {
    judge(kind, bytes).unwrap().verdict.word()
}

fn packed(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    match kind {
        Kind::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Kind::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        Kind::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Kind::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

#[test]
fn dump_compressed_by_the_usual_tools_is_whole_in_pieces_of_any_size() {
    for kind in Kind::ALL {
        let bytes = fixture(&format!("shop_20250818.sql.{}", kind.extension()));
        for size in [1, 5, 7, 1000, bytes.len()] {
            let mut tap = Tap::new(kind);
            bytes.chunks(size).for_each(|chunk| tap.feed(chunk));
            let judgement = tap.finish();
            assert!(judgement.verdict.is_whole(), "{kind:?} by {size}: {}", judgement.verdict);
            assert_eq!(judgement.facts.decoded_bytes, Some(fixture("shop_20250818.sql").len() as u64));
            assert_eq!(judgement.facts.completed_at.unwrap().to_string(), "2025-08-18 01:30:05");
        }
    }
}

#[test]
fn members_and_frames_behind_each_other_are_one_dump() {
    let dump = fixture("shop_20250818.sql");
    let (first, second) = dump.split_at(dump.len() / 3);
    for kind in Kind::ALL {
        let mut bytes = packed(kind, first);
        assert_eq!(word(kind, &bytes), "cut short", "{kind:?}: only the first");
        bytes.extend(packed(kind, second));
        assert_eq!(word(kind, &bytes), "whole", "{kind:?}");
    }
}

#[test]
fn whatever_follows_the_end_or_is_flipped_is_noticed() {
    for kind in Kind::ALL {
        let bytes = fixture(&format!("shop_20250818.sql.{}", kind.extension()));
        for garbage in [b"\0".as_slice(), b"\0\0\0\0\0\0\0\0\0", b"garbage behind", &bytes[..40]] {
            // xz allows zeros in fours as padding; nine are none.
            assert_eq!(
                word(kind, &[bytes.as_slice(), garbage].concat()),
                "cut short",
                "{kind:?} {garbage:?}"
            );
        }
        for at in (bytes.len() / 3..bytes.len() / 2).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert_eq!(word(kind, &flipped), "cut short", "{kind:?}: flipped at {at}");
        }
    }
}

#[test]
fn cut_dump_that_was_compressed_well_is_cut_short_and_compact_one_not_judged() {
    let dump = fixture("shop_20250818.sql");
    for kind in Kind::ALL {
        let cut = judge(kind, packed(kind, &dump[..dump.len() / 2]).as_slice()).unwrap();
        assert!(cut.verdict.to_string().starts_with("cut short: decoded in full"), "{}", cut.verdict);
        assert_eq!(word(kind, &packed(kind, b"")), "cut short");
        assert_eq!(word(kind, &packed(kind, &fixture("shop_compact.sql"))), "not judged");
    }
}

#[test]
fn dump_that_was_not_completed_among_others_is_cut_short() {
    let dump = fixture("shop_20250818.sql");
    let mixed = [&dump[..dump.len() / 2], b"\n", &dump].concat();
    for kind in Kind::ALL {
        let bytes = packed(kind, &mixed);
        for size in [13, 1000, bytes.len()] {
            let mut tap = Tap::new(kind);
            bytes.chunks(size).for_each(|chunk| tap.feed(chunk));
            let verdict = tap.finish().verdict.to_string();
            assert!(verdict.contains("2 dumps begin in it and 1 is completed"), "{kind:?}: {verdict}");
        }
        assert_eq!(word(kind, &packed(kind, &[dump.as_slice(), &dump].concat())), "whole", "{kind:?}");
    }
}

#[test]
fn first_bytes_alone_refuse_what_is_plainly_wrong() {
    for kind in Kind::ALL {
        let good = fixture(&format!("shop_20250818.sql.{}", kind.extension()));
        let word = |bytes: &[u8]| {
            let judgement = precheck(kind, bytes).unwrap();
            let decoded = judge(kind, bytes).unwrap();
            if judgement.verdict.word() == "cut short" {
                assert_eq!(decoded.verdict.word(), "cut short");
            }
            judgement.verdict.word()
        };
        assert_eq!(word(&good), "not judged");
        assert_eq!(word(b""), "cut short");
        assert_eq!(word(&[0; 900]), "cut short");
        assert_eq!(word(&[&good[..100], &[0; 900]].concat()), "cut short");
        assert!(
            precheck(kind, b"-- MySQL dump 10.13".as_slice())
                .unwrap()
                .verdict
                .to_string()
                .contains("its name says")
        );
    }
}

#[test]
fn bomb_costs_time_and_no_memory() {
    for kind in [Kind::Gzip, Kind::Zstd] {
        let bomb = packed(kind, &vec![0; 16 << 20]);
        let judgement = judge(kind, bomb.as_slice()).unwrap();
        assert_eq!(judgement.verdict.word(), "cut short");
        assert_eq!(judgement.facts.decoded_bytes, Some(16 << 20));
    }
}

#[test]
fn zstd_window_beyond_the_limit_is_not_judged_rather_than_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.long_distance_matching(true).unwrap();
    encoder.window_log(28).unwrap();
    encoder.write_all(&fixture("shop_20250818.sql")).unwrap();
    assert_eq!(word(Kind::Zstd, &encoder.finish().unwrap()), "not judged");
}
