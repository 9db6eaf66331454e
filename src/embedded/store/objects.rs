//! Versions of objects: written, found, read, removed.

use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use s3s::dto::ETagCondition;
use s3s::stream::{ByteStream, RemainingLength};
use s3s::{S3Result, StdError, s3_error};

use super::records::Segment;
use super::{Bucket, Coverage, Headers, Received, Stamp, Store, Version, Versioning, internal};
use crate::embedded::sums::{Sums, hex};

/// `If-Match` and `If-None-Match` of a write.
#[derive(Debug, Default)]
pub(in super::super) struct Condition {
    pub(in super::super) if_match: Option<ETagCondition>,
    pub(in super::super) if_none_match: Option<ETagCondition>,
}

impl Condition {
    pub(super) fn check(&self, current: Option<&Version>) -> S3Result<()> {
        match &self.if_none_match {
            Some(ETagCondition::Any) if current.is_some() => {
                return Err(s3_error!(
                    PreconditionFailed,
                    "At least one of the pre-conditions you specified did not hold"
                ));
            }
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(NotImplemented, "If-None-Match takes only * on a write"));
            }
            Some(ETagCondition::Any) | None => {}
        }
        match (&self.if_match, current) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey)),
            (Some(ETagCondition::ETag(wanted)), Some(version)) if wanted.value() == version.etag => Ok(()),
            (Some(ETagCondition::ETag(_)), Some(_)) => Err(s3_error!(
                PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold"
            )),
        }
    }
}

/// What a delete did.
#[derive(Debug, Default)]
pub(in super::super) struct Deleted {
    pub(in super::super) version: Option<String>,
    pub(in super::super) marker: bool,
}

impl Store {
    /// Makes a received body the latest version of a key.
    pub(in super::super) fn put(
        &self,
        bucket_name: &str,
        key: &str,
        received: Received,
        sums: Sums,
        headers: Headers,
        condition: &Condition,
    ) -> S3Result<Arc<Version>> {
        let mut state = self.state();
        let bucket = state.bucket(bucket_name)?;
        condition.check(bucket.current(key).map(AsRef::as_ref))?;
        let dir = self.object_dir(bucket_name, key);
        fs::create_dir_all(&dir).map_err(internal)?;
        let mut version = self.blank(bucket, key);
        let file = format!("{:020}.0", version.seq);
        version.size = received.size;
        version.etag = hex(&received.md5);
        version.sums = sums;
        version.headers = headers;
        version.segments = vec![Segment { file: file.clone(), len: received.size }];
        received.keep_as(&dir.join(file))?;
        self.commit(bucket, version)
    }

    /// A version with its place in the order and nothing else.
    pub(super) fn blank(&self, bucket: &Bucket, key: &str) -> Version {
        let seq = self.next_seq();
        let id = match bucket.versioning() {
            Versioning::Enabled => format!("{seq:016x}"),
            Versioning::Never | Versioning::Suspended => "null".to_owned(),
        };
        Version {
            key: key.to_owned(),
            id,
            seq,
            delete_marker: false,
            size: 0,
            etag: String::new(),
            modified: Stamp::now(),
            sums: Sums::new(),
            coverage: Coverage::FullObject,
            parts: Vec::new(),
            headers: Headers::default(),
            retrieval: None,
            segments: Vec::new(),
        }
    }

    /// Writes the record, the moment from which the version is there, and drops the one it replaces.
    pub(super) fn commit(&self, bucket: &mut Bucket, version: Version) -> S3Result<Arc<Version>> {
        let dir = self.object_dir(bucket.name(), &version.key);
        self.write_json(&dir.join(format!("{:020}.json", version.seq)), &version)?;
        let version = Arc::new(version);
        let versions = bucket.objects.entry(version.key.clone()).or_default();
        let replaced: Vec<_> =
            versions.extract_if(.., |old| version.id == "null" && old.id == "null").collect();
        versions.push(Arc::clone(&version));
        for old in replaced {
            self.remove_files(bucket.name(), &old);
        }
        Ok(version)
    }

    /// The latest version of a key, or the one with this id.
    pub(in super::super) fn find(&self, bucket: &str, key: &str, id: Option<&str>) -> S3Result<Arc<Version>> {
        let mut state = self.state();
        let bucket = state.bucket(bucket)?;
        let Some(id) = id else {
            return bucket
                .current(key)
                .cloned()
                .ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."));
        };
        let versions = bucket.objects.get(key).map(Vec::as_slice).unwrap_or_default();
        match versions.iter().find(|version| version.id == id) {
            Some(version) if version.delete_marker => {
                Err(s3_error!(MethodNotAllowed, "The specified version is a delete marker."))
            }
            Some(version) => Ok(Arc::clone(version)),
            None => Err(s3_error!(NoSuchVersion, "The specified version does not exist.")),
        }
    }

    /// The bytes of a version, a piece at a time.
    pub(in super::super) fn bytes(&self, bucket: &str, version: &Version, range: Range<u64>) -> Reader {
        let dir = self.object_dir(bucket, &version.key);
        let mut start = 0;
        let mut pieces = Vec::new();
        for segment in &version.segments {
            let end = start + segment.len;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                pieces.push((dir.join(&segment.file), from - start..to - start));
            }
            start = end;
        }
        pieces.reverse();
        let left = range.end.saturating_sub(range.start);
        Reader { pieces, open: None, left }
    }

    /// Deletes the latest version (leaving a marker where the bucket keeps versions), or the one given.
    pub(in super::super) fn delete(
        &self,
        bucket_name: &str,
        key: &str,
        id: Option<&str>,
    ) -> S3Result<Deleted> {
        let mut state = self.state();
        let bucket = state.bucket(bucket_name)?;
        let keeps = bucket.versioning() != Versioning::Never;
        if keeps && id.is_none() {
            let mut marker = self.blank(bucket, key);
            marker.delete_marker = true;
            fs::create_dir_all(self.object_dir(bucket_name, key)).map_err(internal)?;
            let marker = self.commit(bucket, marker)?;
            return Ok(Deleted { version: Some(marker.id.clone()), marker: true });
        }
        let id = id.unwrap_or("null");
        let Some(versions) = bucket.objects.get_mut(key) else { return Ok(Deleted::default()) };
        let gone: Vec<_> = versions.extract_if(.., |version| version.id == id).collect();
        if versions.is_empty() {
            bucket.objects.remove(key);
        }
        let marker = gone.iter().any(|version| version.delete_marker);
        for version in gone {
            self.remove_files(bucket_name, &version);
        }
        Ok(Deleted { version: keeps.then(|| id.to_owned()), marker })
    }

    /// The record goes first, so that a crash leaves bytes without a record and not the reverse.
    fn remove_files(&self, bucket: &str, version: &Version) {
        let dir = self.object_dir(bucket, &version.key);
        let _ = fs::remove_file(dir.join(format!("{:020}.json", version.seq)));
        for segment in &version.segments {
            let _ = fs::remove_file(dir.join(&segment.file));
        }
        // Fails while other versions are there, as it should.
        let _ = fs::remove_dir(dir);
    }
}

/// Bytes read at once.
const PIECE: u64 = 128 * 1024;

/// A range of an object as a stream.
pub(in super::super) struct Reader {
    /// Files with the ranges to read, last first.
    pieces: Vec<(PathBuf, Range<u64>)>,
    open: Option<File>,
    left: u64,
}

impl Reader {
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let Some((path, range)) = self.pieces.last_mut() else { return Ok(None) };
            if range.is_empty() {
                self.pieces.pop();
                self.open = None;
                continue;
            }
            let file = match &mut self.open {
                Some(file) => file,
                None => self.open.insert(File::open(path)?),
            };
            let len = PIECE.min(range.end - range.start);
            let mut buffer = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut buffer, range.start)?;
            range.start += len;
            self.left -= len;
            return Ok(Some(buffer.into()));
        }
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.read().map_err(Into::into).transpose())
    }
}

impl ByteStream for Reader {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(usize::try_from(self.left).unwrap_or(usize::MAX))
    }
}
