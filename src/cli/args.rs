//! What each command besides the backup can be asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::bucket::Tier;
use crate::calendar::Day;
use crate::model::{Category, Rate, Selector};
use crate::policy::Role;

/// What is restored, and where to.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup restore mysql/shop/weekly/shop_20250818.sql --to /srv/restore
  dbbackup restore --latest mysql/shop --stdout | mariadb shop
  dbbackup restore --latest oracle/erp --date 2025-08-18
  dbbackup restore oracle/erp/monthly/rman_25-08-2025 --wait --tier bulk
  dbbackup restore s3://example-backup/backup/mssql/crm/weekly/crm_20250818.bak")]
#[command(group = clap::ArgGroup::new("what").required(true).args(["key", "latest"]))]
pub struct RestoreArgs {
    /// The set: a key as `list` prints it, a full object key, or an s3:// URI
    #[arg(value_name = "KEY")]
    pub key: Option<String>,
    /// The newest set of this engine and app
    #[arg(long, value_name = "ENGINE/APP")]
    pub latest: Option<Selector>,
    /// With --latest: the set of this day in place of the newest
    #[arg(long, value_name = "DAY", requires = "latest", conflicts_with = "key")]
    pub date: Option<Day>,
    /// Directory to write to [default: the current one]
    #[arg(long, value_name = "DIR", conflicts_with = "stdout")]
    pub to: Option<PathBuf>,
    /// Overwrite what is there of the backup; other files in a folder, and a folder in a file's place, stay
    /// and are an error
    #[arg(long, conflicts_with = "stdout")]
    pub force: bool,
    /// Also take objects without a manifest: sent by another program, or not completely
    #[arg(long, conflicts_with = "latest")]
    pub unproven: bool,
    /// Write one file to standard output, for a pipe
    #[arg(long)]
    pub stdout: bool,
    /// What is encrypted.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Objects in archive classes.
    #[command(flatten)]
    pub retrieval: WaitArgs,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// How what is encrypted is opened.
#[derive(Debug, Clone, Args)]
pub struct IdentityArgs {
    /// File with the secret key of age for backups that are encrypted, as `age-keygen -o FILE` makes it
    /// [default: `$DBBACKUP_IDENTITY`]
    #[arg(long = "identity", value_name = "FILE", env = "DBBACKUP_IDENTITY", hide_env = true)]
    pub file: Option<PathBuf>,
}

/// What is done about objects in archive classes.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// Have S3 retrieve what is in an archive class, and wait until it can be read; given again, it
    /// goes on waiting
    #[arg(long)]
    pub wait: bool,
    /// With --wait: how fast; `DEEP_ARCHIVE` has no expedited [default: standard]
    #[arg(long, value_enum, ignore_case = true, requires = "wait")]
    pub tier: Option<Tier>,
    /// With --wait: how many days the retrieved copy stays readable [default: 7]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=365), requires = "wait")]
    pub days: Option<u32>,
}

/// What is estimated.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup estimate /srv/mysql/shop/shop_20250818.sql
  dbbackup estimate --line 80Mbit/s /srv/mssql/*.bak")]
pub struct EstimateArgs {
    /// Files to take a sample of
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Rate of the line; without it, parts of an upload that is aborted are sent to measure it
    #[arg(long, value_name = "RATE")]
    pub line: Option<Rate>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// Which sets are listed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup list mysql/shop --since 2025-08-01
  dbbackup list --category monthly --json")]
pub struct ListArgs {
    /// Only this engine, or this engine and app
    #[arg(value_name = "ENGINE[/APP]")]
    pub selector: Option<Selector>,
    /// Backups of this day and every later one
    #[arg(long, value_name = "DAY")]
    pub since: Option<Day>,
    /// Backups up to this day and no later
    #[arg(long, value_name = "DAY")]
    pub until: Option<Day>,
    /// Only this category
    #[arg(long, value_enum, ignore_case = true)]
    pub category: Option<Category>,
    /// Also objects without a manifest, sent by another program or by hand
    #[arg(long)]
    pub all: bool,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// The set that is shown.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  dbbackup show mysql/shop/weekly/shop_20250818.sql")]
pub struct ShowArgs {
    /// The set: a key as `list` prints it, a full object key, or an s3:// URI
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// What is compared.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup verify                          every set: its objects, their sizes, S3's checksums
  dbbackup verify mysql/shop --local       also against the files still on this host
  dbbackup verify --reread --sample 3      download three sets and compare every byte")]
pub struct VerifyArgs {
    /// Only this engine, or this engine and app
    #[arg(value_name = "ENGINE[/APP]")]
    pub selector: Option<Selector>,
    /// Also compare with the files that are still on this host
    #[arg(long)]
    pub local: bool,
    /// Download every object and compare its bytes; nothing is written to the disk
    #[arg(long)]
    pub reread: bool,
    /// What is encrypted.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Only so many sets, picked by chance
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// How the status is told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup status
  dbbackup status --nagios
  dbbackup status --metrics /var/lib/node_exporter/textfile/dbbackup.prom")]
#[command(group = clap::ArgGroup::new("form").args(["json", "nagios", "metrics"]))]
pub struct StatusArgs {
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
    /// One line with performance data, exit codes 0, 1 and 2, as Nagios wants it
    #[arg(long)]
    pub nagios: bool,
    /// Write metrics for the textfile collector of Prometheus' node exporter
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// What is restored for a proof.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup drill mysql/shop                load the newest dump into a throwaway server
  dbbackup drill --sample 1                any one set, by chance")]
pub struct DrillArgs {
    /// Only this engine, or this engine and app
    #[arg(value_name = "ENGINE[/APP]")]
    pub selector: Option<Selector>,
    /// So many good sets picked by chance, in place of the newest of each app
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,
    /// What is encrypted.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// What is adopted.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup adopt --dry-run                 what would be adopted, and what cannot be
  dbbackup adopt mysql/shop")]
pub struct AdoptArgs {
    /// Only this engine, or this engine and app
    #[arg(value_name = "ENGINE[/APP]")]
    pub selector: Option<Selector>,
    /// Say what would be done; read no object and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Look under another host's prefix: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
}

/// How it is checked, and told.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup check                           everything, as a table with what to do
  dbbackup check --as-cron                 the same with cron's bare environment
  dbbackup check --read-only               with an auditor's credentials: the bucket's settings
  dbbackup check --report > report.md      findings, open and closed, with their dates")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct CheckArgs {
    /// Also measure the rate of an upload and a download (32 MiB, or as much as the largest backup has; nothing of
    /// it stays)
    #[arg(long)]
    pub speed: bool,
    /// Write nothing, not even the probe object: what these credentials may do is not tried out
    #[arg(long, conflicts_with = "speed")]
    pub read_only: bool,
    /// Run it with the environment that cron gives: HOME, LOGNAME, PATH and SHELL
    #[arg(long)]
    pub as_cron: bool,
    /// Print the report of preventive maintenance instead of the table
    #[arg(long, conflicts_with = "json")]
    pub report: bool,
    /// Print one JSON document instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What is done with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Check the file and print what is in effect, defaults included
    #[command(after_help = "Example:\n  dbbackup config check --config ./config.toml")]
    Check,
}

/// Whose policy is printed, and for which objects.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup policy uploader                 may add backups of this host and nothing else
  dbbackup policy restorer --any-host      may list and read the backups of every host
  dbbackup policy auditor --kms-key arn:aws:kms:eu-central-1:111122223333:key/1a2b3c4d

It reads the configuration and asks nobody.")]
pub struct PolicyArgs {
    /// What the policy's owner does
    #[arg(value_name = "ROLE", value_enum, ignore_case = true)]
    pub role: Role,
    /// For the backups of every host: `*` for `{hostname}` in the prefix
    #[arg(long, conflicts_with = "host")]
    pub any_host: bool,
    /// For another host's backups: what `{hostname}` in the prefix stands for
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,
    /// Key that encrypts the bucket, where its objects have one of your own [default: `kms_key_id` of
    /// the configuration]
    #[arg(long, value_name = "ARN")]
    pub kms_key: Option<String>,
}

/// How the demo runs.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
Examples:
  dbbackup demo
  dbbackup demo --serve /tmp/bucket    keep the S3 server running, its objects in that directory")]
pub struct DemoArgs {
    /// Keep the S3 server running on this directory, for trying a configuration by hand
    #[arg(long, value_name = "DIR")]
    pub serve: Option<PathBuf>,
}
