//! What is told and recorded of a file that is stored.

use std::time::Duration;

use bytesize::ByteSize;
use chrono::{DateTime, Utc};

use super::existing::{Ours, Same};
use super::job::FileJob;
use crate::checksum::Checksum;
use crate::codec::Coding;
use crate::formats::Judgement;
use crate::manifest::{Confirmation, StoredFile};

/// A file that is stored and compared.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) same: Same,
    /// Bytes of the object.
    pub(super) size: u64,
    pub(super) crc64: Checksum,
    pub(super) parts: u32,
    /// Bytes that went over the network.
    pub(super) bytes: u64,
    /// What the tap said.
    pub(super) judgement: Option<Judgement>,
    /// How the object's bytes were made from the file's.
    pub(super) coding: Option<Coding>,
}

impl FileJob {
    pub(super) fn log_sent(&self, sent: &Sent, took: Duration) {
        let size = self.file.stamp.size;
        let path = self.file.path.display();
        let key = self.bucket().uri(self.key.as_str());
        if sent.bytes == 0 && size > 0 {
            tracing::info!(key, bytes = size, "[PRESENT] {path}: S3 has the same bytes already");
            return;
        }
        let seconds = took.as_secs_f64();
        let coded = sent.coding.as_ref().map_or_else(String::new, |coding| {
            format!(", {} as {}", ByteSize(sent.size).display().si(), coding.recipe)
        });
        tracing::info!(
            key,
            bytes = size,
            seconds = format!("{seconds:.2}"),
            rate = super::rate(sent.bytes, seconds),
            "[SENT] {path} ({}{coded})",
            ByteSize(size).display().si()
        );
    }

    /// Notes what an encrypted object is about to be made from; others can be compared without.
    pub(super) fn note_sealed(&self, ours: &Ours, parts: u32, coding: &Coding) {
        if !coding.recipe.encrypts() {
            return;
        }
        let s3_checksum = ours.wire.clone();
        let same = Same { confirmed: Confirmation::Accepted, s3_checksum, etag: None, version: None };
        let (size, crc64, coding) = (ours.size, ours.crc64.clone(), Some(coding.clone()));
        let sent = Sent { same, size, crc64, parts, bytes: 0, judgement: None, coding };
        self.sealed().note(&self.stored(&sent));
    }

    pub(super) fn stored(&self, sent: &Sent) -> StoredFile {
        StoredFile {
            path: self.file.rel.clone(),
            key: self.key.to_string(),
            size: sent.size,
            mtime: DateTime::<Utc>::from(self.file.stamp.mtime),
            mode: self.file.stamp.mode,
            checksum: sent.crc64.clone(),
            s3_checksum: sent.same.s3_checksum.clone(),
            confirmed: sent.same.confirmed,
            etag: sent.same.etag.clone(),
            version_id: sent.same.version.clone(),
            parts: sent.parts,
            retries: self.retried(),
            coding: sent.coding.clone(),
        }
    }
}
