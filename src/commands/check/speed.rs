//! Rates up and down, measured with data that does not stay.

use std::sync::Arc;
use std::time::Instant;

use crate::bucket::{Bucket, BucketError, ErrorKind, Listed, ObjectKey};
use crate::check::Line;
use crate::check::road::{self, Rate};
use crate::commands::line::{self, Measured};
use crate::model::Engine;
use crate::source;

/// Bytes that are read.
const READ: u64 = 32 << 20;

/// Both lines.
pub(super) async fn lines(bucket: &Arc<Bucket>) -> [Line; 2] {
    [
        road::speed("upload", &upload(bucket).await, "s3:PutObject"),
        road::speed("download", &download(bucket).await, "s3:GetObject"),
    ]
}

/// Parts of an upload that is aborted: nothing is stored.
async fn upload(bucket: &Arc<Bucket>) -> Result<Rate, BucketError> {
    let key = ObjectKey::new(format!("{}_check/{}-speed", bucket.layout().prefix(), source::host_name()))
        .map_err(|error| refused("begin multipart upload of", error.to_string()))?;
    let Measured { bytes, took } = line::measure(bucket, &key).await?;
    Ok(Rate { bytes, took })
}

/// The beginning of the largest backup, as far as one listing tells.
async fn download(bucket: &Bucket) -> Result<Rate, BucketError> {
    let mut largest: Option<Listed> = None;
    for engine in Engine::ALL {
        let listed = bucket.list(&format!("{}{engine}/", bucket.layout().prefix())).await?;
        largest = listed.into_iter().chain(largest).max_by_key(|object| object.size);
    }
    let Some(object) = largest.filter(|object| object.size > 0) else {
        let detail = "there is no backup yet to read from".to_owned();
        return Err(BucketError { kind: ErrorKind::NotFound, ..refused("get object", detail) });
    };
    let key = ObjectKey::new(object.key).map_err(|error| refused("get object", error.to_string()))?;
    let last = object.size.min(READ) - 1;
    let begun = Instant::now();
    let (_, mut body) = bucket.get(&key, Some((0, last)), None, None).await?;
    let mut bytes = 0;
    while let Some(chunk) = body.next().await? {
        bytes += chunk.len() as u64;
    }
    Ok(Rate { bytes, took: begun.elapsed() })
}

fn refused(verb: &'static str, detail: String) -> BucketError {
    BucketError { verb, object: String::new(), kind: ErrorKind::Rejected, detail }
}
