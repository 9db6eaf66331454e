//! What `dbbackup check` says: facts become lines here, and nothing is looked up.
//!
//! What must stay true: a line is `ok` only where the thing itself was seen to be so. What could not be
//! seen is `unknown` and names the permission that is missing, and is never counted as good.

pub mod bucket;
pub mod certificate;
mod expiry;
pub mod findings;
pub mod identity;
pub mod local;
pub mod road;
pub mod routes;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::bucket::{BucketError, ErrorKind};

/// Which part of the way a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// This machine.
    Local,
    /// From here to the endpoint.
    Network,
    /// Whose credentials these are, and what they may do.
    Identity,
    /// How the bucket is set up.
    Bucket,
}

impl Area {
    /// The word for tables and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Network => "network",
            Self::Identity => "identity",
            Self::Bucket => "bucket",
        }
    }
}

/// What came out of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// It is as it should be.
    Ok,
    /// It works, and should be otherwise.
    Warn,
    /// A backup, a restore or a promise breaks on it.
    Fail,
    /// It could not be seen.
    Unknown {
        /// The IAM action that would show it, where that is the reason.
        missing_permission: Option<String>,
    },
}

impl Outcome {
    /// The word for tables.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its area.
    pub area: Area,
    /// What was checked; with the area, its name from one check to the next.
    pub what: String,
    /// What came out.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

/// Bytes as people read them.
fn bytes(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().si().to_string()
}

impl Line {
    /// As it should be.
    pub fn ok(area: Area, what: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { area, what: what.into(), outcome: Outcome::Ok, seen: seen.into(), advice: String::new() }
    }

    /// Works, and should be otherwise.
    pub fn warn(
        area: Area,
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Warn, advice: advice.into(), ..Self::ok(area, what, seen) }
    }

    /// Does not work, or breaks a promise.
    pub fn fail(
        area: Area,
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { outcome: Outcome::Fail, advice: advice.into(), ..Self::ok(area, what, seen) }
    }

    /// Not seen, for another reason than a permission.
    pub fn unknown(
        area: Area,
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        let outcome = Outcome::Unknown { missing_permission: None };
        Self { outcome, advice: advice.into(), ..Self::ok(area, what, seen) }
    }

    /// Not seen, because a call went wrong that needs the IAM action `permission`.
    pub fn unseen(area: Area, what: impl Into<String>, permission: &str, error: &BucketError) -> Self {
        let (missing, advice) = match error.kind {
            ErrorKind::Denied => (
                Some(permission.to_owned()),
                format!("run the check with an identity that has {permission}, such as the auditor's"),
            ),
            ErrorKind::Rejected | ErrorKind::Server => {
                (None, "the store may not have this call: look with its own tools".to_owned())
            }
            _ => (None, error.advice().to_owned()),
        };
        let outcome = Outcome::Unknown { missing_permission: missing };
        Self { outcome, advice, ..Self::ok(area, what, error.detail.clone()) }
    }

    /// Whether it makes the exit code 1.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.outcome == Outcome::Fail
    }
}
