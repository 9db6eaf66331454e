//! Objects in archive classes: whether one can be read now, and asking S3 to retrieve it.
//!
//! What must stay true: asking is idempotent (a retrieval that is under way is no error), and what an
//! endpoint says of an object that it cannot hand out is never taken for "readable".

use std::fmt;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{ArchiveStatus, GlacierJobParameters, RestoreRequest, StorageClass};
use chrono::{DateTime, Utc};

use super::error::classify;
use super::{Bucket, BucketError, ErrorKind, ObjectKey};

/// A class or access tier whose objects cannot be read as they are (S3 user guide, "Working with
/// archived objects"). `GLACIER_IR` is none: it is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Archive {
    /// S3 Glacier Flexible Retrieval.
    Glacier,
    /// S3 Glacier Deep Archive.
    DeepArchive,
    /// Intelligent-Tiering, Archive Access.
    TieringArchive,
    /// Intelligent-Tiering, Deep Archive Access.
    TieringDeepArchive,
}

impl Archive {
    /// Whether a retrieval moves the object itself back, for good, and makes no copy that expires.
    #[must_use]
    pub const fn moves_back(self) -> bool {
        match self {
            Self::Glacier | Self::DeepArchive => false,
            Self::TieringArchive | Self::TieringDeepArchive => true,
        }
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
            Self::TieringArchive => "INTELLIGENT_TIERING (Archive Access)",
            Self::TieringDeepArchive => "INTELLIGENT_TIERING (Deep Archive Access)",
        })
    }
}

/// How fast a retrieval is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// The cheapest.
    Bulk,
    /// What S3 does where nothing is said.
    Standard,
    /// Minutes, at a price, and not from the deep archives.
    Expedited,
}

impl Tier {
    /// Every one, the slowest first.
    pub const ALL: [Self; 3] = [Self::Bulk, Self::Standard, Self::Expedited];

    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bulk => "bulk",
            Self::Standard => "standard",
            Self::Expedited => "expedited",
        }
    }
}

/// Whether an object can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// It can; until then where it is a retrieved copy.
    Ready {
        /// When S3 takes the copy away.
        until: Option<DateTime<Utc>>,
    },
    /// It has to be retrieved first.
    Archived(Archive),
    /// Its retrieval is under way.
    Retrieving(Archive),
}

/// What asking for a retrieval did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// S3 began it.
    Begun,
    /// It was under way, or done, already.
    Already,
}

impl Bucket {
    /// Where an object stands, the version that is given or the newest; `None` where there is none.
    ///
    /// # Errors
    /// As every look at an object.
    pub async fn shelf(&self, key: &ObjectKey, version: Option<&str>) -> Result<Option<Shelf>, BucketError> {
        let reply = self
            .client
            .head_object()
            .bucket(self.name())
            .key(key.as_str())
            .set_version_id(version.map(str::to_owned))
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        match reply {
            Ok(reply) => Ok(Some(shelf(reply.storage_class(), reply.archive_status(), reply.restore()))),
            Err(error) => {
                let error = classify("look at object", key, &error);
                if error.kind == ErrorKind::NotFound { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Asks S3 to retrieve an object from `archive`. A copy stays readable for `days`; what moves back
    /// stays (and S3 refuses a number of days).
    ///
    /// # Errors
    /// [`ErrorKind::Denied`] without `s3:RestoreObject`; [`ErrorKind::Server`] where there is no capacity
    /// for expedited retrievals.
    pub async fn retrieve(
        &self,
        key: &ObjectKey,
        version: Option<&str>,
        archive: Archive,
        tier: Tier,
        days: u32,
    ) -> Result<Asked, BucketError> {
        let tier = match tier {
            Tier::Bulk => aws_sdk_s3::types::Tier::Bulk,
            Tier::Standard => aws_sdk_s3::types::Tier::Standard,
            Tier::Expedited => aws_sdk_s3::types::Tier::Expedited,
        };
        let verb = "ask for the retrieval of";
        let malformed = |error: aws_sdk_s3::error::BuildError| BucketError {
            verb,
            object: key.to_string(),
            kind: ErrorKind::Rejected,
            detail: error.to_string(),
        };
        let parameters = GlacierJobParameters::builder().tier(tier).build().map_err(malformed)?;
        let days = (!archive.moves_back()).then(|| i32::try_from(days).unwrap_or(i32::MAX));
        let request = RestoreRequest::builder().set_days(days).glacier_job_parameters(parameters).build();
        let reply = self
            .client
            .restore_object()
            .bucket(self.name())
            .key(key.as_str())
            .set_version_id(version.map(str::to_owned))
            .restore_request(request)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        match reply {
            Ok(_) => Ok(Asked::Begun),
            Err(error) => {
                let code = error.as_service_error().and_then(|error| error.code()).unwrap_or_default();
                match code {
                    "RestoreAlreadyInProgress" | "ObjectAlreadyInActiveTierError" => Ok(Asked::Already),
                    _ => Err(classify(verb, key, &error)),
                }
            }
        }
    }
}

/// From what HEAD tells: the class, Intelligent-Tiering's archive status, and `x-amz-restore`
/// (`ongoing-request="true"`, or `ongoing-request="false", expiry-date="…"`).
fn shelf(class: Option<&StorageClass>, status: Option<&ArchiveStatus>, restore: Option<&str>) -> Shelf {
    let archive = match (class, status) {
        (_, Some(ArchiveStatus::ArchiveAccess)) => Archive::TieringArchive,
        (_, Some(ArchiveStatus::DeepArchiveAccess)) => Archive::TieringDeepArchive,
        (Some(StorageClass::Glacier), _) => Archive::Glacier,
        (Some(StorageClass::DeepArchive), _) => Archive::DeepArchive,
        // Every other class is read as it is.
        _ => return Shelf::Ready { until: None },
    };
    match restore {
        None => Shelf::Archived(archive),
        Some(text) if text.contains("ongoing-request=\"false\"") => Shelf::Ready { until: expiry(text) },
        Some(_) => Shelf::Retrieving(archive),
    }
}

fn expiry(restore: &str) -> Option<DateTime<Utc>> {
    let (_, rest) = restore.split_once("expiry-date=\"")?;
    let (date, _) = rest.split_once('"')?;
    DateTime::parse_from_rfc2822(date).ok().map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_that_are_read_at_once_are_ready() {
        for class in [None, Some(StorageClass::GlacierIr), Some(StorageClass::StandardIa)] {
            assert_eq!(shelf(class.as_ref(), None, None), Shelf::Ready { until: None }, "{class:?}");
        }
        let tiering = Some(&StorageClass::IntelligentTiering);
        assert_eq!(shelf(tiering, None, None), Shelf::Ready { until: None });
    }

    #[test]
    fn an_archived_object_is_retrieved_and_expires() {
        let glacier = Some(&StorageClass::Glacier);
        assert_eq!(shelf(glacier, None, None), Shelf::Archived(Archive::Glacier));
        let under_way = Some("ongoing-request=\"true\"");
        assert_eq!(shelf(glacier, None, under_way), Shelf::Retrieving(Archive::Glacier));
        let done = "ongoing-request=\"false\", expiry-date=\"Fri, 22 Aug 2025 00:00:00 GMT\"";
        let until = "2025-08-22T00:00:00Z".parse().ok();
        assert_eq!(shelf(glacier, None, Some(done)), Shelf::Ready { until });
        let without_date = Some("ongoing-request=\"false\"");
        assert_eq!(shelf(Some(&StorageClass::DeepArchive), None, without_date), Shelf::Ready { until: None });
    }

    #[test]
    fn what_s3_says_in_other_words_is_not_readable() {
        let glacier = Some(&StorageClass::Glacier);
        assert_eq!(shelf(glacier, None, Some("")), Shelf::Retrieving(Archive::Glacier));
    }

    #[test]
    fn tiering_tells_its_archive_in_a_status_of_its_own() {
        let tiering = Some(&StorageClass::IntelligentTiering);
        let deep = Some(&ArchiveStatus::DeepArchiveAccess);
        assert_eq!(shelf(tiering, deep, None), Shelf::Archived(Archive::TieringDeepArchive));
        let under_way = Some("ongoing-request=\"true\"");
        let archive = Some(&ArchiveStatus::ArchiveAccess);
        assert_eq!(shelf(tiering, archive, under_way), Shelf::Retrieving(Archive::TieringArchive));
    }
}
