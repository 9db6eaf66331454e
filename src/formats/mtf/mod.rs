//! SQL Server backups in Microsoft Tape Format: `.bak`, `.dif`, `.trn`.
//!
//! A file is `TAPE`, a filemark (`SFMB`), and then for each set `SSET VOLB MSCI MSDA… MSTL… MSLS
//! SFMB ESET ESET SFMB`; sets that were appended follow each other. Three tests, all on header
//! checksums, none on the data:
//!
//! 1. The end: the file's length is a multiple of 512, its last block is a valid `SFMB`, and a valid
//!    `ESET` is the nearest block in the 64 KiB before it.
//! 2. The filemarks: the last `SFMB` lists where all earlier ones are; each must be there, with a
//!    set's beginning or end behind it.
//! 3. The chain: every header names where the next one is; it is followed from the file's
//!    beginning over 2048 headers. Logical addresses must agree with places in the file.
//!
//! Zero bytes or a wrong checksum where a header must be is `cut short`. A chain that leads into
//! something unknown is `not judged`: unknown is never success. In files with more headers than
//! that, and between headers everywhere, a hole is invisible: only `RESTORE VERIFYONLY` sees it.

pub(in crate::formats) mod block;
mod chain;

use std::io;

use chrono::NaiveDateTime;

use self::block::{BLOCK_HEADER, Block, Seen, date_at, text_at, u16_at, u32_at};
use self::chain::{Filemarks, Stop, Tape, Walk};
use super::{BackupKind, Facts, Judgement, Note, ReadAt, all_zero, describe};
use crate::model::Verdict;

/// Where before the last filemark the end-of-set block must be.
const END_WINDOW: u64 = 64 << 10;

/// Judges a file.
///
/// # Errors
/// What reading gave.
pub fn judge<R: ReadAt + ?Sized>(source: &R) -> io::Result<Judgement> {
    let size = source.size()?;
    let head = source.bytes_at(0, 4096)?;
    let mut facts = Facts::of("SQL Server backup (MTF)");
    let tape = match tape(&head, size, &mut facts) {
        Ok(tape) => tape,
        Err(verdict) => return Ok(Judgement::new(verdict, facts)),
    };
    if let Some(why) = end_fault(source, &tape)? {
        return Ok(Judgement::cut_short(why, facts));
    }
    let marks = Filemarks::read(source, &tape)?;
    let walk = Walk::run(source, &tape)?;
    let mut starts = walk.sets.clone();
    starts.extend(&marks.sets);
    starts.sort_unstable();
    starts.dedup();
    let notes = describe_sets(source, &starts, &walk, &marks, &mut facts)?;
    let verdict = verdict(&walk, &marks, &starts, size);
    Ok(Judgement { verdict, facts, notes })
}

fn verdict(walk: &Walk, marks: &Filemarks, starts: &[u64], size: u64) -> Verdict {
    if let Stop::Damage(why) = &walk.stop {
        return Verdict::CutShort { why: why.clone() };
    }
    if let Some(why) = &marks.fault {
        return Verdict::NotJudged { why: format!("its end is there, but {why}") };
    }
    let followed = match &walk.stop {
        Stop::End => format!("all {} headers from the first to the last are in their places", walk.headers),
        Stop::Budget(at) => format!("so are its first {} headers (up to {at} of {size} bytes)", walk.headers),
        Stop::Unknown(why) => return Verdict::NotJudged { why: format!("its end is there, but {why}") },
        Stop::Damage(why) => return Verdict::CutShort { why: why.clone() },
    };
    if starts.is_empty() {
        return Verdict::NotJudged { why: "no backup set could be found in it".to_owned() };
    }
    Verdict::Whole { how: format!("its end-of-set blocks and last filemark are there; {followed}") }
}

fn tape(head: &[u8], size: u64, facts: &mut Facts) -> Result<Tape, Verdict> {
    let cut = |why: String| Err(Verdict::CutShort { why });
    if head.is_empty() {
        return cut("the file is empty".to_owned());
    }
    if all_zero(head) {
        return cut("the file begins with zero bytes: its content never reached the disk".to_owned());
    }
    if head.starts_with(b"MSSQLBAK") {
        "SQL Server backup (compressed or encrypted)".clone_into(&mut facts.format);
        return Err(Verdict::NotJudged {
            why: "a compressed or encrypted SQL Server backup (MSSQLBAK) has no end that is known here: \
                  set check_command to run RESTORE VERIFYONLY"
                .to_owned(),
        });
    }
    if !head.starts_with(b"TAPE") {
        return Err(Verdict::NotJudged {
            why: format!("it is no SQL Server backup; it is {}", describe(head)),
        });
    }
    if !Block::of(head).is_some_and(|block| block.is(*b"TAPE")) {
        return cut("the checksum of its first header is wrong, or the file ends within it".to_owned());
    }
    facts.producer = text_at(head, 80);
    let filemark = u64::from(u16_at(head, 64).unwrap_or_default()) * 512;
    if filemark == 0 {
        return Err(Verdict::NotJudged { why: "its first header gives no size of filemarks".to_owned() });
    }
    let logical_block = u64::from(u16_at(head, 84).unwrap_or_default());
    Ok(Tape { size, filemark, logical_block })
}

/// The first test; `None`: passed.
fn end_fault<R: ReadAt + ?Sized>(source: &R, tape: &Tape) -> io::Result<Option<String>> {
    if !tape.size.is_multiple_of(512) {
        return Ok(Some(format!("its length, {} bytes, is no multiple of 512", tape.size)));
    }
    let Some(last) = tape.size.checked_sub(tape.filemark).filter(|last| *last > 0) else {
        return Ok(Some(format!("it ends after {} bytes, before any backup set", tape.size)));
    };
    let bytes = source.bytes_at(last, BLOCK_HEADER)?;
    match Seen::of(&bytes) {
        Seen::Block(block) if block.is(*b"SFMB") => {}
        Seen::Zero => {
            return Ok(Some(
                "zero bytes stand where its last filemark must be: its end never reached the disk".into(),
            ));
        }
        _ => return Ok(Some("it does not end with a filemark (SFMB)".to_owned())),
    }
    let from = last.saturating_sub(END_WINDOW);
    let window = source.bytes_at(from, usize::try_from(last - from).unwrap_or_default())?;
    // Blocks stand at multiples of 512; `from` is one because `size` and `filemark` are. The nearest
    // block decides: a set cut behind its data ends with a filemark too, and the end of the set
    // before it may not be far.
    let nearest = window.chunks(512).rev().find_map(|chunk| Block::of(chunk).filter(Block::is_known));
    Ok((!nearest.is_some_and(|block| block.is(*b"ESET")))
        .then(|| "no end of a backup set (ESET) stands before its last filemark".to_owned()))
}

/// One backup set of a file.
struct Set {
    kind: Option<BackupKind>,
    started_at: Option<NaiveDateTime>,
}

/// Fills in the facts of the newest (last) set and notes what the others mean.
fn describe_sets<R: ReadAt + ?Sized>(
    source: &R,
    starts: &[u64],
    walk: &Walk,
    marks: &Filemarks,
    facts: &mut Facts,
) -> io::Result<Vec<Note>> {
    let Some(newest) = starts.last() else { return Ok(Vec::new()) };
    let bytes = source.bytes_at(*newest, 8192)?;
    let data = walk.data.iter().find(|(start, _)| start == newest).map(|(_, data)| *data);
    let set =
        Set { kind: kind(u32_at(&bytes, 52).unwrap_or_default(), data), started_at: date_at(&bytes, 88) };
    facts.kind = set.kind;
    facts.started_at = set.started_at;
    facts.sets_in_file = u32::try_from(starts.len()).ok();
    facts.database = database(&bytes);
    if let (Some(program), Some(major), Some(minor)) = (&facts.producer, bytes.get(93), bytes.get(94)) {
        facts.producer = Some(format!("{program} (version {major}.{minor})"));
    }
    let mut notes = Vec::new();
    if starts.len() > 1 || marks.partial {
        let more = if marks.partial { "at least " } else { "" };
        let when = set
            .started_at
            .map_or_else(String::new, |at| format!(", written {}", at.format("%Y-%m-%d %H:%M:%S")));
        notes.push(Note::warning(format!(
            "the file holds {more}{0} backup sets appended to each other; the newest is the last{when}: restore it WITH FILE = {0}",
            starts.len()
        )));
    }
    Ok(notes)
}

/// The kind by the set's attributes; a set that is neither full nor differential and has no data
/// but log is a log backup, which is told only where the chain could be followed through it.
fn kind(attributes: u32, data: Option<bool>) -> Option<BackupKind> {
    match (attributes & 8 != 0, attributes & 2 != 0, attributes & 4 != 0, data) {
        (_, _, _, Some(false)) => Some(BackupKind::Log),
        (true, _, _, _) => Some(BackupKind::Differential),
        (false, true, _, _) => Some(BackupKind::CopyOnly),
        (false, false, true, _) => Some(BackupKind::Full),
        (false, false, false, _) => None,
    }
}

/// The database's name from SQL Server's `SCIN` record, which the `MSCI` block near the set's
/// beginning carries.
fn database(set: &[u8]) -> Option<String> {
    let at = set.windows(4).position(|window| window == b"SCIN")?;
    text_at(set.get(at..)?, 0x68)
}

/// What `kind` means for a file of that name.
#[must_use]
pub fn kind_contradiction(name: &str, kind: Option<BackupKind>) -> Option<Note> {
    let name = name.to_ascii_lowercase();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match (extension, kind?) {
        ("bak", BackupKind::Differential) => Some(Note::warning(
            "it is a differential backup, named .bak: it restores only on top of the full backup before it",
        )),
        ("bak", BackupKind::Log) => Some(Note::warning(
            "it is a log backup, named .bak: it restores only on top of the backups before it",
        )),
        ("dif", kind @ (BackupKind::Full | BackupKind::CopyOnly | BackupKind::Log))
        | ("trn", kind @ (BackupKind::Full | BackupKind::CopyOnly | BackupKind::Differential)) => {
            Some(Note::warning(format!("it is named .{extension}, but it is a {} backup", kind.as_str())))
        }
        (_, BackupKind::Full | BackupKind::CopyOnly | BackupKind::Differential | BackupKind::Log) => None,
    }
}
