//! What a bucket has besides objects and versions: here nothing, as S3 says it of a bucket whose setting
//! was never made (S3 API reference, the errors of each call). Another answer takes [`Fault::Say`].
//!
//! [`Fault::Say`]: super::super::Fault::Say

use hyper::StatusCode;
use s3s::access::S3AccessContext;
use s3s::{S3Error, S3ErrorCode, S3Result};

use crate::embedded::store::Store;

/// Fails where the request asks for a setting: 404 with that setting's code, or for want of the bucket.
pub(super) fn never_made(store: &Store, context: &S3AccessContext<'_>) -> S3Result<()> {
    let code = match context.s3_op().name() {
        "GetBucketEncryption" => "ServerSideEncryptionConfigurationNotFoundError",
        "GetPublicAccessBlock" => "NoSuchPublicAccessBlockConfiguration",
        "GetBucketOwnershipControls" => "OwnershipControlsNotFoundError",
        "GetBucketPolicyStatus" => "NoSuchBucketPolicy",
        "GetBucketLifecycleConfiguration" => "NoSuchLifecycleConfiguration",
        "GetObjectLockConfiguration" => "ObjectLockConfigurationNotFoundError",
        _ => return Ok(()),
    };
    store.read(context.s3_path().get_bucket_name().unwrap_or_default(), |_| ())?;
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    let mut error = S3Error::new(code);
    error.set_status_code(StatusCode::NOT_FOUND);
    Err(error)
}
