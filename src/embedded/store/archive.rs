//! Objects in archive classes: not readable until they were asked for, and then for so many days.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use s3s::{S3Result, s3_error};

use super::records::Retrieval;
use super::{Stamp, Store, Version};

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Archived {
    /// In a class that is read at once.
    No,
    /// Not asked for, or its copy expired.
    Yes,
    /// Asked for, and not there yet.
    Retrieving,
    /// A copy can be read until then.
    Retrieved(SystemTime),
}

impl Version {
    /// Where it stands now, where retrievals take no time.
    pub(in super::super) fn archived(&self) -> Archived {
        if !matches!(self.headers.storage_class.as_deref(), Some("GLACIER" | "DEEP_ARCHIVE")) {
            return Archived::No;
        }
        let until = self.retrieval.map(|Retrieval { asked, days }| {
            let days = Duration::from_hours(24) * days;
            asked.time() + days
        });
        until.filter(|until| SystemTime::now() < *until).map_or(Archived::Yes, Archived::Retrieved)
    }
}

impl Store {
    /// Notes that a version was asked for, now and for so many days.
    pub(in super::super) fn ask(&self, bucket_name: &str, version: &Version, days: u32) -> S3Result<()> {
        let mut state = self.state();
        let bucket = state.bucket(bucket_name)?;
        let versions = bucket.objects.get_mut(&version.key).map(Vec::as_mut_slice).unwrap_or_default();
        let Some(place) = versions.iter_mut().find(|known| known.seq == version.seq) else {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        };
        let mut asked = Version::clone(place);
        asked.retrieval = Some(Retrieval { asked: Stamp::now(), days });
        let dir = self.object_dir(bucket_name, &version.key);
        self.write_json(&dir.join(format!("{:020}.json", version.seq)), &asked)?;
        *place = Arc::new(asked);
        Ok(())
    }
}
