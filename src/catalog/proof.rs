//! Proofs: what was shown of a set after it was stored, one object each, beside its manifest.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Catalog;
use crate::bucket::{BucketError, ErrorKind, ObjectKey, Overwrite};
use crate::model::{Proof, SetId};

/// Form of the record.
const VERSION: u32 = 1;
/// A proof has a few hundred bytes; more than this is not one of ours.
const MAX_PROOF_BYTES: u64 = 1 << 20;

/// A recorded proof, as its object's name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofMark {
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What was proven.
    pub kind: Proof,
    /// Where the record lies.
    pub key: String,
}

/// The record itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofRecord {
    /// Form of this record.
    pub version: u32,
    /// Which set.
    #[serde(flatten)]
    pub id: SetId,
    /// What was proven.
    pub kind: Proof,
    /// When.
    pub at: DateTime<Utc>,
    /// The host that proved it.
    pub host: String,
    /// dbbackup's version.
    pub dbbackup: String,
    /// How: stages and their seconds, tables, rows.
    pub details: serde_json::Value,
}

impl ProofRecord {
    /// Seconds that the proof took, where it says so.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.details.get("seconds")?.as_f64()
    }
}

impl Catalog {
    /// Records what was just proven of a set, create-only. Of two that end in one second the first
    /// stays: they say the same.
    ///
    /// # Errors
    /// What the bucket says; the set itself is as proven all the same.
    pub async fn record_proof(
        &self,
        id: &SetId,
        kind: Proof,
        details: serde_json::Value,
    ) -> Result<ProofMark, BucketError> {
        let at = Utc::now();
        let rejected = |detail: String| BucketError {
            verb: "record proof of",
            object: id.key(),
            kind: ErrorKind::Rejected,
            detail,
        };
        let stamp = at.format("%Y%m%dT%H%M%SZ").to_string();
        let key = self
            .bucket
            .layout()
            .proof(id, &stamp, kind.as_str())
            .map_err(|error| rejected(error.to_string()))?;
        let record = ProofRecord {
            version: VERSION,
            id: id.clone(),
            kind,
            at,
            host: crate::source::host_name(),
            dbbackup: env!("CARGO_PKG_VERSION").to_owned(),
            details,
        };
        let json = serde_json::to_vec_pretty(&record).map_err(|error| rejected(error.to_string()))?;
        match self.put_json(&key, json, Overwrite::Never).await {
            Err(error) if error.kind != ErrorKind::Precondition => Err(error),
            _ => Ok(ProofMark { at, kind, key: key.to_string() }),
        }
    }

    /// Reads a recorded proof.
    pub async fn read_proof(&self, mark: &ProofMark) -> Result<ProofRecord, BucketError> {
        let rejected = |detail: String| BucketError {
            verb: "read proof",
            object: mark.key.clone(),
            kind: ErrorKind::Rejected,
            detail,
        };
        let key = ObjectKey::new(mark.key.clone()).map_err(|error| rejected(error.to_string()))?;
        let bytes = self.bucket.get_small(&key, MAX_PROOF_BYTES).await?;
        serde_json::from_slice(&bytes).map_err(|error| rejected(format!("it is damaged: {error}")))
    }
}

/// `…/proof-20250819T010203Z-restored.json`.
pub(super) fn proof_mark(key: &str) -> Option<ProofMark> {
    let name = key.rsplit('/').next()?.strip_prefix("proof-")?.strip_suffix(".json")?;
    let (at, kind) = name.split_once('-')?;
    let at = NaiveDateTime::parse_from_str(at, "%Y%m%dT%H%M%SZ").ok()?.and_utc();
    let kind = match kind {
        "stored" => Proof::Stored,
        "reread" => Proof::Reread,
        "restored" => Proof::Restored,
        _ => return None,
    };
    Some(ProofMark { at, kind, key: key.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_is_read_from_the_objects_name() {
        let mark =
            proof_mark("b/_catalog/mysql/shop/weekly/x.sql/proof-20250819T010203Z-restored.json").unwrap();
        assert_eq!(
            (mark.kind, mark.at.to_rfc3339()),
            (Proof::Restored, "2025-08-19T01:02:03+00:00".to_owned())
        );
        assert_eq!(proof_mark("b/_catalog/mysql/shop/weekly/x.sql/proof-now-restored.json"), None);
    }
}
