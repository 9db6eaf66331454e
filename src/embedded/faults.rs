//! What goes wrong, when: rules that tests set while the server runs.
//!
//! A rule names a fault, and for which requests. Rules that never fire change nothing; a request meets
//! every rule that fires for it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::op::{Call, Op};

/// One way to go wrong, as seen in the field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The connection is reset once this many bytes of the request's body were read.
    ResetRequest {
        /// Bytes.
        at: u64,
    },
    /// The connection is reset once this many bytes of the reply's body were sent.
    ResetResponse {
        /// Bytes.
        at: u64,
    },
    /// After this many bytes of the request's body nothing is read any more, and nothing answered.
    StallRequest {
        /// Bytes.
        at: u64,
    },
    /// After this many bytes of the reply's body nothing comes any more, and the connection stays.
    StallResponse {
        /// Bytes.
        at: u64,
    },
    /// The operation takes effect, and the connection is reset before the reply.
    DropReply,
    /// The operation takes effect at once, and the reply comes this much later.
    DelayReply(Duration),
    /// Bodies in both directions move at this rate.
    Drip {
        /// Bytes per second, at least 1.
        bytes_per_second: u64,
    },
    /// An error reply instead of the operation; the request's body is read first.
    Answer {
        /// HTTP status.
        status: u16,
        /// S3's error code.
        code: &'static str,
    },
    /// This status and this body instead of the operation: what a bucket's set-up is said to be.
    Say {
        /// HTTP status.
        status: u16,
        /// XML.
        body: String,
    },
    /// The reply's `Date` is this many seconds away from now, as where a clock is wrong.
    DateOff {
        /// Seconds; negative is the past.
        seconds: i64,
    },
    /// Status 200 with this error code in the body, as S3 may answer a completion; nothing is done.
    ErrorInside200 {
        /// S3's error code.
        code: &'static str,
    },
    /// Replies carry an entity tag that is not the object's.
    WrongEtag,
    /// Replies carry an empty entity tag.
    EmptyEtag,
    /// No checksum sent is verified; it is stored and told as sent.
    SkipVerification,
    /// One bit of what is stored differs from what was sent, and nobody notices.
    FlipStoredBit {
        /// Offset in the body; past the end it changes nothing.
        at: u64,
    },
    /// What was asked for from an archive class is still being retrieved; without this, it is there as
    /// soon as it was asked for.
    StillRetrieving,
    /// Lists come in pages of at most this many entries.
    ShortPages(usize),
    /// What carries no `If-None-Match` is answered 403 `AccessDenied`, as a bucket policy against
    /// overwriting has it.
    DenyUnconditional,
    /// `If-None-Match` is ignored.
    IgnoreIfNoneMatch,
    /// Whatever speaks of CRC64NVME is refused with this status and `NotImplemented`.
    RejectCrc64 {
        /// HTTP status.
        status: u16,
    },
    /// CRC64NVME is ignored as an unknown header is: not verified, not stored, not told.
    IgnoreCrc64,
}

impl Fault {
    /// 500 `InternalError`.
    pub const INTERNAL_ERROR: Self = Self::Answer { status: 500, code: "InternalError" };
    /// 503 `SlowDown`.
    pub const SLOW_DOWN: Self = Self::Answer { status: 503, code: "SlowDown" };
    /// 400 `ExpiredToken`, as AWS answers; [`Fault::Answer`] takes another status.
    pub const EXPIRED_TOKEN: Self = Self::Answer { status: 400, code: "ExpiredToken" };
    /// 403 `InvalidAccessKeyId`.
    pub const INVALID_ACCESS_KEY: Self = Self::Answer { status: 403, code: "InvalidAccessKeyId" };
    /// 403 `RequestTimeTooSkewed`.
    pub const CLOCK_SKEW: Self = Self::Answer { status: 403, code: "RequestTimeTooSkewed" };
    /// 409 `ConditionalRequestConflict`.
    pub const CONFLICT: Self = Self::Answer { status: 409, code: "ConditionalRequestConflict" };
}

/// A fault and the requests it is for: all, unless narrowed.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    op: Option<Op>,
    key: Option<String>,
    after: u64,
    times: Option<u64>,
    probability: Option<f64>,
}

impl Rule {
    /// For every request, always.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, op: None, key: None, after: 0, times: None, probability: None }
    }

    /// Only this operation.
    #[must_use]
    pub fn on(mut self, op: Op) -> Self {
        self.op = Some(op);
        self
    }

    /// Only where `part` is in the object's key (for lists: in the prefix asked for).
    #[must_use]
    pub fn key(mut self, part: impl Into<String>) -> Self {
        self.key = Some(part.into());
        self
    }

    /// Lets the first `count` matching requests pass.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.after = count;
        self
    }

    /// Fires at most `count` times.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }

    /// Fires for this share (0 to 1) of the matching requests; the sequence is the same every time.
    #[must_use]
    pub fn probability(mut self, share: f64) -> Self {
        self.probability = Some(share);
        self
    }
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Armed>,
    denied: BTreeSet<Op>,
    fired: u64,
    dice: u64,
}

#[derive(Debug)]
struct Armed {
    rule: Rule,
    seen: u64,
    fired: u64,
}

/// The rules in force, shared: a clone changes the same server.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

/// The faults one request meets.
#[derive(Debug, Clone, Default)]
pub(super) struct Hits(pub(super) Arc<[Fault]>);

impl Faults {
    /// Adds a rule to those in force.
    pub fn add(&self, rule: Rule) {
        self.state().rules.push(Armed { rule, seen: 0, fired: 0 });
    }

    /// Ends all rules; denied operations stay denied.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// Answers an operation with 403 `AccessDenied` from now on.
    pub fn deny(&self, op: Op) {
        self.state().denied.insert(op);
    }

    /// Takes back [`Faults::deny`].
    pub fn allow(&self, op: Op) {
        self.state().denied.remove(&op);
    }

    /// Leaves the identity only what an upload needs: no read of objects, no list of them, no delete.
    pub fn write_only(&self) {
        let state = &mut *self.state();
        state.denied.extend([
            Op::GetObject,
            Op::HeadObject,
            Op::GetObjectAttributes,
            Op::ListObjects,
            Op::ListObjectsV2,
            Op::ListObjectVersions,
            Op::ListBuckets,
            Op::HeadBucket,
            Op::GetBucketLocation,
            Op::GetBucketVersioning,
            Op::PutBucketVersioning,
            Op::CreateBucket,
            Op::DeleteObject,
            Op::DeleteObjects,
            Op::RestoreObject,
        ]);
    }

    /// How often rules fired so far.
    pub fn fired(&self) -> u64 {
        self.state().fired
    }

    pub(super) fn denies(&self, op: Op) -> bool {
        self.state().denied.contains(&op)
    }

    pub(super) fn meet(&self, call: &Call) -> Hits {
        let state = &mut *self.state();
        let mut hits = Vec::new();
        for armed in &mut state.rules {
            let rule = &armed.rule;
            let subject =
                if call.key.is_empty() { call.query("prefix").unwrap_or_default() } else { &call.key };
            if rule.op.is_some_and(|op| op != call.op)
                || rule.key.as_ref().is_some_and(|part| !subject.contains(part))
            {
                continue;
            }
            armed.seen += 1;
            if armed.seen <= rule.after || rule.times.is_some_and(|times| armed.fired >= times) {
                continue;
            }
            if rule.probability.is_some_and(|share| next_share(&mut state.dice) >= share) {
                continue;
            }
            armed.fired += 1;
            state.fired += 1;
            hits.push(rule.fault.clone());
        }
        Hits(hits.into())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hits {
    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.0.contains(fault)
    }

    pub(super) fn find<T>(&self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(pick)
    }
}

/// The next number in 0..1 of a fixed sequence (`SplitMix64`), so that a failing test fails again.
fn next_share(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let top = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
    f64::from(top) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(uri: &str) -> Call {
        Call::of(&hyper::Request::put(uri).body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_rule_skips_then_fires_as_often_as_told() {
        let faults = Faults::default();
        faults.add(Rule::new(Fault::SLOW_DOWN).on(Op::PutObject).key("shop").after(1).times(2));
        let fired: Vec<bool> =
            (0..5).map(|_| faults.meet(&call("/b/shop.sql")).has(&Fault::SLOW_DOWN)).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert!(!faults.meet(&call("/b/other.sql")).has(&Fault::SLOW_DOWN));
        assert_eq!(faults.fired(), 2);
    }

    #[test]
    fn probability_is_a_share_of_the_requests() {
        let faults = Faults::default();
        faults.add(Rule::new(Fault::INTERNAL_ERROR).probability(0.25));
        for _ in 0..1000 {
            faults.meet(&call("/b/k"));
        }
        assert!((200..300).contains(&faults.fired()), "{}", faults.fired());
    }
}
