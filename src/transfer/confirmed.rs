//! The state that must come before a manifest, as a type: only [`super::Uploader`] can make one.

use crate::engines::BackupSet;
use crate::formats::Judgement;
use crate::manifest::StoredFile;
use crate::model::SetId;

/// A set whose every object S3 has, compared with its file as well as the endpoint allows.
#[derive(Debug)]
pub struct ConfirmedSet {
    id: SetId,
    set: BackupSet,
    files: Vec<StoredFile>,
    journey: Journey,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) seconds: f64,
    pub(super) sent_bytes: u64,
    pub(super) judgement: Option<Judgement>,
}

impl ConfirmedSet {
    pub(super) const fn new(id: SetId, set: BackupSet, files: Vec<StoredFile>, journey: Journey) -> Self {
        Self { id, set, files, journey }
    }

    /// Which set.
    #[must_use]
    pub const fn id(&self) -> &SetId {
        &self.id
    }

    /// As it was found on this host.
    #[must_use]
    pub const fn set(&self) -> &BackupSet {
        &self.set
    }

    /// Its objects, sorted by path.
    #[must_use]
    pub fn files(&self) -> &[StoredFile] {
        &self.files
    }

    /// Seconds from the first byte read to the last confirmation.
    #[must_use]
    pub const fn seconds(&self) -> f64 {
        self.journey.seconds
    }

    /// Bytes that went over the network; fewer than the set's where objects were there already.
    #[must_use]
    pub const fn sent_bytes(&self) -> u64 {
        self.journey.sent_bytes
    }

    /// What was seen on the way, where that adds to what was known before.
    #[must_use]
    pub const fn judgement(&self) -> Option<&Judgement> {
        self.journey.judgement.as_ref()
    }
}
