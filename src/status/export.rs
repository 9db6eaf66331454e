//! The status for other programs: Nagios, and Prometheus by way of the node exporter.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{App, State, overall};
use crate::model::Finding;

/// Records that one line names.
const RECORDS_NAMED: usize = 3;

/// One line with performance data (Nagios plugin guidelines), and the state it stands for.
/// `unreadable` are the records that could not be read.
#[must_use]
pub fn nagios(apps: &[App], unreadable: &[&Finding]) -> (State, String) {
    let state = overall(apps, unreadable.len());
    let mut bad: Vec<String> = records(unreadable).into_iter().collect();
    let apart = apps.iter().filter(|app| app.state > State::Ok);
    bad.extend(apart.map(|app| format!("{}: {}", app.name(), app.why.join(", "))));
    let word = match state {
        State::Retired | State::Ok => "OK",
        State::Warning => "WARNING",
        State::Critical => "CRITICAL",
    };
    let mut text = if apps.is_empty() && bad.is_empty() {
        format!("DBBACKUP {word} - the bucket has no backup")
    } else if bad.is_empty() {
        let counted = apps.iter().filter(|app| app.state == State::Ok).count();
        format!("DBBACKUP {word} - {counted} apps have a good backup within their RPO")
    } else {
        format!("DBBACKUP {word} - {}", bad.join("; "))
    };
    // A bar begins the performance data.
    text = text.replace('|', "/").replace('\n', " ");
    text.push_str(" |");
    for app in apps {
        if let Some(newest) = &app.newest {
            let name = app.name().replace(['\'', '='], "_");
            let _infallible = write!(
                text,
                " '{name}_age'={}s;;{};0 '{name}_size'={}B;;;0",
                newest.age_seconds,
                app.rpo_seconds.map_or_else(String::new, |seconds| seconds.to_string()),
                newest.size
            );
        }
    }
    (state, text)
}

/// Which records cannot be read: those that fit into a line, and how many more.
fn records(unreadable: &[&Finding]) -> Option<String> {
    let named: Vec<String> = unreadable
        .iter()
        .take(RECORDS_NAMED)
        .map(|finding| format!("record {}: {}", finding.subject, finding.what))
        .collect();
    let more = match unreadable.len() - named.len() {
        0 => String::new(),
        more => format!("; and {more} more records that cannot be read"),
    };
    (!named.is_empty()).then(|| named.join("; ") + &more)
}

/// The text format of Prometheus, for the node exporter's textfile collector.
#[must_use]
pub fn metrics(apps: &[App], unreadable: usize, now: DateTime<Utc>) -> String {
    type Value = fn(&App) -> Option<u64>;
    let gauges: [(&str, &str, Value); 8] = [
        ("dbbackup_newest_age_seconds", "Seconds since the end of the newest good backup's day.", |app| {
            app.newest.as_ref().map(|newest| newest.age_seconds)
        }),
        ("dbbackup_newest_size_bytes", "Size of the newest good backup.", |app| {
            app.newest.as_ref().map(|newest| newest.size)
        }),
        ("dbbackup_median_size_bytes", "Median size of the good backups before it, up to five.", |app| {
            app.median_size
        }),
        ("dbbackup_newest_proven_timestamp_seconds", "When the newest good backup was last proven.", |app| {
            app.newest.as_ref().and_then(|newest| u64::try_from(newest.proven.timestamp()).ok())
        }),
        ("dbbackup_rpo_seconds", "How old the newest good backup may be.", |app| app.rpo_seconds),
        (
            "dbbackup_newest_full_age_seconds",
            "Seconds since the end of the newest full backup's day.",
            |app| app.newest_full.as_ref().map(|full| full.age_seconds),
        ),
        ("dbbackup_full_rpo_seconds", "How old the newest full backup may be.", |app| app.full_rpo_seconds),
        (
            "dbbackup_ok",
            "1 where the app has undamaged good backups within their RPOs, and no failed drill, or is retired.",
            |app| Some(u64::from(app.state != State::Critical)),
        ),
    ];
    let mut text = String::new();
    for (name, help, value) in gauges {
        let _infallible = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for app in apps {
            if let Some(value) = value(app) {
                let label = label(app.app.as_str());
                let _infallible =
                    writeln!(text, "{name}{{engine=\"{}\",app=\"{label}\"}} {value}", app.engine);
            }
        }
    }
    for (name, help, value) in [
        (
            "dbbackup_all_ok",
            "1 where there are backups, every app is as dbbackup_ok wants it and every record can be read.",
            u8::from(overall(apps, unreadable) != State::Critical).to_string(),
        ),
        (
            "dbbackup_unreadable_records",
            "Records of the catalog that cannot be read.",
            unreadable.to_string(),
        ),
        ("dbbackup_status_timestamp_seconds", "When this was written.", now.timestamp().to_string()),
    ] {
        let _infallible = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    text
}

/// A label's value: backslash, quote and newline are escaped (Prometheus, "Exposition formats").
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;

    #[test]
    fn records_that_cannot_be_read_are_named_and_of_many_the_first() {
        let finding = |number: u32| Finding {
            severity: Severity::Error,
            subject: format!("mysql/shop/weekly/{number}.sql"),
            what: "it is cut | off".to_owned(),
            advice: String::new(),
        };
        let findings: Vec<Finding> = (1..=5).map(finding).collect();
        let line = |count: usize| nagios(&[], &findings.iter().take(count).collect::<Vec<_>>());
        let (state, text) = line(1);
        assert_eq!(state, State::Critical);
        assert_eq!(text, "DBBACKUP CRITICAL - record mysql/shop/weekly/1.sql: it is cut / off |");
        assert!(line(5).1.contains("3.sql: it is cut / off; and 2 more records that cannot be read |"));
        assert_eq!(line(0).1, "DBBACKUP CRITICAL - the bucket has no backup |");
    }
}
