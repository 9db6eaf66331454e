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
//!    beginning over [`WALK`] headers. Logical addresses must agree with places in the file.
//!
//! Zero bytes or a wrong checksum where a header must be is `cut short`. A chain that leads into
//! something unknown is `not judged`: unknown is never success. In files with more headers than
//! [`WALK`], and between headers everywhere, a hole is invisible: only `RESTORE VERIFYONLY` sees it.

use std::io;

use chrono::NaiveDateTime;

use super::mtf_block::{
    BLOCK_HEADER, Block, STREAM_HEADER, Seen, Stream, date_at, text_at, u16_at, u32_at, u64_at,
};
use super::{BackupKind, Facts, Judgement, Note, ReadAt, all_zero, describe};
use crate::model::Verdict;

/// Headers followed at most; each costs one read of at most 52 bytes.
const WALK: usize = 2048;
/// Filemark blocks read at most: 27 sets each with the smallest block, 250 with 4 KiB.
const FILEMARK_BLOCKS: usize = 64;
/// Bytes of a filemark block that are read; larger ones are only stepped over.
const FILEMARK_READ: usize = 8192;
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

/// What the first block says of the whole file.
struct Tape {
    size: u64,
    /// Bytes of a filemark block, a multiple of 512.
    filemark: u64,
    /// Bytes of a format logical block, in which addresses count.
    logical_block: u64,
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
    if !Block::of(head).is_some_and(|block| block.is(b"TAPE")) {
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
    if tape.size % 512 != 0 {
        return Ok(Some(format!("its length, {} bytes, is no multiple of 512", tape.size)));
    }
    let Some(last) = tape.size.checked_sub(tape.filemark).filter(|last| *last > 0) else {
        return Ok(Some(format!("it ends after {} bytes, before any backup set", tape.size)));
    };
    let bytes = source.bytes_at(last, BLOCK_HEADER)?;
    match Seen::of(&bytes) {
        Seen::Block(block) if block.is(b"SFMB") => {}
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
    Ok((!nearest.is_some_and(|block| block.is(b"ESET")))
        .then(|| "no end of a backup set (ESET) stands before its last filemark".to_owned()))
}

/// The second test: what the filemarks list.
struct Filemarks {
    /// Offsets of `SSET` blocks, ascending.
    sets: Vec<u64>,
    /// What contradicts the list.
    fault: Option<String>,
    /// Whether the list was too long to be read to its beginning.
    partial: bool,
}

impl Filemarks {
    fn read<R: ReadAt + ?Sized>(source: &R, tape: &Tape) -> io::Result<Self> {
        let mut this = Self { sets: Vec::new(), fault: None, partial: false };
        let mut at = tape.size - tape.filemark;
        for _ in 0..FILEMARK_BLOCKS {
            let want = usize::try_from(tape.filemark).unwrap_or(FILEMARK_READ).min(FILEMARK_READ);
            let block = source.bytes_at(at, want)?;
            let listed = listed(&block);
            for place in &listed {
                if let Some(fault) = this.check(source, tape, *place)? {
                    this.fault = Some(fault);
                    return Ok(this);
                }
            }
            // A full list goes on in the oldest filemark it names.
            let capacity = u32_at(&block, 52).unwrap_or_default() as usize;
            match listed.iter().min() {
                Some(oldest) if listed.len() >= capacity && *oldest < at => at = *oldest,
                _ => {
                    this.sets.sort_unstable();
                    this.sets.dedup();
                    return Ok(this);
                }
            }
        }
        this.partial = true;
        Ok(this)
    }

    fn check<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        tape: &Tape,
        place: u64,
    ) -> io::Result<Option<String>> {
        let behind = place.saturating_add(tape.filemark);
        let mark = source.bytes_at(place, BLOCK_HEADER)?;
        if !Block::of(&mark).is_some_and(|block| block.is(b"SFMB")) {
            return Ok(Some(format!("the filemark that should be at offset {place} is not there")));
        }
        match Block::of(&source.bytes_at(behind, BLOCK_HEADER)?) {
            Some(block) if block.is(b"SSET") => self.sets.push(behind),
            Some(block) if block.is(b"ESET") => {}
            _ => return Ok(Some(format!("no set begins or ends behind the filemark at offset {place}"))),
        }
        Ok(None)
    }
}

/// The addresses a filemark lists: u32 capacity at 52, u32 count at 56, then u64 offsets, newest
/// first, from 60 on or, where attribute bit 31 is set, from where the u32 at 60 says.
fn listed(block: &[u8]) -> Vec<u64> {
    let extended = u32_at(block, 4).unwrap_or_default() & 0x8000_0000 != 0;
    let first = if extended { u32_at(block, 60).unwrap_or_default() as usize } else { 60 };
    let count = u32_at(block, 56).unwrap_or_default() as usize;
    let entries = block.get(first..).unwrap_or_default().chunks_exact(8);
    entries.take(count).filter_map(|entry| u64_at(entry, 0)).collect()
}

/// The third test: the chain of headers.
struct Walk {
    sets: Vec<u64>,
    /// For each of `sets`, whether data (`MSDA`) came in it, once its end was reached.
    data: Vec<(u64, bool)>,
    headers: usize,
    stop: Stop,
}

enum Stop {
    End,
    Budget(u64),
    Damage(String),
    Unknown(String),
}

impl Walk {
    fn run<R: ReadAt + ?Sized>(source: &R, tape: &Tape) -> io::Result<Self> {
        let mut this = Self { sets: Vec::new(), data: Vec::new(), headers: 0, stop: Stop::End };
        let mut at = 0;
        let mut in_set: Option<(u64, bool)> = None;
        this.stop = loop {
            if at == tape.size {
                break match in_set {
                    None => Stop::End,
                    Some((start, _)) => {
                        Stop::Damage(format!("the set that begins at offset {start} has no end"))
                    }
                };
            }
            if this.headers >= WALK {
                break Stop::Budget(at);
            }
            let bytes = source.bytes_at(at, BLOCK_HEADER)?;
            this.headers += 1;
            let block = match Seen::of(&bytes) {
                Seen::Block(block) => block,
                Seen::Zero => {
                    break Stop::Damage(format!("zero bytes stand at offset {at}, where a header must be"));
                }
                Seen::Damaged => break Stop::Damage(format!("the header at offset {at} is damaged")),
                Seen::Other => {
                    break Stop::Unknown(format!("at offset {at} no header stands where one must"));
                }
            };
            if block.is(b"SSET") {
                in_set = Some((at, false));
                this.sets.push(at);
            }
            if block.is(b"ESET") {
                this.data.extend(in_set.take());
            }
            if let Some((start, data)) = &mut in_set {
                *data |= block.is(b"MSDA");
                let expected = block.logical_address.checked_mul(tape.logical_block);
                let placed = expected.and_then(|offset| offset.checked_add(*start));
                if !block.is(b"SFMB") && tape.logical_block > 0 && placed != Some(at) {
                    break Stop::Unknown(format!(
                        "the {} block at offset {at} says that it belongs elsewhere",
                        block.name()
                    ));
                }
            }
            let next = if block.is(b"SFMB") {
                Ok(at.saturating_add(tape.filemark))
            } else {
                this.streams(source, at, block)?
            };
            match next {
                Ok(next) if next <= tape.size => at = next,
                Ok(_) => {
                    break Stop::Damage(format!(
                        "the {} block at offset {at} reaches beyond the file's end",
                        block.name()
                    ));
                }
                Err(stop) => break stop,
            }
        };
        Ok(this)
    }

    /// Steps over the streams behind a block to the next block.
    fn streams<R: ReadAt + ?Sized>(
        &mut self,
        source: &R,
        block_at: u64,
        block: Block,
    ) -> io::Result<Result<u64, Stop>> {
        let mut at = block_at.saturating_add(u64::from(block.first_event));
        if usize::from(block.first_event) < BLOCK_HEADER {
            return Ok(Err(Stop::Unknown(format!(
                "the block at offset {block_at} is smaller than its header"
            ))));
        }
        loop {
            if self.headers >= WALK {
                return Ok(Err(Stop::Budget(at)));
            }
            at = at.next_multiple_of(4);
            let bytes = source.bytes_at(at, STREAM_HEADER)?;
            self.headers += 1;
            let Some(stream) = Stream::of(&bytes) else {
                // A block may follow without the usual padding stream.
                let boundary = at % 512 == 0 && !Stream::damaged(&bytes);
                return Ok(match (boundary, all_zero(&bytes)) {
                    (_, true) => {
                        Err(Stop::Damage(format!("zero bytes stand at offset {at}, where a header must be")))
                    }
                    (true, false) => Ok(at),
                    (false, false) if Stream::damaged(&bytes) => {
                        Err(Stop::Damage(format!("the stream header at offset {at} is damaged")))
                    }
                    (false, false) => {
                        Err(Stop::Unknown(format!("at offset {at} no header stands where one must")))
                    }
                });
            };
            // Offsets stay below 2^62 so that no sum of them overflows.
            at = match at.checked_add(STREAM_HEADER as u64).and_then(|end| end.checked_add(stream.length)) {
                Some(next) if next < 1 << 62 => next,
                _ => {
                    return Ok(Err(Stop::Damage(format!(
                        "the stream at offset {at} reaches beyond the file's end"
                    ))));
                }
            };
            if stream.id == *b"SPAD" {
                return Ok(Ok(at));
            }
        }
    }
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
        let date = set
            .started_at
            .map_or_else(String::new, |at| format!(", written {}", at.format("%Y-%m-%d %H:%M:%S")));
        notes.push(Note::warning(format!(
            "the file holds {more}{0} backup sets appended to each other; the newest is the last{date}: restore it WITH FILE = {0}",
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
