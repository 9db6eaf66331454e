//! Random damage to good files, the same every time. `DBBACKUP_FUZZ_SECONDS` gives each parser that
//! long; without it each gets a fixed number of rounds.

use std::time::{Duration, Instant};

use super::*;

const ROUNDS: usize = 1500;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % bound.max(1)
    }
}

/// One kind of damage; `true`: the last 512 bytes (or all) of `seed` are gone.
fn damage(random: &mut Random, seed: &[u8], other: &[u8]) -> (Vec<u8>, bool) {
    let mut bytes = seed.to_vec();
    let at = random.below(bytes.len());
    match random.below(7) {
        0 => bytes.truncate(seed.len().saturating_sub(512)),
        1 => {
            bytes.truncate(seed.len().saturating_sub(512 + random.below(seed.len())));
            if random.below(2) == 0 {
                bytes.resize(seed.len(), 0);
            }
        }
        2 => {
            for _ in 0..=random.below(8) {
                let at = random.below(bytes.len());
                bytes[at] ^= 1 << random.below(8);
            }
            return (bytes, false);
        }
        3 => {
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
            return (bytes, false);
        }
        4 => {
            let extremes = [0_u64, 1, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX >> 1, u64::MAX];
            let value = extremes[random.below(extremes.len())].to_le_bytes();
            let width = [2, 4, 8][random.below(3)];
            for (to, from) in bytes.iter_mut().skip(at / 2 * 2).zip(&value[..width]) {
                *to = *from;
            }
            reseal(random, &mut bytes);
            return (bytes, false);
        }
        5 => {
            let len = random.below(2048);
            let end = (at + len).min(bytes.len());
            bytes.drain(at..end);
            return (bytes, false);
        }
        _ => {
            let noise: Vec<u8> =
                (0..random.below(4096)).map(|_| u8::try_from(random.next() >> 56).unwrap()).collect();
            let keep = random.below(64);
            bytes.truncate(keep);
            bytes.extend(noise);
            return (bytes, false);
        }
    }
    // Padding can give back what was cut where that was zeros.
    let cut = bytes != seed;
    (bytes, cut)
}

/// Mends header checksums, so that damaged numbers behind them are read.
fn reseal(random: &mut Random, bytes: &mut [u8]) {
    if random.below(2) == 0 {
        return;
    }
    for block in bytes.chunks_mut(512).filter(|block| block.len() >= 52 && block[0].is_ascii_uppercase()) {
        let sum = block[..50].chunks(2).fold([0, 0], |sum, pair| [sum[0] ^ pair[0], sum[1] ^ pair[1]]);
        block[50..52].copy_from_slice(&sum);
    }
}

fn fuzz(seeds: &[(String, Vec<u8>)], check: impl Fn(&str, &[u8]) -> bool) {
    let seconds = std::env::var("DBBACKUP_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut rounds = 0;
    while end.map_or(rounds < ROUNDS, |end| Instant::now() < end) {
        let (name, seed) = &seeds[random.below(seeds.len())];
        let other = &seeds[random.below(seeds.len())].1;
        let (bytes, cut) = damage(&mut random, seed, other);
        let whole = check(name, &bytes);
        assert!(!(cut && whole), "{name} without its last bytes, round {rounds}, is called whole");
        rounds += 1;
    }
    println!("{rounds} damaged inputs");
}

fn seeds(ends: &[&str]) -> Vec<(String, Vec<u8>)> {
    // A tape of several sets that is cut between them is whole again: see the truncation test.
    let all = whole_files().into_iter().filter(|(name, _)| !name.starts_with("three"));
    all.filter(|(name, _)| ends.iter().any(|end| name.ends_with(end))).collect()
}

#[test]
fn damaged_sql_dump_never_panics_and_is_never_whole_without_its_end() {
    let mut seeds = seeds(&[".sql"]);
    seeds.push(("shop_compact.sql".to_owned(), fixture("shop_compact.sql")));
    fuzz(&seeds, |name, bytes| {
        let counted = Counted::new(bytes);
        let judgement = inspect(name, &counted).unwrap();
        assert!(counted.read.get() <= 32 << 10);
        judgement.verdict.is_whole()
    });
}

#[test]
fn damaged_tape_never_panics_reads_little_and_is_never_whole_without_its_end() {
    fuzz(&seeds(&[".bak", ".trn"]), |name, bytes| {
        let counted = Counted::new(bytes);
        let judgement = inspect(name, &counted).unwrap();
        assert!(counted.read.get() < 1 << 20, "{} bytes read", counted.read.get());
        judgement.verdict.is_whole()
    });
}

#[test]
fn damaged_compressed_dump_never_panics_and_is_never_whole_without_its_end() {
    fuzz(&seeds(&[".gz", ".zst", ".xz", ".bz2"]), |name, bytes| {
        let _ = inspect(name, bytes).unwrap();
        full_judgement(name, bytes).verdict.is_whole()
    });
}

#[test]
fn damaged_rman_folder_never_panics_and_is_never_whole() {
    let log = b"RMAN> backup database;\nFinished backup at 18-AUG-25\nRecovery Manager complete.\n".to_vec();
    let mut piece = vec![3; 16384];
    piece[20..24].copy_from_slice(&8192_u32.to_le_bytes());
    piece[28..32].copy_from_slice(&[0x7d, 0x7c, 0x7b, 0x7a]);
    let seeds = [("0a_1_1".to_owned(), piece), ("rman.log".to_owned(), log)];
    fuzz(&seeds, |name, bytes| {
        let bytes = bytes.to_vec();
        let file = tempfile::tempfile().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 0).unwrap();
        let name = if bytes.first().is_some_and(|byte| byte % 2 == 0) { "weird__99999_1_.x" } else { name };
        let piece = |name| super::super::rman::Piece {
            name,
            size: bytes.len() as u64,
            mtime: std::time::SystemTime::UNIX_EPOCH,
            content: &file,
        };
        super::super::rman::judge(&[piece(name), piece("0b_4_1")]).unwrap().verdict.is_whole()
    });
}

#[test]
fn damaged_list_of_a_dump_directory_never_panics_and_is_never_whole_without_its_end() {
    let tables = "[`shop`.`notes`]\nrows = 0\n".repeat(90);
    let metadata = format!("# Started dump at: 2025-08-18\n{tables}# Finished dump at: 2025-08-18\n");
    let chunks = ["\"shop@orders@@0.tsv\": 1"; 90];
    let done = format!("{{\"tableDataBytes\": {{}}, \"chunkFileBytes\": {{{}}}}}", chunks.join(","));
    let seeds =
        [("metadata".to_owned(), metadata.into_bytes()), ("@.done.json".to_owned(), done.into_bytes())];
    let beside: [(&str, &[u8]); 6] = [
        ("metadata", b"[`shop`.`orders`]\nrows = 1\n# Finished dump at: x\n"),
        ("shop.orders-schema.sql", b"CREATE TABLE `orders` (a int);\n"),
        ("shop.orders.sql", b"INSERT INTO `orders` VALUES (1);\n"),
        ("shop@orders@@0.tsv", b"1\n"),
        ("@.json", b"{}"),
        ("@.done.json", b"{}"),
    ];
    fuzz(&seeds, |name, bytes| {
        let shell = name.starts_with('@');
        let file = |bytes: &[u8]| {
            let file = tempfile::tempfile().unwrap();
            std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
            file
        };
        let others = beside.iter().filter(|(other, _)| *other != name && other.contains('@') == shell);
        let files: Vec<_> = others
            .map(|(name, bytes)| (*name, *bytes))
            .chain([(name, bytes)])
            .map(|(n, b)| (n, b, file(b)))
            .collect();
        let entries: Vec<_> = files
            .iter()
            .map(|(name, bytes, content)| super::super::dump_dir::Entry {
                name,
                size: bytes.len() as u64,
                content,
            })
            .collect();
        super::super::dump_dir::judge(&entries).unwrap().unwrap().verdict.is_whole()
    });
}
