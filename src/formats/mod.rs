//! Cheap proof that a backup is whole: one file format a file.
//!
//! What must stay true: nothing here panics on any input, trusts a length it read, or holds more
//! than a few buffers in memory; a verdict is `Whole` only where the format's own end was seen and
//! nothing seen contradicts it. What cannot be known is said in [`Verdict::NotJudged`], not guessed.
//! Kilobytes are read, the list of files that a dump directory has, and the last bytes of each of them; only a
//! [`Tap`] sees every byte, of a dump, as it passes by on its way to the bucket.

pub mod compressed;
pub mod dump_dir;
pub mod mtf;
pub mod named;
pub mod rman;
pub mod sql_dump;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use chrono::{NaiveDateTime, TimeDelta};
use serde::{Deserialize, Serialize};

use crate::model::{BackupDate, Severity, Verdict};

/// Something that can be read at any offset without a shared cursor.
pub trait ReadAt {
    /// Length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes from `offset`; 0 means the end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Up to `want` bytes from `offset`; fewer where the end comes first. `want` is always one of
    /// this module's own small limits, never a number found in a file.
    fn bytes_at(&self, offset: u64, want: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; want];
        let mut have = 0;
        while let Some(rest) = bytes.get_mut(have..).filter(|rest| !rest.is_empty()) {
            let Some(at) = offset.checked_add(have as u64) else { break };
            match self.read_at(at, rest) {
                Ok(0) => break,
                Ok(n) => have += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(have);
        Ok(bytes)
    }
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, into, offset)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|at| self.get(at..)).unwrap_or_default();
        let n = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(n)
    }
}

/// What inspection found out about one file or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whole or not, and why.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// What the content says about itself.
    pub facts: Facts,
    /// Things worth a look that do not change the verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note>,
}

impl Judgement {
    fn new(verdict: Verdict, facts: Facts) -> Self {
        Self { verdict, facts, notes: Vec::new() }
    }

    fn whole(how: impl Into<String>, facts: Facts) -> Self {
        Self::new(Verdict::Whole { how: how.into() }, facts)
    }

    fn cut_short(why: impl Into<String>, facts: Facts) -> Self {
        Self::new(Verdict::CutShort { why: why.into() }, facts)
    }

    fn not_judged(why: impl Into<String>, facts: Facts) -> Self {
        Self::new(Verdict::NotJudged { why: why.into() }, facts)
    }
}

/// What a backup says about itself; every field is absent where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The format's name, for people.
    pub format: String,
    /// The program that wrote it, with its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub producer: Option<String>,
    /// The database's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Full, differential, log or copy-only; of the newest set where a file holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<BackupKind>,
    /// When writing began, in the writer's local time (SQL Server's only date); of the newest set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<NaiveDateTime>,
    /// When writing ended, in the writer's local time (SQL dumps).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<NaiveDateTime>,
    /// Backup sets in the file; more than one where SQL Server appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sets_in_file: Option<u32>,
    /// Bytes after decompression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoded_bytes: Option<u64>,
}

impl Facts {
    fn of(format: &str) -> Self {
        Self { format: format.to_owned(), ..Self::default() }
    }

    /// The best moment to hold against the date in a name: completion, else beginning.
    #[must_use]
    pub fn moment(&self) -> Option<NaiveDateTime> {
        self.completed_at.or(self.started_at)
    }
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// Everything.
    Full,
    /// Everything, outside the chain of differentials.
    CopyOnly,
    /// What changed since the last full one; useless without it.
    Differential,
    /// The transaction log; useless without what came before.
    Log,
}

impl BackupKind {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::CopyOnly => "copy-only",
            Self::Differential => "differential",
            Self::Log => "log",
        }
    }
}

/// Something worth a look.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How bad.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

impl Note {
    fn warning(text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, text: text.into() }
    }
}

/// A note where `moment`, which the backup tells of itself, does not go with the date in its name.
///
/// A dump that begins before midnight ends on the next day, and jobs that run after midnight are
/// often named after the day they close: so any time up to the end of the day after the name's is
/// fine. The name may come from a host whose clock is up to 14 hours (the largest UTC offset) ahead
/// of the database's, as it is with a database in a container on UTC: that much before the name's
/// midnight is fine too.
#[must_use]
pub fn date_contradiction(name_date: BackupDate, moment: NaiveDateTime) -> Option<Note> {
    let midnight = name_date.day().and_time(chrono::NaiveTime::MIN);
    let earliest = midnight.checked_sub_signed(TimeDelta::hours(14))?;
    let end = midnight.checked_add_signed(TimeDelta::days(2))?;
    if (earliest..end).contains(&moment) {
        return None;
    }
    Some(Note::warning(format!(
        "the name says {name_date}, the backup itself says {}: look which one is right before relying on either",
        moment.format("%Y-%m-%d %H:%M:%S")
    )))
}

/// A format that is told by a file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A plain SQL dump.
    SqlDump,
    /// A compressed SQL dump: only the tap proves it.
    Compressed(compressed::Kind),
    /// SQL Server's tape format.
    Mtf,
}

impl Format {
    /// The format a file of that name should have; letter case does not matter.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (_, extension) = name.rsplit_once('.')?;
        match extension {
            "sql" => Some(Self::SqlDump),
            "bak" | "dif" | "trn" => Some(Self::Mtf),
            _ => compressed::Kind::of_extension(extension).map(Self::Compressed),
        }
    }
}

/// What is seen of a dump only where every byte of it passes by.
pub enum Tap {
    /// A compressed one, decoded.
    Compressed(compressed::Tap),
    /// A plain one: whether every dump that begins in it is completed.
    SqlDump(sql_dump::Dumps),
}

impl Tap {
    /// A tap for a file of that format; none where kilobytes tell everything.
    #[must_use]
    pub fn of(format: Format) -> Option<Self> {
        match format {
            Format::SqlDump => Some(Self::SqlDump(sql_dump::Dumps::default())),
            Format::Compressed(kind) => Some(Self::Compressed(compressed::Tap::new(kind))),
            Format::Mtf => None,
        }
    }

    /// Takes the next bytes of the file, in order and without gaps.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self {
            Self::Compressed(tap) => tap.feed(bytes),
            Self::SqlDump(dumps) => dumps.feed(bytes),
        }
    }

    /// The judgement on everything that was fed; none where it adds nothing to what [`inspect`] says.
    #[must_use]
    pub fn finish(self) -> Option<Judgement> {
        match self {
            Self::Compressed(tap) => Some(tap.finish()),
            Self::SqlDump(dumps) => {
                dumps.unfinished().map(|why| Judgement::cut_short(why, Facts::of("SQL dump")))
            }
        }
    }
}

/// Judges one file by what can be read of it in kilobytes. A compressed file that is not refused by
/// its first bytes is not judged: feed a [`Tap`] while sending it, or call [`inspect_all`].
///
/// # Errors
/// What reading gave.
pub fn inspect<R: ReadAt + ?Sized>(name: &str, source: &R) -> io::Result<Judgement> {
    match Format::of_name(name) {
        Some(Format::SqlDump) => sql_dump::judge(source),
        Some(Format::Compressed(kind)) => compressed::precheck(kind, source),
        Some(Format::Mtf) => {
            let mut judgement = mtf::judge(source)?;
            judgement.notes.extend(mtf::kind_contradiction(name, judgement.facts.kind));
            Ok(judgement)
        }
        None => Ok(Judgement::not_judged("no format is known for a file of this name", Facts::of("unknown"))),
    }
}

/// Judges one file by all that can be known of it: a dump is read in full.
///
/// # Errors
/// What reading gave.
pub fn inspect_all(name: &str, file: &File) -> io::Result<Judgement> {
    match Format::of_name(name) {
        Some(Format::Compressed(kind)) => compressed::judge(kind, file),
        Some(Format::SqlDump) => sql_dump::judge_all(file),
        Some(Format::Mtf) | None => inspect(name, file),
    }
}

/// The name of the file format that `head` begins, of those one meets under a wrong name.
fn known_magic(head: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 10] = [
        (&[0x1f, 0x8b], "gzip data"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd data"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz data"),
        (b"BZh", "bzip2 data"),
        (b"PK\x03\x04", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"age-encryption.org/", "a file encrypted with age"),
        (b"TAPE", "a SQL Server backup"),
        (b"MSSQLBAK", "a compressed or encrypted SQL Server backup"),
        (b"PGDMP", "a PostgreSQL archive"),
    ];
    known.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name)
}

/// What a file that is not what its name says begins with, for messages.
fn describe(head: &[u8]) -> String {
    let start = || head.iter().copied().take(16).collect::<Vec<u8>>();
    known_magic(head)
        .map_or_else(|| format!("something that begins \"{}\"", start().escape_ascii()), str::to_owned)
}

fn all_zero(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0)
}
