//! Nobody waits for ever: an attempt ends at its deadline, and before that once no byte has moved for
//! long.
//!
//! What must stay true: every call that moves a body goes through [`Attempt::run`] (sending) or counts
//! its waiting in [`Waiting`] (receiving); calls without a body end at `attempt_timeout`, connecting
//! (name, TCP and TLS together) at `connect_timeout`, both in the SDK's client.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::{BucketError, ErrorKind};
use crate::config;

/// What an attempt may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    attempt: Duration,
    stall: Duration,
    min_rate: crate::model::Rate,
}

impl Limits {
    pub(super) const fn new(settings: &config::S3) -> Self {
        Self { attempt: settings.attempt_timeout, stall: settings.stall_timeout, min_rate: settings.min_rate }
    }

    /// Longest time for one attempt that moves so many bytes.
    pub(super) fn deadline(&self, bytes: u64) -> Duration {
        self.attempt.max(self.min_rate.time_for(bytes))
    }
}

/// One attempt under way, shared with the body that it sends.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    limits: Limits,
    begun: Instant,
    /// Milliseconds after `begun` at which a byte last moved.
    moved: Arc<AtomicU64>,
    /// Milliseconds that `[backup] bandwidth` held it back: they count for nothing.
    held: Arc<AtomicU64>,
}

impl Attempt {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, begun: Instant::now(), moved: Arc::default(), held: Arc::default() }
    }

    /// Bytes were taken by the connection just now.
    pub(super) fn moved(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved.store(now, Ordering::Relaxed);
    }

    /// Its next piece may not go before `turn`.
    pub(super) fn held_until(&self, turn: Instant) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.held.fetch_add(millis(turn.saturating_duration_since(Instant::now())), Ordering::Relaxed);
        self.moved.store(millis(turn.saturating_duration_since(self.begun)), Ordering::Relaxed);
    }

    /// `work`, ended with an error at the deadline for `bytes`, or when nothing moved for too long.
    pub(super) async fn run<T>(
        &self,
        verb: &'static str,
        object: &str,
        bytes: u64,
        work: impl Future<Output = Result<T, BucketError>>,
    ) -> Result<T, BucketError> {
        let allowed = self.limits.deadline(bytes);
        let mut work = pin!(work);
        loop {
            let moved = Duration::from_millis(self.moved.load(Ordering::Relaxed));
            let stalled = self.begun + moved + self.limits.stall;
            let deadline = self.begun + allowed + Duration::from_millis(self.held.load(Ordering::Relaxed));
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep_until(stalled.min(deadline)) => {}
            }
            let now = Instant::now();
            let held = Duration::from_millis(self.held.load(Ordering::Relaxed));
            if now >= self.begun + allowed + held {
                return Err(too_slow(verb, object, allowed));
            }
            if moved == Duration::from_millis(self.moved.load(Ordering::Relaxed)) && now >= stalled {
                return Err(no_progress(verb, object, self.limits.stall));
            }
        }
    }
}

/// How long a reply's body was waited for; what its reader does in between counts for nothing.
#[derive(Debug)]
pub(super) struct Waiting {
    limits: Limits,
    waited: Duration,
    received: u64,
}

impl Waiting {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { limits, waited: Duration::ZERO, received: 0 }
    }

    /// The next piece, ended with an error where it does not come, or all come too slowly.
    pub(super) async fn next<T>(
        &mut self,
        object: &str,
        work: impl Future<Output = T>,
        len: impl FnOnce(&T) -> u64,
    ) -> Result<T, BucketError> {
        let verb = "read object";
        let allowed = self.limits.deadline(self.received);
        let left = allowed.saturating_sub(self.waited);
        let begun = Instant::now();
        let Ok(piece) = tokio::time::timeout(left.min(self.limits.stall), work).await else {
            return Err(if self.limits.stall <= left {
                no_progress(verb, object, self.limits.stall)
            } else {
                too_slow(verb, object, allowed)
            });
        };
        self.waited += begun.elapsed();
        self.received += len(&piece);
        Ok(piece)
    }
}

fn no_progress(verb: &'static str, object: &str, stall: Duration) -> BucketError {
    let detail = format!("no byte moved for {} (stall_timeout)", humantime::format_duration(stall));
    BucketError { verb, object: object.to_owned(), kind: ErrorKind::Unreachable, detail }
}

fn too_slow(verb: &'static str, object: &str, allowed: Duration) -> BucketError {
    let allowed = Duration::from_secs(allowed.as_secs().max(1));
    let detail = format!(
        "not done after {}, which is slower than min_rate and attempt_timeout allow",
        humantime::format_duration(allowed)
    );
    BucketError { verb, object: object.to_owned(), kind: ErrorKind::Unreachable, detail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rate;

    const fn limits(attempt: u64, stall: u64) -> Limits {
        Limits {
            attempt: Duration::from_millis(attempt),
            stall: Duration::from_millis(stall),
            min_rate: Rate::bytes_per_second(1000),
        }
    }

    #[test]
    fn deadline_grows_with_the_part() {
        assert_eq!(limits(60_000, 1).deadline(0), Duration::from_mins(1));
        assert_eq!(limits(60_000, 1).deadline(600_000), Duration::from_mins(10));
    }

    #[tokio::test]
    async fn attempt_ends_once_nothing_moved_for_the_stall_timeout() {
        let attempt = Attempt::new(limits(3_600_000, 100));
        let body = attempt.clone();
        let work = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            body.moved();
            std::future::pending::<Result<(), BucketError>>().await
        };
        let error = attempt.run("send", "x", 0, work).await.unwrap_err();
        assert!(error.detail.contains("stall_timeout"), "{error}");
        assert!(attempt.begun.elapsed() >= Duration::from_millis(120), "it moved once");
    }

    #[tokio::test]
    async fn attempt_that_drips_ends_at_its_deadline() {
        let attempt = Attempt::new(limits(10, 3_600_000));
        let body = attempt.clone();
        let work = async {
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                body.moved();
            }
        };
        let error = attempt.run::<()>("send", "x", 200, work).await.unwrap_err();
        assert!(error.detail.contains("min_rate"), "{error}");
        assert!(attempt.begun.elapsed() >= Duration::from_millis(200));
    }

    #[tokio::test]
    async fn body_that_drips_ends_and_one_that_is_read_slowly_does_not() {
        let mut drip = Waiting::new(limits(50, 3_600_000));
        let error = loop {
            let piece = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                1
            };
            if let Err(error) = drip.next("x", piece, |len| *len).await {
                break error;
            }
        };
        assert!(error.detail.contains("min_rate"), "{error}");
        let mut slow = Waiting::new(limits(50, 50));
        for _ in 0..4 {
            slow.next("x", std::future::ready(1), |len| *len).await.unwrap();
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
}
