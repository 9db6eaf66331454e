//! A file's bytes into an object's.

use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;

use zstd::stream::raw::CParameter;

use super::seal::Sealed;
use super::{Codec, Compression};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// Files over this size are compressed by several threads. Part of the form: with and without threads
/// zstd cuts its blocks differently.
const THREADS_FROM: u64 = 16 << 20;
/// Bytes that one thread compresses at a time; bounds the memory, and is part of the form.
const JOB: u32 = 2 << 20;
/// More threads would take more memory than a backup should.
const THREADS_MAX: usize = 4;

/// The encoded bytes of `source`, which has exactly `size` bytes.
///
/// # Errors
/// Where an encoder cannot be started.
pub fn encode(
    source: impl Read + Send + 'static,
    codec: &Codec,
    size: u64,
) -> io::Result<Box<dyn Read + Send>> {
    let compressed: Box<dyn Read + Send> = match codec.compression {
        None => Box::new(source),
        Some(Compression::Zstd(level)) => Box::new(zstd_encoder(source, level, size)?),
        Some(Compression::Gzip) => Box::new(flate2::bufread::GzEncoder::new(
            BufReader::with_capacity(CHUNK, source),
            flate2::Compression::new(6),
        )),
        Some(Compression::Bzip2) => Box::new(bzip2::bufread::BzEncoder::new(
            BufReader::with_capacity(CHUNK, source),
            bzip2::Compression::best(),
        )),
    };
    if codec.recipients.is_empty() {
        return Ok(compressed);
    }
    Ok(Box::new(Sealed::new(compressed, &codec.recipients)?))
}

fn zstd_encoder<R: Read>(
    source: R,
    level: i32,
    size: u64,
) -> io::Result<zstd::stream::read::Encoder<'static, BufReader<R>>> {
    let source = BufReader::with_capacity(CHUNK, source);
    let mut encoder = zstd::stream::read::Encoder::with_buffer(source, level)?;
    // The frame then proves itself to `zstd -d` and `zstd -t`.
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(size))?;
    if size > THREADS_FROM {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        encoder.multithread(u32::try_from(cores.min(THREADS_MAX)).unwrap_or(1))?;
        encoder.set_parameter(CParameter::JobSize(JOB))?;
    }
    Ok(encoder)
}
