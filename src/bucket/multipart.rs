//! Multipart uploads: create, part, list, complete, abort.
//!
//! Limits (S3 user guide, "Multipart upload limits"): 10,000 parts, each 5 MiB to 5 GiB but the last.

use std::time::SystemTime;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};

use super::attempt::Attempt;
use super::body::PartBody;
use super::error::classify;
use super::object::{if_none_match, length, sse_fields, system_time, unquoted};
use super::{Bucket, BucketError, ErrorKind, ObjectKey, Overwrite, PutOptions, Receipt, checksum_from};
use crate::checksum::{Algorithm, Checksum, Scope};

/// An upload begun and not completed.
#[derive(Debug, Clone)]
pub struct MultipartUpload {
    /// The key it will become.
    pub key: ObjectKey,
    /// S3's identifier.
    pub id: String,
    /// The algorithm it was created with.
    pub algorithm: Option<Algorithm>,
}

/// An unfinished upload in a listing.
#[derive(Debug, Clone)]
pub struct OpenUpload {
    /// The full key.
    pub key: String,
    /// S3's identifier.
    pub id: String,
    /// When it was begun.
    pub initiated: Option<SystemTime>,
    /// Its algorithm, where S3 says so.
    pub algorithm: Option<Algorithm>,
    /// Whether its checksum covers the whole object.
    pub full_object: bool,
}

/// A part that S3 has.
#[derive(Debug, Clone)]
pub struct StoredPart {
    /// 1 to 10,000.
    pub number: i32,
    /// Bytes.
    pub size: u64,
    /// Entity tag, unquoted.
    pub etag: String,
    /// Base64, in the upload's algorithm, where S3 says so.
    pub checksum: Option<String>,
}

/// What S3 said when it took a part.
#[derive(Debug, Clone)]
pub struct PartReceipt {
    /// 1 to 10,000.
    pub number: i32,
    /// Entity tag, unquoted.
    pub etag: String,
    /// Base64, ours, sent again at completion.
    pub checksum: Option<String>,
}

impl Bucket {
    /// Begins an upload whose checksum, for CRCs, covers the whole object.
    pub async fn create_multipart(
        &self,
        key: &ObjectKey,
        algorithm: Option<Algorithm>,
        options: PutOptions,
    ) -> Result<MultipartUpload, BucketError> {
        let mut request = self
            .client
            .create_multipart_upload()
            .bucket(self.name())
            .key(key.as_str())
            .content_type(options.content_type)
            .set_expected_bucket_owner(self.owner())
            .set_storage_class(options.category.and_then(|category| self.storage_class(category)));
        if let Some(sse) = &self.settings.sse {
            let (kind, kms_key) = sse_fields(sse);
            request = request.server_side_encryption(kind).set_ssekms_key_id(kms_key);
        }
        if let Some(algorithm) = algorithm {
            let (name, scope) = sdk_algorithm(algorithm);
            request = request.checksum_algorithm(name).checksum_type(scope);
        }
        let reply =
            request.send().await.map_err(|error| classify("begin multipart upload of", key, &error))?;
        let id = reply.upload_id().unwrap_or_default().to_owned();
        if id.is_empty() {
            return Err(BucketError {
                verb: "begin multipart upload of",
                object: key.to_string(),
                kind: ErrorKind::Rejected,
                detail: "the server gave no upload id".to_owned(),
            });
        }
        Ok(MultipartUpload { key: key.clone(), id, algorithm })
    }

    /// Sends one part. `checksum` is base64 in the upload's algorithm, and S3 verifies it.
    pub async fn upload_part(
        &self,
        upload: &MultipartUpload,
        number: i32,
        body: PartBody,
        checksum: Option<String>,
    ) -> Result<PartReceipt, BucketError> {
        let len = body.len();
        let mut request = self
            .bodies
            .upload_part()
            .bucket(self.name())
            .key(upload.key.as_str())
            .upload_id(&upload.id)
            .part_number(number)
            .content_length(i64::try_from(len).unwrap_or(i64::MAX))
            .set_expected_bucket_owner(self.owner());
        if let (Some(algorithm), Some(value)) = (upload.algorithm, checksum.clone()) {
            request = match algorithm {
                Algorithm::Crc64Nvme => request.checksum_crc64_nvme(value),
                Algorithm::Crc32c => request.checksum_crc32_c(value),
                Algorithm::Sha256 => request.checksum_sha256(value),
            };
        }
        let (verb, object) = ("send part of", format!("{} ({number})", upload.key));
        let attempt = Attempt::new(self.limits());
        let call = request
            .body(body.into_stream(attempt.clone(), self.pace.clone()))
            .customize()
            .disable_payload_signing();
        let sent = Box::pin(async { call.send().await.map_err(|error| classify(verb, &object, &error)) });
        let reply = attempt.run(verb, &object, len, sent).await?;
        let failed = |kind, detail: String| BucketError { verb, object: object.clone(), kind, detail };
        let theirs = checksum_from(
            reply.checksum_crc64_nvme(),
            reply.checksum_crc32_c(),
            reply.checksum_sha256(),
            false,
        );
        if let (Some(theirs), Some(ours)) = (theirs, &checksum)
            && theirs.value != *ours
        {
            return Err(failed(ErrorKind::BadDigest, format!("S3 computed {} and we {ours}", theirs.value)));
        }
        let etag = unquoted(reply.e_tag())
            .ok_or_else(|| failed(ErrorKind::Rejected, "the server gave no entity tag".to_owned()))?;
        Ok(PartReceipt { number, etag, checksum })
    }

    /// Puts the parts together. `size` and `checksum` are of the whole, and S3 verifies both.
    pub async fn complete_multipart(
        &self,
        upload: &MultipartUpload,
        parts: &[PartReceipt],
        size: u64,
        checksum: Option<&Checksum>,
        overwrite: Overwrite,
    ) -> Result<Receipt, BucketError> {
        let parts = parts.iter().map(|part| completed_part(part, upload.algorithm)).collect();
        let mut request = self
            .client
            .complete_multipart_upload()
            .bucket(self.name())
            .key(upload.key.as_str())
            .upload_id(&upload.id)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .mpu_object_size(i64::try_from(size).unwrap_or(i64::MAX))
            .set_expected_bucket_owner(self.owner())
            .set_if_none_match(if_none_match(overwrite));
        if let Some(checksum) = checksum {
            let value = checksum.value.clone();
            request = request.checksum_type(sdk_scope(checksum.scope));
            request = match (checksum.algorithm, checksum.scope) {
                (Algorithm::Crc64Nvme, _) => request.checksum_crc64_nvme(value),
                (Algorithm::Crc32c, _) => request.checksum_crc32_c(value),
                (Algorithm::Sha256, Scope::FullObject) => request.checksum_sha256(value),
                // S3 computes a composite value itself; it is compared in the reply.
                (Algorithm::Sha256, Scope::Composite) => request,
            };
        }
        let reply = request
            .send()
            .await
            .map_err(|error| classify("complete multipart upload of", &upload.key, &error))?;
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

    /// Gives up an upload and frees its parts. An upload that is gone already is no error.
    pub async fn abort_multipart(&self, upload: &MultipartUpload) -> Result<(), BucketError> {
        let reply = self
            .client
            .abort_multipart_upload()
            .bucket(self.name())
            .key(upload.key.as_str())
            .upload_id(&upload.id)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        match reply {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = classify("abort multipart upload of", &upload.key, &error);
                match error.kind {
                    ErrorKind::NoSuchUpload | ErrorKind::NotFound => Ok(()),
                    _ => Err(error),
                }
            }
        }
    }

    /// Unfinished uploads whose key begins with `prefix`.
    pub async fn list_uploads(&self, prefix: &str) -> Result<Vec<OpenUpload>, BucketError> {
        let mut uploads = Vec::new();
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(self.name())
                .prefix(prefix)
                .set_key_marker(key_marker.clone())
                .set_upload_id_marker(id_marker.clone())
                .set_expected_bucket_owner(self.owner())
                .send()
                .await
                .map_err(|error| classify("list multipart uploads under", self.uri(prefix), &error))?;
            uploads.extend(page.uploads().iter().filter_map(|upload| {
                Some(OpenUpload {
                    key: upload.key()?.to_owned(),
                    id: upload.upload_id()?.to_owned(),
                    initiated: upload.initiated().and_then(system_time),
                    algorithm: upload.checksum_algorithm().and_then(our_algorithm),
                    full_object: upload.checksum_type() == Some(&ChecksumType::FullObject),
                })
            }));
            let next =
                (page.next_key_marker().map(str::to_owned), page.next_upload_id_marker().map(str::to_owned));
            if page.is_truncated() != Some(true) || next == (key_marker.clone(), id_marker.clone()) {
                return Ok(uploads);
            }
            (key_marker, id_marker) = next;
        }
    }

    /// The parts S3 has of an unfinished upload, by number.
    pub async fn list_parts(&self, upload: &MultipartUpload) -> Result<Vec<StoredPart>, BucketError> {
        let mut parts = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let page = self
                .client
                .list_parts()
                .bucket(self.name())
                .key(upload.key.as_str())
                .upload_id(&upload.id)
                .set_part_number_marker(marker.clone())
                .set_expected_bucket_owner(self.owner())
                .send()
                .await
                .map_err(|error| classify("list parts of", &upload.key, &error))?;
            parts.extend(page.parts().iter().filter_map(|part| {
                let checksum = checksum_from(
                    part.checksum_crc64_nvme(),
                    part.checksum_crc32_c(),
                    part.checksum_sha256(),
                    false,
                );
                Some(StoredPart {
                    number: part.part_number()?,
                    size: length(part.size()),
                    etag: unquoted(part.e_tag())?,
                    checksum: checksum.map(|checksum| checksum.value),
                })
            }));
            let next = page.next_part_number_marker().map(str::to_owned);
            if page.is_truncated() != Some(true) || next.is_none() || next == marker {
                return Ok(parts);
            }
            marker = next;
        }
    }
}

fn completed_part(part: &PartReceipt, algorithm: Option<Algorithm>) -> CompletedPart {
    let builder = CompletedPart::builder().part_number(part.number).e_tag(format!("\"{}\"", part.etag));
    let builder = match (algorithm, part.checksum.clone()) {
        (Some(Algorithm::Crc64Nvme), Some(value)) => builder.checksum_crc64_nvme(value),
        (Some(Algorithm::Crc32c), Some(value)) => builder.checksum_crc32_c(value),
        (Some(Algorithm::Sha256), Some(value)) => builder.checksum_sha256(value),
        (None, _) | (_, None) => builder,
    };
    builder.build()
}

fn sdk_algorithm(algorithm: Algorithm) -> (ChecksumAlgorithm, ChecksumType) {
    match algorithm {
        Algorithm::Crc64Nvme => (ChecksumAlgorithm::Crc64Nvme, ChecksumType::FullObject),
        Algorithm::Crc32c => (ChecksumAlgorithm::Crc32C, ChecksumType::FullObject),
        Algorithm::Sha256 => (ChecksumAlgorithm::Sha256, ChecksumType::Composite),
    }
}

fn sdk_scope(scope: Scope) -> ChecksumType {
    match scope {
        Scope::FullObject => ChecksumType::FullObject,
        Scope::Composite => ChecksumType::Composite,
    }
}

fn our_algorithm(algorithm: &ChecksumAlgorithm) -> Option<Algorithm> {
    match algorithm {
        ChecksumAlgorithm::Crc64Nvme => Some(Algorithm::Crc64Nvme),
        ChecksumAlgorithm::Crc32C => Some(Algorithm::Crc32c),
        ChecksumAlgorithm::Sha256 => Some(Algorithm::Sha256),
        _ => None,
    }
}
