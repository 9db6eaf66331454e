//! `GetObjectAttributes`: size, checksum and parts without the bytes.

use s3s::S3Request;
use s3s::dto::{
    Checksum, ChecksumType, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectAttributes, ObjectPart, StorageClass,
};

use super::convert::{self, hits, sums_out};
use super::objects::told_version;
use super::{Reply, reply};
use crate::embedded::store::{Store, Version};

pub(super) fn get(
    store: &Store,
    request: &S3Request<GetObjectAttributesInput>,
) -> Reply<GetObjectAttributesOutput> {
    let (hits, input) = (hits(request), &request.input);
    let version = store.find(&input.bucket, &input.key, input.version_id.as_deref())?;
    // Clients send one header for each, or all in one.
    let asked: Vec<&str> =
        input.object_attributes.iter().flat_map(|names| names.as_str().split(',')).map(str::trim).collect();
    let wants = |name: &str| asked.contains(&name);
    let checksum = || {
        let mut checksum = Checksum {
            checksum_type: Some(ChecksumType::from_static(version.coverage.name())),
            ..Checksum::default()
        };
        sums_out!(checksum, &version.sums);
        checksum
    };
    let page = convert::page_size(input.max_parts, &hits)?;
    let marker = input.part_number_marker.unwrap_or_default();
    reply(GetObjectAttributesOutput {
        e_tag: wants(ObjectAttributes::ETAG).then(|| convert::etag(&version.etag, &hits)),
        checksum: (wants(ObjectAttributes::CHECKSUM) && !version.sums.is_empty()).then(checksum),
        object_parts: (wants(ObjectAttributes::OBJECT_PARTS) && !version.parts.is_empty())
            .then(|| parts(&version, marker, page)),
        object_size: wants(ObjectAttributes::OBJECT_SIZE).then(|| convert::signed(version.size)),
        // Unlike HEAD, this one names the standard class.
        storage_class: wants(ObjectAttributes::STORAGE_CLASS).then(|| {
            convert::storage_class(&version.headers)
                .unwrap_or_else(|| StorageClass::from_static(StorageClass::STANDARD))
        }),
        last_modified: Some(convert::timestamp(version.modified)),
        version_id: told_version(store, &input.bucket, &version),
        ..GetObjectAttributesOutput::default()
    })
}

fn parts(version: &Version, marker: i32, page: usize) -> GetObjectAttributesParts {
    let mut after = version.parts.iter().filter(|part| part.number > marker).peekable();
    let told: Vec<ObjectPart> = after
        .by_ref()
        .take(page)
        .map(|part| {
            let mut told = ObjectPart {
                part_number: Some(part.number),
                size: Some(convert::signed(part.size)),
                ..ObjectPart::default()
            };
            sums_out!(told, &part.sums);
            told
        })
        .collect();
    GetObjectAttributesParts {
        is_truncated: Some(after.peek().is_some()),
        max_parts: i32::try_from(page).ok(),
        next_part_number_marker: told.last().and_then(|part| part.part_number),
        part_number_marker: Some(marker),
        total_parts_count: i32::try_from(version.parts.len()).ok(),
        parts: Some(told),
    }
}
