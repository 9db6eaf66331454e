//! What compressing a file would cost and win: a sample of it through each encoder.
//!
//! What must stay true: the sample goes through the encoders that a backup uses, in the same settings; a
//! file is only read.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use crate::codec::{self, Compression, Recipe};
use crate::model::Rate;
use crate::source::OpenFile;

/// Pieces of the sample, spread over the file.
const PIECES: u64 = 8;
/// Bytes of a piece. All of them together are enough for zstd to use its threads.
const PIECE: u64 = 4 << 20;
/// What is compared.
const FORMS: [Option<Compression>; 7] = [
    None,
    Some(Compression::Zstd(1)),
    Some(Compression::Zstd(codec::ZSTD_LEVEL)),
    Some(Compression::Zstd(9)),
    Some(Compression::Zstd(codec::ZSTD_MAX)),
    Some(Compression::Gzip),
    Some(Compression::Bzip2),
];

/// The sample of one file.
#[derive(Debug)]
pub struct Sample {
    /// Bytes of the file.
    pub size: u64,
    /// Whether it is compressed already, so that a backup leaves it alone.
    pub compressed: bool,
    bytes: Vec<u8>,
}

/// What one form of a file would be.
#[derive(Debug, Clone, Serialize)]
pub struct Estimate {
    /// The word of the configuration.
    #[serde(serialize_with = "word")]
    pub compress: Option<Compression>,
    /// Bytes of the object.
    pub stored: u64,
    /// Seconds that the encoder takes.
    pub encode_seconds: f64,
    /// Seconds of one processor that it takes.
    pub cpu_seconds: f64,
    /// Seconds that the line takes for the object.
    pub line_seconds: f64,
}

impl Estimate {
    /// Seconds from the first byte to the last: encoder and line work at the same time.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.encode_seconds.max(self.line_seconds)
    }
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn word<S: Serializer>(form: &Option<Compression>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&name(*form))
}

/// A form as the configuration writes it.
#[must_use]
pub fn name(form: Option<Compression>) -> String {
    form.map_or_else(|| "none".to_owned(), |form| form.to_string())
}

impl Sample {
    /// Reads pieces of the file, or all of it where that is no more. Blocks.
    ///
    /// # Errors
    /// What reading gave.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = OpenFile::open(path).map_err(io::Error::other)?;
        let size = file.stamp().size;
        let mut bytes = Vec::new();
        for (offset, len) in pieces(size) {
            let before = bytes.len();
            bytes.resize(before + usize::try_from(len).unwrap_or(0), 0);
            let range = offset..offset + len;
            file.note_cached(&range);
            let read = file.read_at(bytes.get_mut(before..).unwrap_or_default(), offset)?;
            file.leave_as_found(&range);
            bytes.truncate(before + read);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let compressed = codec::is_compressed(&name, bytes.get(..codec::HEAD).unwrap_or(&bytes));
        Ok(Self { size, compressed, bytes })
    }

    /// What each form would be over a line of this rate. Blocks for seconds; `told` hears of each form
    /// before it is tried.
    ///
    /// # Errors
    /// Where an encoder fails.
    pub fn estimate(self, line: Rate, told: impl Fn(&str)) -> io::Result<Vec<Estimate>> {
        let mut estimates = Vec::new();
        let sample = std::sync::Arc::<[u8]>::from(self.bytes);
        for form in FORMS {
            if self.compressed && form.is_some() {
                continue;
            }
            told(&name(form));
            let (stored, wall, cpu) = measure(form, io::Cursor::new(sample.clone()), sample.len() as u64)?;
            let whole =
                |value: f64| if sample.is_empty() { 0.0 } else { value * share(self.size, sample.len()) };
            let stored =
                if form.is_none() { self.size } else { scaled(stored, self.size, sample.len() as u64) };
            estimates.push(Estimate {
                compress: form,
                stored,
                encode_seconds: whole(wall.as_secs_f64()),
                cpu_seconds: whole(cpu.as_secs_f64()),
                line_seconds: line.time_for(stored).as_secs_f64(),
            });
        }
        Ok(estimates)
    }
}

/// The form with which a backup is done soonest; of two within a twentieth, the one that takes less
/// processor time.
#[must_use]
pub fn soonest(estimates: &[Estimate]) -> Option<&Estimate> {
    let least = estimates.iter().map(Estimate::seconds).min_by(f64::total_cmp)?;
    let near = estimates.iter().filter(|estimate| estimate.seconds() <= least * 1.05);
    near.min_by(|a, b| a.cpu_seconds.total_cmp(&b.cpu_seconds))
}

/// Offset and length of each piece of the sample.
fn pieces(size: u64) -> Vec<(u64, u64)> {
    if size <= PIECES * PIECE {
        return vec![(0, size)];
    }
    let step = (size - PIECE) / (PIECES - 1);
    (0..PIECES).map(|number| (number * step, PIECE)).collect()
}

fn scaled(part: u64, size: u64, of: u64) -> u64 {
    let whole = u128::from(part) * u128::from(size) / u128::from(of.max(1));
    u64::try_from(whole).unwrap_or(u64::MAX)
}

#[allow(clippy::cast_precision_loss, reason = "an estimate has two digits")]
fn share(size: u64, sample: usize) -> f64 {
    size as f64 / sample as f64
}

fn measure(
    form: Option<Compression>,
    sample: impl Read + Send + 'static,
    len: u64,
) -> io::Result<(u64, Duration, Duration)> {
    let recipe = Recipe { compression: form, ..Recipe::default() };
    if recipe.is_plain() {
        return Ok((len, Duration::ZERO, Duration::ZERO));
    }
    let (begun, before) = (Instant::now(), cpu_time()?);
    let stored = io::copy(&mut codec::encode(sample, &recipe, len)?, &mut io::sink())?;
    Ok((stored, begun.elapsed(), cpu_time()?.saturating_sub(before)))
}

/// Processor time of this process, all threads: user and system, in the 10 ms that Linux counts in
/// (`proc_pid_stat(5)`, fields 14 and 15).
fn cpu_time() -> io::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in brackets may hold anything.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks.saturating_mul(10)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lie_within_the_file_and_reach_its_two_ends() {
        for size in [0, 1, PIECE, PIECES * PIECE, PIECES * PIECE + 1, 3_000_000_000_000] {
            let pieces = pieces(size);
            assert_eq!(pieces[0].0, 0);
            assert!(pieces.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{size}");
            let (offset, len) = *pieces.last().unwrap();
            assert!(offset + len <= size && size - (offset + len) < PIECES, "{size}");
            assert!(pieces.iter().map(|(_, len)| len).sum::<u64>() <= PIECES * PIECE);
        }
    }

    fn estimate(compress: Option<Compression>, encode: f64, cpu: f64, line: f64) -> Estimate {
        Estimate { compress, stored: 1, encode_seconds: encode, cpu_seconds: cpu, line_seconds: line }
    }

    #[test]
    fn the_slower_of_encoder_and_line_counts_and_near_ones_are_told_apart_by_their_cost() {
        let zstd = Some(Compression::Zstd(3));
        let slow = [estimate(None, 0.0, 0.0, 100.0), estimate(zstd, 5.0, 9.0, 30.0)];
        assert_eq!(soonest(&slow).unwrap().compress, zstd);
        let fast = [estimate(None, 0.0, 0.0, 10.0), estimate(zstd, 9.8, 18.0, 3.0)];
        assert_eq!(soonest(&fast).unwrap().compress, None);
        assert!(soonest(&[]).is_none());
    }

    #[test]
    fn a_sample_of_a_large_file_tells_its_size_and_a_compressed_file_only_that_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shop_20250818.sql");
        let line = b"INSERT INTO orders VALUES (1,'customer','2025-08-18');\n";
        let bytes: Vec<u8> = line.iter().copied().cycle().take(3_000_000).collect();
        std::fs::write(&path, &bytes).unwrap();
        let rate = Rate::bytes_per_second(1_000_000);
        let estimates = Sample::read(&path).unwrap().estimate(rate, |_| ()).unwrap();
        assert_eq!(estimates.len(), FORMS.len());
        assert_eq!((estimates[0].stored, estimates[0].seconds()), (3_000_000, 3.0));
        assert!(estimates[1..].iter().all(|estimate| estimate.stored < 300_000), "{estimates:?}");
        let path = dir.path().join("shop_20250818.sql.gz");
        std::fs::write(&path, &bytes).unwrap();
        let sample = Sample::read(&path).unwrap();
        assert!(sample.compressed);
        assert_eq!(sample.estimate(rate, |_| ()).unwrap().len(), 1);
        assert!(Sample::read(dir.path()).is_err());
    }
}
