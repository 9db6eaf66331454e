//! How the bucket is set up, as S3 tells it: facts only, judged elsewhere.
//!
//! Each call stands alone. A refusal is an answer about the identity, not about the bucket; a setting
//! that was never made is `None`.

use super::error::classify;
use super::{Bucket, BucketError, ErrorKind};

/// What each question was answered.
pub type Answer<T> = Result<T, BucketError>;

/// Everything that is asked of a bucket.
#[derive(Debug, Clone)]
pub struct Posture {
    /// The bucket's region, where the store tells one.
    pub region: Answer<Option<String>>,
    /// Whether versions are kept.
    pub versioning: Answer<Versioning>,
    /// Default encryption.
    pub encryption: Answer<Option<Encryption>>,
    /// The names of the public access block's settings that are off; `None` without any block.
    pub public_access_open: Answer<Option<Vec<&'static str>>>,
    /// Object ownership, such as `BucketOwnerEnforced`.
    pub ownership: Answer<Option<String>>,
    /// Whether S3 calls the bucket's policy public; `None` without a policy.
    pub policy_is_public: Answer<Option<bool>>,
    /// Lifecycle rules; `None` without any.
    pub lifecycle: Answer<Option<Vec<LifecycleRule>>>,
    /// Object lock; `None` where it is off.
    pub object_lock: Answer<Option<ObjectLock>>,
}

/// Whether a bucket keeps the versions that are written over or deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versioning {
    /// All of them.
    Enabled,
    /// Those of before; nothing new.
    Suspended,
    /// None.
    Never,
}

/// Default encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub algorithm: String,
    /// The KMS key; none is AWS's own.
    pub key: Option<String>,
}

/// A lifecycle rule, as far as it matters to backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its name.
    pub id: String,
    /// Whether it is in force.
    pub enabled: bool,
    /// What it is for; empty is everything.
    pub prefix: String,
    /// Whether tags or sizes narrow it.
    pub narrowed: bool,
    /// The tags that an object has to have, by name.
    pub tags: Vec<(String, String)>,
    /// Days after which incomplete uploads are aborted.
    pub abort_days: Option<i32>,
    /// Days after which objects expire.
    pub expire_days: Option<i32>,
    /// Day on which objects expire, whenever they were written.
    pub expire_date: Option<String>,
    /// Days after which versions that are no longer the newest are removed.
    pub noncurrent_days: Option<i32>,
}

/// Object lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectLock {
    /// Default retention: the mode, and its time as text.
    pub default_retention: Option<String>,
}

/// Asks one thing about the bucket. Each call is of types of its own, so no function could take them all.
macro_rules! ask {
    ($bucket:ident, $call:ident, $what:literal) => {
        $bucket
            .client
            .$call()
            .bucket($bucket.name())
            .set_expected_bucket_owner($bucket.owner())
            .send()
            .await
            .map_err(|error| classify(concat!("ask for ", $what, " of"), $bucket.name(), &error))
    };
}

impl Bucket {
    /// Asks everything at once.
    pub async fn posture(&self) -> Posture {
        let (
            region,
            versioning,
            encryption,
            public_access_open,
            ownership,
            policy_is_public,
            lifecycle,
            object_lock,
        ) = tokio::join!(
            self.bucket_region(),
            self.versioning(),
            self.encryption(),
            self.public_access_open(),
            self.ownership(),
            self.policy_is_public(),
            self.lifecycle(),
            self.object_lock(),
        );
        Posture {
            region,
            versioning,
            encryption,
            public_access_open,
            ownership,
            policy_is_public,
            lifecycle,
            object_lock,
        }
    }

    async fn bucket_region(&self) -> Answer<Option<String>> {
        let reply = ask!(self, head_bucket, "the region")?;
        Ok(reply.bucket_region().map(str::to_owned))
    }

    async fn versioning(&self) -> Answer<Versioning> {
        use aws_sdk_s3::types::BucketVersioningStatus;
        let reply = ask!(self, get_bucket_versioning, "versioning")?;
        Ok(match reply.status() {
            Some(BucketVersioningStatus::Enabled) => Versioning::Enabled,
            Some(_) => Versioning::Suspended,
            None => Versioning::Never,
        })
    }

    async fn encryption(&self) -> Answer<Option<Encryption>> {
        let reply = made(ask!(self, get_bucket_encryption, "encryption"))?;
        Ok(reply.and_then(|reply| {
            let rules = reply.server_side_encryption_configuration()?.rules();
            let default = rules.iter().find_map(|rule| rule.apply_server_side_encryption_by_default())?;
            Some(Encryption {
                algorithm: default.sse_algorithm().as_str().to_owned(),
                key: default.kms_master_key_id().map(str::to_owned),
            })
        }))
    }

    async fn public_access_open(&self) -> Answer<Option<Vec<&'static str>>> {
        let reply = made(ask!(self, get_public_access_block, "the public access block"))?;
        Ok(reply.and_then(|reply| {
            let block = reply.public_access_block_configuration()?;
            let settings = [
                ("BlockPublicAcls", block.block_public_acls()),
                ("IgnorePublicAcls", block.ignore_public_acls()),
                ("BlockPublicPolicy", block.block_public_policy()),
                ("RestrictPublicBuckets", block.restrict_public_buckets()),
            ];
            Some(settings.into_iter().filter(|(_, on)| *on != Some(true)).map(|(name, _)| name).collect())
        }))
    }

    async fn ownership(&self) -> Answer<Option<String>> {
        let reply = made(ask!(self, get_bucket_ownership_controls, "ownership"))?;
        Ok(reply.and_then(|reply| {
            let rule = reply.ownership_controls()?.rules().first()?;
            Some(rule.object_ownership().as_str().to_owned())
        }))
    }

    async fn policy_is_public(&self) -> Answer<Option<bool>> {
        let reply = made(ask!(self, get_bucket_policy_status, "the policy status"))?;
        Ok(reply.map(|reply| {
            reply.policy_status().and_then(aws_sdk_s3::types::PolicyStatus::is_public) == Some(true)
        }))
    }

    async fn lifecycle(&self) -> Answer<Option<Vec<LifecycleRule>>> {
        let reply = made(ask!(self, get_bucket_lifecycle_configuration, "lifecycle rules"))?;
        Ok(reply.map(|reply| reply.rules().iter().map(lifecycle_rule).collect()))
    }

    async fn object_lock(&self) -> Answer<Option<ObjectLock>> {
        let reply = made(ask!(self, get_object_lock_configuration, "object lock"))?;
        Ok(reply.and_then(|reply| {
            let lock = reply.object_lock_configuration()?;
            lock.object_lock_enabled()?;
            let default = lock.rule().and_then(|rule| rule.default_retention());
            let default_retention = default.map(|default| {
                let mode = default.mode().map_or("no mode", |mode| mode.as_str());
                match (default.days(), default.years()) {
                    (Some(days), _) => format!("{mode}, {days} days"),
                    (None, Some(years)) => format!("{mode}, {years} years"),
                    (None, None) => mode.to_owned(),
                }
            });
            Some(ObjectLock { default_retention })
        }))
    }
}

/// A setting that was never made is answered as an error; it is none.
fn made<T>(reply: Answer<T>) -> Answer<Option<T>> {
    match reply {
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn lifecycle_rule(rule: &aws_sdk_s3::types::LifecycleRule) -> LifecycleRule {
    let filter = rule.filter();
    let and = filter.and_then(|filter| filter.and());
    #[allow(deprecated, reason = "older rules still have their prefix there")]
    let old = rule.prefix();
    let prefix =
        filter.and_then(|filter| filter.prefix()).or_else(|| and.and_then(|and| and.prefix())).or(old);
    let narrowed = filter.is_some_and(|filter| {
        filter.tag().is_some()
            || filter.object_size_greater_than().is_some()
            || filter.object_size_less_than().is_some()
    }) || and.is_some_and(|and| {
        !and.tags().is_empty()
            || and.object_size_greater_than().is_some()
            || and.object_size_less_than().is_some()
    });
    let tags = filter.and_then(|filter| filter.tag()).into_iter();
    let tags = tags.chain(and.into_iter().flat_map(aws_sdk_s3::types::LifecycleRuleAndOperator::tags));
    LifecycleRule {
        id: rule.id().unwrap_or_default().to_owned(),
        enabled: *rule.status() == aws_sdk_s3::types::ExpirationStatus::Enabled,
        prefix: prefix.unwrap_or_default().to_owned(),
        narrowed,
        tags: tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect(),
        abort_days: rule
            .abort_incomplete_multipart_upload()
            .and_then(aws_sdk_s3::types::AbortIncompleteMultipartUpload::days_after_initiation),
        expire_days: rule.expiration().and_then(aws_sdk_s3::types::LifecycleExpiration::days),
        expire_date: rule.expiration().and_then(|end| end.date()).map(|at| {
            let at = chrono::DateTime::from_timestamp(at.secs(), 0);
            at.map_or_else(|| "a day".to_owned(), |at| at.format("%Y-%m-%d").to_string())
        }),
        noncurrent_days: rule
            .noncurrent_version_expiration()
            .and_then(aws_sdk_s3::types::NoncurrentVersionExpiration::noncurrent_days),
    }
}
