//! Whose credentials these are, and what they may do: what a backup needs, and what a thief would want.

use chrono::{DateTime, Utc};

use super::{Area, Line};
use crate::bucket::{BucketError, CredentialsInUse, ErrorKind, Versioning};

const AREA: Area = Area::Identity;

/// Credentials that end sooner may end within a run.
const SHORT_MINUTES: i64 = 15;

/// Who STS says that this is; `None` where it was not asked.
#[must_use]
pub fn caller(asked: Option<&Result<String, BucketError>>, store: &str) -> Line {
    let what = "caller";
    match asked {
        Some(Ok(arn)) if arn.ends_with(":root") => Line::fail(
            AREA,
            what,
            arn.clone(),
            "the account's root may do everything: make the uploader's role of deploy/aws/identities.yaml and use that",
        ),
        Some(Ok(arn)) => Line::ok(AREA, what, arn.clone()),
        Some(Err(error)) => Line::unknown(
            AREA,
            what,
            format!("STS does not say: {}", error.detail),
            "its host is not S3's: an interface endpoint for STS answers over the private link; what this identity may \
             do is tried all the same",
        ),
        None => Line::unknown(
            AREA,
            what,
            format!("{store} is not AWS: there is no STS to ask"),
            "nothing to do: what this identity may do is tried all the same",
        ),
    }
}

/// Where credentials come from and when they end.
#[must_use]
pub fn credentials(found: &Result<CredentialsInUse, String>, now: DateTime<Utc>) -> Line {
    let what = "credentials";
    let found = match found {
        Err(why) => {
            let advice = "configure them for this user: a profile with credential_process, keys, or a role; see \
                          [s3] profile";
            return Line::fail(AREA, what, why.clone(), advice);
        }
        Ok(found) => found,
    };
    let seen = format!("key {}, from {}", found.access_key, found.source);
    let Some(expires) = found.expires else {
        return Line::ok(AREA, what, format!("{seen}; does not expire"));
    };
    let left = (DateTime::<Utc>::from(expires) - now).num_minutes();
    let seen = format!("{seen}; expires in {left} min");
    if left < SHORT_MINUTES {
        let advice = "they may end in the middle of a run: let their source give longer ones, or renew them";
        return Line::warn(AREA, what, seen, advice);
    }
    Line::ok(AREA, what, seen)
}

/// What trying out a permission came to.
#[derive(Debug, Clone)]
pub enum Tried {
    /// It worked.
    Allowed,
    /// It was refused for lack of permission.
    Denied,
    /// It ended otherwise, which says nothing of the permission.
    Failed(BucketError),
    /// It was not tried, for this reason.
    NotTried(&'static str),
}

impl Tried {
    /// Why deleting versions is not tried on a bucket without them.
    pub const NO_VERSIONS: &str = "the bucket keeps no versions";
}

impl<T> From<Result<T, BucketError>> for Tried {
    fn from(result: Result<T, BucketError>) -> Self {
        match result {
            Ok(_) => Self::Allowed,
            Err(error) if error.kind == ErrorKind::Denied => Self::Denied,
            Err(error) => Self::Failed(error),
        }
    }
}

/// What was tried on the probe object.
#[derive(Debug, Clone)]
pub struct Powers {
    /// Create an upload, send a part, abort it.
    pub upload: Result<(), BucketError>,
    /// Read the object.
    pub read: Tried,
    /// List objects.
    pub list: Tried,
    /// Write over the object, without a condition.
    pub overwrite: Tried,
    /// Delete the object.
    pub delete: Tried,
    /// Delete a version for good, on a versioned bucket.
    pub delete_version: Tried,
}

/// The way of every backup.
#[must_use]
pub fn upload(upload: &Result<(), BucketError>) -> Line {
    let what = "can upload";
    match upload {
        Ok(()) => Line::ok(AREA, what, "an upload was begun, sent a part, and aborted"),
        Err(error) => Line::fail(AREA, what, error.to_string(), error.advice()),
    }
}

/// The line in place of those that need the probe object.
#[must_use]
pub fn not_tried() -> Line {
    let advice = "run the check without --read-only as the user and with the credentials of the nightly run";
    Line::unknown(AREA, "rights", "not tried, as --read-only writes nothing", advice)
}

/// What an uploader must not be able to do. `versioning` is `None` where it is not known: then the
/// worse is taken.
#[must_use]
pub fn powers(powers: &Powers, versioning: Option<Versioning>) -> Vec<Line> {
    let kept = versioning == Some(Versioning::Enabled);
    let lines = [
        forbidden("cannot read", "the probe object was read", &powers.read, false, READ),
        forbidden("cannot list", "objects were listed", &powers.list, false, LIST),
        forbidden(
            "cannot overwrite",
            "the probe object was written over",
            &powers.overwrite,
            !kept,
            OVERWRITE,
        ),
        forbidden("cannot delete", "the probe object was deleted", &powers.delete, !kept, DELETE),
        forbidden(
            "cannot delete versions",
            "a version of the probe object was deleted for good",
            &powers.delete_version,
            true,
            DELETE_VERSION,
        ),
    ];
    lines.into_iter().filter(|line| line.seen != Tried::NO_VERSIONS).collect()
}

const READ: &str = "whoever has this key reads every backup: give the nightly run a role without s3:GetObject, and \
                    restore and verify with another [s3] profile";
const LIST: &str = "whoever has this key sees every backup's name: give the nightly run a role without s3:ListBucket, \
                    and list and status with another [s3] profile";
const OVERWRITE: &str = "whoever has this key can replace backups: let the bucket policy deny s3:PutObject without \
                         if-none-match (deploy/aws/bucket.yaml does), and keep versions";
const DELETE: &str =
    "whoever has this key can delete backups: take s3:DeleteObject from the role, and keep versions";
const DELETE_VERSION: &str = "whoever has this key can delete backups for good: take s3:DeleteObjectVersion from the \
                              role, and lock objects";

fn forbidden(what: &str, did: &str, tried: &Tried, grave: bool, advice: &str) -> Line {
    match tried {
        Tried::Denied => Line::ok(AREA, what, "tried on the probe object, and refused"),
        Tried::Allowed if grave => Line::fail(AREA, what, format!("it can: {did}"), advice),
        Tried::Allowed => Line::warn(AREA, what, format!("it can: {did}"), advice),
        Tried::Failed(error) => Line::unknown(
            AREA,
            what,
            error.to_string(),
            "the answer was no refusal, so it does not count as one: look at the role's policy",
        ),
        Tried::NotTried(why) => Line::unknown(AREA, what, *why, "look at the role's policy"),
    }
}

/// What became of the probe object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// None was written.
    None,
    /// It was removed again.
    Removed,
    /// It stays.
    Stays {
        /// Versions and delete markers that this check left besides, and the next one will again.
        growth: usize,
    },
}

/// The probe object, which is the one thing that a check writes. `expired_after` is the days after which
/// the bucket's lifecycle removes what is no longer the newest version; `below` is where the object lies.
#[must_use]
pub fn probe(state: Probe, uri: &str, bytes: usize, below: &str, expired_after: Option<i32>) -> Line {
    let what = "probe object";
    match state {
        Probe::None => Line::ok(AREA, what, "none was written"),
        Probe::Removed => Line::ok(AREA, what, format!("{uri} was written and removed")),
        Probe::Stays { growth: 0 } => Line::ok(
            AREA,
            what,
            format!(
                "{uri} ({bytes} bytes) stays, as this identity cannot remove it; the next check uses the same"
            ),
        ),
        Probe::Stays { growth } => {
            let versions = if growth == 1 { "1 more version" } else { &format!("{growth} more versions") };
            let seen = format!(
                "{uri}: it leaves {versions} ({bytes} bytes at most) that this identity cannot remove, with each check"
            );
            match expired_after {
                Some(days) => Line::ok(
                    AREA,
                    what,
                    format!("{seen}; the bucket's lifecycle removes them after {days} days"),
                ),
                None => Line::warn(
                    AREA,
                    what,
                    seen,
                    format!(
                        "let a lifecycle rule remove noncurrent versions under `{below}` \
                         (NoncurrentVersionExpiration, 1 day)"
                    ),
                ),
            }
        }
    }
}
