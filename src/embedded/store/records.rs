//! What is written beside the data, as JSON.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::super::sums::{Kind, Sums};

/// How a bucket keeps versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Versioning {
    Never,
    Enabled,
    Suspended,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BucketRecord {
    pub(super) name: String,
    pub(super) created: Stamp,
    pub(super) versioning: Versioning,
}

/// Milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(in super::super) struct Stamp(u64);

impl Stamp {
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub(in super::super) fn time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

/// What the client said of an object beside its bytes, told back as it came.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in super::super) struct Headers {
    pub(in super::super) content_type: Option<String>,
    pub(in super::super) content_encoding: Option<String>,
    pub(in super::super) content_disposition: Option<String>,
    pub(in super::super) content_language: Option<String>,
    pub(in super::super) cache_control: Option<String>,
    pub(in super::super) metadata: BTreeMap<String, String>,
    pub(in super::super) storage_class: Option<String>,
    pub(in super::super) sse: Option<String>,
    pub(in super::super) kms_key: Option<String>,
}

/// Which bytes a checksum covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Coverage {
    #[serde(rename = "FULL_OBJECT")]
    FullObject,
    #[serde(rename = "COMPOSITE")]
    Composite,
}

impl Coverage {
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    pub(in super::super) fn parse(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|coverage| coverage.name() == name)
    }
}

/// A run of an object's bytes: one file in the object's directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Segment {
    pub(super) file: String,
    pub(super) len: u64,
}

/// A part of an upload, or of the object it became.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Part {
    pub(in super::super) number: i32,
    pub(in super::super) size: u64,
    pub(in super::super) md5: [u8; 16],
    pub(in super::super) sums: Sums,
    pub(in super::super) modified: Stamp,
    pub(super) file: String,
}

/// A retrieval from an archive class that was asked for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(in super::super) struct Retrieval {
    pub(super) asked: Stamp,
    pub(super) days: u32,
}

/// One version of an object, or the mark that it was deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct Version {
    pub(in super::super) key: String,
    /// `null` where the bucket did not keep versions at the time.
    pub(in super::super) id: String,
    /// Grows with time over all buckets; the version with the highest is the latest.
    pub(super) seq: u64,
    pub(in super::super) delete_marker: bool,
    pub(in super::super) size: u64,
    pub(in super::super) etag: String,
    pub(in super::super) modified: Stamp,
    pub(in super::super) sums: Sums,
    pub(in super::super) coverage: Coverage,
    pub(in super::super) parts: Vec<Part>,
    pub(in super::super) headers: Headers,
    #[serde(default)]
    pub(super) retrieval: Option<Retrieval>,
    pub(super) segments: Vec<Segment>,
}

/// A multipart upload that is not finished.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct UploadRecord {
    pub(in super::super) key: String,
    pub(in super::super) id: String,
    pub(in super::super) initiated: Stamp,
    pub(in super::super) algorithm: Option<Kind>,
    pub(in super::super) coverage: Coverage,
    pub(in super::super) headers: Headers,
}
