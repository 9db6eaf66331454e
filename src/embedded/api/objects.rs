//! One object: put, get, head, copy, delete.

use std::ops::Range as Span;
use std::sync::Arc;

use hyper::StatusCode;
use s3s::dto::{
    ChecksumMode, ChecksumType, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource,
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, MetadataDirective,
    PutObjectInput, PutObjectOutput, Range, ServerSideEncryption, StreamingBlob,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::convert::{self, Declared, headers_in, hits, sums_in, sums_out};
use super::{Reply, archive, reply};
use crate::embedded::faults::{Fault, Hits};
use crate::embedded::store::{Condition, Deleted, Headers, Store, Version, Versioning};
use crate::embedded::sums::{self, Kind};

/// Length of the longest key, in bytes of UTF-8.
const MAX_KEY: usize = 1024;

pub(super) fn check_key(key: &str) -> S3Result<()> {
    if key.len() > MAX_KEY { Err(s3_error!(KeyTooLongError, "Your key is too long")) } else { Ok(()) }
}

/// `If-None-Match` as it counts under the faults.
pub(super) fn if_none_match(sent: Option<ETagCondition>, hits: &Hits) -> Option<ETagCondition> {
    sent.filter(|_| !hits.has(&Fault::IgnoreIfNoneMatch))
}

/// The version id as told: only where the bucket ever kept versions.
pub(super) fn told_version(store: &Store, bucket: &str, version: &Version) -> Option<String> {
    let versioning = store.read(bucket, crate::embedded::store::Bucket::versioning).ok()?;
    (versioning != Versioning::Never).then(|| version.id.clone())
}

pub(super) async fn put(store: &Store, mut request: S3Request<PutObjectInput>) -> Reply<PutObjectOutput> {
    let hits = hits(&request);
    check_key(&request.input.key)?;
    store.read(&request.input.bucket, |_| ())?;
    let (sent, md5) = (sums_in!(request.input), request.input.content_md5.clone());
    let mut declared = Declared::of(&request, sent, md5, &hits)?;
    let mut kinds = declared.kinds();
    if kinds.is_empty() && !hits.has(&Fault::IgnoreCrc64) {
        // S3's own choice where the client made none.
        kinds.push(Kind::Crc64Nvme);
    }
    let body = request.input.body.take();
    let received = store.receive(body, &kinds, convert::flip(&hits)).await?;
    declared.take_trailers(&request)?;
    let mut kept = received.sums.clone();
    if hits.has(&Fault::SkipVerification) {
        kept.extend(declared.sums);
    } else {
        sums::verify_md5(declared.md5.as_deref(), &received.md5)?;
        sums::verify(&declared.sums, &received.sums)?;
    }
    let input = request.input;
    let headers = headers_in!(input);
    let condition =
        Condition { if_match: input.if_match, if_none_match: if_none_match(input.if_none_match, &hits) };
    let version = store.put(&input.bucket, &input.key, received, kept, headers, &condition)?;
    let mut output = PutObjectOutput {
        e_tag: Some(convert::etag(&version.etag, &hits)),
        version_id: told_version(store, &input.bucket, &version),
        server_side_encryption: version.headers.sse.clone().map(ServerSideEncryption::from),
        ssekms_key_id: version.headers.kms_key.clone(),
        checksum_type: checksum_type(&version),
        ..PutObjectOutput::default()
    };
    sums_out!(output, &version.sums);
    reply(output)
}

fn checksum_type(version: &Version) -> Option<ChecksumType> {
    (!version.sums.is_empty()).then(|| ChecksumType::from_static(version.coverage.name()))
}

/// Holds the conditions of a read against the version found.
fn check_read(
    version: &Version,
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<()> {
    let is = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == version.etag,
    };
    if if_match.is_some_and(|condition| !is(condition)) {
        return Err(s3_error!(
            PreconditionFailed,
            "At least one of the pre-conditions you specified did not hold"
        ));
    }
    if if_none_match.is_some_and(is) {
        let mut error = s3_error!(NotModified);
        error.set_status_code(StatusCode::NOT_MODIFIED);
        return Err(error);
    }
    Ok(())
}

fn span(range: Option<Range>, size: u64) -> S3Result<Span<u64>> {
    let Some(range) = range else { return Ok(0..size) };
    range.check(size).map_err(|_| s3_error!(InvalidRange, "The requested range is not satisfiable"))
}

fn content_range(range: Option<Range>, span: &Span<u64>, size: u64) -> Option<String> {
    range.map(|_| format!("bytes {}-{}/{size}", span.start, span.end.saturating_sub(1)))
}

pub(super) fn get(store: &Store, request: &S3Request<GetObjectInput>) -> Reply<GetObjectOutput> {
    let (hits, input) = (hits(request), &request.input);
    let version = store.find(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_read(&version, input.if_match.as_ref(), input.if_none_match.as_ref())?;
    archive::check_readable(&version, &hits)?;
    let span = span(input.range, version.size)?;
    let mut output = GetObjectOutput {
        content_length: Some(convert::signed(span.end - span.start)),
        content_range: content_range(input.range, &span, version.size),
        body: Some(StreamingBlob::new(store.bytes(&input.bucket, &version, span))),
        ..GetObjectOutput::default()
    };
    describe!(store, input, version, hits, output);
    reply(output)
}

pub(super) fn head(store: &Store, request: &S3Request<HeadObjectInput>) -> Reply<HeadObjectOutput> {
    let (hits, input) = (hits(request), &request.input);
    let version = store.find(&input.bucket, &input.key, input.version_id.as_deref())?;
    check_read(&version, input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let span = span(input.range, version.size)?;
    let mut output = HeadObjectOutput {
        content_length: Some(convert::signed(span.end - span.start)),
        content_range: content_range(input.range, &span, version.size),
        ..HeadObjectOutput::default()
    };
    describe!(store, input, version, hits, output);
    let status = output.content_range.is_some().then_some(StatusCode::PARTIAL_CONTENT);
    Ok(S3Response { status, ..S3Response::new(output) })
}

/// Fills what GET and HEAD tell alike.
macro_rules! describe {
    ($store:expr, $input:expr, $version:expr, $hits:expr, $output:expr) => {{
        let headers: &Headers = &$version.headers;
        $output.accept_ranges = Some("bytes".to_owned());
        $output.e_tag = Some(convert::etag(&$version.etag, &$hits));
        $output.last_modified = Some(convert::timestamp($version.modified));
        $output.version_id = told_version($store, &$input.bucket, &$version);
        $output.content_type =
            Some(headers.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned()));
        $output.content_encoding = headers.content_encoding.clone();
        $output.content_disposition = headers.content_disposition.clone();
        $output.content_language = headers.content_language.clone();
        $output.cache_control = headers.cache_control.clone();
        $output.metadata = Some(headers.metadata.clone().into_iter().collect());
        $output.storage_class = convert::storage_class(headers);
        $output.restore = archive::told(archive::state(&$version, &$hits));
        $output.server_side_encryption = headers.sse.clone().map(ServerSideEncryption::from);
        $output.ssekms_key_id = headers.kms_key.clone();
        // Told when asked for, and never for a part of the object.
        let asked = $input.checksum_mode.as_ref().is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
        if asked && $input.range.is_none() {
            sums_out!($output, &$version.sums);
            $output.checksum_type = checksum_type(&$version);
        }
    }};
}
use describe;

pub(super) async fn copy(store: &Store, request: S3Request<CopyObjectInput>) -> Reply<CopyObjectOutput> {
    let (hits, input) = (hits(&request), request.input);
    check_key(&input.key)?;
    let CopySource::Bucket { bucket, key, version_id } = &input.copy_source else {
        return Err(s3_error!(NotImplemented, "only objects of buckets can be copied"));
    };
    let source = store.find(bucket, key, version_id.as_deref())?;
    archive::check_readable(&source, &hits)?;
    let replaces = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let given = headers_in!(input);
    let headers = if replaces {
        given
    } else {
        Headers {
            storage_class: given.storage_class,
            sse: given.sse,
            kms_key: given.kms_key,
            ..source.headers.clone()
        }
    };
    let kinds: Vec<Kind> = match &input.checksum_algorithm {
        Some(name) => Kind::parse(name.as_str()).into_iter().collect(),
        None => source.sums.keys().copied().collect(),
    };
    let body = StreamingBlob::new(store.bytes(bucket, &source, 0..source.size));
    let received = store.receive(Some(body), &kinds, convert::flip(&hits)).await?;
    let sums = received.sums.clone();
    let version = store.put(&input.bucket, &input.key, received, sums, headers, &Condition::default())?;
    let mut result = CopyObjectResult {
        e_tag: Some(convert::etag(&version.etag, &hits)),
        last_modified: Some(convert::timestamp(version.modified)),
        checksum_type: checksum_type(&version),
        ..CopyObjectResult::default()
    };
    sums_out!(result, &version.sums);
    reply(CopyObjectOutput {
        copy_object_result: Some(result),
        version_id: told_version(store, &input.bucket, &version),
        copy_source_version_id: told_version(store, bucket, &source),
        server_side_encryption: version.headers.sse.clone().map(ServerSideEncryption::from),
        ..CopyObjectOutput::default()
    })
}

pub(super) fn delete(store: &Store, input: &DeleteObjectInput) -> Reply<DeleteObjectOutput> {
    if let Some(condition) = &input.if_match {
        let version: Arc<Version> = store.find(&input.bucket, &input.key, None)?;
        check_read(&version, Some(condition), None)?;
    }
    let Deleted { version, marker } = store.delete(&input.bucket, &input.key, input.version_id.as_deref())?;
    let output = DeleteObjectOutput {
        delete_marker: marker.then_some(true),
        version_id: version,
        ..DeleteObjectOutput::default()
    };
    Ok(S3Response::with_status(output, StatusCode::NO_CONTENT))
}

pub(super) fn delete_many(store: &Store, input: &DeleteObjectsInput) -> Reply<DeleteObjectsOutput> {
    let quiet = input.delete.quiet.unwrap_or_default();
    let mut told = Vec::new();
    for object in &input.delete.objects {
        let deleted = store.delete(&input.bucket, &object.key, object.version_id.as_deref())?;
        told.push(DeletedObject {
            key: Some(object.key.clone()),
            version_id: object.version_id.clone(),
            delete_marker: deleted.marker.then_some(true),
            delete_marker_version_id: deleted.version.filter(|_| deleted.marker),
        });
    }
    reply(DeleteObjectsOutput { deleted: (!quiet).then_some(told), ..DeleteObjectsOutput::default() })
}
