//! Whether other hosts send to this one's folder of the bucket, by the records of their runs.

use chrono::{DateTime, Days, Utc};

use crate::bucket::{Bucket, BucketError};
use crate::check::{self, Line};
use crate::config::Config;
use crate::source;

/// A host of which there is no newer record is none any more: it was renamed, or replaced.
const RECENT_DAYS: u64 = 35;
/// Hosts that are looked at: a folder of more is not one host's.
const MOST: usize = 20;

/// The line about the prefix.
pub(super) async fn line(bucket: &Bucket, config: &Config, now: DateTime<Utc>) -> Line {
    if config.s3.prefix_as_written.contains("{hostname}") {
        return check::bucket::own_prefix(&config.s3.prefix);
    }
    check::bucket::shared_prefix(&config.s3.prefix, &other(bucket, &source::host_name(), now).await)
}

/// Another host with a run of the last weeks, if there is one.
async fn other(bucket: &Bucket, own: &str, now: DateTime<Utc>) -> Result<Option<String>, BucketError> {
    let hosts = format!("{}host=", bucket.layout().runs_prefix());
    let since = now.date_naive().checked_sub_days(Days::new(RECENT_DAYS)).unwrap_or_default();
    let mut after = String::new();
    for _ in 0..MOST {
        let Some(record) = bucket.list_one(&hosts, &after).await? else { return Ok(None) };
        let Some((host, _)) = record.key.strip_prefix(&hosts).and_then(|rest| rest.split_once('/')) else {
            return Ok(None);
        };
        let runs = format!("{hosts}{host}/date=");
        if host != own && bucket.list_one(&runs, &format!("{runs}{since}")).await?.is_some() {
            return Ok(Some(host.to_owned()));
        }
        // The next character after the slash: past everything of this host.
        after = format!("{hosts}{host}0");
    }
    Ok(None)
}
