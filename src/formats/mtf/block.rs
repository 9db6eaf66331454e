//! The two kinds of header in Microsoft Tape Format and the numbers in them, read without trust.
//!
//! Descriptor blocks begin with 52 bytes whose last word is the XOR of the 25 before it; the streams
//! behind a block each begin with 22 bytes whose last word is the XOR of the 10 before it. All
//! numbers are little-endian, except the packed dates. Source: Microsoft Tape Format specification
//! 1.00a; the places in SQL Server's own `SCIN` record were found in backups of SQL Server 2005 and
//! 2014.

use chrono::{NaiveDate, NaiveDateTime};

/// Length of the header common to all descriptor blocks.
pub(super) const BLOCK_HEADER: usize = 52;
/// Length of a stream's header.
pub(super) const STREAM_HEADER: usize = 22;

/// The descriptor blocks of the specification and of SQL Server.
const KNOWN: [&[u8; 4]; 14] = [
    b"TAPE", b"SSET", b"VOLB", b"DIRB", b"FILE", b"CFIL", b"ESPB", b"ESET", b"EOTM", b"SFMB", b"MSCI",
    b"MSDA", b"MSTL", b"MSLS",
];

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

pub(in crate::formats) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at.checked_add(8)?)?.try_into().ok().map(u64::from_le_bytes)
}

/// XOR of `words` words equals the word after them.
fn sums_up(bytes: &[u8], words: usize) -> bool {
    let Some(body) = bytes.get(..words * 2) else { return false };
    let sum = body.chunks_exact(2).fold(0, |sum, pair| sum ^ u16_at(pair, 0).unwrap_or_default());
    u16_at(bytes, words * 2) == Some(sum)
}

/// The common part of a descriptor block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) kind: [u8; 4],
    /// Bytes from the block's beginning to its first stream.
    pub(super) first_event: u16,
    /// In format logical blocks from the set's `SSET`.
    pub(super) logical_address: u64,
}

/// What stands where a descriptor block should.
pub(super) enum Seen {
    Block(Block),
    /// Only zero bytes.
    Zero,
    /// A known block's name over a header whose checksum is wrong.
    Damaged,
    Other,
}

impl Seen {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let header = bytes.get(..BLOCK_HEADER).unwrap_or(bytes);
        if crate::formats::all_zero(header) {
            return Self::Zero;
        }
        let kind: Option<[u8; 4]> = header.get(..4).and_then(|kind| kind.try_into().ok());
        match (Block::of(bytes), kind) {
            (Some(block), _) => Self::Block(block),
            (None, Some(kind)) if KNOWN.contains(&&kind) => Self::Damaged,
            _ => Self::Other,
        }
    }
}

impl Block {
    /// The block at the beginning of `bytes`, where its checksum and its name say that it is one.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if !sums_up(bytes, 25) {
            return None;
        }
        let kind: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        let named = kind.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        named.then_some(Self { kind, first_event: u16_at(bytes, 8)?, logical_address: u64_at(bytes, 20)? })
    }

    pub(super) fn is(&self, kind: [u8; 4]) -> bool {
        self.kind == kind
    }

    /// Whether it is one of the blocks that the format has.
    pub(super) fn is_known(&self) -> bool {
        KNOWN.contains(&&self.kind)
    }

    pub(super) fn name(&self) -> String {
        self.kind.escape_ascii().to_string()
    }
}

/// A stream's header.
pub(super) struct Stream {
    pub(super) id: [u8; 4],
    pub(super) length: u64,
}

impl Stream {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        if !sums_up(bytes, 10) {
            return None;
        }
        let id: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
        let named = id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
        named.then_some(Self { id, length: u64_at(bytes, 8)? })
    }

    /// Whether `bytes` look like a stream's header whose checksum is wrong.
    pub(super) fn damaged(bytes: &[u8]) -> bool {
        let known: [&[u8]; 9] =
            [b"SPAD", b"APAD", b"MQCI", b"MQDA", b"MQTL", b"RAID", b"OTCP", b"TSMP", b"CSUM"];
        bytes.get(..4).is_some_and(|id| known.contains(&id)) && Self::of(bytes).is_none()
    }
}

/// The packed date: year 14 bits, month 4, day 5, hour 5, minute 6, second 6, big-endian.
pub(super) fn date_at(bytes: &[u8], at: usize) -> Option<NaiveDateTime> {
    let packed =
        bytes.get(at..at.checked_add(5)?)?.iter().fold(0_u64, |packed, byte| packed << 8 | u64::from(*byte));
    let part = |shift: u32, bits: u32| u32::try_from(packed >> shift & ((1 << bits) - 1)).ok();
    let year = i32::try_from(part(26, 14)?).ok()?;
    NaiveDate::from_ymd_opt(year, part(22, 4)?, part(17, 5)?)?.and_hms_opt(
        part(12, 5)?,
        part(6, 6)?,
        part(0, 6)?,
    )
}

/// The UTF-16 text that a length (bytes) and an offset, both u16 at `at`, point to within `bytes`.
pub(super) fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let length = usize::from(u16_at(bytes, at)?);
    let offset = usize::from(u16_at(bytes, at.checked_add(2)?)?);
    let units: Vec<u16> = bytes
        .get(offset..offset.checked_add(length)?)?
        .chunks_exact(2)
        .filter_map(|pair| u16_at(pair, 0))
        .collect();
    let text = String::from_utf16(&units).ok()?;
    // Some texts are counted with their end mark.
    let text = text.trim_end_matches('\0').to_owned();
    let clean = !text.is_empty() && !text.chars().any(char::is_control);
    clean.then_some(text)
}
