//! One file on its way: what its steps have in common, and which way it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::form::Form;
use super::input::Input;
use super::pool::{Pool, Slot};
use super::ranked::{Permit, Rank};
use super::sealed::Sealed;
use super::sent::Sent;
use super::shared::Shared;
use super::uploads::Uploads;
use super::{FileError, FileProgress, Watch};
use crate::bucket::{Bucket, ObjectKey, Overwrite, PutOptions};
use crate::engines::SourceFile;
use crate::manifest::StoredFile;
use crate::model::Category;
use crate::retry::Policy;

/// One file on its way.
#[derive(Debug)]
pub(super) struct FileJob {
    pub(super) shared: Arc<Shared>,
    /// The file; for a folder that is packed its path, with the archive's size.
    pub(super) file: SourceFile,
    /// The files of a folder that is packed.
    pub(super) members: Option<Arc<[SourceFile]>>,
    pub(super) key: ObjectKey,
    pub(super) retries: AtomicU32,
    /// Whether the upload that is under way took a part from this run.
    pub(super) took_a_part: AtomicBool,
    /// Whether the file is compared with what lies under its key, and never sent: the key is known to be taken, or
    /// the file would go out as it is where it is to be encrypted.
    pub(super) compare_only: bool,
    pub(super) category: Category,
    pub(super) rank: Rank,
    pub(super) form: Form,
    pub(super) watch: Option<Watch>,
}

/// How a file goes, with the place it holds.
#[derive(Debug)]
pub(super) enum Way {
    Small(Slot),
    Encoded(Result<OwnedSemaphorePermit, FileError>),
    Large(Permit),
}

impl FileJob {
    pub(super) fn input(&self) -> Input {
        Input { file: self.file.clone(), members: self.members.clone() }
    }

    pub(super) fn state(&self) -> &std::path::Path {
        &self.shared.settings.state
    }

    pub(super) fn cancel(&self) -> CancellationToken {
        self.shared.settings.cancel.clone()
    }

    pub(super) fn bucket(&self) -> &Bucket {
        &self.shared.bucket
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.shared.settings.pool
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.shared.settings.policy
    }

    pub(super) fn part_size(&self) -> u64 {
        self.shared.settings.part_size
    }

    pub(super) fn overwrite(&self) -> Overwrite {
        self.shared.settings.overwrite
    }

    pub(super) fn uploads(&self) -> &Uploads {
        &self.shared.settings.uploads
    }

    /// Whether another pass over the file gives the same parts.
    pub(super) fn is_repeatable(&self) -> bool {
        !matches!(&self.form, Form::Coded(recipe) if recipe.encrypts())
    }

    pub(super) fn sealed(&self) -> &Sealed {
        &self.shared.settings.sealed
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn options(&self) -> PutOptions {
        PutOptions {
            category: Some(self.category),
            overwrite: self.overwrite(),
            content_type: "application/octet-stream",
        }
    }

    pub(super) async fn run(
        self: &Arc<Self>,
        way: Way,
        cancel: &CancellationToken,
    ) -> Result<(StoredFile, Sent), FileError> {
        let label = self.file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let progress = Arc::new(self.shared.settings.events.start(&label, self.file.stamp.size));
        let begun = Instant::now();
        let result = tokio::select! {
            result = self.send(way, &progress) => result,
            () = cancel.cancelled() => Err(FileError::Cancelled),
        };
        match result {
            Ok(sent) => {
                self.log_sent(&sent, begun.elapsed());
                Ok((self.stored(&sent), sent))
            }
            Err(error) => Err(error),
        }
    }

    async fn send(self: &Arc<Self>, way: Way, progress: &Arc<FileProgress>) -> Result<Sent, FileError> {
        let mut way = Some(way);
        loop {
            let algorithm = self.bucket().algorithm();
            let result = match (&self.form, way.take()) {
                (Form::Known(known), _held) => self.compare_known(known, progress).await,
                (Form::Coded(recipe), Some(Way::Encoded(memory))) => {
                    self.put_encoded(recipe, Some(memory?), progress).await
                }
                (Form::Coded(recipe), _) => self.put_encoded(recipe, None, progress).await,
                (Form::Plain, Some(Way::Small(slot))) => self.put_small(slot, progress).await,
                (Form::Plain, Some(Way::Large(permit))) => {
                    let _held = permit;
                    Box::pin(self.put_large(progress)).await
                }
                (Form::Plain, _) if self.file.stamp.size <= self.pool().largest_put() => {
                    let slot = self.pool().slot(self.rank).await;
                    self.put_small(slot, progress).await
                }
                (Form::Plain, _) => Box::pin(self.put_large(progress)).await,
            };
            match result {
                Err(FileError::Bucket(error))
                    if error.blames_checksum() && self.bucket().step_down(algorithm) => {}
                other => return other,
            }
        }
    }
}
