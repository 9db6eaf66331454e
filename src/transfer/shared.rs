//! What all uploads of a run share: the bucket, their settings, and what bounds them together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::ranked::Ranked;
use super::sealed::Sealed;
use super::uploads::Uploads;
use super::{Events, FileError};
use crate::bucket::{Bucket, Overwrite};
use crate::codec::{self, Recipe};
use crate::retry::Policy;

/// Large files in flight at once; more would only widen the window of unfinished ones.
const LARGE_FILES: usize = 4;
const MIB: u64 = 1 << 20;

/// What all uploads of a run share.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Attempts and pauses.
    pub policy: Policy,
    /// Requests and memory.
    pub pool: Pool,
    /// Smallest part in bytes.
    pub part_size: u64,
    /// Create only, or the operator's word.
    pub overwrite: Overwrite,
    /// Directory of what this host remembers; takes encoded parts that are larger than the memory.
    pub state: std::path::PathBuf,
    /// Where progress goes.
    pub events: Events,
    /// Ends the run.
    pub cancel: CancellationToken,
    /// Which uploads are this host's own.
    pub uploads: Arc<Uploads>,
    /// What encrypted objects were made from.
    pub sealed: Arc<Sealed>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) bucket: Arc<Bucket>,
    pub(super) settings: Settings,
    pub(super) large: Ranked,
    /// Memory of encoders at work, in MiB.
    encoders: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(bucket: Arc<Bucket>, settings: Settings) -> Self {
        let large = Ranked::new(LARGE_FILES);
        let encoders = Arc::new(Semaphore::new(usize::try_from(codec::MEMORY / MIB).unwrap_or(1)));
        Self { bucket, settings, large, encoders }
    }

    /// Waits for an encoder's share of the memory, for `bytes` of a file.
    pub(super) async fn encoder_memory(
        &self,
        recipe: &Recipe,
        bytes: u64,
    ) -> Result<OwnedSemaphorePermit, FileError> {
        let wanted = u32::try_from(recipe.memory(bytes) / MIB).unwrap_or(1);
        let permit = self.encoders.clone().acquire_many_owned(wanted).await;
        permit.map_err(|error| FileError::Internal(error.to_string()))
    }
}
