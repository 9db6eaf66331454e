//! The configuration: TOML text becomes a checked [`Config`] here, once, and nowhere else.
//!
//! What must stay true: a `Config` that exists is usable as it stands (paths absolute, sizes within
//! S3's limits, patterns compiled); an error names file, line, key and what is allowed; no secret is
//! ever held.

mod backup;
mod engine;
mod error;
mod locate;
mod names;
mod parse;
mod render;
mod secrets;
mod section;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::NaiveTime;

use crate::calendar::CategoryRules;
use crate::codec::Recipe;
use crate::expect::Expect;
use crate::model::{Bandwidth, Category, Engine, Expires, Rate};
use crate::neighbour::IoClass;
use crate::network::Networks;
use crate::source::{self, Excludes};

pub use error::{ConfigError, Problem};
pub use locate::{DEFAULT_PATH, ENV_VAR, Origin};

/// Everything the file says, defaults filled in, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub path: PathBuf,
    /// The engines that have a section.
    pub sources: BTreeMap<Engine, Source>,
    /// Where backups go.
    pub s3: S3,
    /// Which way the bucket may be reached.
    pub network: Network,
    /// The log file of each run.
    pub log: Log,
    /// What a host remembers between runs; may be lost without harm.
    pub state: State,
    /// How backups are picked and sent.
    pub backup: Backup,
    /// How restores are rehearsed.
    pub drill: Drill,
    /// What must exist.
    pub expect: Vec<Expect>,
}

impl Config {
    /// As it stands where there is something to back up; to look and to restore `[s3]` is enough.
    ///
    /// # Errors
    /// [`ConfigError::NoSource`] where no engine has a section.
    pub fn with_sources(self) -> Result<Self, ConfigError> {
        if self.sources.is_empty() { Err(ConfigError::NoSource { path: self.path }) } else { Ok(self) }
    }

    /// Reads and checks the file of `--config`, else of `$DBBACKUP_CONFIG`, else
    /// `/etc/dbbackup/config.toml`.
    ///
    /// # Errors
    /// [`ConfigError`] where there is none, it cannot be read, or anything in it is wrong.
    pub fn load(explicit: Option<&Path>, host: Option<&str>) -> Result<Self, ConfigError> {
        let (path, origin) = locate::locate(explicit, std::env::var_os(ENV_VAR));
        match std::fs::read(&path) {
            Ok(bytes) => {
                let text = String::from_utf8(bytes).map_err(|error| {
                    let source = std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error());
                    ConfigError::Unreadable { path: path.clone(), source }
                })?;
                let config = Self::parse(&text, &path, &host.map_or_else(source::host_name, str::to_owned))?;
                let prefix = &config.s3.prefix_as_written;
                if host.is_some() && !prefix.contains("{hostname}") {
                    return Err(ConfigError::OneForAll { path, prefix: prefix.clone() });
                }
                Ok(config)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ConfigError::NotFound { path, origin })
            }
            Err(source) => Err(ConfigError::Unreadable { path, source }),
        }
    }

    /// Checks the text of the file at `path`; `hostname` is what `{hostname}` stands for. The one
    /// thing read from the disk is `[s3] ca_bundle`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with everything that is wrong.
    pub fn parse(text: &str, path: &Path, hostname: &str) -> Result<Self, ConfigError> {
        parse::parse(text, path, hostname)
    }
}

impl S3 {
    /// Default of `connect_timeout`: time for a tunnel to fail over.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
    /// Default of `attempt_timeout`.
    pub const ATTEMPT_TIMEOUT: Duration = Duration::from_mins(5);
    /// Default of `stall_timeout`.
    pub const STALL_TIMEOUT: Duration = Duration::from_mins(5);
    /// Default of `min_rate`.
    pub const MIN_RATE: Rate = Rate::bytes_per_second(64 << 10);
}

impl Log {
    /// Default of `dir`.
    pub const DIR: &str = "/var/log/dbbackup";
    /// Default of `keep_days`: three months, as the script meant.
    pub const KEEP_DAYS: u32 = 90;
}

impl State {
    /// Default of `dir`.
    pub const DIR: &str = "/var/lib/dbbackup";
}

impl Backup {
    /// Default of `attempts`.
    pub const ATTEMPTS: u32 = 3;
    /// Default of `pauses`.
    pub const PAUSES: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(10)];
    /// Default of `concurrency`.
    pub const CONCURRENCY: u32 = 128;
    /// Default of `max_memory`, in bytes.
    pub const MAX_MEMORY: u64 = 64 * values::MIB;
    /// What the process takes besides the buffers of parts, in bytes; measured by `tests/bench/run`.
    pub const OWN_MEMORY: u64 = 32 * values::MIB;
    /// Least bytes of part buffers: parts larger than their share of it are streamed.
    pub const LEAST_BUFFERS: u64 = 8 * values::MIB;
    /// Default of `outage_patience`.
    pub const OUTAGE_PATIENCE: Duration = Duration::from_mins(30);
    /// Default of `abort_after`.
    pub const ABORT_AFTER: Duration = Duration::from_hours(7 * 24);
    /// Default of `part_size`, in bytes.
    pub const PART_SIZE: u64 = 8 * values::MIB;
    /// Default of `settle_time`.
    pub const SETTLE_TIME: Duration = Duration::from_mins(1);
    /// Default of `catch_up_days` where `daily = true`; else it is 0, as the backups of other days than the weekly
    /// one are not meant to be sent.
    pub const CATCH_UP_DAYS_DAILY: u32 = 7;
    /// Default of `settle_wait`.
    pub const SETTLE_WAIT: Duration = Duration::from_mins(10);
}

impl Backup {
    /// Bytes of part buffers held at once: what `max_memory` leaves.
    #[must_use]
    pub const fn buffer_memory(&self) -> u64 {
        self.max_memory.saturating_sub(Self::OWN_MEMORY)
    }
}

impl Source {
    /// Default of `min_size`, in bytes: a dump of nothing but its header and trailer is smaller.
    pub const MIN_SIZE: u64 = 1024;
}

impl Check {
    /// What stands for the set's path in an argument of `check_command`.
    pub const PLACE: &str = "{path}";
    /// Default of `check_timeout`.
    pub const TIMEOUT: Duration = Duration::from_mins(30);
}

/// One engine's section.
#[derive(Debug, Clone)]
pub struct Source {
    /// Absolute path of the directory that holds the backups.
    pub dir: PathBuf,
    /// Paths relative to `dir` that are passed over.
    pub exclude: Excludes,
    /// `[oracle] include_level1`: also take folders with `lv1` in their name. Default false.
    pub include_level1: bool,
    /// `[mssql] include_differential`: also take `.dif` files. Default false.
    pub include_differential: bool,
    /// `[mssql] include_log`: also take `.trn` files. Default false.
    pub include_log: bool,
    /// Sets of a higher number go first. Default 0.
    pub priority: u32,
    /// Bytes below which a set is worth a warning. Default 1 KiB.
    pub min_size: u64,
    /// The operator's own check of each set.
    pub check: Check,
    /// What is done to its backups on their way: `compress`, `encrypt`. Default: nothing.
    pub recipe: Recipe,
}

/// `check_command` and `check_timeout` of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The program and its arguments, `{path}` standing for the set's path; empty for none.
    pub command: Vec<String>,
    /// How long it may take, 1 s to 24 h. Default 30 min.
    pub timeout: Duration,
}

/// `[backup] on_cut_short`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCutShort {
    /// It is not sent.
    Refuse,
    /// It is sent, and marked as what it is.
    Send,
}

/// `[s3]`.
#[derive(Debug, Clone)]
pub struct S3 {
    /// Bucket name.
    pub bucket: String,
    /// Key prefix with `{hostname}` filled in, without leading or trailing slash; may be empty.
    pub prefix: String,
    /// The same with `{hostname}` as the file has it.
    pub prefix_as_written: String,
    /// Region; none: the AWS chain's (environment, profile, instance).
    pub region: Option<String>,
    /// Another endpoint than AWS's for the region: an interface endpoint or an S3-compatible store.
    pub endpoint_url: Option<String>,
    /// `https://host/bucket/key` in place of `https://bucket.host/key`. Default false.
    pub path_style: bool,
    /// Profile of `~/.aws/config` whose credentials and region are used; none: the chain's own choice.
    pub profile: Option<String>,
    /// Storage class by category; none: the bucket's default (`STANDARD`).
    pub storage_class: BTreeMap<Category, String>,
    /// The age at which the bucket's own lifecycle rule removes sets. Default: never.
    pub expires: Expires,
    /// Server-side encryption asked for with each object; none: the bucket's default.
    pub sse: Option<Sse>,
    /// The checksum S3 is asked to verify.
    pub checksum: ChecksumChoice,
    /// Account that must own the bucket (12 digits), or every call is refused by S3.
    pub expected_bucket_owner: Option<String>,
    /// PEM file with certificate authorities to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Longest wait for a connection, 1 s to 1 h. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time for one attempt of one request, 1 s to 24 h, unless its bytes take longer at
    /// `min_rate`. Default 5 min.
    pub attempt_timeout: Duration,
    /// An attempt in which no byte moved for so long has failed, 1 s to 1 h. Default 5 min.
    pub stall_timeout: Duration,
    /// Slowest rate at which an attempt is still waited for. Default 64 KiB/s.
    pub min_rate: Rate,
}

/// `[s3] sse` and `kms_key_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sse {
    /// `AES256`: keys held by S3.
    Aes256,
    /// `aws:kms`, with the key's id or ARN, or AWS's own key for S3.
    Kms(Option<String>),
}

/// `[s3] checksum`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumChoice {
    /// CRC64NVME of the whole object, or the best that the endpoint takes.
    Auto,
    /// CRC64NVME of the whole object, nothing else.
    Crc64Nvme,
    /// CRC32C of the whole object.
    Crc32c,
    /// SHA-256 of each object or part.
    Sha256,
    /// None: only sizes can be compared.
    None,
}

/// `[network]`.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Whether connections to any address outside `allowed` are refused. Default false.
    pub require_private: bool,
    /// `allowed_cidrs`: the ranges that count as private. Default: [`Networks::DEFAULT`].
    pub allowed: Networks,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
    /// Absolute path of the directory. Default `/var/log/dbbackup`.
    pub dir: PathBuf,
    /// Days a log file is kept. Default 90.
    pub keep_days: u32,
    /// Text for people or JSON lines. Default text.
    pub format: LogFormat,
}

/// `[log] format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line of text an event.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[state]`.
#[derive(Debug, Clone)]
pub struct State {
    /// Absolute path of the directory. Default `/var/lib/dbbackup`.
    pub dir: PathBuf,
}

/// `[backup]`.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Attempts for each file and each part. Default 3.
    pub attempts: u32,
    /// Pauses after the first, second … failed attempt; the last one repeats. Default 5 s, 10 s.
    pub pauses: Vec<Duration>,
    /// Most requests in flight at once, small files and parts together; parts are bounded by the memory too.
    /// Default 128.
    pub concurrency: usize,
    /// How long a store that answered before is waited for once it no longer does; zero for not at
    /// all. Default 30 min.
    pub outage_patience: Duration,
    /// Age at which an upload that this host began and never finished is aborted. Default 7 days.
    pub abort_after: Duration,
    /// Fastest rate of all uploads together, by the time of day. Default: none.
    pub bandwidth: Bandwidth,
    /// Bytes that the whole process may take at its peak, 40 MiB to 1 TiB. Default 64 MiB.
    pub max_memory: u64,
    /// Smallest part of a multipart upload in bytes; grows with the file. Default 8 MiB.
    pub part_size: u64,
    /// Age below which a file counts as being written. Default 1 min.
    pub settle_time: Duration,
    /// How long a set that is being written is waited for. Default 10 min.
    pub settle_wait: Duration,
    /// What becomes of a set that is cut short. Default: it is refused.
    pub on_cut_short: OnCutShort,
    /// Whether warnings of the inspection make the exit code 1. Default false.
    pub strict: bool,
    /// Days, ending with yesterday, whose missing sets are sent too; 0 and 1 for none. Default 7 where `daily = true`,
    /// else 0.
    pub catch_up_days: u32,
    /// How much the processor's other users go first, 0 to 19 (`nice(1)`). Default 0: as it was started.
    pub nice: u8,
    /// How the disk's other users go first. Default: as it was started.
    pub io_class: Option<IoClass>,
    /// When all should be stored. Default: none.
    pub deadline: Option<NaiveTime>,
    /// How a date becomes a category.
    pub categories: CategoryRules,
}

/// `[drill]`.
#[derive(Debug, Clone)]
pub struct Drill {
    /// Absolute path of the directory that sets are restored under; none: `[state] dir`.
    pub scratch: Option<PathBuf>,
    /// The mariadbd or mysqld to load dumps into; none: found on the usual paths.
    pub server: Option<PathBuf>,
    /// Longest time that a restore may take. Default 60 min.
    pub rto: Duration,
    /// How long loading and checking a dump may take before it is given up. Default 24 h.
    pub timeout: Duration,
}

impl Drill {
    /// Default of `rto`.
    pub const RTO: Duration = Duration::from_hours(1);
    /// Default of `timeout`.
    pub const TIMEOUT: Duration = Duration::from_hours(24);
}
