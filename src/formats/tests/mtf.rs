use super::build::{COPY_ONLY, DIFFERENTIAL, FULL, LOG, Tape};
use super::*;
use crate::model::Verdict;

fn judge(bytes: &[u8]) -> Judgement {
    super::super::mtf::judge(bytes).unwrap()
}

#[test]
fn built_backup_is_whole_and_tells_kind_date_database_and_program() {
    for filemark in [512, 1024, 4096] {
        for (set, kind, day) in [
            (FULL, BackupKind::Full, 18),
            (DIFFERENTIAL, BackupKind::Differential, 19),
            (COPY_ONLY, BackupKind::CopyOnly, 20),
            (LOG, BackupKind::Log, 21),
        ] {
            let judgement = judge(&Tape::new(filemark).set(set).done());
            assert!(judgement.verdict.is_whole(), "{filemark} {kind:?}: {}", judgement.verdict);
            assert!(
                judgement.verdict.reason().contains("from the first to the last"),
                "{}",
                judgement.verdict
            );
            let facts = judgement.facts;
            assert_eq!(facts.kind, Some(kind));
            assert_eq!(facts.sets_in_file, Some(1));
            assert_eq!(facts.database.as_deref(), Some("Kestrel"));
            assert_eq!(facts.producer.as_deref(), Some("Microsoft SQL Server (version 15.0)"));
            assert_eq!(facts.started_at.unwrap().to_string(), format!("2025-08-{day} 01:30:05"));
            assert!(judgement.notes.is_empty());
        }
    }
}

#[test]
fn sets_appended_to_one_file_are_counted_and_the_last_one_is_described() {
    let judgement = judge(&Tape::new(512).set(FULL).set(FULL).set(DIFFERENTIAL).done());
    assert!(judgement.verdict.is_whole(), "{}", judgement.verdict);
    assert_eq!(judgement.facts.sets_in_file, Some(3));
    assert_eq!(judgement.facts.kind, Some(BackupKind::Differential));
    assert!(judgement.notes[0].text.contains("WITH FILE = 3"), "{}", judgement.notes[0].text);
}

#[test]
fn more_sets_than_one_filemark_lists_are_found_where_the_chain_is_too_long_to_follow() {
    let many = (0..40).fold(Tape::new(512), |tape, _| tape.set(FULL.frames(100))).set(DIFFERENTIAL).done();
    let judgement = judge(&many);
    assert!(judgement.verdict.is_whole(), "{}", judgement.verdict);
    assert!(judgement.verdict.reason().contains("its first 2048 headers"), "{}", judgement.verdict);
    assert_eq!(judgement.facts.sets_in_file, Some(41));
    assert_eq!(judgement.facts.kind, Some(BackupKind::Differential));
}

#[test]
fn differential_named_bak_and_full_named_dif_are_noted() {
    let differential = Tape::new(512).set(DIFFERENTIAL).done();
    let full = Tape::new(512).set(FULL).done();
    let notes = |name: &str, bytes: &[u8]| inspect(name, bytes).unwrap().notes.len();
    assert_eq!(notes("Shop_20250819.BAK", &differential), 1);
    assert_eq!(notes("Shop_20250819.dif", &differential), 0);
    assert_eq!(notes("Shop_20250818.dif", &full), 1);
    assert_eq!(notes("Shop_20250818.bak", &full), 0);
}

#[test]
fn interior_hole_over_a_header_is_cut_short() {
    let whole = Tape::new(512).set(FULL).set(FULL).done();
    let headers: Vec<usize> =
        (0..whole.len()).step_by(512).filter(|at| whole[*at..].starts_with(b"MS")).collect();
    assert!(headers.len() >= 8);
    for at in headers {
        let mut holed = whole.clone();
        holed[at..at + 512].fill(0);
        assert_eq!(judge(&holed).verdict.word(), "cut short", "hole at {at}");
        let mut flipped = whole.clone();
        flipped[at + 20] ^= 1;
        assert_eq!(judge(&flipped).verdict.word(), "cut short", "flip at {at}");
    }
}

#[test]
fn file_with_a_piece_taken_out_of_its_middle_is_not_whole() {
    let whole = Tape::new(512).set(FULL).done();
    let tried = (1024..whole.len() - 8192).step_by(512).filter(|at| {
        let mut short = whole.clone();
        short.drain(*at..*at + 512);
        assert!(!judge(&short).verdict.is_whole(), "512 bytes missing at {at}");
        true
    });
    assert!(tried.count() > 5);
}

#[test]
fn files_of_other_kinds_are_named_and_not_judged() {
    for (bytes, word) in [
        (b"MSSQLBAK\x02\x00\x00\x00".to_vec(), "MSSQLBAK"),
        (b"PK\x03\x04abcdefgh".to_vec(), "a zip archive"),
        (vec![0x1f, 0x8b, 8, 0], "gzip data"),
        (b"hello".to_vec(), "something that begins"),
    ] {
        let judgement = judge(&bytes);
        let Verdict::NotJudged { why } = judgement.verdict else { panic!("{}", judgement.verdict) };
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(judge(b"").verdict.word(), "cut short");
    assert_eq!(judge(&[0; 4096]).verdict.word(), "cut short");
}

/// The public sample backups; their own dates are not the ones in their names.
#[test]
#[ignore = "needs DBBACKUP_SAMPLES, a folder with Northwind_*.bak"]
fn real_backups_are_whole_and_their_dates_contradict_their_names() {
    for (name, bytes) in samples() {
        let counted = Counted::new(&bytes);
        let judgement = inspect(&name, &counted).unwrap();
        println!("{name}: {} bytes read of {}: {judgement:?}", counted.read.get(), bytes.len());
        assert!(judgement.verdict.is_whole(), "{name}: {}", judgement.verdict);
        assert!(judgement.verdict.reason().contains("from the first to the last"));
        assert_eq!(judgement.facts.kind, Some(BackupKind::Full));
        assert_eq!(judgement.facts.database.as_deref(), Some("Northwind"));
        assert!(judgement.facts.producer.unwrap().starts_with("Microsoft SQL Server (version "));
        assert!(counted.read.get() < 200_000);
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        let day = NaiveDate::parse_from_str(&digits, "%Y%m%d").unwrap();
        assert!(date_contradiction(day.into(), judgement.facts.started_at.unwrap()).is_some());
    }
}

pub(super) fn samples() -> Vec<(String, Vec<u8>)> {
    let dir = std::env::var_os("DBBACKUP_SAMPLES")
        .expect("set DBBACKUP_SAMPLES to the folder with Northwind_*.bak");
    let mut found: Vec<(String, Vec<u8>)> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "bak"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no .bak in DBBACKUP_SAMPLES");
    found
}
