//! A store that answered before and no longer does: one waits for it, for all that need it.
//!
//! What must stay true: nobody waits for a store that never answered in this run (then the
//! configuration is wrong), and nobody longer than the patience.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bucket::{Bucket, ErrorKind};

/// Longest wait for the answer to one question whether it is back.
const PROBE_TIME: Duration = Duration::from_secs(15);
/// Pause between two such questions.
const PAUSE: Duration = Duration::from_secs(5);

/// How a store is waited for.
#[derive(Debug)]
pub(super) struct Outage {
    bucket: Arc<Bucket>,
    patience: Duration,
    /// Whether it answered in this run.
    known: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When it last answered a question.
    answer: Option<Instant>,
    /// When it last did not.
    silence: Option<Instant>,
    /// Since when it does not.
    since: Option<Instant>,
    /// When it last came back.
    back: Option<Instant>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It answers: what failed has another cause.
    NoOutage,
    /// It was away, and is back.
    Over,
    /// It is away for longer than is waited.
    Lasts,
}

impl Outage {
    pub(super) fn new(bucket: Arc<Bucket>, patience: Duration) -> Self {
        Self { bucket, patience, known: AtomicBool::new(false), seen: Mutex::default() }
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// It answered, if only with a refusal.
    pub(super) fn answered(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Looks whether a call that ended without an answer at `failed` met an outage, and waits for its end.
    pub(super) async fn sit_out(&self, failed: Instant) -> Ended {
        if !self.known.load(Ordering::Relaxed) || self.patience.is_zero() {
            return Ended::NoOutage;
        }
        // Whoever comes first asks; the others wait here and take its word.
        let seen = &mut *self.seen.lock().await;
        let after = |time: Option<Instant>| time.is_some_and(|time| time > failed);
        if after(seen.back) {
            return Ended::Over;
        }
        if after(seen.answer) {
            return Ended::NoOutage;
        }
        let gave_up = seen.since.is_some_and(|since| since.elapsed() >= self.patience);
        if gave_up && after(seen.silence) {
            return Ended::Lasts;
        }
        loop {
            let Some(why) = self.silence().await else {
                seen.answer = Some(Instant::now());
                let Some(since) = seen.since.take() else {
                    return Ended::NoOutage;
                };
                seen.back = seen.answer;
                tracing::warn!("[BACK] {} answers again after {}", self.name(), rounded(since.elapsed()));
                return Ended::Over;
            };
            seen.silence = Some(Instant::now());
            let since = *seen.since.get_or_insert_with(|| {
                let patience = humantime::format_duration(self.patience);
                tracing::warn!(
                    "[OUTAGE] {} does not answer any more ({why}); it is waited for up to {patience} (outage_patience)",
                    self.name()
                );
                failed
            });
            let left = self.patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                if !gave_up {
                    tracing::error!(
                        "[OUTAGE] {} is away for {}: given up",
                        self.name(),
                        rounded(since.elapsed())
                    );
                }
                return Ended::Lasts;
            }
            tokio::time::sleep(PAUSE.min(left)).await;
        }
    }

    /// Why it does not answer; a refusal is an answer too.
    async fn silence(&self) -> Option<String> {
        match tokio::time::timeout(PROBE_TIME, self.bucket.probe()).await {
            // Without keys it was not even asked.
            Ok(Err(error)) if matches!(error.kind, ErrorKind::Unreachable | ErrorKind::CredentialsSource) => {
                Some(error.detail)
            }
            Ok(Ok(()) | Err(_)) => None,
            Err(_) => Some(format!("no answer within {} s", PROBE_TIME.as_secs())),
        }
    }

    fn name(&self) -> String {
        format!("the store of bucket {}", self.bucket.name())
    }
}

fn rounded(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs().max(1)))
}
