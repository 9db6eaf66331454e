//! A company's host with its bucket: sources, a configuration, the binary, and the embedded server.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use dbbackup::checksum::{Algorithm, Digest};
use dbbackup::embedded::{self, Faults, Op, Options, Server};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{BUCKET, client, noise};

/// A Monday in the third week of its month.
pub const WEEKLY: &str = "2025-08-18";
/// A fourth Monday.
pub const MONTHLY: &str = "2025-08-25";

/// Every operation a run, a listing or a restore may send.
pub const OPS: [Op; 12] = [
    Op::ListObjectsV2,
    Op::HeadBucket,
    Op::GetBucketVersioning,
    Op::HeadObject,
    Op::GetObject,
    Op::PutObject,
    Op::CreateMultipartUpload,
    Op::UploadPart,
    Op::ListMultipartUploads,
    Op::ListParts,
    Op::CompleteMultipartUpload,
    Op::AbortMultipartUpload,
];

/// Everything a test needs, gone when it ends.
pub struct World {
    pub server: Server,
    pub client: Client,
    runtime: Runtime,
    dir: TempDir,
}

/// How the program ended, and what it said.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub raw: Vec<u8>,
    pub stderr: String,
}

impl Output {
    /// Fails with everything that was said unless the exit code is this.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails unless standard error holds the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "`{text}` is not in\n{}", self.stderr);
        self
    }

    /// Standard output as exactly one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in\n{}", self.stdout))
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn versioned() -> Self {
        Self::with(|options| options.versioned = true)
    }

    fn with(change: impl FnOnce(&mut Options)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let mut options =
            Options { dir: dir.path().join("s3"), buckets: vec![BUCKET.to_owned()], ..Options::default() };
        change(&mut options);
        let server = runtime.block_on(embedded::serve(options)).unwrap();
        let client = client(&server, "test", "test");
        let world = Self { server, client, runtime, dir };
        for engine in ["oracle", "mysql", "mssql"] {
            fs::create_dir_all(world.path(engine)).unwrap();
        }
        fs::create_dir_all(world.path("out")).unwrap();
        world.configure(|text| text);
        world
    }

    /// A path below the world's directory.
    pub fn path(&self, rel: &str) -> PathBuf {
        self.dir.path().join(rel)
    }

    /// Writes the configuration, changed from what works.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let root = self.dir.path().display();
        let text = format!(
            r#"[oracle]
source = "{root}/oracle"
exclude = ["skip"]
min_size = "1B"
[mysql]
source = "{root}/mysql"
exclude = ["skip"]
min_size = "1B"
[mssql]
source = "{root}/mssql"
exclude = ["api1/test"]
min_size = "1B"
[s3]
bucket = "{BUCKET}"
prefix = "backup"
region = "us-east-1"
endpoint_url = "{}"
path_style = true
[log]
dir = "{root}/log"
[state]
dir = "{root}/state"
[backup]
pauses = ["10ms", "20ms"]
part_size = "5MiB"
settle_wait = "2s"
settle_time = "0s"
outage_patience = "0s"
"#,
            self.server.endpoint_url()
        );
        fs::write(self.path("config.toml"), change(text)).unwrap();
    }

    /// Writes a file with its directories.
    pub fn write(&self, rel: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// A dump as mysqldump writes it.
    pub fn dump(&self, rel: &str) -> PathBuf {
        let text = format!(
            "-- MySQL dump 10.13  Distrib 8.0.36\n--\nINSERT INTO `orders` VALUES (1,'{rel}');\n-- Dump completed on 2025-08-18  1:00:03\n"
        );
        self.write(&format!("mysql/{rel}"), text)
    }

    /// A SQL Server backup of that many bytes.
    pub fn bak(&self, rel: &str, bytes: usize) -> PathBuf {
        self.write(&format!("mssql/{rel}"), noise(bytes, bytes as u64 + rel.len() as u64))
    }

    /// An RMAN folder with two pieces and a control file.
    pub fn rman(&self, rel: &str) -> PathBuf {
        for (number, piece) in [(1, "0a3v1k2m_1_1"), (2, "0b3v1k2m_1_1"), (3, "c-1234567890-20250818-00")] {
            let seed = rel.bytes().map(u64::from).sum::<u64>() * 10 + number;
            self.write(&format!("oracle/{rel}/{piece}"), noise(9_000, seed));
        }
        self.path(&format!("oracle/{rel}"))
    }

    /// The three engines' sets of the weekly date.
    pub fn company(&self) {
        self.rman("erp/rman_erp_18-08-2025");
        self.dump("shop/shop_20250818.sql");
        self.bak("crm/crm_20250818.bak", 40_000);
    }

    /// The binary with the least environment that it needs, as under cron.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dbbackup"));
        command
            .args(args)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.dir.path())
            .env("TZ", "UTC")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("DBBACKUP_CONFIG", self.path("config.toml"))
            .current_dir(self.path("out"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Output {
        finished(self.command(args).spawn().unwrap())
    }

    /// The same with these variables too.
    pub fn run_under(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        finished(self.command(args).envs(variables.iter().copied()).spawn().unwrap())
    }

    /// The same with somebody else's keys in the environment: those of a profile are to be used.
    pub fn run_by_profile(&self, args: &[&str]) -> Output {
        self.run_under(args, &[("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "other")])
    }

    /// `dbbackup all --date 2025-08-18`.
    pub fn backup(&self) -> Output {
        self.run(&["all", "--date", WEEKLY])
    }

    /// Begins what [`World::run`] does, and does not wait.
    pub fn begin(&self, args: &[&str]) -> Running {
        Running(Some(self.command(args).spawn().unwrap()))
    }

    /// Runs it without the right of root to read whatever it wants.
    pub fn run_unprivileged(&self, args: &[&str]) -> Output {
        self.begin_unprivileged(args).finish()
    }

    /// Begins what [`World::run_unprivileged`] does, and does not wait.
    pub fn begin_unprivileged(&self, args: &[&str]) -> Running {
        use rustix::thread::{
            CapabilitySet, capabilities, remove_capability_from_bounding_set, set_capabilities,
        };
        let mut command = self.command(args);
        // Linux keeps capabilities by thread, and a child has those of the thread that started it.
        std::thread::scope(|scope| {
            scope
                .spawn(move || {
                    let reading = CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
                    for one in [CapabilitySet::DAC_OVERRIDE, CapabilitySet::DAC_READ_SEARCH] {
                        let _without_privileges = remove_capability_from_bounding_set(one);
                    }
                    let mut sets = capabilities(None).unwrap();
                    sets.effective -= reading;
                    sets.permitted -= reading;
                    sets.inheritable -= reading;
                    set_capabilities(None, sets).unwrap();
                    Running(Some(command.spawn().unwrap()))
                })
                .join()
                .unwrap()
        })
    }

    pub fn faults(&self) -> &Faults {
        self.server.faults()
    }

    /// Ends every fault and every denial.
    pub fn heal(&self) {
        self.faults().clear();
        for op in OPS {
            self.faults().allow(op);
        }
    }

    /// Waits until the server was asked this at least so often.
    #[track_caller]
    pub fn wait_for(&self, op: Op, count: u64) {
        let begun = Instant::now();
        while self.server.count(op) < count {
            assert!(begun.elapsed() < Duration::from_secs(20), "no {op:?} came");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until a rule fires.
    #[track_caller]
    pub fn wait_for_a_fault(&self) {
        let begun = Instant::now();
        while self.faults().fired() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "no request met a fault");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Every key of the bucket, sorted.
    pub fn all_keys(&self) -> Vec<String> {
        self.sizes().into_keys().collect()
    }

    /// Every key of the bucket with its object's bytes.
    pub fn sizes(&self) -> BTreeMap<String, u64> {
        self.runtime.block_on(async {
            let mut sizes = BTreeMap::new();
            let mut pages = self.client.list_objects_v2().bucket(BUCKET).into_paginator().send();
            while let Some(page) = pages.next().await {
                sizes.extend(page.unwrap().contents().iter().map(|object| {
                    (object.key().unwrap().to_owned(), object.size().unwrap().cast_unsigned())
                }));
            }
            sizes
        })
    }

    /// The keys of data, sorted.
    pub fn keys(&self) -> Vec<String> {
        let records = |key: &String| key.contains("/_catalog/") || key.contains("/_runs/");
        self.all_keys().into_iter().filter(|key| !records(key)).collect()
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        self.runtime.block_on(async {
            let reply = self.client.get_object().bucket(BUCKET).key(key).send().await.unwrap();
            reply.body.collect().await.unwrap().to_vec()
        })
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let body = ByteStream::from(bytes.into());
        let put = self.client.put_object().bucket(BUCKET).key(key).body(body).send();
        self.runtime.block_on(put).unwrap();
    }

    pub fn delete(&self, key: &str) {
        self.runtime.block_on(self.client.delete_object().bucket(BUCKET).key(key).send()).unwrap();
    }

    /// Begins an upload as somebody else.
    pub fn begin_upload(&self, key: &str) {
        let begin = self.client.create_multipart_upload().bucket(BUCKET).key(key).send();
        self.runtime.block_on(begin).unwrap();
    }

    /// The key of every version and of every delete marker in the bucket.
    pub fn versions(&self) -> Vec<String> {
        let reply = self.runtime.block_on(self.client.list_object_versions().bucket(BUCKET).send()).unwrap();
        let versions = reply.versions().iter().filter_map(|version| version.key());
        versions
            .chain(reply.delete_markers().iter().filter_map(|marker| marker.key()))
            .map(str::to_owned)
            .collect()
    }

    /// Uploads that were begun and neither completed nor aborted.
    pub fn open_uploads(&self) -> usize {
        let reply = self.runtime.block_on(self.client.list_multipart_uploads().bucket(BUCKET).send());
        reply.unwrap().uploads().len()
    }

    /// The keys of uploads that were begun and neither completed nor aborted.
    pub fn open_keys(&self) -> Vec<String> {
        let reply = self.runtime.block_on(self.client.list_multipart_uploads().bucket(BUCKET).send());
        reply.unwrap().uploads().iter().map(|upload| upload.key().unwrap().to_owned()).collect()
    }

    /// How many parts of unfinished uploads are in the bucket.
    pub fn held_parts(&self) -> u64 {
        self.runtime.block_on(async {
            let open = self.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
            let mut held = 0;
            for upload in open.uploads() {
                let list = self.client.list_parts().bucket(BUCKET).key(upload.key().unwrap());
                let parts = list.upload_id(upload.upload_id().unwrap()).send().await.unwrap();
                held += parts.parts().len() as u64;
            }
            held
        })
    }

    /// Empties the bucket and what the host remembers of it.
    pub fn forget_everything(&self) {
        for key in self.all_keys() {
            self.delete(&key);
        }
        let _nothing_there = fs::remove_dir_all(self.path("state"));
    }

    /// Waits until parts of an unfinished upload are in the bucket.
    pub fn wait_for_a_part(&self) {
        let begun = Instant::now();
        while !self.runtime.block_on(self.has_a_part()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no part arrived");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    async fn has_a_part(&self) -> bool {
        let open = self.client.list_multipart_uploads().bucket(BUCKET).send().await.unwrap();
        let Some(upload) = open.uploads().first() else { return false };
        let list = self.client.list_parts().bucket(BUCKET).key(upload.key().unwrap());
        let parts = list.upload_id(upload.upload_id().unwrap()).send().await.unwrap();
        !parts.parts().is_empty()
    }

    /// The manifests in the bucket. Fails unless every object that one names is there, with the size
    /// and the checksum it tells.
    #[track_caller]
    pub fn whole_manifests(&self) -> Vec<Value> {
        let keys = self.all_keys();
        let manifests: Vec<Value> = keys
            .iter()
            .filter(|key| key.ends_with("/manifest.json"))
            .map(|key| serde_json::from_slice(&self.get(key)).unwrap())
            .collect();
        for file in manifests.iter().flat_map(|manifest| manifest["files"].as_array().unwrap()) {
            let bytes = self.get(file["key"].as_str().unwrap());
            let mut digest = Digest::new(Algorithm::Crc64Nvme);
            digest.update(&bytes);
            assert_eq!(file["size"], bytes.len(), "{file}");
            assert_eq!(file["checksum"]["value"], digest.full_object().value.as_str(), "{file}");
        }
        manifests
    }

    /// The log files, by name.
    pub fn logs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("log")) else { return Vec::new() };
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        logs.sort();
        logs
    }

    /// The text of the newest log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.logs().last().expect("a log file")).unwrap()
    }
}

/// A program under way; it is killed where the test ends before it.
pub struct Running(Option<Child>);

impl Running {
    pub fn id(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    pub fn finish(mut self) -> Output {
        finished(self.0.take().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// Reads what it says to its end, then its exit code; a signal counts as 128 and its number.
fn finished(mut child: Child) -> Output {
    use std::os::unix::process::ExitStatusExt as _;
    let mut stderr = child.stderr.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    let mut raw = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut raw).unwrap();
    let status = child.wait().unwrap();
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Output { code, stdout: String::from_utf8_lossy(&raw).into_owned(), raw, stderr: said.join().unwrap() }
}

/// Fails unless both folders, or both files, hold the same names and bytes.
#[track_caller]
pub fn assert_same(a: &Path, b: &Path) {
    let tree = |root: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = walkdir::WalkDir::new(root)
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| path.is_file())
            .map(|path| (path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect();
        files.sort();
        files
    };
    let (ours, theirs) = (tree(a), tree(b));
    assert!(!ours.is_empty(), "{} has no file", a.display());
    assert!(ours == theirs, "{} and {} differ", a.display(), b.display());
}
