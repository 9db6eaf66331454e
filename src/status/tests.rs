//! Apps made of records alone, and how they are judged.

use super::*;
use crate::checksum::{Algorithm, Checksum, Scope};
use crate::manifest::{Confirmation, Manifest, StoredFile};
use crate::model::{SetId, SetKind};

fn entry(key: &str, date: &str, size: u64) -> Entry {
    let id = SetId::parse_key(key).unwrap();
    let checksum = Checksum {
        algorithm: Algorithm::Crc64Nvme,
        scope: Scope::FullObject,
        value: "AAAAAAAAAAA=".to_owned(),
    };
    let file = StoredFile {
        path: RelPath::empty(),
        key: format!("b/{key}"),
        size,
        mtime: Utc::now(),
        mode: 0o640,
        checksum,
        s3_checksum: None,
        confirmed: Confirmation::Checksum,
        etag: Some("tag".to_owned()),
        version_id: None,
        parts: 1,
        retries: 0,
        coding: None,
    };
    let json = serde_json::json!({
        "version": 1, "engine": id.engine, "app": id.app, "category": id.category, "name": id.name,
        "date": date, "kind": SetKind::File, "why": "", "files": [file], "bucket": "x", "run": "r",
        "host": "h", "source": "/x", "dbbackup": "1", "created": "2025-08-19T03:00:00Z", "seconds": 1.0,
    });
    let manifest: Manifest = serde_json::from_value(json).unwrap();
    Entry { manifest, proofs: Vec::new() }
}

fn object(entry: &Entry) -> Listed {
    let file = &entry.manifest.files[0];
    Listed { key: file.key.clone(), size: file.size, etag: file.etag.clone(), modified: None }
}

fn at(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

#[test]
fn age_is_that_of_the_data_and_the_rpo_without_an_expectation_is_a_day_and_a_half() {
    let entry = entry("mysql/shop/weekly/shop_20250818.sql", "2025-08-18", 100);
    let listed = [object(&entry)];
    let state = |now: &str| judge(std::slice::from_ref(&entry), &listed, &[], at(now))[0].state;
    assert_eq!(state("2025-08-19T03:00:00"), State::Ok);
    assert_eq!(state("2025-08-20T12:00:00"), State::Ok);
    assert_eq!(state("2025-08-20T12:00:01"), State::Critical);
}

#[test]
fn set_with_a_lost_cut_or_rewritten_object_is_not_good() {
    let entry = entry("mysql/shop/weekly/shop_20250818.sql", "2025-08-18", 100);
    let whole = object(&entry);
    for listed in [
        vec![],
        vec![Listed { size: 99, ..whole.clone() }],
        vec![Listed { etag: Some("other".to_owned()), ..whole.clone() }],
    ] {
        let apps = judge(std::slice::from_ref(&entry), &listed, &[], at("2025-08-19T03:00:00"));
        assert_eq!((apps[0].state, &apps[0].newest), (State::Critical, &None));
    }
}

#[test]
fn set_of_the_future_hides_no_old_one() {
    let entries = [
        entry("mysql/shop/weekly/shop_20250701.sql", "2025-07-01", 100),
        entry("mysql/shop/weekly/shop_20451122.sql", "2045-11-22", 100),
    ];
    let listed: Vec<Listed> = entries.iter().map(object).collect();
    let app = &judge(&entries, &listed, &[], at("2025-08-19T03:00:00"))[0];
    assert_eq!(app.state, State::Critical);
    assert_eq!(app.newest.as_ref().unwrap().date.to_string(), "2025-07-01");
    assert_eq!(app.why.len(), 2, "{:?}", app.why);
}

#[test]
fn logs_without_a_full_backup_are_critical() {
    let log = entry("mssql/crm/weekly/crm_20250818.trn", "2025-08-18", 100);
    let full = entry("mssql/crm/weekly/crm_20250818.bak", "2025-08-18", 100);
    let state = |entries: &[Entry]| {
        let listed: Vec<Listed> = entries.iter().map(object).collect();
        judge(entries, &listed, &[], at("2025-08-19T03:00:00"))[0].state
    };
    assert_eq!(state(std::slice::from_ref(&log)), State::Critical);
    assert_eq!(state(&[log, full]), State::Ok);
    let beside = [
        entry("mssql/DB01/Sales/LOG/weekly/s_20250818.trn", "2025-08-18", 100),
        entry("mssql/DB01/Sales/FULL/weekly/s_20250818.bak", "2025-08-18", 100),
        entry("mssql/DB01/Stock/LOG/weekly/s_20250818.trn", "2025-08-18", 100),
    ];
    let listed: Vec<Listed> = beside.iter().map(object).collect();
    let apps = judge(&beside, &listed, &[], at("2025-08-19T03:00:00"));
    let states: Vec<_> = apps.iter().map(|app| (app.app.as_str(), app.state)).collect();
    let (ok, critical) = (State::Ok, State::Critical);
    assert_eq!(states, [("DB01/Sales/FULL", ok), ("DB01/Sales/LOG", ok), ("DB01/Stock/LOG", critical)]);
}

#[test]
fn full_backup_that_is_too_old_is_critical_however_young_its_logs_are() {
    let full = |date: &str| entry(&format!("mssql/crm/weekly/crm_{}.bak", date.replace('-', "")), date, 100);
    let log = entry("mssql/crm/weekly/crm_20250818.trn", "2025-08-18", 100);
    let judged = |entries: &[Entry], expectations: &[Expect]| {
        let listed: Vec<Listed> = entries.iter().map(object).collect();
        judge(entries, &listed, expectations, at("2025-08-19T03:00:00"))[0].clone()
    };
    let app = judged(&[full("2025-06-19"), log.clone()], &[]);
    assert_eq!(app.state, State::Critical);
    let [why] = app.why.as_slice() else { panic!("{:?}", app.why) };
    assert!(why.contains("crm_20250619.bak, is 60d 3h old, and 8d 0h are allowed (full_rpo)"), "{why}");
    assert_eq!(app.newest_full.as_ref().unwrap().date.to_string(), "2025-06-19");
    assert_eq!(judged(&[full("2025-08-11"), log.clone()], &[]).state, State::Ok);
    let month = Expect {
        engine: Engine::Mssql,
        app: None,
        schedule: Schedule::Daily,
        rpo: None,
        full_rpo: Some(std::time::Duration::from_hours(24 * 62)),
    };
    assert_eq!(judged(&[full("2025-06-19"), log], &[month]).state, State::Ok);
    let alone = judged(&[full("2025-06-19")], &[]);
    assert_eq!(alone.why.len(), 1, "said once: {:?}", alone.why);
}

#[test]
fn directories_of_days_count_together_and_are_named_once() {
    let entries: Vec<Entry> = (10..=18)
        .map(|day| {
            let key = format!("mysql/shop/2025-08-{day}/weekly/shop_202508{day}.sql");
            entry(&key, &format!("2025-08-{day}"), 1000)
        })
        .collect();
    let listed: Vec<Listed> = entries.iter().map(object).collect();
    let state = |now: &str| {
        let apps = judge(&entries, &listed, &[], at(now));
        assert_eq!(apps.len(), 1);
        (apps[0].name(), apps[0].state)
    };
    assert_eq!(state("2025-08-19T03:00:00"), ("mysql/shop".to_owned(), State::Ok));
    assert_eq!(state("2025-08-22T03:00:00").1, State::Critical, "they stopped");
    let told = day_directories(&entries, &[]);
    let [one] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(one.subject, "mysql/shop");
    assert!(one.what.contains("mysql/shop/2025-08-18"), "{}", one.what);
}

#[test]
fn size_is_compared_with_backups_of_the_same_name_alone() {
    let mut entries = Vec::new();
    for day in 15..=18 {
        for (name, size) in [("large", 100_000), ("small", 10)] {
            let key = format!("mysql/all/weekly/{name}_202508{day}.sql");
            entries.push(entry(&key, &format!("2025-08-{day}"), size));
        }
    }
    let listed: Vec<Listed> = entries.iter().map(object).collect();
    let app = &judge(&entries, &listed, &[], at("2025-08-19T03:00:00"))[0];
    assert_eq!((app.state, app.median_size), (State::Ok, Some(10)));
}

#[test]
fn retired_app_is_judged_by_no_age_and_its_damage_still_counts() {
    let old = entry("mysql/shop/weekly/shop_20240818.sql", "2024-08-18", 100);
    let never = Expect {
        engine: Engine::Mysql,
        app: Some("shop".parse().unwrap()),
        schedule: Schedule::Never,
        rpo: None,
        full_rpo: None,
    };
    let judged = |listed: &[Listed]| {
        let entries = std::slice::from_ref(&old);
        judge(entries, listed, std::slice::from_ref(&never), at("2025-08-19T03:00:00"))
    };
    let apps = judged(&[object(&old)]);
    assert_eq!((apps[0].state, apps[0].rpo_seconds), (State::Retired, None));
    assert_eq!(overall(&apps, 0), State::Ok);
    let (state, line) = nagios(&apps, &[]);
    assert_eq!(state, State::Ok);
    assert!(line.starts_with("DBBACKUP OK - 0 apps have"), "{line}");
    assert_eq!(judged(&[])[0].state, State::Critical);
}

#[test]
fn drill_that_failed_counts_until_another_one_of_the_app_passes() {
    let mark = |shown, day: u32| ProofMark {
        at: chrono::TimeZone::with_ymd_and_hms(&Utc, 2025, 8, day, 4, 0, 0).unwrap(),
        shown,
        key: String::new(),
    };
    let mut old = entry("mysql/shop/weekly/shop_20250817.sql", "2025-08-17", 100);
    let mut new = entry("mysql/shop/weekly/shop_20250818.sql", "2025-08-18", 100);
    old.proofs.push(mark(Shown::Failed, 18));
    let state = |entries: &[Entry]| {
        let listed: Vec<Listed> = entries.iter().map(object).collect();
        judge(entries, &listed, &[], at("2025-08-19T03:00:00"))[0].state
    };
    assert_eq!(state(&[old.clone(), new.clone()]), State::Critical);
    new.proofs.push(mark(Shown::Restored, 19));
    assert_eq!(state(&[old, new]), State::Ok);
}

#[test]
fn expected_app_without_a_backup_is_critical() {
    let expectations = [
        Expect {
            engine: Engine::Mysql,
            app: Some("crm".parse().unwrap()),
            schedule: Schedule::Daily,
            rpo: None,
            full_rpo: None,
        },
        Expect { engine: Engine::Oracle, app: None, schedule: Schedule::Daily, rpo: None, full_rpo: None },
    ];
    let apps = judge(&[], &[], &expectations, at("2025-08-19T03:00:00"));
    let names: Vec<_> = apps.iter().map(|app| (app.name(), app.state)).collect();
    assert_eq!(names, [("mysql/crm".to_owned(), State::Critical), ("oracle".to_owned(), State::Critical)]);
    assert_eq!(overall(&[], 0), State::Critical);
}

#[test]
fn newest_far_below_the_usual_size_is_a_warning_with_its_figures_for_nagios_and_prometheus() {
    let entries: Vec<Entry> = (12..=18)
        .map(|day| {
            let size = if day == 18 { 9 } else { 1000 };
            entry(&format!("mysql/shop/weekly/shop_202508{day}.sql"), &format!("2025-08-{day}"), size)
        })
        .collect();
    let listed: Vec<Listed> = entries.iter().map(object).collect();
    let apps = judge(&entries, &listed, &[], at("2025-08-19T01:00:00"));
    assert_eq!((apps[0].state, apps[0].median_size), (State::Warning, Some(1000)));
    let (state, line) = nagios(&apps, &[]);
    assert_eq!(state, State::Warning);
    assert!(line.ends_with("| 'mysql/shop_age'=3600s;;129600;0 'mysql/shop_size'=9B;;;0"), "{line}");
    let text = metrics(&apps, 0, Utc::now());
    assert!(text.contains("dbbackup_newest_age_seconds{engine=\"mysql\",app=\"shop\"} 3600\n"), "{text}");
    assert!(text.contains("dbbackup_ok{engine=\"mysql\",app=\"shop\"} 1\n"), "{text}");
}
