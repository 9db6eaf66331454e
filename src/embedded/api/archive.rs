//! `RestoreObject`, and what GET and HEAD say of objects in archive classes.

use chrono::{DateTime, Utc};
use hyper::StatusCode;
use s3s::dto::{RestoreObjectInput, RestoreObjectOutput, Tier};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::Reply;
use super::convert::hits;
use crate::embedded::faults::{Fault, Hits};
use crate::embedded::store::{Archived, Store, Version};

/// Where a version stands, under the faults.
pub(super) fn state(version: &Version, hits: &Hits) -> Archived {
    match version.archived() {
        Archived::Retrieved(_) if hits.has(&Fault::StillRetrieving) => Archived::Retrieving,
        other => other,
    }
}

/// As S3: 202 where a retrieval begins, 200 where a copy is there and stays longer, 409 while one is
/// under way, 403 where there is nothing to retrieve.
pub(super) fn restore(store: &Store, request: &S3Request<RestoreObjectInput>) -> Reply<RestoreObjectOutput> {
    let (hits, input) = (hits(request), &request.input);
    let version = store.find(&input.bucket, &input.key, input.version_id.as_deref())?;
    let Some(request) = &input.restore_request else { return Err(s3_error!(MalformedXML)) };
    let days = request.days.and_then(|days| u32::try_from(days).ok()).filter(|days| *days > 0);
    let days = days.ok_or_else(|| s3_error!(MalformedXML, "Days is required and at least 1"))?;
    let tier = request.glacier_job_parameters.as_ref().map(|parameters| parameters.tier.as_str());
    if !matches!(tier, None | Some(Tier::BULK | Tier::STANDARD | Tier::EXPEDITED)) {
        return Err(s3_error!(MalformedXML, "Tier is Bulk, Standard or Expedited"));
    }
    let deep = version.headers.storage_class.as_deref() == Some("DEEP_ARCHIVE");
    if deep && tier == Some(Tier::EXPEDITED) {
        return Err(s3_error!(InvalidArgument, "Retrieval option is not supported by this storage class"));
    }
    let status = match state(&version, &hits) {
        Archived::No => {
            return Err(s3_error!(
                InvalidObjectState,
                "Restore is not allowed for the object's current storage class"
            ));
        }
        Archived::Retrieving => {
            return Err(s3_error!(RestoreAlreadyInProgress, "Object restore is already in progress"));
        }
        Archived::Yes => StatusCode::ACCEPTED,
        // It stays from now on for so many days.
        Archived::Retrieved(_) => StatusCode::OK,
    };
    store.ask(&input.bucket, &version, days)?;
    Ok(S3Response::with_status(RestoreObjectOutput::default(), status))
}

pub(super) fn check_readable(version: &Version, hits: &Hits) -> S3Result<()> {
    match state(version, hits) {
        Archived::No | Archived::Retrieved(_) => Ok(()),
        Archived::Yes | Archived::Retrieving => {
            Err(s3_error!(InvalidObjectState, "The operation is not valid for the object's storage class"))
        }
    }
}

/// `x-amz-restore`.
pub(super) fn told(archived: Archived) -> Option<String> {
    match archived {
        Archived::No | Archived::Yes => None,
        Archived::Retrieving => Some("ongoing-request=\"true\"".to_owned()),
        Archived::Retrieved(until) => {
            let until = DateTime::<Utc>::from(until).format("%a, %d %b %Y %H:%M:%S GMT");
            Some(format!("ongoing-request=\"false\", expiry-date=\"{until}\""))
        }
    }
}
