//! Lists of objects, versions and unfinished uploads.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CommonPrefix, CommonPrefixList, DeleteMarkerEntry, EncodingType,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectVersionsInput, ListObjectVersionsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, MultipartUpload, Object,
    ObjectStorageClass, ObjectVersion, ObjectVersionStorageClass, Owner, StorageClass,
};
use s3s::{S3Request, S3Result, s3_error};

use super::convert::{self, hits};
use super::multipart::told_type;
use super::paging::{Page, Query, page};
use super::{ACCOUNT, Reply, reply};
use crate::embedded::faults::Hits;
use crate::embedded::store::{Store, UploadRecord, Version};

fn url(encoding: Option<&EncodingType>) -> bool {
    encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL)
}

fn owner() -> Owner {
    Owner { display_name: None, id: Some(ACCOUNT.to_owned()) }
}

fn rolled(prefixes: Vec<String>, url: bool) -> Option<CommonPrefixList> {
    let told = |prefix: String| CommonPrefix { prefix: Some(convert::url_encoded(&prefix, url)) };
    (!prefixes.is_empty()).then(|| prefixes.into_iter().map(told).collect())
}

/// The latest version of each key that is not deleted.
fn current(store: &Store, bucket: &str, query: Query<'_>) -> S3Result<Page<std::sync::Arc<Version>>> {
    store.read(bucket, |bucket| {
        let latest = bucket.objects().filter_map(|(key, versions)| Some((key, versions.last()?)));
        let visible = latest.filter(|(_, version)| !version.delete_marker);
        let found = page(visible, query);
        Page { items: found.items.into_iter().cloned().collect(), prefixes: found.prefixes, next: found.next }
    })
}

fn object(version: &Version, url: bool, hits: &Hits) -> Object {
    let algorithms: Vec<_> =
        version.sums.keys().map(|kind| ChecksumAlgorithm::from_static(kind.name())).collect();
    Object {
        key: Some(convert::url_encoded(&version.key, url)),
        size: Some(convert::signed(version.size)),
        e_tag: Some(convert::etag(&version.etag, hits)),
        last_modified: Some(convert::timestamp(version.modified)),
        storage_class: Some(ObjectStorageClass::from(
            version.headers.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()),
        )),
        checksum_type: (!algorithms.is_empty()).then(|| ChecksumType::from_static(version.coverage.name())),
        checksum_algorithm: (!algorithms.is_empty()).then_some(algorithms),
        ..Object::default()
    }
}

pub(super) fn objects(store: &Store, request: &S3Request<ListObjectsV2Input>) -> Reply<ListObjectsV2Output> {
    let (hits, input) = (hits(request), &request.input);
    let url = url(input.encoding_type.as_ref());
    let max = convert::page_size(input.max_keys, &hits)?;
    let after = match &input.continuation_token {
        Some(token) => BASE64
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))?,
        None => input.start_after.clone().unwrap_or_default(),
    };
    let prefix = input.prefix.clone().unwrap_or_default();
    let query = Query { prefix: &prefix, delimiter: input.delimiter.as_deref(), after: &after, max };
    let found = current(store, &input.bucket, query)?;
    let mut contents: Vec<_> = found.items.iter().map(|version| object(version, url, &hits)).collect();
    if input.fetch_owner == Some(true) {
        for object in &mut contents {
            object.owner = Some(owner());
        }
    }
    reply(ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: Some(convert::url_encoded(&prefix, url)),
        delimiter: input.delimiter.as_deref().map(|text| convert::url_encoded(text, url)),
        start_after: input.start_after.as_deref().map(|text| convert::url_encoded(text, url)),
        encoding_type: input.encoding_type.clone(),
        continuation_token: input.continuation_token.clone(),
        max_keys: i32::try_from(max).ok(),
        key_count: i32::try_from(found.items.len() + found.prefixes.len()).ok(),
        is_truncated: Some(found.next.is_some()),
        next_continuation_token: found.next.map(|next| BASE64.encode(next)),
        contents: Some(contents),
        common_prefixes: rolled(found.prefixes, url),
        ..ListObjectsV2Output::default()
    })
}

pub(super) fn objects_v1(store: &Store, request: &S3Request<ListObjectsInput>) -> Reply<ListObjectsOutput> {
    let (hits, input) = (hits(request), &request.input);
    let url = url(input.encoding_type.as_ref());
    let max = convert::page_size(input.max_keys, &hits)?;
    let (prefix, marker) =
        (input.prefix.clone().unwrap_or_default(), input.marker.clone().unwrap_or_default());
    let query = Query { prefix: &prefix, delimiter: input.delimiter.as_deref(), after: &marker, max };
    let found = current(store, &input.bucket, query)?;
    reply(ListObjectsOutput {
        name: Some(input.bucket.clone()),
        prefix: Some(convert::url_encoded(&prefix, url)),
        marker: Some(convert::url_encoded(&marker, url)),
        delimiter: input.delimiter.as_deref().map(|text| convert::url_encoded(text, url)),
        encoding_type: input.encoding_type.clone(),
        max_keys: i32::try_from(max).ok(),
        is_truncated: Some(found.next.is_some()),
        next_marker: found.next.map(|next| convert::url_encoded(&next, url)),
        contents: Some(found.items.iter().map(|version| object(version, url, &hits)).collect()),
        common_prefixes: rolled(found.prefixes, url),
        ..ListObjectsOutput::default()
    })
}

pub(super) fn versions(
    store: &Store,
    request: &S3Request<ListObjectVersionsInput>,
) -> Reply<ListObjectVersionsOutput> {
    let (hits, input) = (hits(request), &request.input);
    let url = url(input.encoding_type.as_ref());
    let max = convert::page_size(input.max_keys, &hits)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let (key_marker, id_marker) =
        (input.key_marker.clone().unwrap_or_default(), input.version_id_marker.as_deref());
    if input.delimiter.is_some() {
        return Err(s3_error!(NotImplemented, "versions are listed without a delimiter"));
    }
    // Newest first within a key, as S3 lists.
    let mut all: Vec<(std::sync::Arc<Version>, bool)> = store.read(&input.bucket, |bucket| {
        let keys =
            bucket.objects().filter(|(key, _)| key.starts_with(&prefix) && *key >= key_marker.as_str());
        keys.flat_map(|(_, versions)| {
            versions.iter().rev().enumerate().map(|(age, version)| (std::sync::Arc::clone(version), age == 0))
        })
        .collect()
    })?;
    if !key_marker.is_empty() {
        let past = match id_marker {
            Some(id) => all
                .iter()
                .position(|(version, _)| version.key == key_marker && version.id == id)
                .map(|at| at + 1),
            None => all.iter().position(|(version, _)| version.key > key_marker).or(Some(all.len())),
        };
        all.drain(..past.unwrap_or_default());
    }
    let truncated = all.len() > max && max > 0;
    all.truncate(max);
    let last = all.last().filter(|_| truncated).map(|(version, _)| version);
    let mut output = ListObjectVersionsOutput {
        name: Some(input.bucket.clone()),
        prefix: Some(convert::url_encoded(&prefix, url)),
        key_marker: Some(convert::url_encoded(&key_marker, url)),
        version_id_marker: input.version_id_marker.clone(),
        encoding_type: input.encoding_type.clone(),
        max_keys: i32::try_from(max).ok(),
        is_truncated: Some(truncated),
        next_key_marker: last.map(|version| convert::url_encoded(&version.key, url)),
        next_version_id_marker: last.map(|version| version.id.clone()),
        ..ListObjectVersionsOutput::default()
    };
    let (mut told, mut markers) = (Vec::new(), Vec::new());
    for (version, is_latest) in &all {
        let listed = object(version, url, &hits);
        if version.delete_marker {
            markers.push(DeleteMarkerEntry {
                is_latest: Some(*is_latest),
                key: listed.key,
                last_modified: listed.last_modified,
                owner: Some(owner()),
                version_id: Some(version.id.clone()),
            });
        } else {
            told.push(ObjectVersion {
                checksum_algorithm: listed.checksum_algorithm,
                checksum_type: listed.checksum_type,
                e_tag: listed.e_tag,
                is_latest: Some(*is_latest),
                key: listed.key,
                last_modified: listed.last_modified,
                size: listed.size,
                storage_class: listed
                    .storage_class
                    .map(|class| ObjectVersionStorageClass::from(class.as_str().to_owned())),
                version_id: Some(version.id.clone()),
                ..ObjectVersion::default()
            });
        }
    }
    output.versions = Some(told);
    output.delete_markers = Some(markers);
    reply(output)
}

pub(super) fn uploads(
    store: &Store,
    request: &S3Request<ListMultipartUploadsInput>,
) -> Reply<ListMultipartUploadsOutput> {
    let (hits, input) = (hits(request), &request.input);
    let url = url(input.encoding_type.as_ref());
    let max = convert::page_size(input.max_uploads, &hits)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let key_marker = input.key_marker.clone().unwrap_or_default();
    let id_marker = input.upload_id_marker.clone().unwrap_or_default();
    if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
        return Err(s3_error!(NotImplemented, "uploads are listed without a delimiter"));
    }
    // The id marker counts only together with a key marker, and then within that key.
    let after = |upload: &UploadRecord| match upload.key.cmp(&key_marker) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => !id_marker.is_empty() && upload.id > id_marker,
        std::cmp::Ordering::Less => false,
    };
    let mut found: Vec<UploadRecord> = store.read(&input.bucket, |bucket| {
        bucket.uploads().filter(|upload| upload.key.starts_with(&prefix) && after(upload)).cloned().collect()
    })?;
    let truncated = found.len() > max && max > 0;
    found.truncate(max);
    let last = found.last().filter(|_| truncated);
    reply(ListMultipartUploadsOutput {
        bucket: Some(input.bucket.clone()),
        prefix: Some(convert::url_encoded(&prefix, url)),
        key_marker: Some(convert::url_encoded(&key_marker, url)),
        upload_id_marker: Some(id_marker.clone()),
        encoding_type: input.encoding_type.clone(),
        max_uploads: i32::try_from(max).ok(),
        is_truncated: Some(truncated),
        next_key_marker: last.map(|upload| convert::url_encoded(&upload.key, url)),
        next_upload_id_marker: last.map(|upload| upload.id.clone()),
        uploads: Some(found.iter().map(|upload| told_upload(upload, url)).collect()),
        ..ListMultipartUploadsOutput::default()
    })
}

fn told_upload(upload: &UploadRecord, url: bool) -> MultipartUpload {
    MultipartUpload {
        checksum_algorithm: upload.algorithm.map(|kind| ChecksumAlgorithm::from_static(kind.name())),
        checksum_type: told_type(upload),
        initiated: Some(convert::timestamp(upload.initiated)),
        key: Some(convert::url_encoded(&upload.key, url)),
        upload_id: Some(upload.id.clone()),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from(
            upload.headers.storage_class.clone().unwrap_or_else(|| "STANDARD".to_owned()),
        )),
        ..MultipartUpload::default()
    }
}
