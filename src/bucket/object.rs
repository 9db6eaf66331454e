//! Whole objects: put, head, get, list, delete.

use std::time::SystemTime;

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumMode, ChecksumType, ServerSideEncryption};
use bytes::Bytes;

use super::attempt::{Attempt, Waiting};
use super::error::classify;
use super::{Bucket, BucketError, ErrorKind, ObjectKey, Overwrite, PartBody, checksum_from};
use crate::checksum::{Algorithm, Checksum};
use crate::config::Sse;
use crate::model::Category;

/// How an object is written.
#[derive(Debug, Clone, Copy)]
pub struct PutOptions {
    /// Chooses the storage class; none for records, which stay in the bucket's default class.
    pub category: Option<Category>,
    /// Create only, or the operator's word.
    pub overwrite: Overwrite,
    /// The media type.
    pub content_type: &'static str,
}

/// What S3 said when it took an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Entity tag, unquoted; some stores give none.
    pub etag: Option<String>,
    /// On a versioned bucket.
    pub version: Option<String>,
    /// The checksum S3 computed, where it says so.
    pub checksum: Option<Checksum>,
}

/// What S3 knows of an object.
#[derive(Debug, Clone)]
pub struct ObjectInfo {
    /// Bytes.
    pub size: u64,
    /// Entity tag, unquoted.
    pub etag: Option<String>,
    /// On a versioned bucket.
    pub version: Option<String>,
    /// The checksum S3 keeps, where it keeps one of ours.
    pub checksum: Option<Checksum>,
    /// Storage class, where it is not the default.
    pub storage_class: Option<String>,
    /// When it was written.
    pub modified: Option<SystemTime>,
}

/// One line of a listing.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The full key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Entity tag, unquoted.
    pub etag: Option<String>,
    /// When it was written.
    pub modified: Option<SystemTime>,
}

/// An object's bytes on their way here.
#[derive(Debug)]
pub struct ObjectBody {
    stream: ByteStream,
    key: String,
    waiting: Waiting,
}

impl ObjectBody {
    /// The next bytes, or `None` at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] where the connection ends too early, stalls, or is too slow.
    pub async fn next(&mut self) -> Result<Option<Bytes>, BucketError> {
        let len = |piece: &Option<Result<Bytes, _>>| match piece {
            Some(Ok(bytes)) => bytes.len() as u64,
            Some(Err(_)) | None => 0,
        };
        let piece = self.waiting.next(&self.key, self.stream.next(), len).await?;
        piece.transpose().map_err(|error| BucketError {
            verb: "read object",
            object: self.key.clone(),
            kind: ErrorKind::Unreachable,
            detail: crate::causes::told(&error),
        })
    }
}

impl Bucket {
    /// Writes one object from memory, with its checksum for S3 to verify.
    pub async fn put(
        &self,
        key: &ObjectKey,
        body: Bytes,
        checksum: Option<&Checksum>,
        options: PutOptions,
    ) -> Result<Receipt, BucketError> {
        let mut request = self
            .bodies
            .put_object()
            .bucket(self.name())
            .key(key.as_str())
            .content_type(options.content_type)
            .content_length(i64::try_from(body.len()).unwrap_or(i64::MAX))
            .set_expected_bucket_owner(self.owner())
            .set_storage_class(options.category.and_then(|category| self.storage_class(category)))
            .set_if_none_match(if_none_match(options.overwrite));
        if let Some(sse) = &self.settings.sse {
            let (kind, kms_key) = sse_fields(sse);
            request = request.server_side_encryption(kind).set_ssekms_key_id(kms_key);
        }
        if let Some(checksum) = checksum {
            let value = checksum.value.clone();
            request = match checksum.algorithm {
                Algorithm::Crc64Nvme => request.checksum_crc64_nvme(value),
                Algorithm::Crc32c => request.checksum_crc32_c(value),
                Algorithm::Sha256 => request.checksum_sha256(value),
            };
        }
        let (verb, len) = ("put object", body.len() as u64);
        let attempt = Attempt::new(self.limits());
        let call = request
            .body(PartBody::Bytes(body).into_stream(attempt.clone(), self.pace.clone()))
            .customize()
            .disable_payload_signing();
        let sent = Box::pin(async { call.send().await.map_err(|error| classify(verb, key, &error)) });
        let reply = attempt.run(verb, key.as_str(), len, sent).await?;
        Ok(Receipt {
            etag: unquoted(reply.e_tag()),
            version: reply.version_id().map(str::to_owned),
            checksum: checksum_from(
                reply.checksum_crc64_nvme(),
                reply.checksum_crc32_c(),
                reply.checksum_sha256(),
                reply.checksum_type() == Some(&ChecksumType::Composite),
            ),
        })
    }

    /// What S3 knows of an object, or `None` where there is none.
    pub async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, BucketError> {
        let reply = self
            .client
            .head_object()
            .bucket(self.name())
            .key(key.as_str())
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                let error = classify("look at object", key, &error);
                return if error.kind == ErrorKind::NotFound { Ok(None) } else { Err(error) };
            }
        };
        Ok(Some(ObjectInfo {
            size: length(reply.content_length()),
            etag: unquoted(reply.e_tag()),
            version: reply.version_id().map(str::to_owned),
            checksum: checksum_from(
                reply.checksum_crc64_nvme(),
                reply.checksum_crc32_c(),
                reply.checksum_sha256(),
                reply.checksum_type() == Some(&ChecksumType::Composite),
            ),
            storage_class: reply.storage_class().map(|class| class.as_str().to_owned()),
            modified: reply.last_modified().and_then(system_time),
        }))
    }

    /// Opens an object for reading: all of it, or `range` (first and last byte, both included), of the
    /// pinned entity tag and version where given.
    pub async fn get(
        &self,
        key: &ObjectKey,
        range: Option<(u64, u64)>,
        etag: Option<&str>,
        version: Option<&str>,
    ) -> Result<(ObjectInfo, ObjectBody), BucketError> {
        let reply = self
            .client
            .get_object()
            .bucket(self.name())
            .key(key.as_str())
            .set_range(range.map(|(first, last)| format!("bytes={first}-{last}")))
            .set_if_match(etag.map(|tag| format!("\"{tag}\"")))
            .set_version_id(version.map(str::to_owned))
            .set_expected_bucket_owner(self.owner())
            .send()
            .await
            .map_err(|error| {
                let mut error = classify("get object", key, &error);
                if error.kind == ErrorKind::Precondition {
                    error.kind = ErrorKind::Changed;
                }
                error
            })?;
        let info = ObjectInfo {
            size: length(reply.content_length()),
            etag: unquoted(reply.e_tag()),
            version: reply.version_id().map(str::to_owned),
            checksum: None,
            storage_class: reply.storage_class().map(|class| class.as_str().to_owned()),
            modified: reply.last_modified().and_then(system_time),
        };
        let waiting = Waiting::new(self.limits());
        Ok((info, ObjectBody { stream: reply.body, key: key.to_string(), waiting }))
    }

    /// A small object in memory. `limit` bounds what is taken.
    pub async fn get_small(&self, key: &ObjectKey, limit: u64) -> Result<Vec<u8>, BucketError> {
        let (info, mut body) = self.get(key, None, None, None).await?;
        let refuse = |detail: String| BucketError {
            verb: "get object",
            object: key.to_string(),
            kind: ErrorKind::Rejected,
            detail,
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(refuse(format!("it is larger than the {limit} bytes such a record can have")));
            }
        }
        if bytes.len() as u64 != info.size {
            return Err(BucketError {
                kind: ErrorKind::Unreachable,
                ..refuse(format!("{} of {} bytes arrived", bytes.len(), info.size))
            });
        }
        Ok(bytes)
    }

    /// Every object whose key begins with `prefix`, in the order S3 lists them (UTF-8 bytes).
    pub async fn list(&self, prefix: &str) -> Result<Vec<Listed>, BucketError> {
        let mut listed = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let page = self.list_page(prefix, token.clone()).await?;
            listed.extend(page.contents().iter().filter_map(|object| {
                Some(Listed {
                    key: object.key()?.to_owned(),
                    size: length(object.size()),
                    etag: unquoted(object.e_tag()),
                    modified: object.last_modified().and_then(system_time),
                })
            }));
            // Follow the token, never the count: some stores list pages shorter than asked.
            match page.next_continuation_token() {
                Some(next) if token.as_deref() != Some(next) => token = Some(next.to_owned()),
                _ if page.is_truncated() == Some(true) => {
                    return Err(BucketError {
                        verb: "list objects under",
                        object: self.uri(prefix),
                        kind: ErrorKind::Rejected,
                        detail: "the endpoint says that there are more, and not how to ask for them"
                            .to_owned(),
                    });
                }
                _ => return Ok(listed),
            }
        }
    }

    async fn list_page(
        &self,
        prefix: &str,
        token: Option<String>,
    ) -> Result<aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output, BucketError> {
        self.client
            .list_objects_v2()
            .bucket(self.name())
            .prefix(prefix)
            .set_continuation_token(token)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await
            .map_err(|error| classify("list objects under", self.uri(prefix), &error))
    }

    /// Whether the bucket keeps the versions that are written over.
    pub async fn is_versioned(&self) -> Result<bool, BucketError> {
        let reply = self
            .client
            .get_bucket_versioning()
            .bucket(self.name())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await
            .map_err(|error| classify("ask for versioning of bucket", self.name(), &error))?;
        Ok(reply.status() == Some(&aws_sdk_s3::types::BucketVersioningStatus::Enabled))
    }

    /// Whether the bucket answers at all and takes these credentials. A refusal of this one call
    /// (403) is no answer: a write-only identity may not ask.
    pub async fn probe(&self) -> Result<(), BucketError> {
        let reply = self
            .client
            .list_objects_v2()
            .bucket(self.name())
            .prefix(self.layout.catalog_prefix())
            .max_keys(1)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        match reply {
            Ok(_) => Ok(()),
            Err(error) => Err(classify("reach bucket", self.name(), &error)),
        }
    }
}

pub(super) fn if_none_match(overwrite: Overwrite) -> Option<String> {
    match overwrite {
        Overwrite::Never => Some("*".to_owned()),
        Overwrite::Replace => None,
    }
}

pub(super) fn sse_fields(sse: &Sse) -> (ServerSideEncryption, Option<String>) {
    match sse {
        Sse::Aes256 => (ServerSideEncryption::Aes256, None),
        Sse::Kms(key) => (ServerSideEncryption::AwsKms, key.clone()),
    }
}

/// Entity tags are compared without the quotes that some stores leave out.
pub(super) fn unquoted(etag: Option<&str>) -> Option<String> {
    etag.map(|tag| tag.trim_matches('"').to_owned()).filter(|tag| !tag.is_empty())
}

pub(super) fn length(bytes: Option<i64>) -> u64 {
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0)
}

pub(super) fn system_time(time: &DateTime) -> Option<SystemTime> {
    SystemTime::try_from(*time).ok()
}
