//! The four decoders behind one face: bytes in, the two ends of what comes out kept, and its dumps counted.

use std::collections::VecDeque;
use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use zstd::stream::raw::{DParameter, Operation};

use super::super::sql_dump::{self, Dumps};
use super::{Kind, OUT};

/// Largest zstd window taken (`zstd -19` uses 8 MiB, `--ultra -22` 128 MiB); `--long=28` and above
/// need `zstd -d --long` as well, and more memory than a backup should.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Memory an xz decoder may use: `xz -9` needs 65 MiB, the largest preset dictionary.
const XZ_MEMORY: u64 = 192 << 20;

/// Why decoding stopped.
pub(super) enum Fault {
    /// The data is not what its format demands.
    Damaged(String),
    /// This decoder cannot say.
    Unable(String),
}

/// The two ends of the decoded bytes, and the dumps that begin in them.
#[derive(Default)]
pub(super) struct Edges {
    pub(super) head: Vec<u8>,
    pub(super) tail: VecDeque<u8>,
    pub(super) total: u64,
    pub(super) dumps: Dumps,
}

impl Write for Edges {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let room = sql_dump::HEAD.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(room));
        let keep = bytes.len().min(sql_dump::TAIL);
        let excess = (self.tail.len() + keep).saturating_sub(sql_dump::TAIL);
        self.tail.drain(..excess.min(self.tail.len()));
        self.tail.extend(bytes.get(bytes.len() - keep..).unwrap_or_default());
        self.dumps.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) enum Decoder {
    Gzip(MultiGzDecoder<Edges>),
    Zstd { raw: zstd::stream::raw::Decoder<'static>, between: bool, edges: Edges },
    Xz { stream: liblzma::stream::Stream, edges: Edges },
    Bzip2 { raw: Option<bzip2::Decompress>, edges: Edges },
}

impl Decoder {
    pub(super) fn new(kind: Kind) -> Result<Self, Fault> {
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

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
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

    pub(super) fn finish(self) -> Result<Edges, Fault> {
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
