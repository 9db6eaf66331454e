//! Buckets, objects and uploads on disk.
//!
//! ```text
//! DIR/tmp/                                           bodies being received
//! DIR/buckets/<bucket>/bucket.json
//! DIR/buckets/<bucket>/objects/<hash of key>/<seq>.json   a version, written last
//! DIR/buckets/<bucket>/objects/<hash of key>/<seq>.<n>    its bytes
//! DIR/buckets/<bucket>/uploads/<id>/upload.json, <number>.json, <number>.<n>
//! ```
//!
//! Keys are hashed, so that any key of S3 works on any file system. The JSON files are the truth; what
//! is in memory is read from them at the start. A record is renamed into place after its bytes, so a
//! crash of the process leaves no version without data. Nothing is fsynced: a power cut may lose what
//! was just written. Bodies pass through in pieces; small blocking file calls are made where they
//! stand, because the page cache answers them.

mod archive;
mod objects;
mod receive;
mod records;
mod uploads;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

pub(super) use archive::Archived;
pub(super) use objects::{Condition, Deleted};
pub(super) use receive::Received;
pub(super) use records::{Coverage, Headers, Part, Stamp, UploadRecord, Version, Versioning};
pub(super) use uploads::{Asked, Completion};

use records::BucketRecord;

pub(super) struct Store {
    root: PathBuf,
    state: Mutex<State>,
    seq: AtomicU64,
}

#[derive(Default)]
struct State {
    buckets: BTreeMap<String, Bucket>,
}

pub(super) struct Bucket {
    record: BucketRecord,
    /// Versions oldest first; never empty.
    objects: BTreeMap<String, Vec<Arc<Version>>>,
    /// By key, then id; ids grow with time.
    uploads: BTreeMap<(String, String), Upload>,
}

struct Upload {
    record: UploadRecord,
    parts: BTreeMap<i32, Part>,
}

impl Bucket {
    pub(super) fn name(&self) -> &str {
        &self.record.name
    }

    pub(super) fn created(&self) -> Stamp {
        self.record.created
    }

    pub(super) fn versioning(&self) -> Versioning {
        self.record.versioning
    }

    /// All keys with their versions, oldest first, in the order of the keys.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, &[Arc<Version>])> {
        self.objects.iter().map(|(key, versions)| (key.as_str(), versions.as_slice()))
    }

    pub(super) fn uploads(&self) -> impl Iterator<Item = &UploadRecord> {
        self.uploads.values().map(|upload| &upload.record)
    }

    fn current(&self, key: &str) -> Option<&Arc<Version>> {
        self.objects.get(key)?.last().filter(|version| !version.delete_marker)
    }
}

impl Store {
    /// Opens what a former process left, or begins anew.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let tmp = root.join("tmp");
        match fs::remove_dir_all(&tmp) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(about(&error, "remove", &tmp));
            }
            _ => {}
        }
        fs::create_dir_all(&tmp).map_err(|error| about(&error, "make", &tmp))?;
        let mut state = State::default();
        let mut seq = 0;
        let buckets = root.join("buckets");
        fs::create_dir_all(&buckets).map_err(|error| about(&error, "make", &buckets))?;
        for dir in entries(&buckets)? {
            let record: BucketRecord = read_json(&dir.join("bucket.json"))?;
            let mut bucket = Bucket { record, objects: BTreeMap::new(), uploads: BTreeMap::new() };
            for object in entries(&dir.join("objects"))? {
                for version in records_in::<Version>(&object)? {
                    seq = seq.max(version.seq);
                    bucket.objects.entry(version.key.clone()).or_default().push(Arc::new(version));
                }
            }
            for versions in bucket.objects.values_mut() {
                versions.sort_by_key(|version| version.seq);
            }
            for dir in entries(&dir.join("uploads"))? {
                // Without its record a directory is what an interrupted abort or completion left.
                let Ok(record) = read_json::<UploadRecord>(&dir.join("upload.json")) else { continue };
                let mut parts = BTreeMap::new();
                for path in entries(&dir)? {
                    let is_record = path.extension().is_some_and(|extension| extension == "json");
                    if is_record && !path.ends_with("upload.json") {
                        let part: Part = read_json(&path)?;
                        parts.insert(part.number, part);
                    }
                }
                bucket.uploads.insert((record.key.clone(), record.id.clone()), Upload { record, parts });
            }
            state.buckets.insert(bucket.record.name.clone(), bucket);
        }
        Ok(Self { root: root.to_owned(), state: Mutex::new(state), seq: AtomicU64::new(seq) })
    }

    pub(super) fn create_bucket(&self, name: &str, versioning: Versioning) -> S3Result<()> {
        let mut state = self.state();
        if state.buckets.contains_key(name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou));
        }
        let record = BucketRecord { name: name.to_owned(), created: Stamp::now(), versioning };
        let dir = self.bucket_dir(name);
        for part in ["objects", "uploads"] {
            fs::create_dir_all(dir.join(part)).map_err(internal)?;
        }
        self.write_json(&dir.join("bucket.json"), &record)?;
        let bucket = Bucket { record, objects: BTreeMap::new(), uploads: BTreeMap::new() };
        state.buckets.insert(name.to_owned(), bucket);
        Ok(())
    }

    pub(super) fn delete_bucket(&self, name: &str) -> S3Result<()> {
        let mut state = self.state();
        if !state.bucket(name)?.objects.is_empty() {
            return Err(s3_error!(BucketNotEmpty));
        }
        fs::remove_dir_all(self.bucket_dir(name)).map_err(internal)?;
        state.buckets.remove(name);
        Ok(())
    }

    pub(super) fn set_versioning(&self, name: &str, versioning: Versioning) -> S3Result<()> {
        let mut state = self.state();
        let bucket = state.bucket(name)?;
        bucket.record.versioning = versioning;
        self.write_json(&self.bucket_dir(name).join("bucket.json"), &bucket.record)
    }

    /// Looks at one bucket.
    pub(super) fn read<T>(&self, name: &str, look: impl FnOnce(&Bucket) -> T) -> S3Result<T> {
        Ok(look(self.state().bucket(name)?))
    }

    /// Looks at every bucket.
    pub(super) fn each<T>(&self, look: impl FnMut(&Bucket) -> T) -> Vec<T> {
        self.state().buckets.values().map(look).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket_dir(&self, bucket: &str) -> PathBuf {
        self.root.join("buckets").join(bucket)
    }

    fn object_dir(&self, bucket: &str, key: &str) -> PathBuf {
        let name = super::sums::hex(&Sha256::digest(key.as_bytes()));
        self.bucket_dir(bucket).join("objects").join(name)
    }

    fn upload_dir(&self, bucket: &str, id: &str) -> PathBuf {
        self.bucket_dir(bucket).join("uploads").join(id)
    }

    /// A number above every former one, also those of former processes.
    fn next_seq(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let before =
            self.seq.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        now.max(before.unwrap_or_default() + 1)
    }

    fn tmp_path(&self) -> PathBuf {
        self.root.join("tmp").join(format!("{:020}", self.next_seq()))
    }

    /// Writes the record under a temporary name and renames it into place.
    fn write_json(&self, path: &Path, record: &impl Serialize) -> S3Result<()> {
        let text = serde_json::to_vec(record).map_err(S3Error::internal_error)?;
        let tmp = self.tmp_path();
        fs::write(&tmp, text).map_err(internal)?;
        fs::rename(&tmp, path).map_err(internal)
    }
}

impl State {
    fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets
            .get_mut(name)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }
}

fn internal(error: io::Error) -> S3Error {
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))
}

fn about(error: &io::Error, verb: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{verb} {}: {error}", path.display()))
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let list = fs::read_dir(dir).map_err(|error| about(&error, "read directory", dir))?;
    list.map(|entry| entry.map(|entry| entry.path())).collect()
}

fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    let text = fs::read(path).map_err(|error| about(&error, "read", path))?;
    serde_json::from_slice(&text)
        .map_err(|error| about(&io::Error::new(io::ErrorKind::InvalidData, error), "read record", path))
}

fn records_in<T: DeserializeOwned>(dir: &Path) -> io::Result<Vec<T>> {
    let files = entries(dir)?;
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| read_json(path))
        .collect()
}
