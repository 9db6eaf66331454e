//! What every command that talks to the bucket needs: the configuration, the bucket, the catalog.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tokio_util::sync::CancellationToken;

use crate::bucket::{Bucket, BucketError, ErrorKind};
use crate::catalog::Catalog;
use crate::codec::Identities;
use crate::config::{Backup, Config};
use crate::model::ExitCode;
use crate::neighbour;
use crate::restore::LocateError;
use crate::retry::Policy;
use crate::transfer::{Downloader, Events, Pool};

/// Why a command could not do its work at all: the exit code, and the error to show.
#[derive(Debug)]
pub(super) struct Failure {
    /// What to tell the operating system.
    pub(super) code: ExitCode,
    /// What to tell the person.
    pub(super) error: anyhow::Error,
}

impl Failure {
    /// The command line or the configuration is wrong.
    pub(super) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self { code: ExitCode::Usage, error: error.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self { code: ExitCode::Failed, error }
    }
}

impl From<BucketError> for Failure {
    fn from(error: BucketError) -> Self {
        let code = if error.is_no_bucket() { ExitCode::NoBucket } else { ExitCode::Failed };
        let text = format!("{error}; {}", error.advice());
        Self { code, error: anyhow::Error::msg(text) }
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Self {
        match error {
            LocateError::Bucket(error) => error.into(),
            LocateError::OtherBucket { .. }
            | LocateError::Text(_)
            | LocateError::Packed { .. }
            | LocateError::Several { .. } => Self::usage(error),
            LocateError::Nothing(_) | LocateError::NoSet(_) | LocateError::CutShort { .. } => {
                anyhow::Error::new(error).into()
            }
        }
    }
}

/// The secret keys in a file, or none.
pub(super) fn identities(file: Option<&Path>) -> Result<Identities, Failure> {
    file.map_or_else(|| Ok(Identities::default()), Identities::read).map_err(Failure::usage)
}

/// Goes behind the host's other work, as `[backup]` says: what takes hours and is not the bad day's.
pub(super) fn step_back(backup: &Backup) {
    neighbour::step_back(backup.nice, backup.io_class)
        .unwrap_or_else(|error| tracing::warn!("go behind others at processor and disk: {error}"));
}

/// The bucket as configured, and its catalog.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// The bucket.
    pub(super) bucket: Arc<Bucket>,
    /// Its records.
    pub(super) catalog: Catalog,
    /// Attempts and pauses.
    pub(super) policy: Policy,
}

impl Site {
    /// Sets it up; nothing goes over the network yet.
    pub(super) async fn new(config: &Config) -> Result<Self, Failure> {
        let backup = &config.backup;
        let bucket = Bucket::connect(&config.s3, &config.network).await.map_err(Failure::usage)?;
        let bucket = Arc::new(bucket.limited(backup.bandwidth.clone()));
        let policy = Policy::new(backup.attempts, backup.pauses.clone())
            .patient(bucket.clone(), backup.outage_patience);
        let expires = config.s3.expires.clone();
        let catalog = Catalog::new(bucket.clone(), &config.state.dir, policy.clone(), expires);
        Ok(Self { bucket, catalog, policy })
    }

    /// What fetches objects as `[backup]` says.
    pub(super) fn downloader(
        &self,
        backup: &Backup,
        identities: Identities,
        events: Events,
        cancel: CancellationToken,
    ) -> Downloader {
        Downloader {
            bucket: self.bucket.clone(),
            pool: Pool::new(backup.concurrency, backup.buffer_memory(), backup.part_size),
            policy: self.policy.clone(),
            part_size: backup.part_size,
            identities,
            events,
            cancel,
        }
    }

    /// Makes sure that the bucket answers and takes these credentials. An identity that may only
    /// write is refused the listing, and goes on.
    pub(super) async fn reach(&self) -> Result<(), BucketError> {
        let name = self.bucket.name();
        let what = format!("reach bucket {name}");
        match self.policy.run(&what, &AtomicU32::new(0), || self.bucket.probe()).await {
            Err(error) if error.kind == ErrorKind::Denied => {
                tracing::debug!("this identity may not list bucket {name}: {error}");
                Ok(())
            }
            reply => reply,
        }
    }
}
