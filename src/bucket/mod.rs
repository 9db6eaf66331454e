//! The bucket: the only place that knows the AWS SDK.
//!
//! What must stay true: every write of data or a manifest is conditional unless the caller holds the
//! operator's word ([`Overwrite::Replace`]); payloads are sent once, unsigned, with a checksum that
//! S3 verifies; no call is retried here, so that whoever counts attempts counts all of them.

mod archive;
mod attempt;
mod body;
mod client;
mod credentials;
mod error;
mod identity;
mod key;
mod multipart;
mod object;
mod pace;
mod posture;
mod private;
mod road;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use sha2::{Digest as _, Sha256};

pub use archive::{Archive, Asked, Shelf, Tier};
pub use body::{PartBody, StreamFeed, stream};
pub use error::{BucketError, ErrorKind};
pub use identity::CredentialsInUse;
pub use key::{CatalogEntry, KeyError, Layout, MAX_KEY_BYTES, ObjectKey};
pub use multipart::{MultipartUpload, OpenUpload, PartReceipt, StoredPart};
pub use object::{Listed, ObjectBody, ObjectInfo, PutOptions, Receipt};
pub use posture::{Answer, Encryption, LifecycleRule, ObjectLock, Posture, Versioning};
pub use private::PrivateOnly;
pub use road::{Destination, RoundTrip};

use crate::checksum::{Algorithm, Checksum};
use crate::config::{self, ChecksumChoice};
use crate::model::{Bandwidth, Category};

/// Whether an existing object may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// Create only: `If-None-Match: *`.
    Never,
    /// The operator said `--replace`; the bucket keeps the old version.
    Replace,
}

/// One bucket, reached with one identity.
#[derive(Debug)]
pub struct Bucket {
    client: aws_sdk_s3::Client,
    /// For calls that [`attempt::Attempt`] ends: the SDK's own end would not know their size. Made once, as
    /// overriding it in each call costs each call.
    bodies: aws_sdk_s3::Client,
    settings: config::S3,
    /// None where the environment gives none at all.
    credentials: Option<credentials::Renewable>,
    layout: Layout,
    pace: Arc<pace::Pace>,
    /// Under `auto`, what the endpoint turned out to take.
    checksum: AtomicU8,
    /// What the client was made from: credentials, region, connections.
    shared: aws_config::SdkConfig,
}

impl Bucket {
    /// The same, sending no faster.
    #[must_use]
    pub fn limited(self, bandwidth: Bandwidth) -> Self {
        Self { pace: Arc::new(pace::Pace::new(bandwidth)), ..self }
    }

    /// Where things lie in it.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.bucket
    }

    /// Name of a directory for what is remembered of it: its own name, the store's, and eight digits by which stores
    /// are told apart whose buckets have one name.
    #[must_use]
    pub fn directory(&self) -> String {
        let settings = &self.settings;
        let host = settings.endpoint_url.as_deref().map(|url| {
            let host = url.split_once("://").map_or(url, |(_, rest)| rest);
            host.split('/').next().unwrap_or(host).to_ascii_lowercase()
        });
        // However AWS is reached, a bucket's name stands for one bucket of a partition.
        let store = match host {
            Some(host) if !self.is_aws() => host,
            Some(host) if host.ends_with(".com.cn") => "aws-cn".to_owned(),
            Some(_) | None => "aws".to_owned(),
        };
        let region = settings.region.as_deref().unwrap_or_default();
        let owner = settings.expected_bucket_owner.as_deref().unwrap_or_default();
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(format!("{store}\n{region}\n{owner}")).into();
        let store = store.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-', "_");
        format!("{}@{store}-{:08x}", self.name(), u32::from_be_bytes([a, b, c, d]))
    }

    /// `s3://bucket/key`, for people.
    #[must_use]
    pub fn uri(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.settings.bucket)
    }

    /// The algorithm sent with uploads now, or `None` for none.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        match self.settings.checksum {
            ChecksumChoice::Auto => match self.checksum.load(Ordering::Relaxed) {
                0 => Some(Algorithm::Crc64Nvme),
                1 => Some(Algorithm::Sha256),
                _ => None,
            },
            ChecksumChoice::Crc64Nvme => Some(Algorithm::Crc64Nvme),
            ChecksumChoice::Crc32c => Some(Algorithm::Crc32c),
            ChecksumChoice::Sha256 => Some(Algorithm::Sha256),
            ChecksumChoice::None => None,
        }
    }

    /// The credentials with which a call was begun have expired: the next one asks their source anew.
    pub async fn forget_credentials(&self, begun: tokio::time::Instant) {
        if let Some(credentials) = &self.credentials {
            credentials.forget(begun).await;
        }
    }

    /// Whether an object must be compared with its file before it counts: always, unless the operator
    /// switched checksums off.
    #[must_use]
    pub fn wants_proof(&self) -> bool {
        self.settings.checksum != ChecksumChoice::None
    }

    const fn limits(&self) -> attempt::Limits {
        attempt::Limits::new(&self.settings)
    }

    /// Steps down to what an older endpoint may take (`auto` only): CRC64NVME, SHA-256, none.
    /// `rejected` is the algorithm that was refused, so that two uploads refused together step once.
    /// False where there is nothing below.
    pub fn step_down(&self, rejected: Option<Algorithm>) -> bool {
        if self.settings.checksum != ChecksumChoice::Auto || rejected.is_none() {
            return false;
        }
        if self.algorithm() == rejected {
            let from = self.checksum.load(Ordering::Relaxed);
            let step = self.checksum.compare_exchange(from, from + 1, Ordering::Relaxed, Ordering::Relaxed);
            if step.is_ok() {
                tracing::warn!(
                    "the endpoint refuses {} checksums; going on with {}",
                    rejected.map_or_else(String::new, |algorithm| algorithm.to_string()),
                    self.algorithm().map_or_else(|| "none".to_owned(), |next| next.to_string()),
                );
            }
        }
        true
    }

    /// Whether the endpoint is AWS's own, where `If-None-Match` is known to hold. Other stores may
    /// ignore it in silence.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        self.settings.endpoint_url.as_deref().is_none_or(|url| {
            let host = url.split_once("://").map_or(url, |(_, rest)| rest);
            let host = host.split(['/', ':']).next().unwrap_or(host);
            host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
        })
    }

    fn storage_class(&self, category: Category) -> Option<aws_sdk_s3::types::StorageClass> {
        self.settings.storage_class.get(&category).map(|class| class.as_str().into())
    }

    fn owner(&self) -> Option<String> {
        self.settings.expected_bucket_owner.clone()
    }
}

/// What S3 said of a checksum, whichever of its fields it used.
fn checksum_from(
    crc64: Option<&str>,
    crc32c: Option<&str>,
    sha256: Option<&str>,
    composite: bool,
) -> Option<Checksum> {
    use crate::checksum::Scope;
    let scope = if composite { Scope::Composite } else { Scope::FullObject };
    let make = |algorithm, value: &str| Checksum { algorithm, scope, value: value.to_owned() };
    crc64
        .map(|value| make(Algorithm::Crc64Nvme, value))
        .or_else(|| crc32c.map(|value| make(Algorithm::Crc32c, value)))
        .or_else(|| sha256.map(|value| make(Algorithm::Sha256, value)))
}
