//! SQL dumps of `mysqldump` and `mariadb-dump`: the header in the first 4 KiB, the trailer in the
//! last 4 KiB.
//!
//! The trailer (`-- Dump completed on …`) is the last thing both programs write, and only after
//! everything went well; then comes a line feed and nothing else. Text from tables cannot stand at
//! the start of a line (line feeds in values are written as `\n`), but text from procedures and views
//! can: so the trailer counts only as the last line, and only after the statements that undo what the
//! header set up. Without comments (`--compact`, `--skip-comments`) there is no trailer, and no
//! verdict. A hole in the middle of a dump is invisible here.

use std::io;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::{Facts, Judgement, Note, ReadAt, all_zero, describe, known_magic};

/// Bytes looked at from each end.
pub const EDGE: usize = 4096;

const TRAILER: &str = "-- Dump completed";

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
    let head = source.bytes_at(0, EDGE)?;
    let tail = source.bytes_at(size.saturating_sub(EDGE as u64), EDGE)?;
    Ok(judge_edges(&head, &tail, size))
}

/// Judges a dump of `size` bytes of which the first and last [`EDGE`] (or all) are given.
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
        return Judgement::not_judged(
            "the dump is UTF-16 text, as PowerShell's `>` writes it; mysql refuses to load it (use --result-file)",
            facts,
        );
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
        return without_header(head, &head_text, &end, facts);
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
        End::Other(line) => Judgement::cut_short(
            format!("its header is there, but its last line is not `{TRAILER}`; it is `{}`", show(line)),
            facts,
        ),
        End::Blank => {
            Judgement::cut_short("it ends with 4 KiB of white space: no trailer can be seen", facts)
        }
    }
}

/// Dumps without the header of mysqldump: never whole, at most an end that is plainly one.
fn without_header(head: &[u8], head_text: &str, end: &End, mut facts: Facts) -> Judgement {
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
    let mut judgement = Judgement::not_judged(
        "it has no header of mysqldump or mariadb-dump (--compact and --skip-comments leave it and the trailer out), \
         so its end proves nothing",
        facts,
    );
    if let End::Other(line) = end
        && !line.ends_with(';')
        && !line.ends_with("*/")
    {
        judgement.notes.push(Note::warning(format!("its last statement has no end: `{}`", show(line))));
    }
    judgement
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
        let first =
            lines.find(|line| line.starts_with("-- MySQL dump ") || line.starts_with("-- MariaDB dump "))?;
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

/// What the last 4 KiB end with.
enum End {
    /// The trailer, with a line feed behind it and nothing but white space after.
    Trailer(Option<NaiveDateTime>),
    /// A trailer whose own line is not complete.
    Unfinished(String),
    /// A trailer and then comments only.
    CommentsAfter(String),
    /// A message of the dump program, redirected into its own output.
    Error(String),
    /// Another last line.
    Other(String),
    /// Only white space.
    Blank,
}

impl End {
    /// `from_start`: the tail is the whole file, so that its first line is a line.
    fn of(tail: &str, from_start: bool) -> Self {
        // The first piece may be the rest of a line that began before: text inside a row.
        let lines: Vec<&str> = tail.split('\n').skip(usize::from(!from_start)).collect();
        let mut filled = lines.iter().enumerate().rev().filter(|(_, line)| !line.trim().is_empty());
        let Some((at, last)) = filled.next() else {
            return if tail.trim().is_empty() { Self::Blank } else { Self::Other(tail.trim().to_owned()) };
        };
        let ended = at + 1 < lines.len();
        if let Some(rest) = last.strip_prefix(TRAILER) {
            return match parse_trailer(rest) {
                Some(completed_at) if ended => Self::Trailer(completed_at),
                _ => Self::Unfinished((*last).to_owned()),
            };
        }
        let programs = ["mysqldump: ", "mariadb-dump: ", "mysqldump.exe: ", "ERROR "];
        if programs.iter().any(|program| last.starts_with(program)) {
            return Self::Error((*last).to_owned());
        }
        let comments_then_trailer = last.starts_with("--")
            && filled
                .find(|(_, line)| !line.starts_with("--") || line.starts_with(TRAILER))
                .is_some_and(|(_, line)| line.starts_with(TRAILER));
        if comments_then_trailer {
            return Self::CommentsAfter((*last).to_owned());
        }
        Self::Other(last.trim_end().to_owned())
    }
}

/// What follows `-- Dump completed`: nothing, or ` on ` and a date. `None`: neither.
#[expect(
    clippy::option_option,
    reason = "no trailer, a trailer without and one with a date are three things"
)]
fn parse_trailer(rest: &str) -> Option<Option<NaiveDateTime>> {
    let rest = rest.trim_end();
    if rest.is_empty() {
        return Some(None);
    }
    parse_date(rest.strip_prefix(" on ")?).map(Some)
}

/// `2025-08-18  1:02:03`: mysqldump pads with spaces, and cuts no digit of minute and second.
fn parse_date(text: &str) -> Option<NaiveDateTime> {
    let (day, time) = text.split_once(' ')?;
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    let mut parts = time.trim_start().split(':');
    let mut number = |least: usize| {
        let part = parts.next()?;
        let plain = (least..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|_| plain)
    };
    let time = NaiveTime::from_hms_opt(number(1)?, number(2)?, number(2)?)?;
    parts.next().is_none().then(|| day.and_time(time))
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
