//! How fast the line up is, measured with parts of an upload that is aborted: nothing is stored.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::bucket::{
    Bucket, BucketError, ErrorKind, MultipartUpload, ObjectKey, Overwrite, PartBody, PutOptions,
};
use crate::checksum::Digest;

/// Parts that are sent at once, as a backup does.
const PARTS: i32 = 4;
/// Bytes of such a part.
const PART: usize = 8 << 20;

/// What was sent, and how long it took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) bytes: u64,
    pub(super) took: Duration,
}

/// Sends parts of an upload to `key`, and aborts it.
pub(super) async fn measure(bucket: &Arc<Bucket>, key: &ObjectKey) -> Result<Measured, BucketError> {
    let options =
        PutOptions { category: None, overwrite: Overwrite::Never, content_type: "application/octet-stream" };
    let upload = bucket.create_multipart(key, bucket.algorithm(), options).await?;
    let begun = Instant::now();
    let sent = send(bucket, &upload).await;
    let took = begun.elapsed();
    let aborted = bucket.abort_multipart(&upload).await;
    let bytes = sent?;
    aborted?;
    Ok(Measured { bytes, took })
}

async fn send(bucket: &Arc<Bucket>, upload: &MultipartUpload) -> Result<u64, BucketError> {
    let body = Bytes::from(noise());
    let checksum = upload.algorithm.map(|algorithm| {
        let mut digest = Digest::new(algorithm);
        digest.update(&body);
        digest.value()
    });
    let mut tasks = JoinSet::new();
    for number in 1..=PARTS {
        let (bucket, upload) = (bucket.clone(), upload.clone());
        let (body, checksum) = (PartBody::Bytes(body.clone()), checksum.clone());
        tasks.spawn(async move { bucket.upload_part(&upload, number, body, checksum).await });
    }
    let mut bytes = 0;
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| BucketError {
            verb: "send a part to",
            object: upload.key.to_string(),
            kind: ErrorKind::Rejected,
            detail: format!("internal: {error}"),
        })??;
        bytes += PART as u64;
    }
    Ok(bytes)
}

/// Bytes that no device on the way makes smaller.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..PART / 8).flat_map(|_| next()).collect()
}
