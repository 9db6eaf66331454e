//! The file's text into a [`Config`]: every problem is collected, none stops the search for others.
//!
//! The document is walked with its spans instead of being handed to serde, which stops at the first
//! error and loses the place of the key.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use super::error::{ConfigError, Report};
use super::section::Section;
use super::values::MIB;
use super::{ChecksumChoice, Config, Drill, Log, LogFormat, Network, OnCutShort, S3, Sse, State};
use super::{names, secrets, values};
use crate::expect::{Expect, Schedule};
use crate::model::{Category, Engine, Expires, RelPath};
use crate::network::Networks;

pub(super) const SECTIONS: [&str; 10] =
    ["oracle", "mysql", "mssql", "s3", "network", "log", "state", "backup", "drill", "expect"];

pub(super) const CHECKSUMS: [(&str, ChecksumChoice); 5] = [
    ("auto", ChecksumChoice::Auto),
    ("crc64nvme", ChecksumChoice::Crc64Nvme),
    ("crc32c", ChecksumChoice::Crc32c),
    ("sha256", ChecksumChoice::Sha256),
    ("none", ChecksumChoice::None),
];

pub(super) const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

pub(super) const ON_CUT_SHORT: [(&str, OnCutShort); 2] =
    [("refuse", OnCutShort::Refuse), ("send", OnCutShort::Send)];

/// What a rate looks like.
const RATES: &str = "a rate with its unit, such as \"64KiB/s\" or \"80Mbit/s\"";
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
/// A part of 5 GiB over a line of 1 Mbit/s takes half a day.
pub(super) const DAY: Duration = Duration::from_hours(24);
/// A year: more is no objective.
const RPO_MAX: Duration = Duration::from_hours(24 * 365);

/// S3's limits for a part (S3 user guide, "Multipart upload limits").
pub(super) const PART_MIN: u64 = 5 * MIB;
pub(super) const PART_MAX: u64 = 5 * 1024 * MIB;
pub(super) const BUFFER_MAX: u64 = 1024 * 1024 * MIB;

/// Checks the text of a file; nothing is read but `ca_bundle`.
pub(super) fn parse(text: &str, path: &Path, hostname: &str) -> Result<Config, ConfigError> {
    let mut report = Report::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        report.add(
            &error.span().unwrap_or_else(|| report.end()),
            "",
            format!("not TOML: {}", error.message()),
        );
    }
    if report.is_clean() {
        // Alone and before all else, so that no later message can show one.
        secrets::refuse(document.get_ref(), &mut report);
    }
    if !report.is_clean() {
        return Err(report.into_error(path));
    }
    let document = document.get_ref();
    sections(document, &mut report);
    let sources = super::engine::sources(document, &mut report);
    let s3 = s3(document, hostname, &mut report);
    let network = network(document, &mut report);
    let log = log(document, &mut report);
    let state = state(document, &mut report);
    let backup = super::backup::backup(document, &mut report);
    let drill = drill(document, &mut report);
    let expect = expect(document, &mut report);
    match s3 {
        Some(s3) if report.is_clean() => {
            Ok(Config { path: path.to_owned(), sources, s3, network, log, state, backup, drill, expect })
        }
        _ => Err(report.into_error(path)),
    }
}

fn sections(document: &DeTable<'_>, report: &mut Report<'_>) {
    for (key, value) in document {
        let name = key.get_ref().as_ref();
        if SECTIONS.contains(&name) {
            continue;
        }
        let is_section = value.get_ref().is_table();
        let label = secrets::label("", name);
        let (label, what) = if is_section {
            (format!("[{label}]"), values::unknown("section", name, &SECTIONS))
        } else {
            (label, format!("stands above every section; put it below one of [{}]", SECTIONS.join("], [")))
        };
        report.add(&key.span(), label, what);
    }
}

fn s3(document: &DeTable<'_>, hostname: &str, report: &mut Report<'_>) -> Option<S3> {
    let mut section = Section::open(document, "s3", report);
    let known = section.has("bucket");
    let bucket = section.text("bucket", names::BUCKET_ALLOWED, names::bucket);
    if !known {
        section.missing("bucket", names::BUCKET_ALLOWED);
    }
    let prefix = section
        .text("prefix", names::PREFIX_ALLOWED, |text| Ok((names::prefix(text, hostname)?, text.to_owned())));
    let (prefix, prefix_as_written) = prefix.map(|at| at.value).unwrap_or_default();
    let region = section.text("region", "a region's code, such as \"eu-west-1\"", names::region);
    let endpoint_url = section.text(
        "endpoint_url",
        "an http or https URL without a user, query or fragment, such as \"https://s3.example.com\"",
        names::endpoint,
    );
    let path_style = section.flag("path_style", false);
    let profile = section.text("profile", "the name of a profile in ~/.aws/config", names::word);
    let storage_class = storage_class(&mut section);
    let expires = expires(&mut section);
    let sse = sse(&mut section);
    let checksum =
        section.text("checksum", &values::names(&CHECKSUMS), |text| values::choice(text, &CHECKSUMS));
    let expected_bucket_owner = section.text(
        "expected_bucket_owner",
        "the 12 digits of the account that owns the bucket, in quotes",
        names::account,
    );
    let ca_bundle = section.text("ca_bundle", "the absolute path of a readable PEM file", names::ca_bundle);
    let connect_timeout = section.duration("connect_timeout", SECOND..=HOUR, S3::CONNECT_TIMEOUT);
    let attempt_timeout = section.duration("attempt_timeout", SECOND..=DAY, S3::ATTEMPT_TIMEOUT);
    let stall_timeout = section.duration("stall_timeout", SECOND..=HOUR, S3::STALL_TIMEOUT);
    let min_rate = section.text("min_rate", RATES, values::rate).map_or(S3::MIN_RATE, |at| at.value);
    section.finish();
    Some(S3 {
        bucket: bucket?.value,
        prefix,
        prefix_as_written,
        region: region.map(|at| at.value),
        endpoint_url: endpoint_url.map(|at| at.value),
        path_style,
        profile: profile.map(|at| at.value),
        storage_class,
        expires,
        sse,
        checksum: checksum.map_or(ChecksumChoice::Auto, |at| at.value),
        expected_bucket_owner: expected_bucket_owner.map(|at| at.value),
        ca_bundle: ca_bundle.map(|at| at.value),
        connect_timeout,
        attempt_timeout,
        stall_timeout,
        min_rate,
    })
}

fn storage_class(section: &mut Section<'_, '_, '_>) -> BTreeMap<Category, String> {
    let mut table = section.child("storage_class", "s3.storage_class", "{ weekly = \"STANDARD_IA\" }");
    let mut classes = BTreeMap::new();
    let allowed = names::STORAGE_CLASSES.join(", ");
    for category in Category::ALL {
        if let Some(class) = table.text(category.as_str(), &allowed, names::storage_class) {
            classes.insert(category, class.value);
        }
    }
    table.finish();
    classes
}

fn expires(section: &mut Section<'_, '_, '_>) -> Expires {
    let mut table = section.child("expires", "s3.expires", "{ weekly = \"90d\" }");
    let mut days = BTreeMap::new();
    let allowed = values::days_range(&Expires::DAYS);
    for category in Category::ALL {
        if let Some(age) = table.text(category.as_str(), &allowed, |text| values::days(text, &Expires::DAYS))
        {
            days.insert(category, age.value);
        }
    }
    table.finish();
    Expires::new(days)
}

fn sse(section: &mut Section<'_, '_, '_>) -> Option<Sse> {
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Aes256,
        Kms,
    }
    let choices = [("AES256", Kind::Aes256), ("aws:kms", Kind::Kms)];
    let kind = section.text("sse", &values::names(&choices), |text| values::choice(text, &choices));
    let key = section.text("kms_key_id", "a KMS key's id, ARN or alias", names::word);
    match (kind.map(|at| at.value), key) {
        (Some(Kind::Kms), key) => Some(Sse::Kms(key.map(|at| at.value))),
        (Some(Kind::Aes256), None) => Some(Sse::Aes256),
        (None, None) => None,
        (Some(Kind::Aes256) | None, Some(key)) => {
            section.problem(
                &key.span,
                "kms_key_id",
                "is used with sse = \"aws:kms\" only; set that, or remove the key",
            );
            None
        }
    }
}

fn network(document: &DeTable<'_>, report: &mut Report<'_>) -> Network {
    let mut section = Section::open(document, "network", report);
    let require_private = section.flag("require_private", false);
    let allowed = "address ranges, such as \"10.20.0.0/16\" or \"fd00:1::/32\"";
    let allowed = section.list("allowed_cidrs", allowed, str::parse).map_or_else(Networks::default, |at| {
        if at.value.is_empty() {
            section.problem(
                &at.span,
                "allowed_cidrs",
                "is empty, so that no address would be private; remove it",
            );
        }
        Networks::new(at.value)
    });
    section.finish();
    Network { require_private, allowed }
}

fn log(document: &DeTable<'_>, report: &mut Report<'_>) -> Log {
    let mut section = Section::open(document, "log", report);
    let dir = section.path("dir").map_or_else(|| Log::DIR.into(), |at| at.value);
    let keep_days = section.number("keep_days", 1, 36_500, Log::KEEP_DAYS).value;
    let format = section
        .text("format", &values::names(&FORMATS), |text| values::choice(text, &FORMATS))
        .map_or(LogFormat::Text, |at| at.value);
    section.finish();
    Log { dir, keep_days, format }
}

fn state(document: &DeTable<'_>, report: &mut Report<'_>) -> State {
    let mut section = Section::open(document, "state", report);
    let dir = section.path("dir").map_or_else(|| State::DIR.into(), |at| at.value);
    section.finish();
    State { dir }
}

fn drill(document: &DeTable<'_>, report: &mut Report<'_>) -> Drill {
    let mut section = Section::open(document, "drill", report);
    let scratch = section.path("scratch").map(|at| at.value);
    let server = section.path("server").map(|at| at.value);
    let rto = section.duration("rto", SECOND..=RPO_MAX, Drill::RTO);
    let timeout = section.duration("timeout", SECOND..=RPO_MAX, Drill::TIMEOUT);
    section.finish();
    Drill { scratch, server, rto, timeout }
}

fn expect(document: &DeTable<'_>, report: &mut Report<'_>) -> Vec<Expect> {
    let mut all: Vec<Expect> = Vec::new();
    for table in Section::tables(document, "expect", report) {
        let at = table.0.clone();
        let mut section = Section::over("expect", table, report);
        let engines = "\"oracle\", \"mysql\", \"mssql\"";
        let engine =
            section.text("engine", engines, |text| text.parse::<Engine>().map_err(|e| e.to_string()));
        let apps = "an app as `list` shows it, such as \"shop\", or \"*\" for every app";
        let app = section.text("app", apps, |text| match text {
            "*" => Ok(None),
            text => text.parse::<RelPath>().map(Some).map_err(|error| error.to_string()),
        });
        let days = "\"daily\", \"weekly\" and a day, such as \"weekly mon\", or \"none\" for what is retired";
        let schedule = section.text("schedule", days, schedule);
        for (key, allowed) in [("engine", engines), ("app", apps), ("schedule", days)] {
            if !section.has(key) {
                section.missing(key, allowed);
            }
        }
        let range = HOUR..=RPO_MAX;
        let mut age = |key| {
            let age =
                section.text(key, &values::duration_range(&range), |text| values::duration(text, &range));
            age.map(|at| at.value)
        };
        let (rpo, full_rpo) = (age("rpo"), age("full_rpo"));
        if let (Some(engine), Some(app), Some(schedule)) = (engine, app, schedule) {
            let entry =
                Expect { engine: engine.value, app: app.value, schedule: schedule.value, rpo, full_rpo };
            if all.iter().any(|other| (other.engine, &other.app) == (entry.engine, &entry.app)) {
                section.problem(&at, "app", "is in another [[expect]] of that engine too; keep one of them");
            }
            all.push(entry);
        }
        section.finish();
    }
    all
}

fn schedule(text: &str) -> Result<Schedule, String> {
    match text.split_once(' ') {
        None if text == "daily" => Ok(Schedule::Daily),
        None if text == "none" => Ok(Schedule::Never),
        Some(("weekly", day)) => values::weekday(day.trim()).map(Schedule::Weekly),
        _ => Err(format!("`{}` is no schedule", secrets::short(text))),
    }
}
