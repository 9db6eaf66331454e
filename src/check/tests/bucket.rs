//! The lines of the bucket.

use std::path::Path;

use super::super::bucket::{Promises, noncurrent_days, own_prefix, posture, promises, shared_prefix, tally};
use super::super::{Line, Outcome};
use super::{error, is};
use crate::bucket::{BucketError, Encryption, ErrorKind, LifecycleRule, ObjectLock, Posture, Versioning};
use crate::config::Config;

pub(super) fn good_posture() -> Posture {
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
                \"eu-west-1\"\nexpires = { weekly = \"90d\" }\n";
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
    assert_eq!(lines.len(), 11);
}

#[test]
fn each_setting_of_the_bucket_is_judged() {
    let good = good_posture;
    let cases: [(&str, &str, Posture); 18] = [
        ("region", "FAIL", Posture { region: Ok(Some("us-east-1".to_owned())), ..good() }),
        ("region", "unknown", Posture { region: Err(error(ErrorKind::Denied)), ..good() }),
        ("region", "unknown", Posture { region: Ok(None), ..good() }),
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
        is(&line, word);
    }
}

#[test]
fn encryption_that_each_object_asks_for_is_enough() {
    let text = "[mysql]\nsource = \"/srv/mysql\"\n[s3]\nbucket = \"example-backup\"\nsse = \"AES256\"\n";
    let config = Config::parse(text, Path::new("/etc/dbbackup/config.toml"), "db1").unwrap();
    let seen = Posture { encryption: Ok(None), ..good_posture() };
    let lines = posture(&seen, &config.s3, true);
    is(lines.iter().find(|line| line.what == "encryption").unwrap(), "ok");
    // With dailies, a category more has no rule.
    let expiry = lines.iter().find(|line| line.what == "expiry").unwrap();
    assert!(expiry.seen.contains("daily"), "{expiry:?}");
}

fn everything_expires() -> LifecycleRule {
    LifecycleRule { id: "tidy".to_owned(), enabled: true, expire_days: Some(30), ..LifecycleRule::default() }
}

#[test]
fn rule_with_a_date_removes_backups_too_and_one_of_the_catalog_removes_what_is_known_of_them() {
    let text = "[mysql]\nsource = \"/srv/mysql\"\n[s3]\nbucket = \"example-backup\"\nprefix = \"b\"\n";
    let config = Config::parse(text, Path::new("/etc/dbbackup/config.toml"), "db1").unwrap();
    let expiry = |rule: LifecycleRule| {
        let seen = Posture { lifecycle: Ok(Some(vec![rule])), ..good_posture() };
        posture(&seen, &config.s3, false).into_iter().find(|line| line.what == "expiry").unwrap()
    };
    let dated = LifecycleRule {
        expire_days: None,
        expire_date: Some("2025-09-01".to_owned()),
        ..everything_expires()
    };
    let line = expiry(dated);
    is(&line, "warn");
    assert!(line.seen.contains("on 2025-09-01"), "{line:?}");
    let line = expiry(LifecycleRule { prefix: "b/_catalog/".to_owned(), ..everything_expires() });
    is(&line, "warn");
    assert!(line.advice.contains("manifests go"), "{line:?}");
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
        wrong_left: None,
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
    // Only a wrong upload has that key: it was accepted by an earlier check.
    let left = Promises {
        wrong_whole: Err(error(ErrorKind::Precondition)),
        wrong_left: Some("s3://example-backup/_check/db1-never".to_owned()),
        ..good.clone()
    };
    assert_eq!(words(&left), ["FAIL", "ok"]);
    assert!(promises(&left, true)[0].seen.ends_with("db1-never stays"));
    let old = Promises { right_whole: Err(error(ErrorKind::Rejected)), ..good.clone() };
    assert_eq!(words(&old), ["unknown", "ok"]);
    let refused = BucketError { detail: "NotImplemented (501)".to_owned(), ..error(ErrorKind::Rejected) };
    let old = Promises { right_whole: Err(refused), ..good.clone() };
    assert_eq!(words(&old), ["warn", "ok"]);
    assert_eq!(promises(&old, false)[0].outcome.word(), "unknown");
    let there = Err(error(ErrorKind::Precondition));
    let again = Promises { right_whole: there, second_write: None, ..good.clone() };
    assert_eq!(words(&again), ["ok", "ok"]);
    let denied = || Err(error(ErrorKind::Denied));
    let nothing = Promises {
        wrong_part: denied(),
        wrong_whole: denied(),
        right_whole: denied(),
        second_write: None,
        ..good.clone()
    };
    assert_eq!(words(&nothing), ["unknown", "unknown"]);
}

#[test]
fn only_a_rule_that_covers_the_probe_removes_its_versions() {
    let with = |prefix: &str, enabled| {
        let rule = LifecycleRule {
            enabled,
            prefix: prefix.to_owned(),
            noncurrent_days: Some(30),
            ..LifecycleRule::default()
        };
        noncurrent_days(&Posture { lifecycle: Ok(Some(vec![rule])), ..good_posture() }, "b/_check/")
    };
    assert_eq!(with("", true), Some(30));
    assert_eq!(with("b/", true), Some(30));
    assert_eq!(with("b/_check/", true), Some(30));
    assert_eq!(with("b/mysql/", true), None);
    assert_eq!(with("", false), None);
    let unseen = Posture { lifecycle: Err(error(ErrorKind::Denied)), ..good_posture() };
    assert_eq!(noncurrent_days(&unseen, "b/_check/"), None);
}

#[test]
fn folder_that_another_host_sends_to_is_told() {
    is(&own_prefix("backup/db1"), "ok");
    is(&shared_prefix("backup", &Ok(None)), "ok");
    let shared = shared_prefix("backup", &Ok(Some("db2".to_owned())));
    is(&shared, "warn");
    assert!(shared.seen.contains("db2") && shared.advice.contains("{hostname}"), "{shared:?}");
    is(&shared_prefix("backup", &Err(error(ErrorKind::Denied))), "unknown");
}
