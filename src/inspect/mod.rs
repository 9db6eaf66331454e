//! Inspection: is a set whole? Asked before a byte leaves, from kilobytes of it.
//!
//! What must stay true: a set that cannot be judged is said to be `not judged`, never `whole`; nothing
//! here writes; an inspection that cannot read says so and leaves the error to the transfer, which
//! reads every byte. What is decided from an inspection is the plan's.

mod check;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::engines::BackupSet;
use crate::formats::{self, Facts, Format, Judgement, Note, ReadAt, dump_dir, named, rman};
use crate::manifest::Manifest;
use crate::model::{Engine, SetKind, Severity, Verdict};
use crate::source::OpenFile;
use crate::source::settle::{self, Settle};

pub use check::{Checked, run as run_check};

/// Stored sets of the same name but for its digits, with which a size is compared.
pub const HISTORY: usize = 5;
/// Fewer than this tell nothing of what is usual.
const HISTORY_LEAST: usize = 3;

/// What a set is measured by besides its own content.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    /// Fewer bytes are worth a note.
    pub min_size: u64,
    /// Sizes in bytes of the last sets of this kind.
    pub history: Vec<u64>,
}

/// Whether a set is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// Nothing shows that anybody writes it.
    Left,
    /// The same, but this user cannot see everybody; why not.
    Unseen(String),
    /// Somebody writes it; what shows that.
    BeingWritten(String),
}

/// Whether somebody still writes a file of the set. Blocks.
#[must_use]
pub fn rest(set: &BackupSet, settle_time: Duration, now: SystemTime) -> Rest {
    let mut rest = Rest::Left;
    for file in &set.files {
        match settle::check(&file.path, settle_time, now) {
            Ok(Settle::BeingWritten { why }) if file.rel.is_empty() => return Rest::BeingWritten(why),
            Ok(Settle::BeingWritten { why }) => return Rest::BeingWritten(format!("{}: {why}", file.rel)),
            Ok(Settle::Unknown { why }) => rest = Rest::Unseen(why),
            // What cannot be read fails when it is sent, and says why.
            Ok(Settle::Settled | Settle::Remote) | Err(_) => {}
        }
    }
    rest
}

/// Judges a set by kilobytes of its content, its date and its size. Blocks.
#[must_use]
pub fn judge(set: &BackupSet, measure: &Measure) -> Judgement {
    let judged = match (set.engine, set.kind) {
        (Engine::Oracle, _) => folder(set),
        (Engine::Mysql | Engine::Mssql, SetKind::File) => file(set),
        (Engine::Mysql | Engine::Mssql, SetKind::Folder) => dump_folder(set),
    };
    let mut judgement = judged.unwrap_or_else(|error| Judgement {
        verdict: Verdict::NotJudged { why: format!("it could not be read for inspection: {error}") },
        facts: Facts { format: "unknown".to_owned(), ..Facts::default() },
        notes: Vec::new(),
    });
    note_date(set, &mut judgement);
    match set.engine {
        Engine::Oracle => {
            let names = set.files.iter().map(|file| file.rel.as_str());
            judgement.notes.extend(named::autobackup_contradiction(set.date, names));
        }
        Engine::Mssql => named::fill_kind(&mut judgement, set.app.as_str(), set.name.as_str()),
        Engine::Mysql => {}
    }
    judgement.notes.extend(size_notes(set.bytes(), measure));
    judgement
}

/// What a set's file is, where it is one that may be watched on its way.
#[must_use]
pub fn watched(set: &BackupSet) -> Option<Format> {
    match set.kind {
        SetKind::File => Format::of_name(set.name.as_str()),
        SetKind::Folder => None,
    }
}

/// The judgement with what was seen on the way in place of what kilobytes said.
#[must_use]
pub fn passed(set: &BackupSet, before: Judgement, tapped: Judgement) -> Judgement {
    match watched(set) {
        Some(Format::Compressed(_)) => decoded(set, before, tapped),
        // Its ends were judged, so only what lies between them is new.
        Some(Format::SqlDump | Format::Mtf) | None => match before.verdict {
            Verdict::CutShort { .. } => before,
            Verdict::Whole { .. } | Verdict::NotJudged { .. } | Verdict::StillBeingWritten { .. } => {
                Judgement { verdict: tapped.verdict, ..before }
            }
        },
    }
}

fn decoded(set: &BackupSet, before: Judgement, tapped: Judgement) -> Judgement {
    let mut judgement = tapped;
    // The first bytes alone never say `whole`: then it was the operator's check, which saw more.
    judgement.verdict = match (before.verdict, judgement.verdict) {
        (before @ Verdict::CutShort { .. }, _) => before,
        (_, cut @ Verdict::CutShort { .. }) => cut,
        (whole @ Verdict::Whole { .. }, _) => whole,
        (Verdict::StillBeingWritten { .. } | Verdict::NotJudged { .. }, tapped) => tapped,
    };
    note_date(set, &mut judgement);
    judgement.notes.extend(before.notes);
    judgement
}

/// With `strict`, what is remarkable is an error.
pub fn harden(judgement: &mut Judgement) {
    for note in &mut judgement.notes {
        note.severity = Severity::Error;
    }
}

/// As it is recorded: what made this run fail (a check that could not be started, `strict`) is no property of the
/// content, and a later run judges it by its own configuration.
#[must_use]
pub fn softened(judgement: &Judgement) -> Judgement {
    let mut judgement = judgement.clone();
    for note in &mut judgement.notes {
        note.severity = Severity::Warning;
    }
    judgement
}

/// Whether it may be counted among the good backups, and the run among those without a fault.
#[must_use]
pub fn is_good(judgement: &Judgement) -> bool {
    let noted = judgement.notes.iter().any(|note| note.severity == Severity::Error);
    match judgement.verdict {
        Verdict::Whole { .. } | Verdict::NotJudged { .. } => !noted,
        Verdict::CutShort { .. } | Verdict::StillBeingWritten { .. } => false,
    }
}

/// A name without its digits: sets that share it are backups of the same thing.
#[must_use]
pub fn shape(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Judges a folder that was brought back: `files` lie in the order of the manifest's. Blocks.
///
/// # Errors
/// What reading gave.
pub fn judge_restored(manifest: &Manifest, files: &[PathBuf]) -> io::Result<Judgement> {
    let contents_then = manifest.contents();
    let contents: Vec<Lazy<'_>> = files.iter().map(|path| Lazy(path)).collect();
    let stored = contents_then.iter();
    if manifest.id.engine != Engine::Oracle {
        let entries: Vec<dump_dir::Entry<'_>> = stored
            .zip(&contents)
            .map(|(file, content)| dump_dir::Entry { name: file.path.as_str(), size: file.size, content })
            .collect();
        return judge_dump_folder(&entries);
    }
    let pieces: Vec<rman::Piece<'_>> = stored
        .zip(&contents)
        .map(|(file, content)| rman::Piece {
            name: file.path.as_str(),
            size: file.size,
            mtime: file.mtime.into(),
            content,
        })
        .collect();
    rman::judge(&pieces)
}

fn file(set: &BackupSet) -> io::Result<Judgement> {
    let open = OpenFile::open(&set.path).map_err(io::Error::other)?;
    formats::inspect(set.name.as_str(), &Opened(open))
}

fn folder(set: &BackupSet) -> io::Result<Judgement> {
    let contents: Vec<Lazy<'_>> = set.files.iter().map(|file| Lazy(&file.path)).collect();
    let pieces: Vec<rman::Piece<'_>> = set
        .files
        .iter()
        .zip(&contents)
        .map(|(file, content)| rman::Piece {
            name: file.rel.as_str(),
            size: file.stamp.size,
            mtime: file.stamp.mtime,
            content,
        })
        .collect();
    rman::judge(&pieces)
}

fn dump_folder(set: &BackupSet) -> io::Result<Judgement> {
    let contents: Vec<Lazy<'_>> = set.files.iter().map(|file| Lazy(&file.path)).collect();
    let entries: Vec<dump_dir::Entry<'_>> = set
        .files
        .iter()
        .zip(&contents)
        .map(|(file, content)| dump_dir::Entry { name: file.rel.as_str(), size: file.stamp.size, content })
        .collect();
    judge_dump_folder(&entries)
}

fn judge_dump_folder(entries: &[dump_dir::Entry<'_>]) -> io::Result<Judgement> {
    Ok(dump_dir::judge(entries)?.unwrap_or_else(|| Judgement {
        verdict: Verdict::NotJudged { why: "no format is known for such a folder".to_owned() },
        facts: Facts { format: "unknown".to_owned(), ..Facts::default() },
        notes: Vec::new(),
    }))
}

fn note_date(set: &BackupSet, judgement: &mut Judgement) {
    if let Some(moment) = judgement.facts.moment() {
        judgement.notes.extend(formats::date_contradiction(set.date, moment));
    }
}

fn size_notes(bytes: u64, measure: &Measure) -> Option<Note> {
    let text = if bytes < measure.min_size {
        format!("it has {bytes} bytes, fewer than min_size ({})", measure.min_size)
    } else {
        let usual = median(&measure.history)?;
        if bytes >= usual / 10 {
            return None;
        }
        format!(
            "it has {bytes} bytes, less than a tenth of the usual {usual} (median of the last {} stored): \
             look whether data is missing",
            measure.history.len()
        )
    };
    Some(Note { severity: Severity::Warning, text })
}

fn median(sizes: &[u64]) -> Option<u64> {
    let mut sizes = sizes.to_vec();
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().filter(|_| sizes.len() >= HISTORY_LEAST)
}

/// A file that is open for the whole inspection.
struct Opened(OpenFile);

impl ReadAt for Opened {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.stamp().size)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }
}

/// A file that is opened for each read: a folder may have more files than a process may have open.
struct Lazy<'p>(&'p Path);

impl Lazy<'_> {
    fn open(&self) -> io::Result<OpenFile> {
        OpenFile::open(self.0).map_err(io::Error::other)
    }
}

impl ReadAt for Lazy<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.open()?.stamp().size)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.open()?.read_at(into, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(bytes: u64, history: &[u64]) -> Option<String> {
        size_notes(bytes, &Measure { min_size: 100, history: history.to_vec() }).map(|note| note.text)
    }

    #[test]
    fn size_is_unusual_below_the_least_or_below_a_tenth_of_the_median() {
        assert!(notes(99, &[]).unwrap().contains("min_size"));
        assert_eq!(notes(100, &[]), None);
        assert!(notes(999, &[1, 10_000, 10_000, 10_000, 900_000]).unwrap().contains("a tenth"));
        assert_eq!(notes(1000, &[1, 10_000, 10_000, 10_000, 900_000]), None);
        assert_eq!(notes(100, &[10_000, 10_000]), None, "two are no history");
    }

    #[test]
    fn sets_of_one_job_share_their_shape_and_other_kinds_do_not() {
        assert_eq!(shape("shop_20250818.sql"), shape("shop_20250811.sql"));
        assert_ne!(shape("DB_CRM_FULL_20250818_010003.bak"), shape("DB_CRM_DIFF_20250818_010003.bak"));
    }

    #[test]
    fn strictness_makes_a_note_an_error_and_the_set_no_good_one() {
        let mut judgement = Judgement {
            verdict: Verdict::Whole { how: String::new() },
            facts: Facts::default(),
            notes: vec![Note { severity: Severity::Warning, text: String::new() }],
        };
        assert!(is_good(&judgement));
        harden(&mut judgement);
        assert!(!is_good(&judgement));
    }
}
