//! Multipart uploads on the wire.

use s3s::dto::{
    ChecksumAlgorithm, ChecksumType, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ListPartsInput, ListPartsOutput, Owner, Part,
    ServerSideEncryption, StorageClass, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Result, s3_error};

use super::convert::{self, Declared, headers_in, hits, sums_in, sums_out};
use super::objects::{check_key, if_none_match, told_version};
use super::{ACCOUNT, Reply, reply};
use crate::embedded::faults::{Fault, Hits};
use crate::embedded::store::{Asked, Completion, Condition, Coverage, Store, UploadRecord};
use crate::embedded::sums::{self, Kind, Sums, hex, invalid};

pub(super) fn create(
    store: &Store,
    request: &S3Request<CreateMultipartUploadInput>,
) -> Reply<CreateMultipartUploadOutput> {
    let (hits, input) = (hits(request), &request.input);
    check_key(&input.key)?;
    let mut algorithm = match &input.checksum_algorithm {
        Some(name) => Some(Kind::parse(name.as_str()).ok_or_else(|| {
            invalid(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types",
            )
        })?),
        None => None,
    };
    let asked = match &input.checksum_type {
        Some(name) => Some(
            Coverage::parse(name.as_str())
                .ok_or_else(|| invalid("Value for x-amz-checksum-type header is invalid."))?,
        ),
        None => None,
    };
    if hits.has(&Fault::IgnoreCrc64) {
        algorithm = algorithm.filter(|kind| *kind != Kind::Crc64Nvme);
    }
    let coverage = coverage(algorithm, asked)?;
    let record = store.begin(&input.bucket, &input.key, algorithm, coverage, headers_in!(input))?;
    reply(CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        checksum_algorithm: told_algorithm(&record),
        checksum_type: told_type(&record),
        server_side_encryption: record.headers.sse.clone().map(ServerSideEncryption::from),
        ssekms_key_id: record.headers.kms_key.clone(),
        upload_id: Some(record.id),
        ..CreateMultipartUploadOutput::default()
    })
}

/// Which combinations S3 takes: "Checking object integrity" in its user guide.
fn coverage(algorithm: Option<Kind>, asked: Option<Coverage>) -> S3Result<Coverage> {
    let Some(kind) = algorithm else {
        // With no algorithm S3 folds CRC64NVME itself.
        return Ok(Coverage::FullObject);
    };
    let default = if kind.full_object_by_default() { Coverage::FullObject } else { Coverage::Composite };
    let coverage = asked.unwrap_or(default);
    let possible = match coverage {
        Coverage::FullObject => kind.can_be_full_object(),
        Coverage::Composite => !kind.full_object_by_default(),
    };
    if possible {
        Ok(coverage)
    } else {
        Err(invalid(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            coverage.name(),
            kind.name().to_ascii_lowercase()
        )))
    }
}

fn told_algorithm(record: &UploadRecord) -> Option<ChecksumAlgorithm> {
    record.algorithm.map(|kind| ChecksumAlgorithm::from_static(kind.name()))
}

pub(super) fn told_type(record: &UploadRecord) -> Option<ChecksumType> {
    record.algorithm.map(|_| ChecksumType::from_static(record.coverage.name()))
}

/// What a part's checksums are told as: those of the upload's algorithm.
fn told_sums(record: &UploadRecord, sums: &Sums) -> Sums {
    sums.iter()
        .filter(|(kind, _)| record.algorithm == Some(**kind))
        .map(|(kind, sum)| (*kind, sum.clone()))
        .collect()
}

pub(super) async fn put_part(
    store: &Store,
    mut request: S3Request<UploadPartInput>,
) -> Reply<UploadPartOutput> {
    let hits = hits(&request);
    let number = request.input.part_number;
    if !(1..=10_000).contains(&number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        ));
    }
    let (record, _) = store.upload(&request.input.bucket, &request.input.key, &request.input.upload_id)?;
    let (sent, md5) = (sums_in!(request.input), request.input.content_md5.clone());
    let mut declared = Declared::of(&request, sent, md5, &hits)?;
    check_algorithm(&record, &declared.kinds(), &hits)?;
    let kinds = [record.algorithm.unwrap_or(Kind::Crc64Nvme)];
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
    let part = store.put_part(&input.bucket, &input.key, &input.upload_id, number, received, kept)?;
    let mut output = UploadPartOutput {
        e_tag: Some(convert::etag(&hex(&part.md5), &hits)),
        server_side_encryption: record.headers.sse.clone().map(ServerSideEncryption::from),
        ssekms_key_id: record.headers.kms_key.clone(),
        ..UploadPartOutput::default()
    };
    sums_out!(output, &told_sums(&record, &part.sums));
    reply(output)
}

/// A part must speak the upload's algorithm, and of a composite upload every part must.
fn check_algorithm(record: &UploadRecord, sent: &[Kind], hits: &Hits) -> S3Result<()> {
    if hits.has(&Fault::SkipVerification) || hits.has(&Fault::IgnoreCrc64) {
        return Ok(());
    }
    let name = |kind: Option<Kind>| kind.map_or("null".to_owned(), |kind| kind.name().to_ascii_lowercase());
    let actual = sent.first().copied();
    let wrong = match (record.algorithm, actual) {
        (Some(expected), Some(actual)) => expected != actual,
        (Some(_), None) => record.coverage == Coverage::Composite,
        // The algorithm that S3 folds in any case.
        (None, Some(actual)) => actual != Kind::Crc64Nvme,
        (None, None) => false,
    };
    if wrong {
        return Err(invalid(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            name(record.algorithm),
            name(actual)
        )));
    }
    Ok(())
}

pub(super) fn list_parts(store: &Store, request: &S3Request<ListPartsInput>) -> Reply<ListPartsOutput> {
    let (hits, input) = (hits(request), &request.input);
    let (record, parts) = store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let size = convert::page_size(input.max_parts, &hits)?;
    let marker = input.part_number_marker.unwrap_or_default();
    let mut after = parts.iter().filter(|part| part.number > marker).peekable();
    let told: Vec<Part> = after
        .by_ref()
        .take(size)
        .map(|part| {
            let mut told = Part {
                e_tag: Some(convert::etag(&hex(&part.md5), &hits)),
                last_modified: Some(convert::timestamp(part.modified)),
                part_number: Some(part.number),
                size: Some(convert::signed(part.size)),
                ..Part::default()
            };
            sums_out!(told, &told_sums(&record, &part.sums));
            told
        })
        .collect();
    let owner = Owner { display_name: None, id: Some(ACCOUNT.to_owned()) };
    reply(ListPartsOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(input.upload_id.clone()),
        checksum_algorithm: told_algorithm(&record),
        checksum_type: told_type(&record),
        is_truncated: Some(after.peek().is_some()),
        max_parts: i32::try_from(size).ok(),
        next_part_number_marker: told.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        parts: Some(told),
        owner: Some(owner),
        storage_class: convert::storage_class(&record.headers)
            .or_else(|| Some(StorageClass::from_static(StorageClass::STANDARD))),
        ..ListPartsOutput::default()
    })
}

pub(super) fn complete(
    store: &Store,
    request: &S3Request<CompleteMultipartUploadInput>,
) -> Reply<CompleteMultipartUploadOutput> {
    let (hits, input) = (hits(request), &request.input);
    let ignores_crc64 = hits.has(&Fault::IgnoreCrc64);
    let counted = |mut sums: Sums| {
        if ignores_crc64 {
            sums.remove(&Kind::Crc64Nvme);
        }
        sums
    };
    let parts = input.multipart_upload.as_ref().and_then(|upload| upload.parts.as_ref());
    let parts = parts.map(Vec::as_slice).unwrap_or_default().iter().map(|part| Asked {
        number: part.part_number.unwrap_or_default(),
        etag: part.e_tag.clone(),
        sums: counted(sums_in!(part)),
    });
    let completion = Completion {
        parts: parts.collect(),
        declared: counted(sums_in!(input)),
        coverage: input.checksum_type.as_ref().and_then(|name| Coverage::parse(name.as_str())),
        size: input.mpu_object_size,
        condition: Condition {
            if_match: input.if_match.clone(),
            if_none_match: if_none_match(input.if_none_match.clone(), &hits),
        },
        verify: !hits.has(&Fault::SkipVerification),
        default_sum: !ignores_crc64,
    };
    let version = store.complete(&input.bucket, &input.key, &input.upload_id, &completion)?;
    let host = request.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    let mut output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        location: Some(format!("http://{host}/{}/{}", input.bucket, convert::url_encoded(&input.key, true))),
        e_tag: Some(convert::etag(&version.etag, &hits)),
        version_id: told_version(store, &input.bucket, &version),
        checksum_type: (!version.sums.is_empty()).then(|| ChecksumType::from_static(version.coverage.name())),
        server_side_encryption: version.headers.sse.clone().map(ServerSideEncryption::from),
        ssekms_key_id: version.headers.kms_key.clone(),
        ..CompleteMultipartUploadOutput::default()
    };
    sums_out!(output, &version.sums);
    reply(output)
}
