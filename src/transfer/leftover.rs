//! What becomes of an upload in parts that was begun and not completed: kept for the next run, freed, or,
//! when it has lain for long, swept.

use std::time::Duration;

use super::FileError;
use super::job::FileJob;
use super::upload::Uploader;
use super::uploads::Begun;
use crate::bucket::{BucketError, ErrorKind, MultipartUpload, ObjectKey};

/// Longest wait for an abort when a file failed: an interrupted run must end soon.
const ABORT_TIME: Duration = Duration::from_secs(5);

impl Uploader {
    /// Aborts the uploads that this host began longer ago than `age` and that no run went on with, and drops notes as old.
    pub async fn sweep(&self, age: Duration) {
        self.shared.settings.sealed.forget(age);
        let uploads = &self.shared.settings.uploads;
        for begun in uploads.stale(age) {
            let since = begun.at.format("%Y-%m-%d %H:%M UTC");
            match self.abort_stale(&begun).await {
                Ok(()) => {
                    uploads.ended(&begun.id);
                    tracing::info!(
                        key = begun.key,
                        "[SWEPT] the upload begun at {since} and never finished is aborted"
                    );
                }
                Err(error) => tracing::warn!("the upload begun at {since} and never finished stays: {error}"),
            }
        }
    }

    async fn abort_stale(&self, begun: &Begun) -> Result<(), BucketError> {
        let key = ObjectKey::new(begun.key.as_str()).map_err(|error| BucketError {
            verb: "abort multipart upload of",
            object: begun.key.clone(),
            kind: ErrorKind::Rejected,
            detail: error.to_string(),
        })?;
        let upload = MultipartUpload { key, id: begun.id.clone(), algorithm: None };
        self.shared.bucket.abort_multipart(&upload).await
    }
}

impl FileJob {
    /// After a failure that a later run can go on from, the parts stay; after any other they are freed.
    pub(super) async fn after_failure(&self, upload: &MultipartUpload, error: &FileError) {
        if error.keeps_parts() {
            let path = self.file.path.display();
            tracing::info!(key = %self.key, "the parts of {path} stay in the bucket; the next run goes on from them");
        } else {
            self.abort(upload).await;
        }
    }

    /// Frees the parts of an upload; one that is gone already is fine.
    pub(super) async fn abort(&self, upload: &MultipartUpload) {
        let path = self.file.path.display();
        match tokio::time::timeout(ABORT_TIME, self.bucket().abort_multipart(upload)).await {
            Ok(Ok(())) => self.uploads().ended(&upload.id),
            Ok(Err(error)) => tracing::warn!("the unfinished upload of {path} stays in the bucket: {error}"),
            Err(_) => {
                tracing::warn!("the unfinished upload of {path} stays in the bucket: no answer to the abort");
            }
        }
    }
}
