//! The catalog: manifests, proofs and run records in the bucket, and their copies on this host.
//!
//! What must stay true: a manifest is written last and create-only, and only for a set that S3
//! confirmed or that was adopted after reading it; the copies on the host speed things up and serve identities that may not read, and may
//! be lost without harm.

mod astray;
mod expired;
mod history;
mod loaded;
mod local;
mod lost;
mod proof;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use bytes::Bytes;
use chrono::Utc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bucket::{Bucket, BucketError, ErrorKind, KeyError, ObjectKey, Overwrite, PutOptions};
use crate::formats::Judgement;
use crate::manifest::{self, Manifest};
use crate::model::{Expires, SetId, SetKind};
use crate::retry::Policy;
use crate::transfer::{AdoptedSet, ConfirmedSet};
pub use expired::{Expired, is_going};
pub use history::History;
pub use loaded::{Entry, Loaded};
use local::LocalCopies;
pub use lost::lost;
pub use proof::{ProofMark, ProofRecord, Shown};

/// A manifest of 2,000 files has about 1 MB; more than this is not one of ours.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;
/// Small requests in flight at once while the catalog is read.
const READERS: usize = 32;

/// The bucket's records.
#[derive(Debug, Clone)]
pub struct Catalog {
    bucket: Arc<Bucket>,
    local: LocalCopies,
    policy: Policy,
    /// At what age the bucket's own rule removes sets.
    expires: Expires,
    /// That this identity may not list is learnt once.
    may_not_list: Arc<AtomicBool>,
}

/// What is known of one set.
#[derive(Debug, Clone)]
pub enum Known {
    /// It is stored.
    Stored(Box<Manifest>),
    /// It is stored as this host's copy of its record says; this identity may not read the bucket's.
    Copied(Box<Manifest>),
    /// It is not.
    Absent,
    /// This identity may not look, and this host has no copy.
    Unknown,
}

/// What the bucket has of one set: its record, and the objects that the record names.
#[derive(Debug, Clone)]
pub struct InBucket {
    /// The record.
    pub known: Known,
    /// What of its objects is not there any more; none where all are, or where this identity may not list.
    pub lost: Option<String>,
}

/// Why a confirmed set could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Another record stands there and speaks of other content.
    #[error("another manifest of {0} speaks of other content; look at it with `dbbackup show {0}`")]
    Other(SetId),
    /// Another record stands there, and this identity may not read it.
    #[error("a manifest of {0} is present but not compared: this identity may not read it")]
    NotCompared(SetId),
    /// The bucket did not take it.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The manifest's key is too long.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Cannot happen for these types, but is not hidden.
    #[error("write manifest as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What a manifest says besides the set itself.
#[derive(Debug, Clone)]
pub struct Stamp {
    /// The run's identifier.
    pub run: String,
    /// This host's name.
    pub host: String,
    /// Why the set is in its category.
    pub why: String,
    /// What inspection said of it.
    pub inspection: Option<Judgement>,
}

impl Catalog {
    /// The catalog of a bucket, with copies under `<state>/catalog`.
    #[must_use]
    pub fn new(bucket: Arc<Bucket>, state: &Path, policy: Policy, expires: Expires) -> Self {
        let local = LocalCopies::new(&state.join("catalog"), &bucket.directory());
        Self { bucket, local, policy, expires, may_not_list: Arc::default() }
    }

    /// What is known of one set: from the bucket where this identity may read it, else from the copy.
    pub async fn lookup(&self, id: &SetId) -> Result<Known, BucketError> {
        let Ok(key) = self.bucket.layout().manifest(id) else {
            return Ok(Known::Absent);
        };
        match self.fetch(&key).await {
            Ok(bytes) => match self.manifest(&bytes, id) {
                Ok(manifest) => Ok(Known::Stored(Box::new(manifest))),
                Err(why) => Err(damaged(&key, &why)),
            },
            Err(error) => match error.kind {
                ErrorKind::NotFound => Ok(Known::Absent),
                ErrorKind::Denied => Ok(self.copy(&key, id)),
                _ => Err(error),
            },
        }
    }

    /// Whether this host has a copy of the set's manifest: then it is stored, most likely.
    #[must_use]
    pub fn has_copy(&self, id: &SetId) -> bool {
        self.bucket.layout().manifest(id).is_ok_and(|key| matches!(self.copy(&key, id), Known::Copied(_)))
    }

    /// What this host's copy says, for identities that may not read.
    fn copy(&self, key: &ObjectKey, id: &SetId) -> Known {
        let Some(bytes) = self.local.read(key) else { return Known::Unknown };
        match self.manifest(&bytes, id) {
            Ok(manifest) => Known::Copied(Box::new(manifest)),
            Err(why) => {
                self.local.is_damaged(key, &why);
                Known::Unknown
            }
        }
    }

    /// What is known of one set, and whether its objects are there: a record alone brings nothing back.
    pub async fn look_at(&self, id: &SetId) -> Result<InBucket, BucketError> {
        let known = self.lookup(id).await?;
        let lost = match &known {
            Known::Stored(manifest) | Known::Copied(manifest) => self.look_for_objects(manifest).await?,
            Known::Absent | Known::Unknown => None,
        };
        Ok(InBucket { known, lost })
    }

    /// What the bucket has of several sets, asked at once. The order is that of `ids`.
    pub async fn look_at_all(&self, ids: &[SetId]) -> Vec<Result<InBucket, BucketError>> {
        let places = Arc::new(Semaphore::new(READERS));
        let mut tasks = JoinSet::new();
        for (index, id) in ids.iter().cloned().enumerate() {
            let (catalog, places) = (self.clone(), places.clone());
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                (index, catalog.look_at(&id).await)
            });
        }
        let mut found: Vec<_> = tasks.join_all().await;
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, known)| known).collect()
    }

    async fn fetch_manifest(&self, id: &SetId, key: &str) -> Result<Manifest, BucketError> {
        let key = ObjectKey::new(key).map_err(|error| BucketError {
            verb: "read manifest",
            object: key.to_owned(),
            kind: ErrorKind::Rejected,
            detail: error.to_string(),
        })?;
        let bytes = self.fetch(&key).await?;
        self.manifest(&bytes, id).map_err(|why| damaged(&key, &why))
    }

    /// What the bytes of a record say of the set that it is filed under, or what is wrong with it.
    fn manifest(&self, bytes: &[u8], id: &SetId) -> Result<Manifest, String> {
        astray::read(bytes, id, self.bucket.layout())
    }

    async fn fetch(&self, key: &ObjectKey) -> Result<Vec<u8>, BucketError> {
        self.policy
            .run(&format!("read {key}"), &AtomicU32::new(0), || {
                self.bucket.get_small(key, MAX_MANIFEST_BYTES)
            })
            .await
    }

    /// Records a confirmed set: the last write of its backup, and only once.
    ///
    /// # Errors
    /// [`CommitError::Other`] where another record stands there; the set's objects stay.
    pub async fn commit(
        &self,
        confirmed: &ConfirmedSet,
        stamp: Stamp,
        overwrite: Overwrite,
    ) -> Result<Manifest, CommitError> {
        let set = confirmed.set();
        let manifest = Manifest {
            version: manifest::version_for(confirmed.files()),
            id: confirmed.id().clone(),
            date: set.date,
            kind: set.kind,
            why: stamp.why,
            files: confirmed.files().to_vec(),
            bucket: self.bucket.name().to_owned(),
            run: stamp.run,
            host: stamp.host,
            source: set.path.display().to_string(),
            dbbackup: env!("CARGO_PKG_VERSION").to_owned(),
            created: Utc::now(),
            seconds: confirmed.seconds(),
            notes: set.notes.clone(),
            inspection: stamp.inspection,
        };
        self.commit_manifest(manifest, overwrite).await
    }

    /// Records an object that another program stored, create-only.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub async fn commit_adopted(&self, adopted: &AdoptedSet, stamp: Stamp) -> Result<Manifest, CommitError> {
        let file = adopted.file().clone();
        let manifest = Manifest {
            version: manifest::version_for(std::slice::from_ref(&file)),
            id: adopted.id().clone(),
            date: adopted.date(),
            kind: SetKind::File,
            why: stamp.why,
            source: self.bucket.uri(&file.key),
            files: vec![file],
            bucket: self.bucket.name().to_owned(),
            run: stamp.run,
            host: stamp.host,
            dbbackup: env!("CARGO_PKG_VERSION").to_owned(),
            created: Utc::now(),
            seconds: adopted.seconds(),
            notes: vec!["adopted: stored by another program, and read once".to_owned()],
            inspection: stamp.inspection,
        };
        self.commit_manifest(manifest, Overwrite::Never).await
    }

    async fn commit_manifest(
        &self,
        manifest: Manifest,
        overwrite: Overwrite,
    ) -> Result<Manifest, CommitError> {
        let key = self.bucket.layout().manifest(&manifest.id)?;
        let json = manifest.to_json()?;
        match self.put_json(&key, json.clone(), overwrite).await {
            Ok(()) => {}
            // A reply that was lost, or another host that sent the same set at the same time.
            Err(error) if error.kind == ErrorKind::Precondition => match self.lookup(&manifest.id).await? {
                Known::Stored(there) | Known::Copied(there) if there.same_content(&manifest) => {
                    self.local.write(&key, &there.to_json()?);
                    return Ok(*there);
                }
                Known::Stored(_) | Known::Copied(_) => return Err(CommitError::Other(manifest.id)),
                Known::Absent | Known::Unknown => return Err(CommitError::NotCompared(manifest.id)),
            },
            Err(error) => return Err(error.into()),
        }
        self.local.write(&key, &json);
        Ok(manifest)
    }

    /// Stores a record of a run, create-only. `line` is one JSON object without a newline in it.
    pub async fn record_run(&self, key: &ObjectKey, line: &str) -> Result<(), BucketError> {
        match self.put_json(key, format!("{line}\n").into_bytes(), Overwrite::Never).await {
            Err(error) if error.kind == ErrorKind::Precondition => Ok(()),
            reply => reply,
        }
    }

    async fn put_json(
        &self,
        key: &ObjectKey,
        json: Vec<u8>,
        overwrite: Overwrite,
    ) -> Result<(), BucketError> {
        let body = Bytes::from(json);
        let options = PutOptions { category: None, overwrite, content_type: "application/json" };
        loop {
            let algorithm = self.bucket.algorithm();
            let checksum = algorithm.map(|algorithm| {
                let mut digest = crate::checksum::Digest::new(algorithm);
                digest.update(&body);
                digest.full_object()
            });
            let put = async || self.bucket.put(key, body.clone(), checksum.as_ref(), options).await;
            match self.policy.run(&format!("write {key}"), &AtomicU32::new(0), put).await {
                // A command that sends nothing else finds out here what the endpoint takes.
                Err(error) if error.blames_checksum() && self.bucket.step_down(algorithm) => {}
                reply => return reply.map(|_| ()),
            }
        }
    }
}

fn damaged(key: &ObjectKey, why: &str) -> BucketError {
    BucketError {
        verb: "read manifest",
        object: key.to_string(),
        kind: ErrorKind::Damaged,
        detail: why.to_owned(),
    }
}
