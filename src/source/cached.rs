//! Which pages of a file lie in memory, so that reading it for a backup leaves the page cache as it was
//! found: a database's pages are not pushed out, and what was there before stays.
//!
//! `mincore(2)` tells the truth to a file's owner and to whoever may write it; to others it says that all
//! of it is there. For them, what was read counts as not there before.
#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, PoisonError};

use rustix::fs::Access;

/// How far ahead of a read is looked at least, and at most.
const AHEAD: Range<u64> = 8 << 20..256 << 20;
/// The same where the device does not say how far the kernel reads ahead.
const AHEAD_UNKNOWN: u64 = 32 << 20;
/// Ranges kept; the oldest are of parts long sent.
const KEPT: usize = 4096;

/// What was not in memory before it was read.
#[derive(Debug, Default)]
pub(super) struct Missing(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// Bytes from the file's begin on that were looked at.
    seen: u64,
    missing: Vec<Range<u64>>,
    /// How far ahead is looked; none before it was asked for.
    ahead: Option<u64>,
}

impl Missing {
    /// Looks at `range`, which is about to be read, and somewhat further. From the begin on, it is a new
    /// reading of the file.
    pub(super) fn note(&self, file: &File, range: &Range<u64>, size: u64) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let further = *window.ahead.get_or_insert_with(|| ahead(file));
        if range.start == 0 {
            *window = Window { ahead: window.ahead, ..Window::default() };
        }
        let ahead = window.seen.max(range.start)..range.end.saturating_add(further).min(size);
        if ahead.is_empty() {
            return;
        }
        window.seen = ahead.end;
        let found = if knows(file) { missing(file, &ahead) } else { None };
        let found = found.unwrap_or_else(|| vec![ahead]);
        for range in found {
            match window.missing.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => window.missing.push(range),
            }
        }
        let old = window.missing.len().saturating_sub(KEPT);
        window.missing.drain(..old);
    }

    /// The parts of `range` that were not in memory when it was noted.
    pub(super) fn within(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = |one: &Range<u64>| one.start.max(range.start)..one.end.min(range.end);
        window.missing.iter().map(cut).filter(|one| !one.is_empty()).collect()
    }
}

/// More than the kernel reads ahead by itself, whose pages must not pass for found ones: twice what the device
/// has for a file that is read in order (`POSIX_FADV_SEQUENTIAL`), and as much again before it is asked for.
fn ahead(file: &File) -> u64 {
    let Ok(stat) = rustix::fs::fstat(file) else { return AHEAD_UNKNOWN };
    let device = format!("{}:{}", rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let kib = [
        format!("/sys/class/bdi/{device}/read_ahead_kb"),
        format!("/sys/dev/block/{device}/queue/read_ahead_kb"),
        // Of a partition, its disk's.
        format!("/sys/dev/block/{device}/../queue/read_ahead_kb"),
    ]
    .into_iter()
    .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    kib.map_or(AHEAD_UNKNOWN, |kib| kib.saturating_mul(4 << 10).clamp(AHEAD.start, AHEAD.end))
}

/// Whether the kernel tells this process the truth about the file's pages.
fn knows(file: &File) -> bool {
    let own = rustix::fs::fstat(file).is_ok_and(|stat| stat.st_uid == rustix::process::geteuid().as_raw());
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    own || rustix::fs::access(path, Access::WRITE_OK).is_ok()
}

/// The pages of `range` that are not in memory, as ranges of bytes; `None` where that cannot be told.
fn missing(file: &File, range: &Range<u64>) -> Option<Vec<Range<u64>>> {
    let page = rustix::param::page_size();
    let start = range.start - range.start % page as u64;
    let len = usize::try_from(range.end - start).ok()?;
    let mut pages = vec![0_u8; len.div_ceil(page)];
    // SAFETY: a mapping that nobody reads or writes through, so that it does not matter what becomes of
    // the file; `pages` holds one byte for each page of it, and it is gone before this returns.
    let told = unsafe {
        let mapping = libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            libc::off_t::try_from(start).ok()?,
        );
        if mapping == libc::MAP_FAILED {
            return None;
        }
        let told = libc::mincore(mapping, len, pages.as_mut_ptr());
        libc::munmap(mapping, len);
        told
    };
    if told != 0 {
        return None;
    }
    let mut found: Vec<Range<u64>> = Vec::new();
    for (index, flags) in pages.iter().enumerate() {
        if flags & 1 == 1 {
            continue;
        }
        let from = start + (index * page) as u64;
        let to = from + page as u64;
        match found.last_mut() {
            Some(last) if last.end == from => last.end = to,
            _ => found.push(from..to),
        }
    }
    Some(found)
}
