//! A company's host with its bucket: sources, a configuration, the binary, and the embedded server.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use dbbackup::embedded::{self, Faults, Op, Options, Server};
use rustix::thread::CapabilitySet;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::program::{Output, Running};
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
    pub(super) runtime: Runtime,
    dir: TempDir,
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
        Running::new(self.command(args).spawn().unwrap()).finish()
    }

    /// The same with these variables too.
    pub fn run_under(&self, args: &[&str], variables: &[(&str, &str)]) -> Output {
        Running::new(self.command(args).envs(variables.iter().copied()).spawn().unwrap()).finish()
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
        Running::new(self.command(args).spawn().unwrap())
    }

    /// Runs it without the right of root to read whatever it wants.
    pub fn run_unprivileged(&self, args: &[&str]) -> Output {
        self.begin_unprivileged(args).finish()
    }

    /// Begins what [`World::run_unprivileged`] does, and does not wait.
    pub fn begin_unprivileged(&self, args: &[&str]) -> Running {
        self.begin_without(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH, args)
    }

    /// Begins it without some rights of root.
    pub fn begin_without(&self, rights: CapabilitySet, args: &[&str]) -> Running {
        use rustix::thread::{capabilities, remove_capability_from_bounding_set, set_capabilities};
        let mut command = self.command(args);
        // Linux keeps capabilities by thread, and a child has those of the thread that started it.
        std::thread::scope(|scope| {
            scope
                .spawn(move || {
                    for one in rights.iter() {
                        let _without_privileges = remove_capability_from_bounding_set(one);
                    }
                    let mut sets = capabilities(None).unwrap();
                    sets.effective -= rights;
                    sets.permitted -= rights;
                    sets.inheritable -= rights;
                    set_capabilities(None, sets).unwrap();
                    Running::new(command.spawn().unwrap())
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
