//! An object's bytes into a file's.

use std::io::{self, BufReader, Read};

use super::{Coding, Compression, Identities};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Why decoding could not begin.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is encrypted for others.
    #[error("none of the identities can decrypt it; it was encrypted for {0}")]
    OtherIdentity(String),
    /// It is no such object.
    #[error("{0}")]
    Damaged(String),
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The file's bytes out of an object's.
///
/// # Errors
/// [`DecodeError`]; later errors come from reading.
pub fn decode(
    stored: impl Read + Send + 'static,
    coding: &Coding,
    identities: &Identities,
) -> Result<Box<dyn Read + Send>, DecodeError> {
    let compressed: Box<dyn Read + Send> = if coding.recipients.is_empty() {
        Box::new(stored)
    } else {
        Box::new(identities.open(stored, &coding.recipients)?)
    };
    let compressed = BufReader::with_capacity(CHUNK, compressed);
    Ok(match coding.compression {
        None => Box::new(compressed),
        Some(Compression::Zstd(_)) => Box::new(zstd::stream::read::Decoder::with_buffer(compressed)?),
        Some(Compression::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
        Some(Compression::Bzip2) => Box::new(bzip2::bufread::MultiBzDecoder::new(compressed)),
    })
}
