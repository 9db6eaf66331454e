//! An object's bytes into a file's.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::age::Opening;
use super::{Coding, Compression, Identities};
use crate::checksum::{Algorithm, Digest};

/// Why an object does not become a file.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is no such object, or one of another file.
    #[error("{0}")]
    Damaged(String),
    /// The file could not be written.
    #[error(transparent)]
    Write(io::Error),
}

/// Takes an object's bytes in order and writes the file's to `out`; [`Decoding::finish`] says whether
/// they are the file's. What was written before a failure is not taken back.
pub struct Decoding<W: Write> {
    opening: Option<Opening>,
    decoder: Decoder<Plain<W>>,
    not_written: Arc<AtomicBool>,
}

enum Decoder<W: Write> {
    None(W),
    Zstd(Box<zstd::stream::write::Decoder<'static, W>>),
    Gzip(flate2::write::MultiGzDecoder<W>),
    Bzip2(bzip2::write::BzDecoder<W>),
}

/// The file's bytes as they come out: summed, counted, and never more than there were. So an object
/// that somebody exchanged for a bomb cannot fill the disk.
struct Plain<W> {
    out: W,
    digest: Digest,
    most: u64,
    /// Tells a failure of `out` from one of the decoder.
    not_written: Arc<AtomicBool>,
}

impl<W: Write> Plain<W> {
    fn watched<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result.inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.not_written.store(true, Ordering::Relaxed);
            }
        })
    }
}

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.digest.len().saturating_add(bytes.len() as u64) > self.most {
            let why = format!("it decodes to more than the {} bytes that the file had", self.most);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let count = self.out.write(bytes);
        let count = self.watched(count)?;
        self.digest.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.watched(flushed)
    }
}

impl<W: Write> Decoding<W> {
    /// A decoder for an object of this coding; `identities` open it where it is encrypted.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn new(coding: &Coding, identities: &Identities, out: W) -> io::Result<Self> {
        let digest = Digest::new(coding.plain_checksum.algorithm);
        let opening = coding.recipe.encrypts().then(|| Opening::new(identities.clone()));
        Self::start(coding.recipe.compression, opening, out, digest, coding.plain_size)
    }

    /// A decoder for an object of which no record tells what it was made from.
    ///
    /// # Errors
    /// Where it cannot be started.
    pub fn unknown(compression: Option<Compression>, most: u64, out: W) -> io::Result<Self> {
        Self::start(compression, None, out, Digest::new(Algorithm::Crc64Nvme), most)
    }

    fn start(
        compression: Option<Compression>,
        opening: Option<Opening>,
        out: W,
        digest: Digest,
        most: u64,
    ) -> io::Result<Self> {
        let not_written = Arc::new(AtomicBool::new(false));
        let plain = Plain { out, digest, most, not_written: not_written.clone() };
        let decoder = match compression {
            None => Decoder::None(plain),
            Some(Compression::Zstd(_)) => Decoder::Zstd(Box::new(zstd::stream::write::Decoder::new(plain)?)),
            Some(Compression::Gzip) => Decoder::Gzip(flate2::write::MultiGzDecoder::new(plain)),
            Some(Compression::Bzip2) => Decoder::Bzip2(bzip2::write::BzDecoder::new(plain)),
        };
        Ok(Self { opening, decoder, not_written })
    }

    /// Takes the next bytes of the object.
    ///
    /// # Errors
    /// Where they are none of such an object, or the file cannot be written.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let Self { opening, decoder, not_written } = self;
        let fed = match opening {
            None => decoder.take(bytes),
            Some(opening) => opening.feed(bytes, &mut |opened| decoder.take(opened)),
        };
        fed.map_err(|error| blame(not_written, error))
    }

    /// Ends the object: the sums of the file that came out of it.
    ///
    /// # Errors
    /// Where the object ends too early, or the file cannot be written.
    pub fn end(self) -> Result<Digest, DecodeError> {
        let Self { opening, mut decoder, not_written } = self;
        let opened = opening.map_or(Ok(()), |opening| opening.end(&mut |opened| decoder.take(opened)));
        let ended = opened.and_then(|()| decoder.end());
        let ended = ended.and_then(|mut plain| plain.flush().map(|()| plain.digest));
        ended.map_err(|error| blame(&not_written, error))
    }

    /// Ends the object and compares what came out with the file that its record speaks of.
    ///
    /// # Errors
    /// Where it is another file, or the object ends too early.
    pub fn finish(self, coding: &Coding) -> Result<(), DecodeError> {
        let digest = self.end()?;
        let sum = digest.full_object();
        if digest.len() == coding.plain_size && sum.agrees(&coding.plain_checksum) == Some(true) {
            return Ok(());
        }
        let why = format!(
            "it decodes to {} bytes ({sum}) where the file had {} ({})",
            digest.len(),
            coding.plain_size,
            coding.plain_checksum
        );
        Err(DecodeError::Damaged(why))
    }
}

impl<W: Write> Decoder<W> {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::None(out) => out.write_all(bytes),
            Self::Zstd(decoder) => decoder.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
            Self::Bzip2(decoder) => decoder.write_all(bytes),
        }
    }

    fn end(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Bzip2(mut decoder) => decoder.finish(),
        }
    }
}

fn blame(not_written: &AtomicBool, error: io::Error) -> DecodeError {
    if not_written.load(Ordering::Relaxed) {
        return DecodeError::Write(error);
    }
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        io::ErrorKind::WriteZero => "there are more bytes after its end".to_owned(),
        _ => format!("it does not decode: {error}"),
    };
    DecodeError::Damaged(why)
}
