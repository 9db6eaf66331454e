//! Multipart uploads: begun, filled, listed, completed as strictly as S3 does, aborted.

use std::fs;
use std::sync::Arc;

use s3s::dto::ETag;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::records::Segment;
use super::{
    Bucket, Condition, Coverage, Headers, Part, Received, Stamp, State, Store, Upload, UploadRecord, Version,
    internal,
};
use crate::embedded::sums::{self, Kind, Sums, invalid};

/// The least size of a part that is not the last.
const MIN_PART: u64 = 5 * 1024 * 1024;

/// A part as the completion names it.
pub(in super::super) struct Asked {
    pub(in super::super) number: i32,
    pub(in super::super) etag: Option<ETag>,
    pub(in super::super) sums: Sums,
}

/// What a completion asks and declares.
pub(in super::super) struct Completion {
    pub(in super::super) parts: Vec<Asked>,
    pub(in super::super) declared: Sums,
    pub(in super::super) coverage: Option<Coverage>,
    pub(in super::super) size: Option<i64>,
    pub(in super::super) condition: Condition,
    /// Whether checksums are held against the bytes; only a fault says no.
    pub(in super::super) verify: bool,
    /// Whether the object gets the checksum that S3 gives where none was asked for.
    pub(in super::super) default_sum: bool,
}

impl Store {
    pub(in super::super) fn begin(
        &self,
        bucket_name: &str,
        key: &str,
        algorithm: Option<Kind>,
        coverage: Coverage,
        headers: Headers,
    ) -> S3Result<UploadRecord> {
        let mut state = self.state();
        let bucket = state.bucket(bucket_name)?;
        let id = format!("{:016x}", self.next_seq());
        let record =
            UploadRecord { key: key.to_owned(), id, initiated: Stamp::now(), algorithm, coverage, headers };
        let dir = self.upload_dir(bucket_name, &record.id);
        fs::create_dir_all(&dir).map_err(internal)?;
        self.write_json(&dir.join("upload.json"), &record)?;
        let upload = Upload { record: record.clone(), parts: std::collections::BTreeMap::new() };
        bucket.uploads.insert((key.to_owned(), record.id.clone()), upload);
        Ok(record)
    }

    pub(in super::super) fn upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> S3Result<(UploadRecord, Vec<Part>)> {
        let mut state = self.state();
        let (_, upload) = state.upload(bucket, key, id)?;
        Ok((upload.record.clone(), upload.parts.values().cloned().collect()))
    }

    pub(in super::super) fn put_part(
        &self,
        bucket_name: &str,
        key: &str,
        id: &str,
        number: i32,
        received: Received,
        sums: Sums,
    ) -> S3Result<Part> {
        let mut state = self.state();
        let (_, upload) = state.upload(bucket_name, key, id)?;
        let dir = self.upload_dir(bucket_name, id);
        let part = Part {
            number,
            size: received.size,
            md5: received.md5,
            sums,
            modified: Stamp::now(),
            file: format!("{number}.{}", self.next_seq()),
        };
        received.keep_as(&dir.join(&part.file))?;
        self.write_json(&dir.join(format!("{number}.json")), &part)?;
        if let Some(old) = upload.parts.insert(number, part.clone()) {
            let _ = fs::remove_file(dir.join(old.file));
        }
        Ok(part)
    }

    pub(in super::super) fn abort(&self, bucket_name: &str, key: &str, id: &str) -> S3Result<()> {
        let mut state = self.state();
        state.upload(bucket_name, key, id)?;
        let bucket = state.bucket(bucket_name)?;
        self.forget(bucket, key, id);
        Ok(())
    }

    /// The record goes first: without it the rest is swept with the directory, now or by hand.
    fn forget(&self, bucket: &mut Bucket, key: &str, id: &str) {
        let dir = self.upload_dir(bucket.name(), id);
        let _ = fs::remove_file(dir.join("upload.json"));
        let _ = fs::remove_dir_all(dir);
        bucket.uploads.remove(&(key.to_owned(), id.to_owned()));
    }

    /// Makes an object of the parts named, after every check that S3 makes.
    pub(in super::super) fn complete(
        &self,
        bucket_name: &str,
        key: &str,
        id: &str,
        completion: &Completion,
    ) -> S3Result<Arc<Version>> {
        let mut state = self.state();
        let (_, upload) = state.upload(bucket_name, key, id)?;
        let record = upload.record.clone();
        let parts = chosen(upload, &completion.parts, completion.verify)?;
        let size = parts.iter().map(|part| part.size).sum();
        if let Some(told) = completion.size
            && u64::try_from(told) != Ok(size)
        {
            return Err(invalid(format!(
                "The provided 'x-amz-mp-object-size' header value {told} does not match what was computed: {size}"
            )));
        }
        let sums = object_sums(&record, &parts, completion)?;
        let bucket = state.bucket(bucket_name)?;
        completion.condition.check(bucket.current(key).map(AsRef::as_ref))?;

        let mut version = self.blank(bucket, key);
        let (from, to) = (self.upload_dir(bucket_name, id), self.object_dir(bucket_name, key));
        fs::create_dir_all(&to).map_err(internal)?;
        for (index, part) in parts.iter().enumerate() {
            let file = format!("{:020}.{index}", version.seq);
            // A second name, so that the upload stays whole until the object is there.
            fs::hard_link(from.join(&part.file), to.join(&file)).map_err(internal)?;
            version.segments.push(Segment { file, len: part.size });
        }
        version.size = size;
        version.etag = sums::multipart_etag(parts.iter().map(|part| &part.md5));
        version.sums = sums;
        version.coverage = record.coverage;
        version.headers = record.headers;
        version.parts = parts;
        let version = self.commit(bucket, version)?;
        self.forget(bucket, key, id);
        Ok(version)
    }
}

impl State {
    fn upload(&mut self, bucket: &str, key: &str, id: &str) -> S3Result<(String, &mut Upload)> {
        let bucket = self.bucket(bucket)?;
        let name = bucket.name().to_owned();
        let upload = bucket.uploads.get_mut(&(key.to_owned(), id.to_owned())).ok_or_else(|| {
            s3_error!(
                NoSuchUpload,
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
            )
        })?;
        Ok((name, upload))
    }
}

/// The stored parts that the completion names, checked one by one.
fn chosen(upload: &Upload, asked: &[Asked], verify: bool) -> S3Result<Vec<Part>> {
    if asked.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    if asked.is_sorted_by(|before, after| before.number < after.number) {
        let last = asked.len() - 1;
        asked.iter().enumerate().map(|(index, asked)| one(upload, asked, verify, index == last)).collect()
    } else {
        Err(s3_error!(InvalidPartOrder, "The list of parts was not in ascending order."))
    }
}

fn one(upload: &Upload, asked: &Asked, verify: bool, last: bool) -> S3Result<Part> {
    let wrong = || {
        S3Error::with_message(
            S3ErrorCode::InvalidPart,
            "One or more of the specified parts could not be found. The part may not have been uploaded, \
             or the specified entity tag may not match the part's entity tag.",
        )
    };
    let part = upload.parts.get(&asked.number).ok_or_else(wrong)?;
    let etag_agrees = asked.etag.as_ref().is_some_and(|etag| etag.value() == sums::hex(&part.md5));
    if !etag_agrees {
        return Err(wrong());
    }
    if verify {
        if asked.sums.iter().any(|(kind, value)| part.sums.get(kind) != Some(value)) {
            return Err(wrong());
        }
        if let (Some(kind), Coverage::Composite) = (upload.record.algorithm, upload.record.coverage)
            && !asked.sums.contains_key(&kind)
        {
            return Err(invalid(format!(
                "The upload was created using a {} checksum. The complete request must include the checksum \
                 for each part. It was missing for part {} in the request.",
                kind.name().to_ascii_lowercase(),
                asked.number
            )));
        }
    }
    if !last && part.size < MIN_PART {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ));
    }
    Ok(part.clone())
}

/// The checksum of the object, held against what the completion declares.
fn object_sums(record: &UploadRecord, parts: &[Part], completion: &Completion) -> S3Result<Sums> {
    if let Some(coverage) = completion.coverage
        && coverage != record.coverage
        && completion.verify
    {
        return Err(invalid(format!(
            "The upload was created using the {} checksum mode. The complete request must use the same \
             checksum mode.",
            record.coverage.name()
        )));
    }
    let kind = match record.algorithm {
        Some(kind) => kind,
        None if completion.default_sum => Kind::Crc64Nvme,
        None => return Ok(Sums::new()),
    };
    let of = |part: &Part| part.sums.get(&kind).cloned();
    let computed = match record.coverage {
        Coverage::FullObject => {
            let parts: Option<Vec<_>> = parts.iter().map(|part| Some((of(part)?, part.size))).collect();
            parts.and_then(|parts| {
                sums::full_object(kind, parts.iter().map(|(sum, size)| (sum.as_str(), *size)))
            })
        }
        Coverage::Composite => {
            let parts: Option<Vec<_>> = parts.iter().map(of).collect();
            parts.and_then(|parts| sums::composite(kind, parts.iter().map(String::as_str)))
        }
    };
    let Some(computed) = computed else {
        return Err(s3_error!(InternalError, "a part has no {} checksum", kind.name()));
    };
    if !completion.verify {
        // The fault: whatever was declared is kept and told.
        return Ok(if completion.declared.is_empty() {
            Sums::from([(kind, computed)])
        } else {
            completion.declared.clone()
        });
    }
    let declared: Sums = completion
        .declared
        .iter()
        .map(|(kind, value)| {
            (*kind, value.split_once('-').map_or(value.as_str(), |(value, _)| value).to_owned())
        })
        .collect();
    if let Some(other) = declared.keys().find(|other| **other != kind) {
        return Err(invalid(format!(
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            kind.name().to_ascii_lowercase(),
            other.name().to_ascii_lowercase()
        )));
    }
    sums::verify(&declared, &Sums::from([(kind, computed.clone())]))?;
    let told = match record.coverage {
        Coverage::FullObject => computed,
        Coverage::Composite => format!("{computed}-{}", parts.len()),
    };
    Ok(Sums::from([(kind, told)]))
}
