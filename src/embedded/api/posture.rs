//! What a bucket has besides objects and versions: here nothing, as S3 says it of a bucket whose setting
//! was never made (S3 API reference, the errors of each call). Another answer takes [`Fault::Say`].
//!
//! [`Fault::Say`]: super::super::Fault::Say

use hyper::StatusCode;
use s3s::{S3Error, S3ErrorCode};

use super::Reply;
use crate::embedded::store::Store;

/// 404 with that code; another where there is no such bucket.
pub(super) fn never_made<T>(store: &Store, bucket: &str, code: &'static str) -> Reply<T> {
    store.read(bucket, |_| ())?;
    let mut error =
        S3Error::new(S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError));
    error.set_status_code(StatusCode::NOT_FOUND);
    Err(error)
}
