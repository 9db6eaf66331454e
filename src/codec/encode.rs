//! A file's bytes into an object's.

use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;

use zstd::stream::raw::CParameter;

use super::age::Sealing;
use super::{Compression, Recipe};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Files over this size are compressed by several threads. Part of the form: with and without threads
/// zstd cuts its blocks differently. How many threads there are changes nothing.
pub(super) const THREADS_FROM: u64 = 16 << 20;
/// Bytes that one thread compresses at a time; bounds the memory, and is part of the form.
const JOB: u32 = 1 << 20;
/// Levels up to this one take little memory.
pub(super) const LIGHT: i32 = 4;
/// Levels up to this one leave room for two threads.
const MEDIUM: i32 = 12;
/// Largest tables of the levels above [`LIGHT`], as powers of two: a window of 2 MiB, hashes and chains
/// of 512 Ki entries. As they come, level 19 would take 90 MB; so it takes 12 to 16, and gives 0.3 % of
/// the size for it. Part of the form.
const TABLES: [CParameter; 3] =
    [CParameter::WindowLog(21), CParameter::HashLog(19), CParameter::ChainLog(19)];

/// The encoded bytes of `source`, which has exactly `size` bytes.
///
/// # Errors
/// Where an encoder cannot be started.
pub fn encode(
    source: impl Read + Send + 'static,
    recipe: &Recipe,
    size: u64,
) -> io::Result<Box<dyn Read + Send>> {
    let compressed: Box<dyn Read + Send> = match recipe.compression {
        None => Box::new(source),
        Some(compression) => compress(BufReader::with_capacity(CHUNK, source), compression, size)?,
    };
    if recipe.encrypts() {
        return Ok(Box::new(Sealing::new(compressed, &recipe.recipients)?));
    }
    Ok(compressed)
}

fn compress(
    source: BufReader<impl Read + Send + 'static>,
    compression: Compression,
    size: u64,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::Zstd(level) => Box::new(zstd_encoder(source, level, size, threads(level))?),
        Compression::Gzip => Box::new(flate2::bufread::GzEncoder::new(source, flate2::Compression::new(6))),
        Compression::Bzip2 => Box::new(bzip2::bufread::BzEncoder::new(source, bzip2::Compression::best())),
    })
}

pub(super) fn zstd_encoder<R: Read>(
    source: BufReader<R>,
    level: i32,
    size: u64,
    threads: u32,
) -> io::Result<zstd::stream::read::Encoder<'static, BufReader<R>>> {
    let mut encoder = zstd::stream::read::Encoder::with_buffer(source, level)?;
    // The frame then proves itself to `zstd -d` and `zstd -t`.
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(size))?;
    if level > LIGHT {
        for table in TABLES {
            encoder.set_parameter(table)?;
        }
    }
    if size > THREADS_FROM {
        encoder.multithread(threads)?;
        encoder.set_parameter(CParameter::JobSize(JOB))?;
    }
    Ok(encoder)
}

fn threads(level: i32) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let most = if level <= LIGHT {
        4
    } else if level <= MEDIUM {
        2
    } else {
        1
    };
    u32::try_from(cores).map_or(most, |cores| cores.min(most))
}
