//! Each line, forced to each of its results by the facts that lead there.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::bucket::{Promises, posture, promises, tally};
use super::findings::{Findings, Subject, report};
use super::identity::{Powers, Tried, powers};
use super::local::{Place, SourceFacts};
use super::road::{Connected, Tls};
use super::{Area, Line, Outcome, certificate, identity, local, road};
use crate::bucket::{
    BucketError, CredentialsInUse, Destination, Encryption, ErrorKind, LifecycleRule, ObjectLock, Posture,
    Versioning,
};
use crate::config::Config;
use crate::network::Networks;

fn error(kind: ErrorKind) -> BucketError {
    BucketError { verb: "ask", object: "it".to_owned(), kind, detail: "the server's words".to_owned() }
}

#[track_caller]
fn is(line: &Line, word: &str) {
    assert_eq!(line.outcome.word(), word, "{line:?}");
    // Whatever is not as it should be says what to do.
    assert_eq!(line.advice.is_empty(), word == "ok", "{line:?}");
}

fn to(host: &str) -> Destination {
    Destination { tls: true, host: host.to_owned(), port: 443 }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn now() -> DateTime<Utc> {
    "2025-08-18T06:00:00Z".parse().unwrap()
}

#[test]
fn configuration_that_others_may_write_fails() {
    let path = Path::new("/etc/dbbackup/config.toml");
    is(&local::config_file(path, 0o100_640, 0, 0), "ok");
    is(&local::config_file(path, 0o100_640, 500, 500), "ok");
    is(&local::config_file(path, 0o100_644, 0, 0), "warn");
    is(&local::config_file(path, 0o100_660, 0, 0), "FAIL");
    is(&local::config_file(path, 0o100_640, 501, 0), "warn");
    is(&local::credentials_file(path, 0o100_600), "ok");
    is(&local::credentials_file(path, 0o100_640), "FAIL");
}

#[test]
fn source_is_ok_only_where_every_file_can_be_read() {
    let dir = Path::new("/srv/mysql");
    let facts = SourceFacts { readable: 3, ..SourceFacts::default() };
    is(&local::source("mysql", dir, &facts), "ok");
    is(&local::source("mysql", dir, &SourceFacts::default()), "warn");
    let missing = SourceFacts { error: Some("No such file".to_owned()), ..SourceFacts::default() };
    is(&local::source("mysql", dir, &missing), "FAIL");
    let barred = SourceFacts { unreadable: vec!["/srv/mysql/a.sql".into()], unreadable_count: 1, ..facts };
    is(&local::source("mysql", dir, &barred), "FAIL");
}

#[test]
fn place_is_judged_by_rights_then_space() {
    const GIB: u64 = 1 << 30;
    let good = Place {
        what: "restore directory",
        dir: "/srv/restore".into(),
        writable: Ok(()),
        exists: true,
        free: 9 * GIB,
        wanted: 5 * GIB,
    };
    is(&local::place(&good), "ok");
    is(&local::place(&Place { wanted: 10 * GIB, ..good.clone() }), "warn");
    is(&local::place(&Place { free: GIB / 2, wanted: 0, ..good.clone() }), "warn");
    is(&local::place(&Place { free: 1 << 20, ..good.clone() }), "FAIL");
    is(&local::place(&Place { writable: Err("read-only".to_owned()), ..good }), "FAIL");
}

#[test]
fn clock_twenty_minutes_off_fails_either_way() {
    let at = |seconds: i64| {
        let server = (now() + TimeDelta::seconds(seconds)).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        local::clock(now(), Some(&server))
    };
    is(&at(0), "ok");
    is(&at(45), "ok");
    is(&at(300), "warn");
    for seconds in [1200, -1200] {
        let line = at(seconds);
        is(&line, "FAIL");
        assert!(line.seen.contains("20 min") && line.advice.contains("15 min"), "{line:?}");
    }
    is(&local::clock(now(), None), "unknown");
    is(&local::clock(now(), Some("noon")), "unknown");
}

#[test]
fn lock_user_and_environment() {
    is(&local::lock(&local::LockState::Free), "ok");
    is(&local::lock(&local::LockState::Held(None)), "warn");
    is(&local::lock(&local::LockState::Unseen("no /proc".to_owned())), "unknown");
    is(&local::user(Some("backup"), 500, 500), "ok");
    is(&local::user(Some("root"), 0, 500), "warn");
    is(&local::environment(&[]), "ok");
    is(&local::environment(&["AWS_PROFILE".to_owned()]), "warn");
}

#[test]
fn one_public_address_beside_a_private_one_is_not_private() {
    let networks = Networks::default();
    let look =
        |texts: &[&str], required| road::name(&to("s3.example.com"), &Ok(ips(texts)), &networks, required);
    is(&look(&["10.0.0.4", "fd00::4"], true), "ok");
    is(&look(&["10.0.0.4", "52.218.0.1"], true), "FAIL");
    let line = look(&["10.0.0.4", "52.218.0.1"], false);
    is(&line, "warn");
    assert!(line.seen.contains("of these, 52.218.0.1 is not private"), "{line:?}");
    is(&road::name(&to("s3.example.com"), &Err("no such name".to_owned()), &networks, false), "FAIL");
}

#[test]
fn connection_is_judged_by_where_it_ended() {
    let networks = Networks::default();
    let ended = |peer: &str| Connected {
        peer: peer.parse().unwrap(),
        local: "10.1.0.2:50000".parse().unwrap(),
        took: Duration::from_millis(12),
        refused: Vec::new(),
        mtu: Some(1436),
        interface: Some("ipsec0".to_owned()),
    };
    let good = ended("10.0.0.4:443");
    is(&road::peer(&Ok(good.clone()), &networks, true), "ok");
    is(&road::peer(&Ok(ended("52.218.0.1:443")), &networks, true), "FAIL");
    is(&road::peer(&Ok(ended("52.218.0.1:443")), &networks, false), "warn");
    is(&road::peer(&Err("refused".to_owned()), &networks, false), "FAIL");
    let half = vec![("10.0.1.4:443".parse().unwrap(), "timed out".to_owned())];
    is(&road::peer(&Ok(Connected { refused: half, ..good.clone() }), &networks, true), "warn");
    is(&road::route(&good), "ok");
    is(&road::route(&Connected { mtu: Some(900), ..good.clone() }), "warn");
    is(&road::route(&Connected { mtu: None, ..good }), "unknown");
    is(&road::proxy(&[]), "ok");
    is(&road::proxy(&["HTTPS_PROXY".to_owned()]), "warn");
}

#[test]
fn tls_is_judged_by_its_end() {
    let look = |tls: &Tls| road::tls(&to("s3.example.com"), tls, false);
    let agreed = |days_left| Tls::Agreed { version: "TLS 1.3".to_owned(), certificates: 2, days_left };
    is(&look(&agreed(Some(90))), "ok");
    is(&look(&agreed(Some(5))), "warn");
    is(&look(&agreed(None)), "unknown");
    is(&look(&Tls::None), "warn");
    is(&road::tls(&to("127.0.0.1"), &Tls::None, true), "ok");
    for failed in [Tls::Expired, Tls::OtherName, Tls::UnknownAuthority, Tls::Failed] {
        is(&look(&failed("the library's words".to_owned())), "FAIL");
    }
}

#[test]
fn time_and_rate() {
    is(&road::latency(Some(Duration::from_millis(30)), None), "ok");
    is(&road::latency(Some(Duration::from_secs(2)), None), "warn");
    is(&road::latency(None, Some(&error(ErrorKind::Unreachable))), "FAIL");
    let rate = road::Rate { bytes: 1_000_000, took: Duration::from_millis(500) };
    assert_eq!(rate.per_second(), 2_000_000);
    is(&road::speed("upload", &Ok(rate), "s3:PutObject"), "ok");
    let denied = road::speed("download", &Err(error(ErrorKind::Denied)), "s3:GetObject");
    is(&denied, "unknown");
    assert_eq!(denied.outcome, Outcome::Unknown { missing_permission: Some("s3:GetObject".to_owned()) });
}

#[test]
fn caller_and_credentials() {
    let caller = |asked: Option<Result<String, BucketError>>| identity::caller(asked.as_ref(), "the store");
    is(&caller(Some(Ok("arn:aws:sts::111122223333:assumed-role/uploader/db1".to_owned()))), "ok");
    is(&caller(Some(Ok("arn:aws:iam::111122223333:root".to_owned()))), "FAIL");
    is(&caller(Some(Err(error(ErrorKind::Unreachable)))), "unknown");
    is(&caller(None), "unknown");
    let credentials = |minutes: Option<u64>| {
        let expires =
            minutes.map(|minutes| std::time::SystemTime::from(now()) + Duration::from_mins(minutes));
        let found = CredentialsInUse { source: "credential_process", access_key: "AKID".to_owned(), expires };
        identity::credentials(&Ok(found), now())
    };
    is(&credentials(None), "ok");
    is(&credentials(Some(50)), "ok");
    is(&credentials(Some(3)), "warn");
    is(&identity::credentials(&Err("no providers".to_owned()), now()), "FAIL");
}

fn uploader() -> Powers {
    let denied = || Tried::Denied;
    Powers {
        upload: Ok(()),
        read: denied(),
        list: denied(),
        overwrite: denied(),
        delete: denied(),
        delete_version: denied(),
    }
}

#[test]
fn an_uploader_that_can_add_and_nothing_else_is_ok() {
    for line in powers(&uploader(), Some(Versioning::Enabled)) {
        is(&line, "ok");
    }
    is(&identity::upload(&Ok(())), "ok");
    is(&identity::upload(&Err(error(ErrorKind::Denied))), "FAIL");
}

#[test]
fn a_role_that_can_delete_fails_where_nothing_keeps_the_object() {
    let can = Powers { delete: Tried::Allowed, overwrite: Tried::Allowed, ..uploader() };
    let words = |versioning| -> Vec<&'static str> {
        powers(&can, versioning).iter().map(|line| line.outcome.word()).collect()
    };
    assert_eq!(words(Some(Versioning::Enabled)), ["ok", "ok", "warn", "warn", "ok"]);
    assert_eq!(words(Some(Versioning::Never)), ["ok", "ok", "FAIL", "FAIL", "ok"]);
    // What is not known counts as the worse.
    assert_eq!(words(None), ["ok", "ok", "FAIL", "FAIL", "ok"]);
    let for_good = Powers { delete_version: Tried::Allowed, ..uploader() };
    assert!(powers(&for_good, Some(Versioning::Enabled)).iter().any(Line::is_failure));
}

#[test]
fn a_refusal_for_another_reason_is_no_proof_that_something_is_forbidden() {
    let failed = Powers { read: Tried::Failed(error(ErrorKind::Server)), ..uploader() };
    is(&powers(&failed, None)[0], "unknown");
    let untried = Powers { read: Tried::NotTried("nothing to read"), ..uploader() };
    is(&powers(&untried, None)[0], "unknown");
    let none = Powers { delete_version: Tried::NotTried(Tried::NO_VERSIONS), ..uploader() };
    assert_eq!(powers(&none, Some(Versioning::Never)).len(), 4);
}

fn good_posture() -> Posture {
    let abort = LifecycleRule {
        id: "abort".to_owned(),
        enabled: true,
        abort_days: Some(7),
        ..LifecycleRule::default()
    };
    let weekly = LifecycleRule {
        id: "weekly".to_owned(),
        enabled: true,
        prefix: "backup/mysql/shop/weekly/".to_owned(),
        expire_days: Some(90),
        ..LifecycleRule::default()
    };
    Posture {
        region: Ok(Some("eu-west-1".to_owned())),
        versioning: Ok(Versioning::Enabled),
        encryption: Ok(Some(Encryption { algorithm: "aws:kms".to_owned(), key: None })),
        public_access_open: Ok(Some(Vec::new())),
        ownership: Ok(Some("BucketOwnerEnforced".to_owned())),
        policy_is_public: Ok(Some(false)),
        lifecycle: Ok(Some(vec![abort, weekly])),
        object_lock: Ok(Some(ObjectLock { default_retention: Some("GOVERNANCE, 30 days".to_owned()) })),
    }
}

fn of(seen: &Posture) -> Vec<Line> {
    let text = "[mysql]\nsource = \"/srv/mysql\"\n[s3]\nbucket = \"example-backup\"\nprefix = \"backup\"\nregion = \
                \"eu-west-1\"\n";
    let config = Config::parse(text, Path::new("/etc/dbbackup/config.toml"), "db1").unwrap();
    posture(seen, &config.s3, false)
}

/// The line of that name.
#[track_caller]
fn line(seen: &Posture, what: &str) -> Line {
    of(seen).into_iter().find(|line| line.what == what).unwrap()
}

#[test]
fn a_bucket_as_the_template_makes_it_is_ok() {
    let lines = of(&good_posture());
    assert_eq!(tally(&lines), [lines.len(), 0, 0, 0], "{lines:#?}");
    assert_eq!(lines.len(), 10);
}

#[test]
fn each_setting_of_the_bucket_is_judged() {
    let good = good_posture;
    let cases: [(&str, &str, Posture); 17] = [
        ("region", "FAIL", Posture { region: Ok(Some("us-east-1".to_owned())), ..good() }),
        ("region", "unknown", Posture { region: Err(error(ErrorKind::Denied)), ..good() }),
        ("versioning", "FAIL", Posture { versioning: Ok(Versioning::Never), ..good() }),
        ("versioning", "FAIL", Posture { versioning: Ok(Versioning::Suspended), ..good() }),
        ("encryption", "warn", Posture { encryption: Ok(None), ..good() }),
        ("public access block", "FAIL", Posture { public_access_open: Ok(None), ..good() }),
        (
            "public access block",
            "FAIL",
            Posture { public_access_open: Ok(Some(vec!["BlockPublicPolicy"])), ..good() },
        ),
        ("ownership", "warn", Posture { ownership: Ok(None), ..good() }),
        ("ownership", "warn", Posture { ownership: Ok(Some("ObjectWriter".to_owned())), ..good() }),
        ("policy", "FAIL", Posture { policy_is_public: Ok(Some(true)), ..good() }),
        ("policy", "warn", Posture { policy_is_public: Ok(None), ..good() }),
        ("incomplete uploads", "warn", Posture { lifecycle: Ok(None), ..good() }),
        ("expiry", "ok", Posture { lifecycle: Ok(None), ..good() }),
        ("expiry", "warn", Posture { lifecycle: Ok(Some(vec![everything_expires()])), ..good() }),
        ("object lock", "warn", Posture { object_lock: Ok(None), ..good() }),
        (
            "default retention",
            "warn",
            Posture { object_lock: Ok(Some(ObjectLock { default_retention: None })), ..good() },
        ),
        ("object lock", "unknown", Posture { object_lock: Err(error(ErrorKind::Rejected)), ..good() }),
    ];
    for (what, word, posture) in cases {
        let line = line(&posture, what);
        assert_eq!(line.outcome.word(), word, "{line:?}");
    }
}

fn everything_expires() -> LifecycleRule {
    LifecycleRule { id: "tidy".to_owned(), enabled: true, expire_days: Some(30), ..LifecycleRule::default() }
}

#[test]
fn access_denied_names_the_missing_permission() {
    let denied = || error(ErrorKind::Denied);
    let posture = Posture {
        region: Err(denied()),
        versioning: Err(denied()),
        encryption: Err(denied()),
        public_access_open: Err(denied()),
        ownership: Err(denied()),
        policy_is_public: Err(denied()),
        lifecycle: Err(denied()),
        object_lock: Err(denied()),
    };
    let missing: Vec<String> = of(&posture)
        .into_iter()
        .map(|line| match line.outcome {
            Outcome::Unknown { missing_permission: Some(permission) } => permission,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        missing,
        [
            "s3:ListBucket",
            "s3:GetBucketVersioning",
            "s3:GetEncryptionConfiguration",
            "s3:GetBucketPublicAccessBlock",
            "s3:GetBucketOwnershipControls",
            "s3:GetBucketPolicyStatus",
            "s3:GetLifecycleConfiguration",
            "s3:GetLifecycleConfiguration",
            "s3:GetBucketObjectLockConfiguration",
        ]
    );
}

#[test]
fn promises_are_kept_only_where_the_wrong_thing_was_refused_for_the_right_reason() {
    let bad = || Err(error(ErrorKind::BadDigest));
    let good = Promises {
        wrong_part: bad(),
        wrong_whole: bad(),
        right_whole: Ok(()),
        second_write: Some(Err(error(ErrorKind::Precondition))),
    };
    let words = |seen: &Promises| -> Vec<&'static str> {
        promises(seen, true).iter().map(|line| line.outcome.word()).collect()
    };
    assert_eq!(words(&good), ["ok", "ok"]);
    assert_eq!(words(&Promises { wrong_part: Ok(()), ..good.clone() }), ["FAIL", "ok"]);
    assert_eq!(words(&Promises { wrong_whole: Ok(()), ..good.clone() }), ["FAIL", "ok"]);
    assert_eq!(words(&Promises { second_write: Some(Ok(())), ..good.clone() }), ["ok", "FAIL"]);
    let odd = Promises { wrong_part: Err(error(ErrorKind::Server)), ..good.clone() };
    assert_eq!(words(&odd), ["unknown", "ok"]);
    let there = Err(error(ErrorKind::Precondition));
    let again = Promises { right_whole: there, second_write: None, ..good.clone() };
    assert_eq!(words(&again), ["ok", "ok"]);
    let denied = || Err(error(ErrorKind::Denied));
    let nothing =
        Promises { wrong_part: denied(), wrong_whole: denied(), right_whole: denied(), second_write: None };
    assert_eq!(words(&nothing), ["unknown", "unknown"]);
}

#[test]
fn certificate_tells_its_end() {
    for (year, expected) in [(2031, "2031-05-06T00:00:00Z"), (2051, "2051-05-06T00:00:00Z")] {
        let mut params = rcgen::CertificateParams::new(vec!["s3.example.com".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 5, 6);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        assert_eq!(certificate::not_after(made.der()), Some(expected.parse().unwrap()));
        let short = made.der().get(..40).unwrap();
        assert_eq!(certificate::not_after(short), None);
    }
    assert_eq!(certificate::not_after(b"no certificate"), None);
}

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
    assert_eq!((open.first_seen, open.last_seen, open.seen.as_str()), (at(0), at(1), "suspended"));
    findings.update(&[right], at(3));
    assert_eq!(findings.open().count(), 0);
    assert_eq!(findings.closed().next().unwrap().closed, Some(at(3)));
    // The same again is a new one.
    findings.update(&[wrong], at(4));
    assert_eq!((findings.open().count(), findings.closed().count()), (1, 1));
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
