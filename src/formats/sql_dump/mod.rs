//! SQL dumps of `mysqldump` and `mariadb-dump`: the header in the first bytes, the trailer in the last ones.
//!
//! The trailer (`-- Dump completed on …`) is the last thing both programs write, and only after
//! everything went well; then comes a line feed and nothing else. Text from tables cannot stand at
//! the start of a line (line feeds in values are written as `\n`), but text from procedures and views
//! can: so the trailer counts only as the last line, and only after the statements that undo what the
//! header set up. Without comments (`--compact`, `--skip-comments`) there is no trailer, and no
//! verdict. That every dump in the file was completed only [`Dumps`] sees, which wants every byte; a hole
//! in the middle of one dump is invisible here.

mod dumps;
mod end;

use std::io;

use self::end::{End, TRAILER};
use super::{Facts, Judgement, Note, ReadAt, all_zero, describe, known_magic};
use crate::model::Verdict;

pub use dumps::Dumps;

/// Bytes looked at from the start.
pub const HEAD: usize = 4 << 10;
/// Bytes looked at from the end: a wrapper's grants may follow the trailer.
pub const TAIL: usize = 16 << 10;
/// Bytes of one read of a pass.
const CHUNK: usize = 256 << 10;

/// What the first line of a header begins with.
const PROGRAMS: [&str; 2] = ["-- MySQL dump ", "-- MariaDB dump "];

/// What the header remembers, and the text with which the end must restore it. Newer MariaDB uses
/// the second in place of the first.
const RESTORES: [(&str, &str); 2] = [
    ("@OLD_SQL_NOTES=@@", "SET SQL_NOTES=@OLD_SQL_NOTES"),
    ("@OLD_NOTE_VERBOSITY=@@", "SET NOTE_VERBOSITY=@OLD_NOTE_VERBOSITY"),
];

/// Judges a plain dump by its two ends.
///
/// # Errors
/// What reading gave.
pub fn judge<R: ReadAt + ?Sized>(source: &R) -> io::Result<Judgement> {
    let size = source.size()?;
    let head = source.bytes_at(0, HEAD)?;
    let tail = source.bytes_at(size.saturating_sub(TAIL as u64), TAIL)?;
    Ok(judge_edges(&head, &tail, size))
}

/// Judges a plain dump by its two ends and a pass over all of it.
///
/// # Errors
/// What reading gave.
pub fn judge_all<R: ReadAt + ?Sized>(source: &R) -> io::Result<Judgement> {
    let (mut dumps, mut at) = (Dumps::default(), 0);
    loop {
        let bytes = source.bytes_at(at, CHUNK)?;
        if bytes.is_empty() {
            return Ok(counted(judge(source)?, dumps));
        }
        dumps.feed(&bytes);
        at += bytes.len() as u64;
    }
}

/// The judgement by the ends with what the pass between them said.
#[must_use]
pub fn counted(mut judgement: Judgement, dumps: Dumps) -> Judgement {
    if let Some(why) = dumps.unfinished()
        && !matches!(judgement.verdict, Verdict::CutShort { .. })
    {
        judgement.verdict = Verdict::CutShort { why };
    }
    judgement
}

/// Judges a dump of `size` bytes of which the first [`HEAD`] and last [`TAIL`] (or all) are given.
#[must_use]
pub fn judge_edges(head: &[u8], tail: &[u8], size: u64) -> Judgement {
    let mut facts = Facts::of("SQL dump");
    if size == 0 {
        return Judgement::cut_short("the file is empty", facts);
    }
    if let Some(kind) = known_magic(head) {
        return Judgement::not_judged(format!("it is no SQL text; it is {kind}"), facts);
    }
    if all_zero(head) {
        return Judgement::cut_short(
            "the file begins with zero bytes only: its content never reached the disk",
            facts,
        );
    }
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        let mut judgement = Judgement::not_judged(
            "the dump is UTF-16 text, as PowerShell's `>` writes it; mysql refuses to load it (use --result-file)",
            facts,
        );
        let text = "mysql refuses to load it as it is: convert it from UTF-16 to UTF-8 before a restore, and dump with --result-file";
        judgement.notes.push(Note::warning(text));
        return judgement;
    }
    if tail.last() == Some(&0) {
        let zeros = tail.iter().rev().take_while(|byte| **byte == 0).count();
        let more = if zeros == tail.len() { " or more" } else { "" };
        return Judgement::cut_short(
            format!("the file ends with {zeros}{more} zero bytes: its end never reached the disk"),
            facts,
        );
    }
    let head_text = String::from_utf8_lossy(head);
    let tail_text = String::from_utf8_lossy(tail);
    let end = End::of(&tail_text, tail.len() as u64 == size);
    let Some(header) = Header::of(&head_text) else {
        return without_header(head, &head_text, &tail_text, size, &end, facts);
    };
    facts.producer = Some(header.producer);
    facts.database = header.database;
    if let End::Trailer(completed_at) = end {
        facts.completed_at = completed_at;
    }
    judge_end(&head_text, &tail_text, &end, facts)
}

fn judge_end(head: &str, tail: &str, end: &End, facts: Facts) -> Judgement {
    match end {
        End::Trailer(_) => {
            let unrestored =
                RESTORES.iter().find(|(saved, restore)| head.contains(saved) && !has_line(tail, restore));
            if let Some((_, restore)) = unrestored {
                return Judgement::cut_short(
                    format!(
                        "a line `{TRAILER}` is the last one, but not after `{restore}`, which a complete dump has: it is text of a procedure or view"
                    ),
                    facts,
                );
            }
            let dated = if facts.completed_at.is_some() { "" } else { " (undated: --skip-dump-date)" };
            Judgement::whole(format!("its header is there and `{TRAILER}` is its last line{dated}"), facts)
        }
        End::Unfinished(line) => Judgement::cut_short(
            format!("its last line is the dump's trailer, cut in itself: `{}`", show(line)),
            facts,
        ),
        End::Error(line) => Judgement::cut_short(
            format!("the dump program's error is its last line: `{}`", show(line)),
            facts,
        ),
        End::CommentsAfter(line) => Judgement::not_judged(
            format!(
                "comments follow its trailer, the last one `{}`: another program added to it",
                show(line)
            ),
            facts,
        ),
        End::StatementsAfter { before, last } if undoes(head, before) => Judgement::not_judged(
            format!(
                "statements follow its trailer, the last one `{}`: another program added to it",
                show(last)
            ),
            facts,
        ),
        End::Other(line) | End::StatementsAfter { last: line, .. } => Judgement::cut_short(
            format!("its header is there, but its last line is not `{TRAILER}`; it is `{}`", show(line)),
            facts,
        ),
        End::Blank => {
            Judgement::cut_short("it ends with 16 KiB of white space: no trailer can be seen", facts)
        }
    }
}

/// Whether what the header set up is undone in `text`, which only the end of a dump does.
fn undoes(head: &str, text: &str) -> bool {
    RESTORES.iter().any(|(saved, restore)| head.contains(saved) && has_line(text, restore))
}

/// Dumps without the header of mysqldump: never whole, at most an end that is plainly one.
fn without_header(
    head: &[u8],
    head_text: &str,
    tail_text: &str,
    size: u64,
    end: &End,
    mut facts: Facts,
) -> Judgement {
    if let End::Error(line) = end {
        return Judgement::cut_short(
            format!("the dump program's error is its last line: `{}`", show(line)),
            facts,
        );
    }
    let known = [
        ("-- phpMyAdmin SQL Dump", "phpMyAdmin"),
        ("-- Adminer", "Adminer"),
        ("HeidiSQL", "HeidiSQL"),
        ("Navicat", "Navicat"),
        ("-- PostgreSQL database", "pg_dump"),
        ("-- MySQL Workbench", "MySQL Workbench"),
        ("<mysqldump", "mysqldump --xml"),
    ];
    if let Some((_, name)) = known.iter().find(|(mark, _)| head_text.contains(mark)) {
        facts.producer = Some((*name).to_owned());
        return Judgement::not_judged(
            format!("it was written by {name}, whose end no rule here can prove"),
            facts,
        );
    }
    if head_text.starts_with('\u{fffd}') || head.iter().take(64).any(|byte| *byte == 0) {
        return Judgement::not_judged(format!("it is no SQL text; it is {}", describe(head)), facts);
    }
    // What a program says that could not dump (`mysqldump: not found`, `No such container`).
    if size <= (HEAD + TAIL) as u64 && !head_text.contains(';') && !tail_text.contains(';') {
        let first = head_text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        return Judgement::cut_short(format!("it holds no SQL statement: `{}`", show(first.trim())), facts);
    }
    let mut judgement = Judgement::not_judged(
        "it has no header of mysqldump or mariadb-dump (--compact and --skip-comments leave it and the trailer out), \
         so its end proves nothing",
        facts,
    );
    if let End::Other(line) | End::StatementsAfter { last: line, .. } = end
        && !line.ends_with(';')
        && !line.ends_with("*/")
    {
        judgement.notes.push(Note::warning(format!("its last statement has no end: `{}`", show(line))));
    }
    judgement
}

fn begins_dump(line: &str) -> bool {
    PROGRAMS.iter().any(|program| line.starts_with(program))
}

struct Header {
    producer: String,
    database: Option<String>,
}

impl Header {
    /// Finds `-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)` or MariaDB's at the start of
    /// a line; other lines may stand before it (the sandbox line, warnings, a wrapper's comment).
    fn of(head: &str) -> Option<Self> {
        let mut lines = head.trim_start_matches('\u{feff}').lines();
        let first = lines.find(|line| begins_dump(line))?;
        let producer = first.trim_start_matches("-- ").split(", for ").next().unwrap_or_default();
        let producer = producer.split_whitespace().collect::<Vec<_>>().join(" ").replace(" Distrib ", " / ");
        let database = lines
            .take(5)
            .find(|line| line.starts_with("-- Host: "))
            .and_then(|line| line.split_once("Database: "))
            .map(|(_, name)| name.trim().to_owned())
            .filter(|name| !name.is_empty());
        Some(Self { producer, database })
    }
}

fn has_line(text: &str, wanted: &str) -> bool {
    text.lines().any(|line| (line.starts_with("/*!") || line.starts_with("/*M!")) && line.contains(wanted))
}

/// A line short enough for a message.
fn show(line: &str) -> String {
    let line = line.trim_end();
    let short: String = line.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect();
    if short.len() < line.len() { format!("{short}…") } else { short }
}
