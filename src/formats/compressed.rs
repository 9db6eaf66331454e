//! Compressed SQL dumps: `.gz .zst .xz .bz2`, decoded in full while the file is read for upload.
//!
//! Nothing but a full decode proves a compressed file: gzip's trailer is not self-locating, and a
//! good end says nothing of the middle. [`Tap`] takes the bytes in the order in which they are read
//! anyway, and keeps the first and last 4 KiB of what comes out; so memory stays constant and a
//! decompression bomb only costs time. Files of several members, frames or streams (pigz, pzstd,
//! `cat a.gz b.gz`) are taken as one, as the command-line tools do.

use std::collections::VecDeque;
use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Operation};

use super::{Facts, Judgement, ReadAt, all_zero, describe, sql_dump};
use crate::model::Verdict;

/// Largest zstd window taken (`zstd -19` uses 8 MiB, `--ultra -22` 128 MiB); `--long=28` and above
/// need `zstd -d --long` as well, and more memory than a backup should.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Memory an xz decoder may use: `xz -9` needs 65 MiB, the largest preset dictionary.
const XZ_MEMORY: u64 = 192 << 20;

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
                Ok(edges) => inner(kind, &edges),
                Err(fault) => fault.judgement(kind, fed),
            },
        }
    }
}

/// The verdict on the SQL inside, with what the decoding adds to it.
fn inner(kind: Kind, edges: &Edges) -> Judgement {
    let tail: Vec<u8> = edges.tail.iter().copied().collect();
    let mut judgement = sql_dump::judge_edges(&edges.head, &tail, edges.total);
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

/// Why decoding stopped.
enum Fault {
    /// The data is not what its format demands.
    Damaged(String),
    /// This decoder cannot say.
    Unable(String),
}

impl Fault {
    fn judgement(self, kind: Kind, fed: u64) -> Judgement {
        match self {
            Self::Damaged(why) => Judgement::cut_short(
                format!("decoding it as {} failed within the first {fed} bytes: {why}", kind.as_str()),
                kind.facts(),
            ),
            Self::Unable(why) => Judgement::not_judged(why, kind.facts()),
        }
    }
}

/// The two ends of the decoded bytes.
#[derive(Default)]
struct Edges {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Write for Edges {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let room = sql_dump::EDGE.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(room));
        let keep = bytes.len().min(sql_dump::EDGE);
        let excess = (self.tail.len() + keep).saturating_sub(sql_dump::EDGE);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend(bytes.get(bytes.len() - keep..).unwrap_or_default());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder {
    Gzip(MultiGzDecoder<Edges>),
    Zstd { raw: zstd::stream::raw::Decoder<'static>, between: bool, edges: Edges },
    Xz { stream: liblzma::stream::Stream, edges: Edges },
    Bzip2 { raw: Option<bzip2::Decompress>, edges: Edges },
}

impl Decoder {
    fn new(kind: Kind) -> Result<Self, Fault> {
        let unable = |error: &dyn std::fmt::Display| {
            Fault::Unable(format!("the {} decoder could not be started: {error}", kind.as_str()))
        };
        let edges = Edges::default();
        Ok(match kind {
            Kind::Gzip => Self::Gzip(MultiGzDecoder::new(edges)),
            Kind::Zstd => {
                let mut raw = zstd::stream::raw::Decoder::new().map_err(|error| unable(&error))?;
                raw.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(|error| unable(&error))?;
                Self::Zstd { raw, between: true, edges }
            }
            Kind::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)
                    .map_err(|error| unable(&error))?;
                Self::Xz { stream, edges }
            }
            Kind::Bzip2 => Self::Bzip2 { raw: None, edges },
        })
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Gzip(decoder) => {
                decoder.write_all(bytes).map_err(|error| Fault::Damaged(error.to_string()))
            }
            Self::Zstd { raw, between, edges } => feed_zstd(raw, between, edges, bytes),
            Self::Xz { stream, edges } => {
                run_xz(stream, edges, bytes, liblzma::stream::Action::Run).map(|_| ())
            }
            Self::Bzip2 { raw, edges } => feed_bzip2(raw, edges, bytes),
        }
    }

    fn finish(self) -> Result<Edges, Fault> {
        let early = || Fault::Damaged("the file ends within the compressed data".to_owned());
        match self {
            Self::Gzip(decoder) => decoder.finish().map_err(|_| early()),
            Self::Zstd { between, edges, .. } => between.then_some(edges).ok_or_else(early),
            Self::Xz { mut stream, mut edges } => {
                let ended = run_xz(&mut stream, &mut edges, &[], liblzma::stream::Action::Finish)?;
                ended.then_some(edges).ok_or_else(early)
            }
            Self::Bzip2 { raw, edges } => raw.is_none().then_some(edges).ok_or_else(early),
        }
    }
}

fn feed_zstd(
    raw: &mut zstd::stream::raw::Decoder<'static>,
    between: &mut bool,
    edges: &mut Edges,
    mut bytes: &[u8],
) -> Result<(), Fault> {
    let mut out = vec![0; OUT];
    loop {
        let status = raw.run_on_buffers(bytes, &mut out).map_err(|error| {
            let text = error.to_string();
            if text.contains("too much memory") {
                Fault::Unable(
                    "it was compressed with a window above 128 MiB (zstd --long), which is not decoded here"
                        .to_owned(),
                )
            } else {
                Fault::Damaged(text)
            }
        })?;
        let _ = edges.write(out.get(..status.bytes_written).unwrap_or_default());
        bytes = bytes.get(status.bytes_read..).unwrap_or_default();
        // `remaining` is 0 exactly at the end of a frame with everything flushed; a call that
        // neither takes nor gives anything between two frames tells nothing new.
        if status.bytes_read > 0 || status.bytes_written > 0 {
            *between = status.remaining == 0;
        }
        let full = status.bytes_written == out.len();
        if bytes.is_empty() && !full {
            return Ok(());
        }
        if status.bytes_read == 0 && status.bytes_written == 0 {
            return Err(Fault::Damaged("the decoder stands still".to_owned()));
        }
    }
}

/// Whether the end of the last stream was reached, which only `Finish` can tell.
fn run_xz(
    stream: &mut liblzma::stream::Stream,
    edges: &mut Edges,
    mut bytes: &[u8],
    action: liblzma::stream::Action,
) -> Result<bool, Fault> {
    use liblzma::stream::{Error, Status};
    let mut out = vec![0; OUT];
    loop {
        let (taken, given) = (stream.total_in(), stream.total_out());
        let status = stream.process(bytes, &mut out, action).map_err(|error| match error {
            Error::MemLimit | Error::Mem => Fault::Unable(
                "it needs more than 192 MiB of memory to decode (a dictionary above xz -9)".to_owned(),
            ),
            other => Fault::Damaged(other.to_string()),
        })?;
        let taken = usize::try_from(stream.total_in() - taken).unwrap_or(usize::MAX);
        let given = usize::try_from(stream.total_out() - given).unwrap_or(usize::MAX);
        let _ = edges.write(out.get(..given).unwrap_or_default());
        bytes = bytes.get(taken..).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(true);
        }
        if bytes.is_empty() && given < out.len() {
            // With nothing left to take, only a full buffer means that there is more to give.
            if matches!(action, liblzma::stream::Action::Run) || given == 0 {
                return Ok(false);
            }
        } else if taken == 0 && given == 0 {
            return Err(Fault::Damaged("the decoder stands still".to_owned()));
        }
    }
}

fn feed_bzip2(raw: &mut Option<bzip2::Decompress>, edges: &mut Edges, mut bytes: &[u8]) -> Result<(), Fault> {
    let mut out = vec![0; OUT];
    loop {
        if raw.is_none() && bytes.is_empty() {
            return Ok(());
        }
        let decoder = raw.get_or_insert_with(|| bzip2::Decompress::new(false));
        let (taken, given) = (decoder.total_in(), decoder.total_out());
        let status =
            decoder.decompress(bytes, &mut out).map_err(|error| Fault::Damaged(format!("bzip2: {error}")))?;
        let taken = usize::try_from(decoder.total_in() - taken).unwrap_or(usize::MAX);
        let given = usize::try_from(decoder.total_out() - given).unwrap_or(usize::MAX);
        let _ = edges.write(out.get(..given).unwrap_or_default());
        bytes = bytes.get(taken..).unwrap_or_default();
        if status == bzip2::Status::StreamEnd {
            *raw = None;
        } else if bytes.is_empty() && given < out.len() {
            return Ok(());
        } else if taken == 0 && given == 0 {
            return Err(Fault::Damaged("the decoder stands still".to_owned()));
        }
    }
}
