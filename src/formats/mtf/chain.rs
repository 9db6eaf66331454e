//! Following a tape from header to header, and by its filemarks.

use std::io;

use super::super::{ReadAt, all_zero};
use super::block::{BLOCK_HEADER, Block, STREAM_HEADER, Seen, Stream, u32_at, u64_at};

/// Headers followed at most; each costs one read of at most 52 bytes.
pub(super) const WALK: usize = 2048;
/// Filemark blocks read at most: 27 sets each with the smallest block, 250 with 4 KiB.
const FILEMARK_BLOCKS: usize = 64;
/// Bytes of a filemark block that are read; larger ones are only stepped over.
const FILEMARK_READ: usize = 8192;

/// What the first block says of the whole file.
pub(super) struct Tape {
    pub(super) size: u64,
    /// Bytes of a filemark block, a multiple of 512.
    pub(super) filemark: u64,
    /// Bytes of a format logical block, in which addresses count.
    pub(super) logical_block: u64,
}

/// The second test: what the filemarks list.
pub(super) struct Filemarks {
    /// Offsets of `SSET` blocks, ascending.
    pub(super) sets: Vec<u64>,
    /// What contradicts the list.
    pub(super) fault: Option<String>,
    /// Whether the list was too long to be read to its beginning.
    pub(super) partial: bool,
}

impl Filemarks {
    pub(super) fn read<R: ReadAt + ?Sized>(source: &R, tape: &Tape) -> io::Result<Self> {
        let mut this = Self { sets: Vec::new(), fault: None, partial: false };
        let mut at = tape.size - tape.filemark;
        for _ in 0..FILEMARK_BLOCKS {
            let want = usize::try_from(tape.filemark).unwrap_or(FILEMARK_READ).min(FILEMARK_READ);
            let block = source.bytes_at(at, want)?;
            let listed = listed(&block);
            if listed.is_empty() && at == tape.size - tape.filemark {
                // At least the one behind the tape's header comes before it.
                this.fault = Some("its last filemark lists none of those before it".to_owned());
                return Ok(this);
            }
            for place in &listed {
                if let Some(fault) = this.check(source, tape, *place)? {
                    this.fault = Some(fault);
                    return Ok(this);
                }
            }
            this.partial |= (listed.len() as u64) < u64::from(u32_at(&block, 56).unwrap_or_default());
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
        if !Block::of(&mark).is_some_and(|block| block.is(*b"SFMB")) {
            return Ok(Some(format!("the filemark that should be at offset {place} is not there")));
        }
        match Block::of(&source.bytes_at(behind, BLOCK_HEADER)?) {
            Some(block) if block.is(*b"SSET") => self.sets.push(behind),
            Some(block) if block.is(*b"ESET") => {}
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
pub(super) struct Walk {
    pub(super) sets: Vec<u64>,
    /// For each of `sets`, whether data (`MSDA`) came in it, once its end was reached.
    pub(super) data: Vec<(u64, bool)>,
    pub(super) headers: usize,
    pub(super) stop: Stop,
}

pub(super) enum Stop {
    End,
    Budget(u64),
    Damage(String),
    Unknown(String),
}

impl Walk {
    pub(super) fn run<R: ReadAt + ?Sized>(source: &R, tape: &Tape) -> io::Result<Self> {
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
            if block.is(*b"SSET") {
                in_set = Some((at, false));
                this.sets.push(at);
            }
            if block.is(*b"ESET") {
                this.data.extend(in_set.take());
            }
            if let Some((start, data)) = &mut in_set {
                *data |= block.is(*b"MSDA");
                let expected = block.logical_address.checked_mul(tape.logical_block);
                let placed = expected.and_then(|offset| offset.checked_add(*start));
                if !block.is(*b"SFMB") && tape.logical_block > 0 && placed != Some(at) {
                    break Stop::Unknown(format!(
                        "the {} block at offset {at} says that it belongs elsewhere",
                        block.name()
                    ));
                }
            }
            let next = if block.is(*b"SFMB") {
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
                let boundary = at.is_multiple_of(512) && !Stream::damaged(&bytes);
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
