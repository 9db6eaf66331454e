//! How often something is tried again, and after what pause. The only place that counts attempts.
//!
//! A wait for a store that is away uses up no attempt; nor does it for ever start again.

mod outage;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use self::outage::{Ended, Outage};
use crate::bucket::{Bucket, BucketError, ErrorKind};

/// Outages that one call sits out: one that comes with every attempt has another cause.
const OUTAGES: u32 = 10;

/// In place of an attempt's number.
const ANSWERED: u32 = u32::MAX;

/// Attempts and the pauses between them.
#[derive(Debug, Clone)]
pub struct Policy {
    attempts: u32,
    pauses: Vec<Duration>,
    outage: Option<Arc<Outage>>,
    /// The highest attempt that was told to have met a store that never answered; [`ANSWERED`] once it did.
    told: Arc<AtomicU32>,
}

impl Policy {
    /// `attempts` in all (at least one); the last pause repeats where there are fewer than needed.
    #[must_use]
    pub fn new(attempts: u32, pauses: Vec<Duration>) -> Self {
        Self { attempts: attempts.max(1), pauses, outage: None, told: Arc::default() }
    }

    /// The same, waiting up to `patience` for a bucket that answered before and no longer does.
    #[must_use]
    pub fn patient(self, bucket: Arc<Bucket>, patience: Duration) -> Self {
        Self { outage: Some(Arc::new(Outage::new(bucket, patience))), ..self }
    }

    /// Attempts in all.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The pause after the given failed attempt (1 is the first), or `None` after the last.
    #[must_use]
    pub fn pause_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts {
            return None;
        }
        let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
        Some(self.pauses.get(index).or(self.pauses.last()).copied().unwrap_or_default())
    }

    /// Calls `call` until it succeeds, fails for good, or the attempts are used up. Each failure that
    /// is tried again is logged with its cause and counted in `retries`.
    pub async fn run<T, F, Fut>(&self, what: &str, retries: &AtomicU32, mut call: F) -> Result<T, BucketError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, BucketError>>,
    {
        let mut attempts = Attempts::new(self);
        loop {
            let begun = Instant::now();
            let error = match call().await {
                Ok(value) => {
                    self.answered();
                    return Ok(value);
                }
                Err(error) => error,
            };
            if !attempts.again(what, &error, begun).await {
                return Err(error);
            }
            retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Where nothing ever got through, all calls say the same: of each attempt, the first one speaks for them.
    fn is_news(&self, error: &BucketError, attempt: u32) -> bool {
        if !matches!(error.kind, ErrorKind::Unreachable | ErrorKind::CredentialsSource) {
            self.answered();
            return true;
        }
        let told = self.told.fetch_max(attempt, Ordering::Relaxed);
        told == ANSWERED || told < attempt
    }

    /// The same, for a question whose retries nobody counts.
    pub async fn ask<T, F, Fut>(&self, what: &str, call: F) -> Result<T, BucketError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, BucketError>>,
    {
        self.run(what, &AtomicU32::new(0), call).await
    }

    fn answered(&self) {
        self.told.store(ANSWERED, Ordering::Relaxed);
        if let Some(outage) = &self.outage {
            outage.answered();
        }
    }

    /// What a failed call, begun at `begun`, asks for before the next attempt: whether it was an outage that is over now, so
    /// that the attempt does not count. Keys that expired are asked for anew.
    async fn sat_out(&self, error: &BucketError, begun: Instant) -> bool {
        let Some(outage) = &self.outage else {
            return false;
        };
        match error.kind {
            ErrorKind::Unreachable | ErrorKind::CredentialsSource => {
                outage.sit_out(Instant::now()).await == Ended::Over
            }
            ErrorKind::Expired => {
                outage.answered();
                outage.bucket().forget_credentials(begun).await;
                false
            }
            _ => {
                outage.answered();
                false
            }
        }
    }
}

/// The attempts at one thing, where it goes on piecemeal; [`Policy::run`] is for all else.
#[derive(Debug)]
pub struct Attempts<'p> {
    policy: &'p Policy,
    failed: u32,
    outages: u32,
}

impl<'p> Attempts<'p> {
    /// None so far.
    #[must_use]
    pub const fn new(policy: &'p Policy) -> Self {
        Self { policy, failed: 0, outages: 0 }
    }

    /// Progress earns a new set of attempts: what takes long may be cut many times.
    pub const fn progressed(&mut self) {
        self.failed = 0;
        self.outages = 0;
    }

    /// Whether `what` is tried again after `error` of a call begun at `begun`; having waited for that, and
    /// logged why.
    pub async fn again(&mut self, what: &str, error: &BucketError, begun: Instant) -> bool {
        if self.outages < OUTAGES && self.policy.sat_out(error, begun).await {
            self.outages += 1;
            return true;
        }
        self.failed += 1;
        let Some(pause) = self.policy.pause_after(self.failed).filter(|_| error.is_transient()) else {
            return false;
        };
        let told = format!(
            "[RETRY] {what}: attempt {} of {} failed, again in {}: {}",
            self.failed,
            self.policy.attempts,
            humantime::format_duration(pause),
            error.detail
        );
        if self.policy.is_news(error, self.failed) {
            tracing::warn!("{told}");
        } else {
            tracing::debug!("{told}");
        }
        tokio::time::sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_five_then_ten_seconds_and_none_after_the_last_attempt() {
        let policy = Policy::new(3, vec![Duration::from_secs(5), Duration::from_secs(10)]);
        let pauses: Vec<_> =
            (1..=3).map(|attempt| policy.pause_after(attempt).map(|p| p.as_secs())).collect();
        assert_eq!(pauses, [Some(5), Some(10), None]);
    }

    #[test]
    fn last_pause_repeats() {
        let policy = Policy::new(5, vec![Duration::from_secs(1)]);
        assert_eq!(policy.pause_after(4), Some(Duration::from_secs(1)));
    }
}
