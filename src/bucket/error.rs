//! What can go wrong between here and the bucket, in the terms callers decide by.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::{DateTime, Utc};

use super::credentials::NotRenewed;
use crate::network::NotPrivate;

/// A failed call, with the verb and the object it was about.
#[derive(Debug, Clone)]
pub struct BucketError {
    /// What was tried: `put object`, `list objects` …
    pub verb: &'static str,
    /// Key, prefix or bucket.
    pub object: String,
    /// What callers branch on.
    pub kind: ErrorKind,
    /// S3's or the network's own words, with the code where there is one.
    pub detail: String,
}

/// What callers branch on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No such object or version.
    NotFound,
    /// No such bucket.
    NoSuchBucket,
    /// The multipart upload is gone: completed, aborted or expired.
    NoSuchUpload,
    /// `If-None-Match: *` and there is such an object (412), or `If-Match` and it is another (412).
    Precondition,
    /// A concurrent change (409): start again.
    Conflict,
    /// These credentials may not do this (403 `AccessDenied`).
    Denied,
    /// There are no credentials, or S3 does not take them.
    Credentials,
    /// Where credentials come from (a helper program, a service) failed or did not answer; it may later.
    CredentialsSource,
    /// The credentials have expired; asked for again, their source may give new ones.
    Expired,
    /// S3 computed another checksum than ours: bytes were damaged on the way.
    BadDigest,
    /// The endpoint cannot do what was asked, or takes it for wrong (400, 501).
    Rejected,
    /// A record of ours that cannot be understood.
    Damaged,
    /// No answer: name, route, TLS, connection, time.
    Unreachable,
    /// The host has an address that `[network] require_private` forbids.
    NotPrivate,
    /// The server is in trouble or asks to slow down (5xx, 429).
    Server,
    /// Object in an archive class that must be retrieved first.
    Archived,
    /// The object read is not the one pinned, or shorter than it said.
    Changed,
}

impl BucketError {
    /// Whether the same call may well succeed a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Conflict
            | ErrorKind::BadDigest
            | ErrorKind::Unreachable
            | ErrorKind::CredentialsSource
            | ErrorKind::Expired
            | ErrorKind::Server => true,
            ErrorKind::NotFound
            | ErrorKind::NoSuchBucket
            | ErrorKind::NoSuchUpload
            | ErrorKind::Precondition
            | ErrorKind::Denied
            | ErrorKind::Credentials
            | ErrorKind::NotPrivate
            | ErrorKind::Rejected
            | ErrorKind::Damaged
            | ErrorKind::Archived
            | ErrorKind::Changed => false,
        }
    }

    /// Whether the bucket as a whole cannot be used: no route, no bucket, no credentials.
    #[must_use]
    pub const fn is_no_bucket(&self) -> bool {
        match self.kind {
            ErrorKind::Unreachable
            | ErrorKind::NotPrivate
            | ErrorKind::NoSuchBucket
            | ErrorKind::Credentials
            | ErrorKind::CredentialsSource
            | ErrorKind::Expired
            | ErrorKind::Server
            | ErrorKind::Denied => true,
            ErrorKind::NotFound
            | ErrorKind::NoSuchUpload
            | ErrorKind::Precondition
            | ErrorKind::Conflict
            | ErrorKind::BadDigest
            | ErrorKind::Rejected
            | ErrorKind::Damaged
            | ErrorKind::Archived
            | ErrorKind::Changed => false,
        }
    }

    /// Whether the endpoint refused the call because of the checksum that came with it. Stores say so
    /// in their own words; AWS never does for the algorithms we send.
    #[must_use]
    pub fn blames_checksum(&self) -> bool {
        let text = self.detail.to_ascii_lowercase();
        self.kind == ErrorKind::Rejected
            && ["checksum", "algorithm", "notimplemented", "(501)"].iter().any(|word| text.contains(word))
    }

    /// What to do next, for the operator.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self.kind {
            ErrorKind::NotFound => "look for the key with `dbbackup list`",
            ErrorKind::NoSuchBucket => "check `bucket` and `region` in [s3]",
            ErrorKind::NoSuchUpload | ErrorKind::Conflict => "run it again",
            ErrorKind::Precondition => "the key is taken: look at it with `dbbackup show`",
            ErrorKind::Denied => {
                "give this identity the permission that is named, use another profile, or see that expected_bucket_owner \
                 in [s3], where it is set, is the bucket's owner"
            }
            ErrorKind::Credentials => {
                "check the credentials (environment, `profile` in [s3] or AWS_PROFILE, role), their expiry and this host's clock"
            }
            ErrorKind::CredentialsSource => {
                "see why the credentials' source fails (credential_process, role, SSO), and that the way to it is open; run it again"
            }
            ErrorKind::Expired => {
                "see that the credentials' source gives new ones, and that this host's clock is right; run it again"
            }
            ErrorKind::BadDigest => {
                "bytes were damaged on the way: check the network path and memory, run again"
            }
            ErrorKind::Rejected => "check endpoint_url, path_style, checksum and sse in [s3]",
            ErrorKind::Damaged => {
                "bring it back from a version of the bucket or a replica; or remove it, and run the backup of its day again, \
                 which compares the objects with the source and records them anew"
            }
            ErrorKind::Unreachable => {
                "check endpoint_url, name resolution, the tunnel and the firewall, run again"
            }
            ErrorKind::NotPrivate => "nothing was sent; `dbbackup check` shows the way that is taken",
            ErrorKind::Server => "wait and run again",
            ErrorKind::Archived => {
                "S3 has to retrieve it from its archive class first: `dbbackup restore KEY --wait` asks for that"
            }
            ErrorKind::Changed => "the object changed while it was read: run again",
        }
    }
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.verb, self.object, self.detail)
    }
}

impl Error for BucketError {}

/// Turns the SDK's error into ours.
pub(super) fn classify<E>(
    verb: &'static str,
    object: impl fmt::Display,
    error: &SdkError<E, HttpResponse>,
) -> BucketError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let object = object.to_string();
    let (kind, detail) = match error {
        SdkError::ConstructionFailure(_) => {
            let kind = credentials_kind(error).unwrap_or(ErrorKind::Rejected);
            (kind, crate::causes::told(error))
        }
        SdkError::DispatchFailure(failure) => {
            if let Some(refused) = find::<NotPrivate>(error) {
                return BucketError {
                    verb,
                    object,
                    kind: ErrorKind::NotPrivate,
                    detail: refused.to_string(),
                };
            }
            // Credentials are fetched inside the dispatch; a missing one is no network trouble.
            let other = if failure.is_user() { ErrorKind::Credentials } else { ErrorKind::Unreachable };
            (credentials_kind(error).unwrap_or(other), crate::causes::told(error))
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().unwrap_or_default();
            let mut detail = service_detail(code, message, status);
            if code == "RequestTimeTooSkewed" {
                let theirs = service.raw().headers().get("date").unwrap_or_default();
                detail.push_str(&clock_difference(theirs, Utc::now()).unwrap_or_default());
            }
            (service_kind(code, status), detail)
        }
        _ => (ErrorKind::Unreachable, crate::causes::told(error)),
    };
    BucketError { verb, object, kind, detail }
}

/// Whether it is for want of credentials, and whether asking once more may give some.
fn credentials_kind<E: Error + 'static>(error: &SdkError<E, HttpResponse>) -> Option<ErrorKind> {
    if find::<NotRenewed>(error).is_some() {
        return Some(ErrorKind::CredentialsSource);
    }
    crate::causes::told(error).contains("credential").then_some(ErrorKind::Credentials)
}

/// S3 error codes: S3 API reference, "List of error codes".
fn service_kind(code: &str, status: u16) -> ErrorKind {
    match code {
        "NoSuchKey" | "NoSuchVersion" => ErrorKind::NotFound,
        "NoSuchBucket" => ErrorKind::NoSuchBucket,
        "NoSuchUpload" => ErrorKind::NoSuchUpload,
        "PreconditionFailed" => ErrorKind::Precondition,
        "ConditionalRequestConflict" | "OperationAborted" => ErrorKind::Conflict,
        "ExpiredToken" | "TokenRefreshRequired" => ErrorKind::Expired,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "InvalidToken"
        | "RequestTimeTooSkewed"
        | "NotSignedUp"
        | "AuthorizationHeaderMalformed" => ErrorKind::Credentials,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => ErrorKind::Denied,
        "BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch" | "IncompleteBody" => {
            ErrorKind::BadDigest
        }
        "RequestTimeout" => ErrorKind::Unreachable,
        "SlowDown" | "InternalError" | "ServiceUnavailable" | "ThrottlingException" => ErrorKind::Server,
        "InvalidObjectState" => ErrorKind::Archived,
        _ => match status {
            404 => ErrorKind::NotFound,
            412 => ErrorKind::Precondition,
            409 => ErrorKind::Conflict,
            401 | 403 => ErrorKind::Denied,
            // A store says that it lacks an operation or a checksum with 501.
            501 => ErrorKind::Rejected,
            // A 200 that turned out to carry an error is the server's trouble.
            429 | 500..=599 | 200..=299 => ErrorKind::Server,
            _ => ErrorKind::Rejected,
        },
    }
}

fn service_detail(code: &str, message: &str, status: u16) -> String {
    match (code, message) {
        ("", "") => format!("the server answered {status}"),
        ("", message) => format!("{message} ({status})"),
        (code, "") => format!("{code} ({status})"),
        (code, message) => format!("{code}: {message} ({status})"),
    }
}

/// How far this host's clock is from the server's, by the reply's `Date` (RFC 9110, 6.6.1).
fn clock_difference(theirs: &str, now: DateTime<Utc>) -> Option<String> {
    let theirs = DateTime::parse_from_rfc2822(theirs).ok()?.with_timezone(&Utc);
    let minutes = (now - theirs).num_minutes();
    let direction = if minutes < 0 { "behind" } else { "ahead of" };
    Some(format!(
        "; this host's clock says {} UTC and is {} minutes {direction} the server's: set it (timedatectl, chronyc)",
        now.format("%H:%M"),
        minutes.abs()
    ))
}

/// The cause of a type, however deep.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_a_caller_does_next() {
        assert_eq!(service_kind("SlowDown", 503), ErrorKind::Server);
        assert_eq!(service_kind("", 412), ErrorKind::Precondition);
        assert_eq!(service_kind("ExpiredToken", 400), ErrorKind::Expired);
        assert_eq!(service_kind("NotImplemented", 501), ErrorKind::Rejected);
        assert_eq!(service_kind("InternalError", 200), ErrorKind::Server);
    }

    #[test]
    fn clock_that_is_off_is_told_by_how_much() {
        let now = "2025-08-18T02:20:00Z".parse().unwrap();
        let ahead = clock_difference("Mon, 18 Aug 2025 02:00:00 GMT", now).unwrap();
        assert!(ahead.contains("20 minutes ahead of the server's"), "{ahead}");
        let behind = clock_difference("Mon, 18 Aug 2025 02:40:30 GMT", now).unwrap();
        assert!(behind.contains("20 minutes behind the server's"), "{behind}");
        assert_eq!(clock_difference("", now), None);
    }
}
