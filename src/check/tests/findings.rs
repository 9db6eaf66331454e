//! What is kept from one check to the next, and told.

use chrono::TimeDelta;

use super::super::findings::{Findings, Subject, report};
use super::super::{Area, Line};
use super::{error, now};
use crate::bucket::ErrorKind;

#[test]
fn a_finding_closes_only_where_the_line_is_ok_again() {
    let at = |hour: i64| now() + TimeDelta::hours(hour);
    let wrong = Line::warn(Area::Bucket, "versioning", "off", "switch it on");
    let worse = Line::fail(Area::Bucket, "versioning", "suspended", "switch it on");
    let unseen =
        Line::unseen(Area::Bucket, "versioning", "s3:GetBucketVersioning", &error(ErrorKind::Denied));
    let right = Line::ok(Area::Bucket, "versioning", "on");
    let dir = tempfile::tempdir().unwrap();
    let mut findings = Findings::load(dir.path()).unwrap();
    for (hour, line) in [(0, &wrong), (1, &worse), (2, &unseen)] {
        findings.update(std::slice::from_ref(line), at(hour));
    }
    findings.save(dir.path()).unwrap();
    let mut findings = Findings::load(dir.path()).unwrap();
    let open = findings.open().next().unwrap();
    assert_eq!((open.first_seen, open.last_seen, open.line.seen.as_str()), (at(0), at(1), "suspended"));
    findings.update(&[right], at(3));
    assert_eq!(findings.open().count(), 0);
    assert_eq!(findings.closed().next().unwrap().closed, Some(at(3)));
    // The same again is a new one.
    findings.update(&[wrong], at(4));
    assert_eq!((findings.open().count(), findings.closed().count()), (1, 1));
}

#[test]
fn a_finding_of_something_that_is_gone_from_this_machine_closes() {
    let mut findings = Findings::default();
    let machine = |what: &str| Line::warn(Area::Local, what, "wrong", "mend it");
    findings.update(&[machine("source oracle"), machine("clock")], now());
    // Nothing of this machine was looked at.
    findings.update(&[Line::ok(Area::Bucket, "versioning", "on")], now());
    assert_eq!(findings.open().count(), 2);
    findings.update(&[Line::ok(Area::Local, "user", "root")], now());
    let open: Vec<&str> = findings.open().map(|record| record.line.what.as_str()).collect();
    assert_eq!(open, ["clock"], "a clock is looked at only where the bucket answers");
}

#[test]
fn what_is_true_of_a_shell_alone_is_no_finding() {
    let mut findings = Findings::default();
    let line = |what: &str| Line::warn(Area::Local, what, "AWS_PROFILE", "see that cron has it");
    findings.update(&[line("environment"), line("user"), line("lock")], now());
    let open: Vec<&str> = findings.open().map(|record| record.line.what.as_str()).collect();
    assert_eq!(open, ["lock"]);
}

#[test]
fn findings_of_root_can_be_read_by_the_nightly_runs_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    Findings::default().save(dir.path()).unwrap();
    let about = std::fs::metadata(dir.path().join("findings.json")).unwrap();
    assert_eq!(about.permissions().mode() & 0o444, 0o444);
}

#[test]
fn report_names_findings_with_their_dates() {
    let lines = [
        Line::fail(Area::Bucket, "versioning", "off", "switch it on"),
        Line::ok(Area::Local, "log directory", "/var/log/dbbackup: writable, 9 GB free"),
    ];
    let mut findings = Findings::default();
    findings.update(&lines, now());
    let subject = Subject {
        host: "db1".to_owned(),
        at: now(),
        versions: vec![("dbbackup".to_owned(), "0.1.0".to_owned())],
        configuration: "[s3]\n".to_owned(),
    };
    let text = report(&subject, &lines, &findings);
    for part in [
        "# Preventive maintenance of db1",
        "1 ok, 0 warn, 1 FAIL, 0 unknown",
        "- FAIL bucket versioning: off (first seen 2025-08-18 06:00 UTC, last seen 2025-08-18 06:00 UTC)\n  To do: switch it on.",
        "## Closed findings\n\nNone.",
        "- dbbackup: 0.1.0",
        "## Capacity\n\n- log directory: /var/log/dbbackup: writable, 9 GB free (ok)",
    ] {
        assert!(text.contains(part), "`{part}` is not in\n{text}");
    }
}
