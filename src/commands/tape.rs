//! A small SQL Server backup for the demo: the descriptor blocks of Microsoft Tape Format around noise.
//!
//! Written from the specification, as SQL Server lays a full backup out: TAPE, SFMB, SSET, VOLB, MSCI,
//! MSDA, MSTL, MSLS, SFMB, ESET, ESET, SFMB.

use chrono::{Datelike as _, NaiveDate};

/// Bytes of a format logical block, in which addresses count.
const LOGICAL: usize = 1024;
/// Bytes of a filemark block.
const FILEMARK: usize = 512;
/// Bytes of a filemark block before its list.
const LIST: usize = 60;
/// Bytes of a stream's header.
const STREAM: usize = 22;

/// A full backup of `day`, at 01:00:03, that holds `content`.
pub(super) fn full_backup(day: NaiveDate, content: &[u8]) -> Vec<u8> {
    let mut tape = Tape::default();
    let program: Vec<u8> = utf16("Microsoft SQL Server\0\0");
    let mut block = header(*b"TAPE", 94 + program.len(), 0);
    put(&mut block, 64, &one_of(FILEMARK / 512));
    put(&mut block, 80, &one_of(program.len()));
    put(&mut block, 82, &one_of(94));
    put(&mut block, 84, &one_of(LOGICAL));
    put(&mut block, 94, &program);
    tape.out.extend(sealed(block));
    tape.pad_from(0);
    tape.mark();

    let start = tape.out.len();
    let mut set = header(*b"SSET", 98, 0);
    put(&mut set, 52, &4_u32.to_le_bytes());
    put(&mut set, 80, &(start as u64).to_le_bytes());
    put(&mut set, 88, &packed(day));
    put(&mut set, 93, &[15, 0]);
    tape.out.extend(sealed(set));
    tape.pad_from(start);
    tape.block(start, *b"VOLB", &[]);
    tape.block(start, *b"MSCI", &[(*b"MQCI", &[])]);
    tape.block(start, *b"MSDA", &[(*b"MQDA", content), (*b"MQDA", &[])]);
    tape.block(start, *b"MSTL", &[(*b"MQTL", &[0x5a; 2000])]);
    tape.block(start, *b"MSLS", &[(*b"MQCI", &[])]);
    tape.mark();
    for _ in 0..2 {
        let end = tape.out.len();
        tape.out.extend(sealed(header(*b"ESET", 88, 0)));
        tape.pad_from(end);
    }
    tape.mark();
    tape.out
}

#[derive(Default)]
struct Tape {
    out: Vec<u8>,
    marks: Vec<u64>,
}

impl Tape {
    fn block(&mut self, start: usize, kind: [u8; 4], streams: &[([u8; 4], &[u8])]) {
        let address = (self.out.len() - start) / LOGICAL;
        self.out.extend(sealed(header(kind, LIST, address as u64)));
        for (id, content) in streams {
            self.stream(*id, content.len());
            self.out.extend_from_slice(content);
        }
        self.pad_from(start);
    }

    fn stream(&mut self, id: [u8; 4], length: usize) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        let mut header = vec![0; STREAM];
        put(&mut header, 0, &id);
        put(&mut header, 8, &(length as u64).to_le_bytes());
        let sum = xor(header.iter().take(20));
        put(&mut header, 20, &sum);
        self.out.extend(header);
    }

    /// Fills up to a whole number of logical blocks from `start` on.
    fn pad_from(&mut self, start: usize) {
        self.out.resize(self.out.len().next_multiple_of(4), 0);
        let end = start + (self.out.len() + STREAM - start).next_multiple_of(LOGICAL);
        self.stream(*b"SPAD", end - self.out.len() - STREAM);
        self.out.resize(end, 0);
    }

    /// A filemark: where the ones before it stand, newest first.
    fn mark(&mut self) {
        let at = self.out.len() as u64;
        let mut mark = header(*b"SFMB", FILEMARK, 0);
        put(&mut mark, 52, &four_of((FILEMARK - LIST) / 8));
        put(&mut mark, 56, &four_of(self.marks.len()));
        for (index, place) in self.marks.iter().rev().enumerate() {
            put(&mut mark, LIST + index * 8, &place.to_le_bytes());
        }
        self.out.extend(sealed(mark));
        self.marks.push(at);
    }
}

fn header(kind: [u8; 4], first_event: usize, address: u64) -> Vec<u8> {
    let mut block = vec![0; first_event];
    put(&mut block, 0, &kind);
    put(&mut block, 8, &one_of(first_event));
    put(&mut block, 20, &address.to_le_bytes());
    block
}

fn sealed(mut block: Vec<u8>) -> Vec<u8> {
    let sum = xor(block.iter().take(50));
    put(&mut block, 50, &sum);
    block
}

fn xor<'b>(bytes: impl Iterator<Item = &'b u8>) -> [u8; 2] {
    bytes.enumerate().fold(
        [0, 0],
        |[even, odd], (index, byte)| {
            if index % 2 == 0 { [even ^ byte, odd] } else { [even, odd ^ byte] }
        },
    )
}

/// Year 14 bits, month 4, day 5, hour 5, minute 6, second 6, big-endian.
fn packed(day: NaiveDate) -> [u8; 5] {
    let year = u64::from(day.year_ce().1);
    let (month, day) = (u64::from(day.month()), u64::from(day.day()));
    let [_, _, _, packed @ ..] = (year << 26 | month << 22 | day << 17 | 1 << 12 | 3).to_be_bytes();
    packed
}

fn one_of(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

fn four_of(number: usize) -> [u8; 4] {
    u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::{self, BackupKind};

    #[test]
    fn tape_of_the_demo_is_a_whole_full_backup_of_its_day() {
        let day = NaiveDate::from_ymd_opt(2025, 8, 18).unwrap();
        let judgement = formats::inspect("a.bak", full_backup(day, &[7; 5000]).as_slice()).unwrap();
        assert!(judgement.verdict.is_whole(), "{}", judgement.verdict);
        assert_eq!(judgement.facts.kind, Some(BackupKind::Full));
        assert_eq!(judgement.facts.moment().map(|at| at.date()), Some(day));
        assert_eq!(judgement.notes, []);
    }
}
