//! Everything the catalog holds, read at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::expired::{Expired, Recorded};
use super::proof::{self, ProofMark, Shown, proof_mark};
use super::{Catalog, READERS};
use crate::bucket::{BucketError, CatalogEntry, Listed};
use crate::manifest::Manifest;
use crate::model::{Finding, Proof, SetId, Severity};

/// A stored set with what was proven since.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its manifest.
    pub manifest: Manifest,
    /// What was shown of it after it was stored, oldest first.
    pub proofs: Vec<ProofMark>,
}

/// Everything the catalog holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Stored sets by their id.
    pub entries: BTreeMap<SetId, Entry>,
    /// Sets that the bucket's own rule removed at their age; they are no loss, and no backup.
    pub expired: Expired,
    /// Sets whose manifests cannot be read or understood.
    pub unreadable: BTreeSet<SetId>,
    /// Records that cannot be read or understood.
    pub findings: Vec<Finding>,
}

impl Entry {
    /// The best that is known of it.
    #[must_use]
    pub fn proof(&self) -> Proof {
        self.proofs
            .iter()
            .map(|mark| mark.shown.proof())
            .max()
            .unwrap_or(Proof::Unproven)
            .max(self.manifest.proof())
    }

    /// The last drill of it.
    #[must_use]
    pub fn last_drill(&self) -> Option<&ProofMark> {
        proof::last_drill(&self.proofs)
    }

    /// The last drill of it, where that failed.
    #[must_use]
    pub fn failed_drill(&self) -> Option<&ProofMark> {
        self.last_drill().filter(|mark| mark.shown == Shown::Failed)
    }

    /// Whether it may be counted on: proven to lie in the bucket as it was, and not cut short before.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.proof() >= Proof::Stored && !self.manifest.is_cut_short()
    }
}

impl Catalog {
    /// The manifests that this host has copies of, for an identity that may not read the bucket's. Blocks.
    pub fn copies(&self) -> impl Iterator<Item = Manifest> {
        self.local.all().filter_map(|(key, bytes)| match self.bucket.layout().catalog_entry(&key)? {
            CatalogEntry::Manifest(id) => self.manifest(&bytes, &id).ok(),
            CatalogEntry::Proof(_) => None,
        })
    }

    /// Reads every manifest whose key below the catalog begins with `scope` (`mysql/shop/`, or
    /// nothing for all), and the names of the proofs beside them.
    pub async fn load(&self, scope: &str) -> Result<Loaded, BucketError> {
        let prefix = format!("{}{scope}", self.bucket.layout().catalog_prefix());
        let listed =
            self.policy.run("list the catalog", &AtomicU32::new(0), || self.bucket.list(&prefix)).await?;
        let mut loaded = Loaded::default();
        let mut recorded = Recorded::default();
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
                    recorded.entries.insert(id, Entry { manifest, proofs: marks });
                }
                Err(error) => {
                    proofs.remove(&id);
                    loaded.unreadable.insert(id);
                    loaded.findings.push(Finding {
                        severity: Severity::Error,
                        subject: error.object.clone(),
                        what: error.detail.clone(),
                        advice: error.advice().to_owned(),
                    });
                }
            }
        }
        // What was proven stays when the manifest is lost, and tells of the loss; what failed may have been removed.
        proofs.retain(|_, marks| marks.iter().any(|mark| mark.shown != Shown::Failed));
        recorded.orphans = proofs;
        loaded.expired = self.take_expired(&mut recorded, scope).await?;
        loaded.entries = recorded.entries;
        loaded.findings.extend(recorded.orphans.into_keys().map(|id| {
            Finding {
                severity: Severity::Error,
                subject: id.key(),
                what: "something was proven of this set, but its manifest is gone".to_owned(),
                advice:
                    "bring the manifest back from a version of the bucket, or run the backup of its day again"
                        .to_owned(),
            }
        }));
        Ok(loaded)
    }

    pub(super) async fn fetch_manifests(
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
}

fn foreign(object: &Listed) -> Finding {
    Finding {
        severity: Severity::Warning,
        subject: object.key.clone(),
        what: "is no manifest and no proof, but lies in the catalog".to_owned(),
        advice: "find out who wrote it; dbbackup leaves it alone".to_owned(),
    }
}
