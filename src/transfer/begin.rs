//! How an upload in parts begins, ends, and begins again: plain and compressed files alike.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::FileError;
use super::job::FileJob;
use crate::bucket::{BucketError, ErrorKind, MultipartUpload, OpenUpload, StoredPart};
use crate::checksum::Algorithm;

/// Parts that an earlier run left, by number.
pub(super) type Parts = HashMap<i32, StoredPart>;

/// What an earlier run left of an upload.
pub(super) type Left = (MultipartUpload, Parts);

/// How an upload begins.
#[derive(Debug)]
pub(super) enum Begin {
    /// With the parts that an earlier run left, if it left any.
    WhereItStopped,
    /// With those of this upload.
    With(Left),
    /// From the first byte, with an upload that was begun just now.
    Begun(MultipartUpload),
    /// From the first byte; the one that could not be gone on with is aborted then.
    Anew { instead_of: MultipartUpload },
}

/// What is found when a file is begun.
#[derive(Debug)]
pub(super) enum First {
    /// An object of its size has its key.
    Taken,
    /// Nothing has it.
    Begin(Begin),
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

impl Unfinished {
    fn new(upload: MultipartUpload) -> Self {
        Self { upload: Arc::new(upload), parts: Parts::new(), resumed: false }
    }
}

/// Why an upload was not completed.
#[derive(Debug)]
pub(super) struct Failed {
    error: FileError,
    /// The upload, if an earlier run began it and it took nothing from this one.
    stuck: Option<MultipartUpload>,
}

impl From<FileError> for Failed {
    fn from(error: FileError) -> Self {
        Self { error, stuck: None }
    }
}

impl FileJob {
    /// An upload to go on with, with its parts, or a new one.
    pub(super) async fn upload_for(&self, begin: Begin) -> Result<Unfinished, FileError> {
        let algorithm = self.bucket().algorithm();
        let (left, instead_of) = match begin {
            Begin::WhereItStopped => match self.unfinished(algorithm).await {
                Some((upload, _)) if !self.is_repeatable() => (None, Some(upload)),
                left => (left, None),
            },
            Begin::With(left) => (Some(left), None),
            Begin::Begun(upload) => return Ok(Unfinished::new(upload)),
            Begin::Anew { instead_of } => (None, Some(instead_of)),
        };
        self.took_a_part.store(false, Ordering::Relaxed);
        if let Some((upload, parts)) = left {
            self.uploads().gone_on_with(&upload);
            return Ok(Unfinished { upload: Arc::new(upload), parts, resumed: true });
        }
        let upload = self.begin_upload(algorithm).await?;
        // Only now that there is another one, and nobody else's.
        if let Some(instead_of) = instead_of.filter(|upload| self.uploads().is_ours(&upload.id)) {
            self.abort(&instead_of).await;
        }
        Ok(Unfinished::new(upload))
    }

    /// How a file begins whose key is free. Asks at once whether it is, and what an earlier run left, and
    /// begins an upload too, as over a long line each answer takes its time; the upload is given up where it
    /// is not needed. Where this host knows of one that was left, it begins no other.
    ///
    /// # Errors
    /// Where the key is taken by an object of another size, or nothing can be begun.
    pub(super) async fn ask_and_begin(&self) -> Result<First, FileError> {
        let algorithm = self.bucket().algorithm();
        let new = async {
            if self.compare_only || self.uploads().is_open(&self.key) {
                None
            } else {
                Some(self.begin_upload(algorithm).await)
            }
        };
        let (there, open, new) = tokio::join!(self.same_size_there(), self.open_uploads(algorithm), new);
        let own = new.as_ref().and_then(|new| new.as_ref().ok()).cloned();
        let give_up = async {
            if let Some(upload) = &own {
                self.abort(upload).await;
            }
        };
        match there {
            Ok(false) => {}
            Ok(true) => {
                give_up.await;
                return Ok(First::Taken);
            }
            Err(error) => {
                give_up.await;
                return Err(error);
            }
        }
        let others = open.into_iter().filter(|upload| own.as_ref().is_none_or(|own| own.id != upload.id));
        if let Some(left) = self.newest_with_parts(others, algorithm).await {
            give_up.await;
            return Ok(First::Begin(Begin::With(left)));
        }
        Ok(First::Begin(match new {
            Some(new) => Begin::Begun(new?),
            None => Begin::WhereItStopped,
        }))
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
                let stuck = resumed && !self.took_a_part.load(Ordering::Relaxed);
                Err(Failed { error, stuck: stuck.then(|| (*upload).clone()) })
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
        if let Some(stuck) = failed.stuck.filter(|_| error.is_transient()) {
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
    async fn unfinished(&self, algorithm: Option<Algorithm>) -> Option<Left> {
        let open = self.open_uploads(algorithm).await;
        self.newest_with_parts(open.into_iter(), algorithm).await
    }

    async fn open_uploads(&self, algorithm: Option<Algorithm>) -> Vec<OpenUpload> {
        if algorithm.is_none() {
            return Vec::new();
        }
        let what = format!("look for unfinished uploads of {}", self.key);
        let call = || self.bucket().list_uploads(self.key.as_str());
        self.policy().run(&what, &self.retries, call).await.unwrap_or_else(|error| self.not_seen(&error))
    }

    /// What cannot be gone on with for want of an answer is sent anew; its parts wait for `abort_after`.
    fn not_seen<T: Default>(&self, error: &BucketError) -> T {
        match error.kind {
            // Not this identity's business, or not this store's.
            ErrorKind::Denied | ErrorKind::Rejected => tracing::debug!("{error}"),
            _ => tracing::warn!("{}: goes from its first byte on: {error}", self.file.path.display()),
        }
        T::default()
    }

    async fn newest_with_parts(
        &self,
        open: impl Iterator<Item = OpenUpload>,
        algorithm: Option<Algorithm>,
    ) -> Option<Left> {
        let algorithm = algorithm?;
        let newest = open
            .filter(|upload| upload.key == self.key.as_str() && upload.algorithm == Some(algorithm))
            .filter(|upload| upload.full_object || algorithm == Algorithm::Sha256)
            .max_by_key(|upload| upload.initiated)?;
        let upload = MultipartUpload { key: self.key.clone(), id: newest.id, algorithm: Some(algorithm) };
        let what = format!("look for parts of {}", self.key);
        let listed = self.policy().run(&what, &self.retries, || self.bucket().list_parts(&upload)).await;
        let parts = listed.map_or_else(|error| self.not_seen(&error), Some)?;
        let (path, count) = (self.file.path.display(), parts.len());
        if self.is_repeatable() {
            tracing::info!(key = %self.key, parts = count, "going on with an unfinished upload of {path}");
        } else {
            tracing::info!(key = %self.key, "{path} is encrypted, never twice alike: its unfinished upload begins anew");
        }
        Some((upload, parts.into_iter().map(|part| (part.number, part)).collect()))
    }
}
