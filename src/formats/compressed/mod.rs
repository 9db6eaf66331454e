//! Compressed SQL dumps: `.gz .zst .xz .bz2`, decoded in full while the file is read for upload.
//!
//! Nothing but a full decode proves a compressed file: gzip's trailer is not self-locating, and a
//! good end says nothing of the middle. [`Tap`] takes the bytes in the order in which they are read
//! anyway, and keeps the first and last KiB of what comes out; so memory stays constant and a
//! decompression bomb only costs time. Files of several members, frames or streams (pigz, pzstd,
//! `cat a.gz b.gz`) are taken as one, as the command-line tools do.

mod decoder;

use std::io;

use self::decoder::{Decoder, Edges, Fault};
use super::{Facts, Judgement, ReadAt, all_zero, describe, sql_dump};
use crate::model::Verdict;

/// Bytes of decoder output handled at once.
const OUT: usize = 64 << 10;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format 1.x.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Zstd, Self::Xz, Self::Bzip2];

    /// The kind a lower-case file name extension stands for.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.extension() == extension)
    }

    /// The file name extension, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
            Self::Xz => "xz",
            Self::Bzip2 => "bz2",
        }
    }

    /// The format's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
        }
    }

    /// Whether `head` (6 bytes suffice) begins such a file. A zstd file may begin with a skippable
    /// frame, as pzstd writes it.
    fn begins(self, head: &[u8]) -> bool {
        match self {
            Self::Gzip => head.starts_with(&[0x1f, 0x8b]),
            Self::Zstd => {
                head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
                    || matches!(head, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
            }
            Self::Xz => head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]),
            Self::Bzip2 => head.starts_with(b"BZh"),
        }
    }

    fn facts(self) -> Facts {
        Facts::of(&format!("SQL dump, {}", self.as_str()))
    }
}

/// Judges a compressed file by its first and last bytes alone: what is plainly wrong is refused
/// before anything is sent, everything else is not judged yet.
///
/// # Errors
/// What reading gave.
pub fn precheck<R: ReadAt + ?Sized>(kind: Kind, source: &R) -> io::Result<Judgement> {
    let size = source.size()?;
    let head = source.bytes_at(0, 64)?;
    let tail = source.bytes_at(size.saturating_sub(512), 512)?;
    let judgement = wrong_start(kind, &head).unwrap_or_else(|| {
        // xz ends with `YZ` and zeros only as padding of four; no compressed stream of the others
        // ends with a whole block of zeros.
        if all_zero(&tail) {
            return Judgement::cut_short(
                "the file ends with zero bytes: its end never reached the disk",
                kind.facts(),
            );
        }
        Judgement::not_judged(
            format!("its first bytes are {}; the content is decoded while it is sent", kind.as_str()),
            kind.facts(),
        )
    });
    Ok(judgement)
}

/// Judges a compressed file by reading and decoding all of it.
///
/// # Errors
/// What reading gave.
pub fn judge(kind: Kind, mut source: impl io::Read) -> io::Result<Judgement> {
    let mut tap = Tap::new(kind);
    let mut buffer = vec![0; OUT];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(tap.finish()),
            Ok(n) => tap.feed(buffer.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn wrong_start(kind: Kind, head: &[u8]) -> Option<Judgement> {
    if kind.begins(head) {
        return None;
    }
    let facts = kind.facts();
    Some(if head.is_empty() {
        Judgement::cut_short("the file is empty", facts)
    } else if all_zero(head) {
        Judgement::cut_short("the file begins with zero bytes: its content never reached the disk", facts)
    } else if head.len() < 6 {
        Judgement::cut_short(format!("the file ends after {} bytes", head.len()), facts)
    } else {
        Judgement::not_judged(format!("its name says {}, but it is {}", kind.as_str(), describe(head)), facts)
    })
}

/// Watches the bytes of a compressed file go by and judges them at the end.
pub struct Tap {
    kind: Kind,
    state: State,
    fed: u64,
}

enum State {
    /// Too few bytes for the magic number so far.
    Start(Vec<u8>),
    Decoding(Box<Decoder>),
    /// Decided before the end; the rest is ignored.
    Decided(Box<Judgement>),
}

impl Tap {
    /// A tap for a file of that kind.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self { kind, state: State::Start(Vec::new()), fed: 0 }
    }

    /// Takes the next bytes of the file, in order and without gaps. After a failure it costs nothing.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.fed = self.fed.saturating_add(bytes.len() as u64);
        match &mut self.state {
            State::Start(head) if head.is_empty() && bytes.len() >= 6 => self.begin(bytes),
            State::Start(head) => {
                head.extend_from_slice(bytes);
                if head.len() >= 6 {
                    let head = std::mem::take(head);
                    self.begin(&head);
                }
            }
            State::Decoding(decoder) => {
                if let Err(fault) = decoder.feed(bytes) {
                    self.decide(fault);
                }
            }
            State::Decided(_) => {}
        }
    }

    fn begin(&mut self, head: &[u8]) {
        if let Some(judgement) = wrong_start(self.kind, head) {
            self.state = State::Decided(Box::new(judgement));
            return;
        }
        match Decoder::new(self.kind) {
            Ok(decoder) => {
                self.state = State::Decoding(Box::new(decoder));
                if let State::Decoding(decoder) = &mut self.state
                    && let Err(fault) = decoder.feed(head)
                {
                    self.decide(fault);
                }
            }
            Err(fault) => self.decide(fault),
        }
    }

    fn decide(&mut self, fault: Fault) {
        self.state = State::Decided(Box::new(fault.judgement(self.kind, self.fed)));
    }

    /// The judgement on everything that was fed.
    #[must_use]
    pub fn finish(self) -> Judgement {
        let (kind, fed) = (self.kind, self.fed);
        match self.state {
            State::Start(head) => wrong_start(kind, &head).unwrap_or_else(|| {
                Fault::Damaged("it ends within its first bytes".to_owned()).judgement(kind, fed)
            }),
            State::Decided(judgement) => *judgement,
            State::Decoding(decoder) => match decoder.finish() {
                Ok(edges) => inner(kind, edges),
                Err(fault) => fault.judgement(kind, fed),
            },
        }
    }
}

/// The verdict on the SQL inside, with what the decoding adds to it.
fn inner(kind: Kind, mut edges: Edges) -> Judgement {
    let by_ends = sql_dump::judge_edges(&edges.head, edges.tail.make_contiguous(), edges.total);
    let mut judgement = sql_dump::counted(by_ends, edges.dumps);
    judgement.facts.format = kind.facts().format;
    judgement.facts.decoded_bytes = Some(edges.total);
    let decoded = format!("decoded in full as {} ({} bytes)", kind.as_str(), edges.total);
    judgement.verdict = match judgement.verdict {
        Verdict::Whole { how } => Verdict::Whole { how: format!("{decoded}; {how}") },
        Verdict::CutShort { why } => {
            Verdict::CutShort { why: format!("{decoded}, but what was compressed is cut: {why}") }
        }
        Verdict::StillBeingWritten { why } => Verdict::StillBeingWritten { why },
        Verdict::NotJudged { why } => Verdict::NotJudged { why: format!("{decoded}, but {why}") },
    };
    judgement
}

impl Fault {
    fn judgement(self, kind: Kind, fed: u64) -> Judgement {
        match self {
            Self::Damaged(why) => Judgement::cut_short(
                format!("it does not decode as {}: {why} ({fed} bytes were read)", kind.as_str()),
                kind.facts(),
            ),
            Self::Unable(why) => Judgement::not_judged(why, kind.facts()),
        }
    }
}
