//! How the bucket is set up, and whether S3's promises hold there.

use super::{Area, Line, Outcome, expiry};
use crate::bucket::{
    Answer, BucketError, Encryption, ErrorKind, LifecycleRule, ObjectLock, Posture, Versioning,
};
use crate::config::{S3, Sse};
use crate::model::Category;

pub(super) const AREA: Area = Area::Bucket;

/// The lines about what S3 tells of the bucket.
#[must_use]
pub fn posture(posture: &Posture, settings: &S3, daily: bool) -> Vec<Line> {
    let categories: Vec<Category> =
        Category::ALL.into_iter().filter(|category| daily || *category != Category::Daily).collect();
    let lock = posture.object_lock.as_ref().ok().and_then(Option::as_ref);
    let mut lines = vec![
        region(&posture.region, settings.region.as_deref()),
        versioning(&posture.versioning),
        encryption(&posture.encryption, settings.sse.as_ref()),
        public_access(&posture.public_access_open),
        ownership(&posture.ownership),
        policy(&posture.policy_is_public),
    ];
    lines.extend(lifecycle(&posture.lifecycle, settings, &categories));
    lines.push(object_lock(&posture.object_lock));
    if let Some(lock) = lock {
        lines.push(default_retention(lock));
    }
    lines
}

/// The folder of one host, by its name in it.
#[must_use]
pub fn own_prefix(prefix: &str) -> Line {
    Line::ok(AREA, "prefix", format!("{prefix}: this host's own, by its name"))
}

/// A folder that is no host's by its name; `other` is another host that sends to it.
#[must_use]
pub fn shared_prefix(prefix: &str, other: &Answer<Option<String>>) -> Line {
    let what = "prefix";
    let place = if prefix.is_empty() { "the top of the bucket" } else { prefix };
    match other {
        Err(error) => Line::unseen(AREA, what, "s3:ListBucket", error),
        Ok(None) => Line::ok(AREA, what, format!("{place}: no other host sends to it")),
        Ok(Some(host)) => Line::warn(
            AREA,
            what,
            format!("{place}: the host {host} sends to it too"),
            "of two backups with one app and name the second is refused or taken for stored: write {hostname} into [s3] \
             prefix, as in \"backup/{hostname}\"; what is stored stays where it is",
        ),
    }
}

fn region(answer: &Answer<Option<String>>, configured: Option<&str>) -> Line {
    let what = "region";
    match (answer, configured) {
        (Err(error), _) => Line::unseen(AREA, what, "s3:ListBucket", error),
        (Ok(None), _) => Line::unknown(
            AREA,
            what,
            "the store tells none",
            "many stores have none: look at [s3] region only where uploads fail",
        ),
        (Ok(Some(region)), Some(configured)) if region != configured => Line::fail(
            AREA,
            what,
            format!("the bucket is in {region}, the configuration says {configured}"),
            format!("set [s3] region = \"{region}\""),
        ),
        (Ok(Some(region)), _) => Line::ok(AREA, what, region.clone()),
    }
}

fn versioning(answer: &Answer<Versioning>) -> Line {
    let what = "versioning";
    let advice = "switch it on: without it, whoever may write can destroy backups, and --replace is refused";
    match answer {
        Err(error) => Line::unseen(AREA, what, "s3:GetBucketVersioning", error),
        Ok(Versioning::Enabled) => Line::ok(AREA, what, "on"),
        Ok(Versioning::Suspended) => Line::fail(AREA, what, "suspended", advice),
        Ok(Versioning::Never) => Line::fail(AREA, what, "off", advice),
    }
}

fn encryption(answer: &Answer<Option<Encryption>>, asked: Option<&Sse>) -> Line {
    let what = "encryption";
    match answer {
        Err(error) => Line::unseen(AREA, what, "s3:GetEncryptionConfiguration", error),
        Ok(None) if asked.is_some() => {
            Line::ok(AREA, what, "no default of the bucket; [s3] sse asks for it with each object")
        }
        Ok(None) => Line::warn(AREA, what, "no default", "set a default encryption, or [s3] sse"),
        Ok(Some(found)) => {
            let key = match (&found.key, found.algorithm.starts_with("aws:kms")) {
                (Some(key), _) => format!(", key {key}"),
                (None, true) => ", AWS's own key".to_owned(),
                (None, false) => String::new(),
            };
            Line::ok(AREA, what, format!("{}{key}", found.algorithm))
        }
    }
}

fn public_access(answer: &Answer<Option<Vec<&'static str>>>) -> Line {
    let what = "public access block";
    let advice = "switch on all four settings of the bucket's public access block";
    match answer {
        Err(error) => Line::unseen(AREA, what, "s3:GetBucketPublicAccessBlock", error),
        Ok(None) => Line::fail(AREA, what, "none on the bucket itself", advice),
        Ok(Some(open)) if open.is_empty() => Line::ok(AREA, what, "all four settings are on"),
        Ok(Some(open)) => Line::fail(AREA, what, format!("off: {}", open.join(", ")), advice),
    }
}

fn ownership(answer: &Answer<Option<String>>) -> Line {
    let what = "ownership";
    let advice = "set object ownership to BucketOwnerEnforced: no object may carry an access list of its own";
    match answer {
        Err(error) => Line::unseen(AREA, what, "s3:GetBucketOwnershipControls", error),
        Ok(Some(name)) if name == "BucketOwnerEnforced" => Line::ok(AREA, what, "BucketOwnerEnforced"),
        Ok(Some(name)) => Line::warn(AREA, what, name.clone(), advice),
        Ok(None) => Line::warn(AREA, what, "no rule", advice),
    }
}

fn policy(answer: &Answer<Option<bool>>) -> Line {
    let what = "policy";
    match answer {
        Err(error) => Line::unseen(AREA, what, "s3:GetBucketPolicyStatus", error),
        Ok(Some(true)) => Line::fail(
            AREA,
            what,
            "S3 calls it public",
            "take every grant to everybody out of the bucket policy",
        ),
        Ok(Some(false)) => Line::ok(AREA, what, "there is one, and it is not public"),
        Ok(None) => Line::warn(
            AREA,
            what,
            "there is none",
            "add one that denies plain http, other ways than the endpoint, and unconditional writes: \
             deploy/aws/bucket.yaml has it",
        ),
    }
}

/// That incomplete uploads end, what becomes of each category, and whether `[s3] expires` says the same.
fn lifecycle(
    answer: &Answer<Option<Vec<LifecycleRule>>>,
    settings: &S3,
    categories: &[Category],
) -> Vec<Line> {
    let prefix = settings.prefix.as_str();
    let (uploads, expiry) = ("incomplete uploads", "expiry");
    let rules = match answer {
        Err(error) => {
            let unseen = |what: &str| Line::unseen(AREA, what, "s3:GetLifecycleConfiguration", error);
            return vec![unseen(uploads), unseen(expiry)];
        }
        Ok(rules) => rules.as_deref().unwrap_or_default(),
    };
    let inside = |rule: &&LifecycleRule| rule.enabled && !rule.narrowed && covers(&rule.prefix, prefix);
    let aborted = rules.iter().filter(inside).find_map(|rule| rule.abort_days);
    let uploads = match aborted {
        Some(days) => Line::ok(AREA, uploads, format!("aborted after {days} days")),
        None => Line::warn(
            AREA,
            uploads,
            "never aborted",
            "add a lifecycle rule (AbortIncompleteMultipartUpload, 7 days): parts nobody sees are billed for ever",
        ),
    };
    let expiry = expiry::rules(rules, prefix, categories, &settings.expires, expiry);
    [uploads, expiry]
        .into_iter()
        .chain(expiry::repeated(rules, prefix, categories, &settings.expires))
        .collect()
}

/// Whether a rule for `rule` is for everything under `prefix`.
pub(super) fn covers(rule: &str, prefix: &str) -> bool {
    rule.is_empty() || format!("{prefix}/").starts_with(rule)
}

/// Days after which the bucket's lifecycle removes what is no longer the newest version of an object
/// under `below`, which ends with `/`; none where no rule does, or none could be seen.
#[must_use]
pub fn noncurrent_days(posture: &Posture, below: &str) -> Option<i32> {
    let rules = posture.lifecycle.as_ref().ok()?.as_deref()?;
    let inside =
        rules.iter().filter(|rule| rule.enabled && !rule.narrowed && below.starts_with(&rule.prefix));
    inside.filter_map(|rule| rule.noncurrent_days).min()
}

fn object_lock(answer: &Answer<Option<ObjectLock>>) -> Line {
    let what = "object lock";
    match answer {
        Err(error) => Line::unseen(AREA, what, "s3:GetBucketObjectLockConfiguration", error),
        Ok(Some(_)) => Line::ok(AREA, what, "on"),
        Ok(None) => Line::warn(
            AREA,
            what,
            "off",
            "with it no backup is deleted before its time: make the bucket with ObjectLockMode=GOVERNANCE or COMPLIANCE \
             of deploy/aws/bucket.yaml",
        ),
    }
}

fn default_retention(lock: &ObjectLock) -> Line {
    let what = "default retention";
    match &lock.default_retention {
        Some(text) => Line::ok(AREA, what, text.clone()),
        None => {
            Line::warn(AREA, what, "none", "the lock holds nothing until it has a default retention: set one")
        }
    }
}

/// What an upload with a wrong checksum, and one with the right one, came to.
#[derive(Debug, Clone)]
pub struct Promises {
    /// A part whose CRC64NVME is wrong.
    pub wrong_part: Result<(), BucketError>,
    /// A completion whose full-object CRC64NVME is wrong, under a key that only this uses: one that is
    /// taken was taken by such an upload.
    pub wrong_whole: Result<(), BucketError>,
    /// Where what should have been refused lies, if it could not be removed again.
    pub wrong_left: Option<String>,
    /// The right one.
    pub right_whole: Result<(), BucketError>,
    /// A conditional write to the key that is taken; `None` where there was no object to write over.
    pub second_write: Option<Result<(), BucketError>>,
}

/// Whether S3 checks what it says it checks.
#[must_use]
pub fn promises(promises: &Promises, checksum_is_auto: bool) -> Vec<Line> {
    vec![checksum(promises, checksum_is_auto), conditional(promises)]
}

fn checksum<'p>(promises: &'p Promises, is_auto: bool) -> Line {
    let what = "checksum";
    let advice = "uploads cannot be proven by this store: verify with --reread, or use another store";
    let taken = matches!(&promises.wrong_whole, Err(error) if error.kind == ErrorKind::Precondition);
    if promises.wrong_part.is_ok() {
        return Line::fail(AREA, what, "a wrong CRC64NVME of a part was accepted", advice);
    }
    if promises.wrong_whole.is_ok() || taken {
        let left = promises.wrong_left.as_ref().map_or_else(String::new, |uri| format!("; {uri} stays"));
        let seen = format!("a wrong CRC64NVME of a whole object was accepted{left}");
        return Line::fail(AREA, what, seen, advice);
    }
    let kind = |result: &Result<(), BucketError>| result.as_ref().err().map(|error| error.kind);
    match (&promises.right_whole, kind(&promises.wrong_part), kind(&promises.wrong_whole)) {
        (Err(error), ..) if error.blames_checksum() && is_auto => Line::warn(
            AREA,
            what,
            format!("CRC64NVME is refused ({}); backups go on with an older one", error.detail),
            "verify with --reread now and then: the store does not check the whole object",
        ),
        (Err(error), ..) if error.kind != ErrorKind::Precondition => {
            Line::unseen(AREA, what, "s3:PutObject", error)
        }
        (_, Some(ErrorKind::BadDigest), Some(ErrorKind::BadDigest)) => Line::ok(
            AREA,
            what,
            "a right CRC64NVME is accepted, and a wrong one rejected, of a part and of a whole object",
        ),
        _ => {
            let other = |result: &'p Result<(), BucketError>| {
                result.as_ref().err().filter(|error| error.kind != ErrorKind::BadDigest)
            };
            let error = other(&promises.wrong_part).or_else(|| other(&promises.wrong_whole));
            let seen = error.map_or_else(String::new, |error| error.detail.clone());
            Line::unknown(AREA, what, format!("a wrong one was refused, for another reason: {seen}"), advice)
        }
    }
}

fn conditional(promises: &Promises) -> Line {
    let what = "conditional writes";
    let held = "If-None-Match is honoured: what is there is not written over";
    let refused = |result: &Result<(), BucketError>| matches!(result, Err(error) if matches!(error.kind, ErrorKind::Precondition | ErrorKind::Conflict));
    match &promises.second_write {
        Some(Ok(())) => Line::fail(
            AREA,
            what,
            "If-None-Match was ignored: the object was written over",
            "two hosts with one prefix could replace each other's backups: give each host a prefix of its own \
             ({hostname}), keep versions, or use another store",
        ),
        Some(second) if refused(second) => Line::ok(AREA, what, held),
        Some(Err(error)) => Line::unseen(AREA, what, "s3:PutObject", error),
        None if refused(&promises.right_whole) => Line::ok(AREA, what, held),
        None => Line::unknown(AREA, what, "no probe object could be written", "see the line `can upload`"),
    }
}

/// How many lines came out how: ok, warn, FAIL, unknown.
#[must_use]
pub fn tally(lines: &[Line]) -> [usize; 4] {
    let mut counts = [0; 4];
    for line in lines {
        let at = match line.outcome {
            Outcome::Ok => 0,
            Outcome::Warn => 1,
            Outcome::Fail => 2,
            Outcome::Unknown { .. } => 3,
        };
        if let Some(count) = counts.get_mut(at) {
            *count += 1;
        }
    }
    counts
}
