//! How an upload in parts begins, ends, and begins again: plain and compressed files alike.

use std::collections::HashMap;
use std::sync::Arc;

use super::FileError;
use super::upload::FileJob;
use crate::bucket::{ErrorKind, MultipartUpload, StoredPart};
use crate::checksum::Algorithm;

/// Parts that an earlier run left, by number.
pub(super) type Parts = HashMap<i32, StoredPart>;

/// How an upload begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// With the parts that an earlier run left, if it left any.
    WhereItStopped,
    /// From the first byte; the one that could not be gone on with is aborted then.
    Anew { instead_of: MultipartUpload },
}

/// An upload that is begun.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) upload: Arc<MultipartUpload>,
    /// What it has already.
    pub(super) parts: Parts,
    /// Whether an earlier run began it.
    resumed: bool,
}

/// Why an upload was not completed.
#[derive(Debug)]
pub(super) struct Failed {
    error: FileError,
    /// The upload, if an earlier run began it.
    resumed: Option<MultipartUpload>,
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        Self { error, resumed: None }
    }
}

impl FileJob {
    /// An upload to go on with, with its parts, or a new one.
    pub(super) async fn upload_for(&self, begin: Begin) -> Result<Unfinished, FileError> {
        let algorithm = self.bucket().algorithm();
        let mut begin = begin;
        if let Begin::WhereItStopped = &begin
            && let Some((upload, parts)) = self.unfinished(algorithm).await
        {
            if self.is_repeatable() {
                return Ok(Unfinished { upload: Arc::new(upload), parts, resumed: true });
            }
            begin = Begin::Anew { instead_of: upload };
        }
        let upload = self.begin_upload(algorithm).await?;
        if let Begin::Anew { instead_of } = &begin {
            // Only now that there is another one.
            self.abort(instead_of).await;
        }
        Ok(Unfinished { upload: Arc::new(upload), parts: Parts::new(), resumed: false })
    }

    /// Notes that an upload ended, or decides what becomes of its parts.
    pub(super) async fn conclude<T>(
        &self,
        open: Unfinished,
        result: Result<T, FileError>,
    ) -> Result<T, Failed> {
        let Unfinished { upload, resumed, .. } = open;
        match result {
            Ok(done) => {
                self.uploads().ended(&upload.id);
                Ok(done)
            }
            Err(error) => {
                self.after_failure(&upload, &error).await;
                Err(Failed { error, resumed: resumed.then(|| (*upload).clone()) })
            }
        }
    }

    /// How to begin once more after a failure, having waited for it; `attempt` counts those that failed.
    ///
    /// # Errors
    /// The failure, where beginning again is of no use or the attempts are used up.
    pub(super) async fn begin_again(&self, failed: Failed, attempt: &mut u32) -> Result<Begin, FileError> {
        let FileError::Bucket(error) = failed.error else {
            return Err(failed.error);
        };
        let path = self.file.path.display();
        // Some stores are stuck in an upload that was cut off; a new one does not meet that.
        if let Some(stuck) = failed.resumed.filter(|_| error.is_transient()) {
            tracing::warn!(
                "[RETRY] {path}: the unfinished upload cannot be gone on with, begun anew: {error}"
            );
            self.count_retry();
            return Ok(Begin::Anew { instead_of: stuck });
        }
        let again = matches!(error.kind, ErrorKind::Conflict | ErrorKind::NoSuchUpload);
        let Some(pause) = self.policy().pause_after(*attempt).filter(|_| again) else {
            return Err(error.into());
        };
        tracing::warn!("[RETRY] {path}: begun again: {error}");
        self.count_retry();
        tokio::time::sleep(pause).await;
        *attempt += 1;
        Ok(Begin::WhereItStopped)
    }

    async fn begin_upload(&self, algorithm: Option<Algorithm>) -> Result<MultipartUpload, FileError> {
        let what = format!("begin upload of {}", self.file.path.display());
        let upload = self
            .policy()
            .run(&what, &self.retries, || {
                self.bucket().create_multipart(&self.key, algorithm, self.options())
            })
            .await?;
        self.uploads().begun(&upload);
        Ok(upload)
    }

    /// An unfinished upload of this key that an earlier run left, with its parts. Whoever may not
    /// list begins anew.
    async fn unfinished(&self, algorithm: Option<Algorithm>) -> Option<(MultipartUpload, Parts)> {
        let algorithm = algorithm?;
        let open = self.bucket().list_uploads(self.key.as_str()).await.ok()?;
        let newest = open
            .into_iter()
            .filter(|upload| upload.key == self.key.as_str() && upload.algorithm == Some(algorithm))
            .filter(|upload| upload.full_object || algorithm == Algorithm::Sha256)
            .max_by_key(|upload| upload.initiated)?;
        let upload = MultipartUpload { key: self.key.clone(), id: newest.id, algorithm: Some(algorithm) };
        let parts = self.bucket().list_parts(&upload).await.ok()?;
        let (path, count) = (self.file.path.display(), parts.len());
        if self.is_repeatable() {
            tracing::info!(key = %self.key, parts = count, "going on with an unfinished upload of {path}");
        } else {
            tracing::info!(key = %self.key, "{path} is encrypted, never twice alike: its unfinished upload begins anew");
        }
        Some((upload, parts.into_iter().map(|part| (part.number, part)).collect()))
    }
}
