//! What bounds a run: requests in flight and bytes of buffers, shared by all files.
//!
//! Whoever wants both takes the slot first and the memory second; whoever holds memory never waits
//! for a slot. So the pool cannot lock up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::parts::SINGLE_PUT_MAX;
use super::ranked::{Permit, Rank, Ranked};

/// Memory is counted in units of this many bytes.
const UNIT: u64 = 64 << 10;
/// Slots that are open at first in a pool that opens by need. 2,000 files of 64 KiB sent to a server on the
/// same machine took 3.1 CPU s/GB with 16 or 32 connections, and 3.8 with 128.
const FEW: usize = 16;
/// An answer that takes longer than this is waited for, and not worked for.
const LONG: Duration = Duration::from_millis(20);

/// Slots and buffers of one run.
#[derive(Debug, Clone)]
pub struct Pool {
    slots: Ranked,
    /// Slots that are not open yet.
    closed: Arc<AtomicUsize>,
    memory: Arc<Semaphore>,
    units: u32,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Buffers of this length are kept for the next part.
    reuse: usize,
}

/// The right to have one request in flight.
#[derive(Debug)]
pub struct Slot {
    _permit: Permit,
}

/// The right to use memory of one's own.
#[derive(Debug)]
pub struct Share {
    _permit: OwnedSemaphorePermit,
}

/// A buffer with its share of the memory; both go back when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
    reuse: usize,
    _memory: OwnedSemaphorePermit,
}

/// The pool was closed; happens only while the process ends.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the worker pool is closed")]
pub struct Closed;

impl Pool {
    /// `requests` in flight, `memory` bytes of buffers, `part` bytes in a usual part.
    #[must_use]
    pub fn new(requests: usize, memory: u64, part: u64) -> Self {
        let units = u32::try_from(memory / UNIT).unwrap_or(u32::MAX).max(1);
        Self {
            slots: Ranked::new(requests),
            closed: Arc::default(),
            memory: Arc::new(Semaphore::new(usize::try_from(units).unwrap_or(usize::MAX))),
            units,
            spare: Arc::default(),
            reuse: usize::try_from(part).unwrap_or(usize::MAX),
        }
    }

    /// The same for `requests` of which few are open at first, and more as soon as answers take their time
    /// ([`Self::answered`]): over a long line many requests in flight keep it full, over a short one each
    /// connection more costs time and wins none.
    #[must_use]
    pub fn opening_by_need(requests: usize, memory: u64, part: u64) -> Self {
        let open = requests.min(FEW);
        let closed = Arc::new(AtomicUsize::new(requests - open));
        Self { closed, ..Self::new(open, memory, part) }
    }

    /// A request was answered after so long.
    pub fn answered(&self, took: Duration) {
        if took > LONG {
            self.open(FEW);
        }
    }

    /// A question without a body was answered after so long: nothing but the way can have taken it.
    pub fn answered_question(&self, took: Duration) {
        if took > LONG {
            self.open(usize::MAX);
        }
    }

    fn open(&self, slots: usize) {
        let take = |closed: usize| (closed > 0).then(|| closed.saturating_sub(slots));
        if let Ok(closed) = self.closed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            for _ in 0..closed.min(slots) {
                self.slots.add();
            }
        }
    }

    /// Bytes that one buffer may have so that several are in flight: a usual part, if two of them fit,
    /// or a quarter of the memory.
    #[must_use]
    pub fn largest_buffer(&self) -> u64 {
        let memory = u64::from(self.units) * UNIT;
        let usual = self.reuse as u64;
        if usual <= memory / 2 { usual.max(memory / 4) } else { memory / 4 }
    }

    /// Bytes of the largest file that goes in one request, which needs all of it in memory.
    #[must_use]
    pub fn largest_put(&self) -> u64 {
        SINGLE_PUT_MAX.min(u64::from(self.units) * UNIT)
    }

    /// Waits for a free slot; the best rank is served first.
    pub async fn slot(&self, rank: Rank) -> Slot {
        Slot { _permit: self.slots.acquire(rank).await }
    }

    /// Waits for memory and gives no buffer, but the right to as many bytes of one's own.
    pub async fn share(&self, len: u64) -> Result<Share, Closed> {
        Ok(Share { _permit: self.memory(len).await? })
    }

    async fn memory(&self, len: u64) -> Result<OwnedSemaphorePermit, Closed> {
        let wanted = u32::try_from(len.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.units);
        self.memory.clone().acquire_many_owned(wanted).await.map_err(|_| Closed)
    }

    /// Waits for memory and gives a buffer of exactly `len` bytes, whatever is in it.
    pub async fn buffer(&self, len: usize) -> Result<Buffer, Closed> {
        let memory = self.memory(len as u64).await?;
        let kept = {
            let mut spare = self.lock();
            let kept = if len == self.reuse { spare.pop() } else { None };
            // Those that wait to be used again take the place of what is free, and no other.
            let free = self.memory.available_permits() as u64 * UNIT;
            spare.truncate(usize::try_from(free / (self.reuse as u64).max(1)).unwrap_or(usize::MAX));
            kept
        };
        let bytes = kept.unwrap_or_else(|| vec![0; len]);
        Ok(Buffer { bytes, spare: self.spare.clone(), reuse: self.reuse, _memory: memory })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Buffer {
    /// For filling.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// For sending: cheap to clone for another attempt; the buffer goes back with the last clone.
    #[must_use]
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() == self.reuse {
            let bytes = std::mem::take(&mut self.bytes);
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slots_open_as_answers_take_their_time() {
        let taken_at_once = async |pool: &Pool| {
            let mut held = Vec::new();
            while let Ok(slot) =
                tokio::time::timeout(Duration::from_millis(5), pool.slot(Rank::default())).await
            {
                held.push(slot);
            }
            held.len()
        };
        let pool = Pool::opening_by_need(50, UNIT, UNIT);
        pool.answered(Duration::from_millis(3));
        assert_eq!(taken_at_once(&pool).await, 16);
        pool.answered(Duration::from_millis(30));
        assert_eq!(taken_at_once(&pool).await, 32);
        for _ in 0..9 {
            pool.answered(Duration::from_millis(30));
        }
        assert_eq!(taken_at_once(&pool).await, 50);
        let far = Pool::opening_by_need(50, UNIT, UNIT);
        far.answered_question(Duration::from_millis(30));
        assert_eq!(taken_at_once(&far).await, 50);
        assert_eq!(taken_at_once(&Pool::opening_by_need(3, UNIT, UNIT)).await, 3);
    }

    #[tokio::test]
    async fn buffers_never_exceed_the_memory_and_are_used_again() {
        let pool = Pool::new(8, 4 * UNIT, 2 * UNIT);
        let first = pool.buffer(usize::try_from(2 * UNIT).unwrap()).await.unwrap();
        let second = pool.buffer(usize::try_from(2 * UNIT).unwrap()).await.unwrap();
        let third = pool.clone();
        let mut waiting =
            tokio::spawn(async move { third.buffer(1).await.map(|buffer| buffer.as_ref().len()) });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), &mut waiting).await.is_err());
        drop(first.freeze());
        assert_eq!(waiting.await.unwrap().unwrap(), 1);
        drop(second);
        // Whose place another buffer takes is given back.
        let odd = pool.buffer(usize::try_from(3 * UNIT).unwrap()).await.unwrap();
        assert_eq!(pool.lock().len(), 0);
        drop(odd);
        let address = pool.buffer(usize::try_from(2 * UNIT).unwrap()).await.unwrap().as_ref().as_ptr();
        let again = pool.buffer(usize::try_from(2 * UNIT).unwrap()).await.unwrap();
        let other = pool.buffer(usize::try_from(2 * UNIT).unwrap()).await.unwrap();
        assert!([again.as_ref().as_ptr(), other.as_ref().as_ptr()].contains(&address));
    }
}
