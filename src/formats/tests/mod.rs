//! What holds for every format: cut files are never whole, and no input makes a parser panic.

mod build;
mod compressed;
mod fuzz;
mod mtf;
mod sql_dump;
mod truncation;

use std::cell::Cell;
use std::io;

use chrono::NaiveDate;

use super::*;

/// A fixture of `tests/data`: dumps of MariaDB 10.11's own programs, compressed by the usual tools;
/// only the completion date is set.
fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Every fixture and every built file that is whole, with the name that says its format.
fn whole_files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = ["", ".gz", ".zst", ".xz", ".bz2"]
        .iter()
        .map(|end| format!("shop_20250818.sql{end}"))
        .chain(["shop_nodate.sql".to_owned()])
        .map(|name| (name.clone(), fixture(&name)))
        .collect();
    for filemark in [512, 4096] {
        files.push((format!("full_{filemark}.bak"), build::Tape::new(filemark).set(build::FULL).done()));
        files.push((
            format!("three_{filemark}.bak"),
            build::Tape::new(filemark).set(build::FULL).set(build::DIFFERENTIAL).set(build::COPY_ONLY).done(),
        ));
    }
    files.push(("log.trn".to_owned(), build::Tape::new(1024).set(build::LOG).done()));
    files
}

/// The verdict after everything that can be known of the content was read.
fn full_judgement(name: &str, source: &(impl ReadAt + ?Sized)) -> Judgement {
    match Format::of_name(name) {
        Some(Format::Compressed(kind)) => {
            let size = source.size().unwrap();
            let bytes = source.bytes_at(0, usize::try_from(size).unwrap()).unwrap();
            super::compressed::judge(kind, bytes.as_slice()).unwrap()
        }
        Some(Format::SqlDump) => super::sql_dump::judge_all(source).unwrap(),
        Some(Format::Mtf) | None => inspect(name, source).unwrap(),
    }
}

/// The first `keep` bytes of a file, followed by zeros up to `size`.
struct Cut<'a> {
    bytes: &'a [u8],
    keep: usize,
    size: usize,
}

impl ReadAt for Cut<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let Some(room) = self.size.checked_sub(usize::try_from(offset).unwrap()) else { return Ok(0) };
        let n = room.min(into.len());
        into[..n].fill(0);
        self.bytes[..self.keep].read_at(offset, &mut into[..n])?;
        Ok(n)
    }
}

/// Counts what is read, so that a length field that is believed shows.
struct Counted<'a> {
    bytes: &'a [u8],
    read: Cell<u64>,
}

impl<'a> Counted<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, read: Cell::new(0) }
    }
}

impl ReadAt for Counted<'_> {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        assert!(into.len() <= 256 << 10, "one read of {} bytes", into.len());
        let n = self.bytes.read_at(offset, into)?;
        self.read.set(self.read.get() + n as u64);
        Ok(n)
    }
}

fn at(day: u32, hour: u32) -> chrono::NaiveDateTime {
    NaiveDate::from_ymd_opt(2025, 8, day).unwrap().and_hms_opt(hour, 0, 0).unwrap()
}

#[test]
fn dump_that_ends_after_midnight_does_not_contradict_its_name_and_one_of_another_day_does() {
    let name = BackupDate::from_ymd(2025, 8, 18).unwrap();
    for fine in [at(18, 0), at(18, 23), at(19, 2), at(19, 23), at(17, 22), at(17, 10)] {
        assert_eq!(date_contradiction(name, fine), None, "{fine}");
    }
    for wrong in [at(17, 9), at(20, 0), at(11, 1)] {
        let note = date_contradiction(name, wrong).unwrap();
        assert!(
            note.text.contains("2025-08-18") && note.text.contains(&wrong.date().to_string()),
            "{}",
            note.text
        );
    }
}

#[test]
fn names_tell_formats_in_any_letter_case() {
    assert_eq!(Format::of_name("A.SQL"), Some(Format::SqlDump));
    assert_eq!(Format::of_name("Shop.BAK"), Some(Format::Mtf));
    assert_eq!(Format::of_name("a.sql.gz"), Some(Format::Compressed(super::compressed::Kind::Gzip)));
    assert_eq!(Format::of_name("sql"), None);
    assert_eq!(inspect("notes.txt", b"x".as_slice()).unwrap().verdict.word(), "not judged");
}

#[test]
fn verdict_in_json_is_one_word_and_a_reason() {
    let judgement = inspect("empty.sql", b"".as_slice()).unwrap();
    let json = serde_json::to_value(&judgement).unwrap();
    assert_eq!(json["verdict"], "cut-short");
    assert_eq!(json["why"], "the file is empty");
    assert_eq!(serde_json::from_value::<Judgement>(json).unwrap(), judgement);
}
