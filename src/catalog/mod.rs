//! The catalog: manifests, proofs and run records in the bucket, and their copies on this host.
//!
//! What must stay true: a manifest is written last and create-only, and only for a set that S3
//! confirmed or that was adopted after reading it; the copies on the host speed things up and serve identities that may not read, and may
//! be lost without harm.

mod history;
mod local;
mod proof;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use chrono::Utc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bucket::{
    Bucket, BucketError, CatalogEntry, ErrorKind, KeyError, Listed, ObjectKey, Overwrite, PutOptions,
};
use crate::formats::Judgement;
use crate::manifest::{self, Manifest};
use crate::model::{Finding, Proof, SetId, SetKind, Severity};
use crate::retry::Policy;
use crate::transfer::{AdoptedSet, ConfirmedSet};
pub use history::History;
use local::LocalCopies;
use proof::proof_mark;
pub use proof::{ProofMark, ProofRecord};

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
}

/// What is known of one set.
#[derive(Debug, Clone)]
pub enum Known {
    /// It is stored.
    Stored(Box<Manifest>),
    /// It is not.
    Absent,
    /// This identity may not look, and this host has no copy.
    Unknown,
}

/// A stored set with what was proven since.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its manifest.
    pub manifest: Manifest,
    /// Proofs recorded after it was stored, oldest first.
    pub proofs: Vec<ProofMark>,
}

/// Everything the catalog holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Stored sets by their id.
    pub entries: BTreeMap<SetId, Entry>,
    /// Records that cannot be read or understood.
    pub findings: Vec<Finding>,
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

impl Entry {
    /// The best that is known of it.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proofs.iter().map(|mark| mark.kind).max().unwrap_or(Proof::Unproven).max(self.manifest.proof())
    }

    /// Whether it may be counted on: proven to lie in the bucket as it was, and not cut short before.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.proof() >= Proof::Stored && !self.manifest.is_cut_short()
    }
}

impl Catalog {
    /// The catalog of a bucket, with copies under `<state>/catalog`.
    #[must_use]
    pub fn new(bucket: Arc<Bucket>, state: &Path, policy: Policy) -> Self {
        let local = LocalCopies::new(&state.join("catalog"), bucket.name());
        Self { bucket, local, policy }
    }

    /// What is known of one set: from the bucket where this identity may read it, else from the copy.
    pub async fn lookup(&self, id: &SetId) -> Result<Known, BucketError> {
        let Ok(key) = self.bucket.layout().manifest(id) else {
            return Ok(Known::Absent);
        };
        match self.fetch(&key).await {
            Ok(bytes) => match Manifest::from_json(&bytes, id) {
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
        self.bucket.layout().manifest(id).is_ok_and(|key| matches!(self.copy(&key, id), Known::Stored(_)))
    }

    /// What this host's copy says, for identities that may not read.
    fn copy(&self, key: &ObjectKey, id: &SetId) -> Known {
        self.local
            .read(key)
            .and_then(|bytes| Manifest::from_json(&bytes, id).ok())
            .map_or(Known::Unknown, |manifest| Known::Stored(Box::new(manifest)))
    }

    /// What the bucket knows of several sets, asked at once. The order is that of `ids`.
    pub async fn lookup_all(&self, ids: &[SetId]) -> Vec<Result<Known, BucketError>> {
        let places = Arc::new(Semaphore::new(READERS));
        let mut tasks = JoinSet::new();
        for (index, id) in ids.iter().cloned().enumerate() {
            let (catalog, places) = (self.clone(), places.clone());
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                (index, catalog.lookup(&id).await)
            });
        }
        let mut found: Vec<_> = tasks.join_all().await;
        found.sort_by_key(|(index, _)| *index);
        found.into_iter().map(|(_, known)| known).collect()
    }

    /// Reads every manifest whose key below the catalog begins with `scope` (`mysql/shop/`, or
    /// nothing for all), and the names of the proofs beside them.
    pub async fn load(&self, scope: &str) -> Result<Loaded, BucketError> {
        let prefix = format!("{}{scope}", self.bucket.layout().catalog_prefix());
        let listed =
            self.policy.run("list the catalog", &AtomicU32::new(0), || self.bucket.list(&prefix)).await?;
        let mut loaded = Loaded::default();
        let mut proofs: BTreeMap<SetId, Vec<ProofMark>> = BTreeMap::new();
        let mut manifests = Vec::new();
        for object in listed {
            match self.bucket.layout().catalog_entry(&object.key) {
                Some(CatalogEntry::Manifest(id)) => manifests.push((id, object)),
                Some(CatalogEntry::Proof(id)) => match proof_mark(&object.key) {
                    Some(mark) => proofs.entry(id).or_default().push(mark),
                    None => loaded.findings.push(foreign(&object)),
                },
                None => loaded.findings.push(foreign(&object)),
            }
        }
        for (id, manifest) in self.fetch_manifests(manifests).await {
            match manifest {
                Ok(manifest) => {
                    let mut marks = proofs.remove(&id).unwrap_or_default();
                    // What was proven of a set that was replaced says nothing of the one that is there.
                    marks.retain(|mark| mark.at.timestamp() >= manifest.created.timestamp());
                    marks.sort_by_key(|mark| mark.at);
                    loaded.entries.insert(id, Entry { manifest, proofs: marks });
                }
                Err(error) => loaded.findings.push(Finding {
                    severity: Severity::Error,
                    subject: error.object.clone(),
                    what: error.detail.clone(),
                    advice: error.advice().to_owned(),
                }),
            }
        }
        // What was proven stays when the manifest is lost, and tells of the loss.
        loaded.findings.extend(proofs.into_keys().map(|id| {
            Finding {
                severity: Severity::Error,
                subject: id.key(),
                what: "something was proven of this set, but its manifest is gone or cannot be read"
                    .to_owned(),
                advice:
                    "bring the manifest back from a version of the bucket, or run the backup of its day again"
                        .to_owned(),
            }
        }));
        Ok(loaded)
    }

    async fn fetch_manifests(
        &self,
        wanted: Vec<(SetId, Listed)>,
    ) -> Vec<(SetId, Result<Manifest, BucketError>)> {
        let places = Arc::new(Semaphore::new(READERS));
        let mut tasks = JoinSet::new();
        for (id, object) in wanted {
            let (catalog, places) = (self.clone(), places.clone());
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                let manifest = catalog.fetch_manifest(&id, &object.key).await;
                (id, manifest)
            });
        }
        tasks.join_all().await
    }

    async fn fetch_manifest(&self, id: &SetId, key: &str) -> Result<Manifest, BucketError> {
        let key = ObjectKey::new(key).map_err(|error| BucketError {
            verb: "read manifest",
            object: key.to_owned(),
            kind: ErrorKind::Rejected,
            detail: error.to_string(),
        })?;
        let bytes = self.fetch(&key).await?;
        Manifest::from_json(&bytes, id).map_err(|why| damaged(&key, &why))
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
                Known::Stored(there) if there.same_content(&manifest) => {
                    self.local.write(&key, &there.to_json()?);
                    return Ok(*there);
                }
                Known::Stored(_) => return Err(CommitError::Other(manifest.id)),
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
        let checksum = self.bucket.algorithm().map(|algorithm| {
            let mut digest = crate::checksum::Digest::new(algorithm);
            digest.update(&body);
            digest.full_object()
        });
        self.policy
            .run(&format!("write {key}"), &AtomicU32::new(0), || {
                self.bucket.put(key, body.clone(), checksum.as_ref(), options)
            })
            .await
            .map(|_| ())
    }
}

fn damaged(key: &ObjectKey, why: &str) -> BucketError {
    BucketError {
        verb: "read manifest",
        object: key.to_string(),
        kind: ErrorKind::Rejected,
        detail: why.to_owned(),
    }
}

fn foreign(object: &Listed) -> Finding {
    Finding {
        severity: Severity::Warning,
        subject: object.key.clone(),
        what: "is no manifest and no proof, but lies in the catalog".to_owned(),
        advice: "find out who wrote it; dbbackup leaves it alone".to_owned(),
    }
}
