//! Proofs: what was shown of a set after it was stored, good or bad, one object each, beside its manifest.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Catalog;
use crate::bucket::{BucketError, ErrorKind, ObjectKey, Overwrite};
use crate::model::{Proof, SetId};

/// Form of the record.
const VERSION: u32 = 1;
/// A proof has a few hundred bytes; more than this is not one of ours.
const MAX_PROOF_BYTES: u64 = 1 << 20;

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// S3 still has what it confirmed.
    Stored,
    /// Every byte was read back and compared.
    Reread,
    /// A drill restored it, and inspection finds it whole.
    Drilled,
    /// A drill restored it, and it was loaded into a database or passed the operator's own check.
    Restored,
    /// A drill tried, and it is no backup to count on.
    Failed,
}

impl Shown {
    /// Every one. The auditor's policy (`deploy/aws/policies/auditor.json`) lists them too.
    pub const ALL: [Self; 5] = [Self::Stored, Self::Reread, Self::Drilled, Self::Restored, Self::Failed];

    /// The word for tables, file names and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Reread => "reread",
            Self::Drilled => "drilled",
            Self::Restored => "restored",
            Self::Failed => "failed",
        }
    }

    /// How far it proves the set.
    #[must_use]
    pub const fn proof(self) -> Proof {
        match self {
            Self::Stored => Proof::Stored,
            Self::Reread | Self::Drilled => Proof::Reread,
            Self::Restored => Proof::Restored,
            Self::Failed => Proof::Unproven,
        }
    }

    const fn is_of_drill(self) -> bool {
        match self {
            Self::Drilled | Self::Restored | Self::Failed => true,
            Self::Stored | Self::Reread => false,
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A recorded proof, as its object's name tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofMark {
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// What was shown.
    pub shown: Shown,
    /// Where the record lies.
    pub key: String,
}

/// The last drill: `marks` are a set's, oldest first.
pub(super) fn last_drill(marks: &[ProofMark]) -> Option<&ProofMark> {
    marks.iter().rfind(|mark| mark.shown.is_of_drill())
}

/// The record itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProofRecord {
    /// Form of this record.
    pub version: u32,
    /// Which set.
    #[serde(flatten)]
    pub id: SetId,
    /// What was shown.
    pub kind: Shown,
    /// When.
    pub at: DateTime<Utc>,
    /// The host that proved it.
    pub host: String,
    /// dbbackup's version.
    pub dbbackup: String,
    /// How: stages and their seconds, tables, rows; or why not.
    pub details: serde_json::Value,
}

impl ProofRecord {
    /// Seconds that the proof took, where it says so.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.details.get("seconds")?.as_f64()
    }

    /// Why the drill failed, where it did.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        self.details.get("why")?.as_str()
    }
}

impl Catalog {
    /// Records what was just shown of a set, create-only. Of two that end in one second the first
    /// stays: they say the same.
    ///
    /// # Errors
    /// What the bucket says; the set itself is as proven all the same.
    pub async fn record_proof(
        &self,
        id: &SetId,
        shown: Shown,
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
            .proof(id, &stamp, shown.as_str())
            .map_err(|error| rejected(error.to_string()))?;
        let record = ProofRecord {
            version: VERSION,
            id: id.clone(),
            kind: shown,
            at,
            host: crate::source::host_name(),
            dbbackup: env!("CARGO_PKG_VERSION").to_owned(),
            details,
        };
        let json = serde_json::to_vec_pretty(&record).map_err(|error| rejected(error.to_string()))?;
        match self.put_json(&key, json, Overwrite::Never).await {
            Err(error) if error.kind != ErrorKind::Precondition => Err(error),
            _ => Ok(ProofMark { at, shown, key: key.to_string() }),
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
        let read = || self.bucket.get_small(&key, MAX_PROOF_BYTES);
        let bytes = self.policy.ask(&format!("read {key}"), read).await?;
        serde_json::from_slice(&bytes).map_err(|error| rejected(format!("it is damaged: {error}")))
    }
}

/// `…/proof-20250819T010203Z-restored.json`.
pub(super) fn proof_mark(key: &str) -> Option<ProofMark> {
    let name = key.rsplit('/').next()?.strip_prefix("proof-")?.strip_suffix(".json")?;
    let (at, kind) = name.split_once('-')?;
    let at = NaiveDateTime::parse_from_str(at, "%Y%m%dT%H%M%SZ").ok()?.and_utc();
    let shown = Shown::ALL.into_iter().find(|shown| shown.as_str() == kind)?;
    Some(ProofMark { at, shown, key: key.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proof_is_read_from_the_objects_name() {
        let mark =
            proof_mark("b/_catalog/mysql/shop/weekly/x.sql/proof-20250819T010203Z-restored.json").unwrap();
        assert_eq!(
            (mark.shown, mark.at.to_rfc3339()),
            (Shown::Restored, "2025-08-19T01:02:03+00:00".to_owned())
        );
        assert_eq!(proof_mark("b/_catalog/mysql/shop/weekly/x.sql/proof-now-restored.json"), None);
    }

    #[test]
    fn failed_drill_counts_until_another_one_passes() {
        let failed = |shown: &[Shown]| {
            let mark = |shown: &Shown| ProofMark { at: Utc::now(), shown: *shown, key: String::new() };
            last_drill(&shown.iter().map(mark).collect::<Vec<_>>())
                .is_some_and(|mark| mark.shown == Shown::Failed)
        };
        assert!(failed(&[Shown::Restored, Shown::Failed]));
        // That its bytes are those that were sent is no answer to what the drill found.
        assert!(failed(&[Shown::Failed, Shown::Reread, Shown::Stored]));
        assert!(!failed(&[Shown::Failed, Shown::Drilled]));
        assert!(!failed(&[Shown::Failed, Shown::Restored]));
        assert!(!failed(&[Shown::Reread]));
    }
}
