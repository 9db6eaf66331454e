//! `[s3] expires` against the rules of the bucket.

use std::path::Path;

use super::super::Line;
use super::super::bucket::posture;
use super::bucket::good_posture;
use super::is;
use crate::bucket::{LifecycleRule, Posture};
use crate::config::Config;

fn rule(prefix: &str, days: i32) -> LifecycleRule {
    LifecycleRule {
        id: "tidy".to_owned(),
        enabled: true,
        prefix: prefix.to_owned(),
        expire_days: Some(days),
        ..LifecycleRule::default()
    }
}

fn tagged(category: &str, days: i32) -> LifecycleRule {
    let tags = vec![("dbbackup-category".to_owned(), category.to_owned())];
    LifecycleRule { narrowed: true, tags, ..rule("", days) }
}

/// The lines of a bucket with these rules, below `backup`, with daily backups.
fn lines(rules: &[LifecycleRule], expires: &str) -> Vec<Line> {
    let text = format!("[s3]\nbucket = \"example-backup\"\nprefix = \"backup\"\n{expires}\n");
    let config = Config::parse(&text, Path::new("/etc/dbbackup/config.toml"), "db1").unwrap();
    let seen = Posture { lifecycle: Ok(Some(rules.to_vec())), ..good_posture() };
    posture(&seen, &config.s3, true)
}

fn expires(rules: &[LifecycleRule], expires: &str) -> Option<Line> {
    lines(rules, expires).into_iter().find(|line| line.what == "[s3] expires")
}

#[test]
fn a_rule_that_the_option_does_not_repeat_is_told_with_the_line_to_write() {
    let by_tag = [tagged("daily", 7), tagged("weekly", 90), tagged("monthly", 400)];
    let whole = "write expires = { daily = \"7d\", weekly = \"90d\", monthly = \"400d\" }:";
    for said in ["", "expires = { daily = \"7d\", weekly = \"30d\" }"] {
        let line = expires(&by_tag, said).unwrap();
        is(&line, "warn");
        assert!(line.advice.starts_with(whole), "{line:?}");
        assert!(line.seen.contains("a rule removes weekly backups after 90 days"), "{line:?}");
    }
    let line =
        expires(&by_tag, "expires = { daily = \"7d\", weekly = \"90d\", monthly = \"400d\" }").unwrap();
    is(&line, "ok");
    assert_eq!(
        line.seen,
        "as the rules have it: daily after 7 days, weekly after 90 days, monthly after 400 days"
    );
    let line = expires(&[rule("backup/mysql/shop/daily/", 7)], "").unwrap();
    assert!(line.advice.starts_with("write expires = { daily = \"7d\" }:"), "{line:?}");
}

#[test]
fn a_rule_for_everything_is_one_for_each_category_and_meant_where_the_option_says_so() {
    let all = "expires = { daily = \"30d\", weekly = \"30d\", monthly = \"30d\" }";
    let outcome = |said: &str, what: &str| {
        let line = lines(&[rule("", 30)], said).into_iter().find(|line| line.what == what).unwrap();
        line.outcome.word()
    };
    assert_eq!((outcome("", "expiry"), outcome("", "[s3] expires")), ("warn", "warn"));
    assert_eq!((outcome(all, "expiry"), outcome(all, "[s3] expires")), ("ok", "ok"));
    let line = expires(&[rule("", 30)], "").unwrap();
    assert!(line.advice.starts_with(&format!("write {all}:")), "{line:?}");
}

#[test]
fn days_without_a_rule_hide_a_loss_and_are_told() {
    let said = "expires = { weekly = \"90d\" }";
    for rules in
        [vec![], vec![rule("elsewhere/", 90)], vec![rule("backup/_runs/", 90)], vec![tagged("daily", 90)]]
    {
        let line = expires(&rules, said).unwrap();
        is(&line, "warn");
        assert!(line.seen.contains("no rule removes weekly backups"), "{rules:?} {line:?}");
    }
    let line = expires(&[], said).unwrap();
    assert!(line.advice.starts_with("remove it, or add the rules"), "{line:?}");
    // A rule by somebody else's tag may be the one that is meant.
    let tags = vec![("team".to_owned(), "db".to_owned())];
    is(&expires(&[LifecycleRule { narrowed: true, tags, ..rule("", 90) }], said).unwrap(), "ok");
}

#[test]
fn apps_with_days_of_their_own_are_told_and_the_last_is_the_one_to_write() {
    let rules = [rule("backup/mysql/shop/daily/", 7), rule("backup/mysql/crm/daily/", 14)];
    let line = expires(&rules, "expires = { daily = \"7d\" }").unwrap();
    is(&line, "warn");
    assert!(line.seen.contains("after 7 and 14 days"), "{line:?}");
    assert!(line.advice.starts_with("write expires = { daily = \"14d\" }:"), "{line:?}");
}

#[test]
fn without_rules_and_without_the_option_there_is_no_line() {
    assert_eq!(expires(&[], ""), None);
    assert_eq!(expires(&[LifecycleRule { enabled: false, ..rule("", 30) }], ""), None);
    assert_eq!(expires(&[LifecycleRule { expire_days: None, ..rule("", 30) }], ""), None);
}
