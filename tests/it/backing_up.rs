//! What a run picks, and under which keys; each defect of the script it replaces.

use std::fs;
use std::time::{Duration, SystemTime};

use dbbackup::embedded::{Fault, Op, Rule};
use serde_json::Value;

use crate::support::noise;
use crate::support::world::{MONTHLY, WEEKLY, World};

#[test]
fn the_three_engines_are_stored_under_exactly_these_keys() {
    let world = World::new();
    world.company();
    world.dump("blog/prod/blog_20250818.sql");
    world.dump("top_20250818.sql");
    world.backup().exits(0);
    assert_eq!(
        world.keys(),
        [
            "backup/mssql/crm/weekly/crm_20250818.bak",
            "backup/mysql/blog/prod/weekly/blog_20250818.sql",
            "backup/mysql/shop/weekly/shop_20250818.sql",
            "backup/mysql/weekly/top_20250818.sql",
            "backup/oracle/erp/weekly/rman_erp_18-08-2025/0a3v1k2m_1_1",
            "backup/oracle/erp/weekly/rman_erp_18-08-2025/0b3v1k2m_1_1",
            "backup/oracle/erp/weekly/rman_erp_18-08-2025/c-1234567890-20250818-00",
        ]
    );
    assert_eq!(world.whole_manifests().len(), 5);
    let keys = world.all_keys();
    assert!(keys.contains(&"backup/_catalog/mysql/shop/weekly/shop_20250818.sql/manifest.json".to_owned()));
    let run = keys.iter().find(|key| key.starts_with("backup/_runs/host=")).expect("a run record");
    let record = world.get(run);
    assert_eq!(serde_json::from_slice::<Value>(&record).unwrap()["sent"], 5);
    assert_eq!(String::from_utf8(record).unwrap().matches('\n').count(), 1, "one object a line");
}

#[test]
fn a_target_sends_its_engine_alone_in_any_letter_case() {
    let world = World::new();
    world.company();
    world.run(&["MySQL", "--date", WEEKLY]).exits(0);
    assert_eq!(world.keys(), ["backup/mysql/shop/weekly/shop_20250818.sql"]);
    world.run(&["oracle", "--date", WEEKLY]).exits(0);
    world.run(&["mssql", "--date", WEEKLY]).exits(0);
    assert_eq!(world.keys().len(), 5);
}

#[test]
fn yesterday_is_the_date_where_none_is_named() {
    let world = World::new();
    let yesterday = (chrono::Utc::now() - chrono::Duration::days(1)).format("%Y%m%d").to_string();
    world.dump(&format!("shop/shop_{yesterday}.sql"));
    world.dump("shop/shop_20250818.sql");
    world.run(&[]).exits(0);
    assert_eq!(world.keys().len(), 1);
    assert!(world.keys()[0].contains(&yesterday));
}

#[test]
fn a_span_of_dates_takes_every_day_in_it() {
    let world = World::new();
    for day in ["20250817", "20250818", "20250819", "20250820"] {
        world.dump(&format!("shop/shop_{day}.sql"));
    }
    world.run(&["mysql", "--since", WEEKLY, "--until", "2025-08-19"]).exits(0);
    assert_eq!(world.keys().len(), 2);
}

#[test]
fn the_counter_counts_what_was_sent() {
    let world = World::new();
    world.company();
    let output = world.backup().exits(0);
    let last = output.stderr.lines().last().unwrap();
    assert!(last.ends_with("3 backups uploaded to S3."), "{last}");
    assert!(world.log().lines().last().unwrap().ends_with("3 backups uploaded to S3."), "{}", world.log());
}

#[test]
fn nothing_found_exits_3_with_the_scripts_last_line() {
    let world = World::new();
    world.dump("shop/shop_20250817.sql");
    let output = world.backup().exits(3);
    assert!(output.stderr.lines().last().unwrap().ends_with("No backups were uploaded to S3."));
    let log = world.log();
    let last = log.lines().last().unwrap();
    assert!(last.contains("WARN") && last.ends_with("No backups were uploaded to S3."), "{last}");
}

#[test]
fn an_rman_folder_is_sent_as_its_files_and_never_as_one() {
    let world = World::new();
    world.rman("erp/rman_erp_18-08-2025");
    world.write("oracle/erp/rman_erp_18-08-2025/logs/rman.log", "Recovery Manager complete.");
    world.run(&["oracle", "--date", WEEKLY]).exits(0);
    let keys = world.keys();
    assert_eq!(keys.len(), 4);
    assert!(keys.contains(&"backup/oracle/erp/weekly/rman_erp_18-08-2025/logs/rman.log".to_owned()));
    assert_eq!(world.whole_manifests().len(), 1);
}

#[test]
fn two_rman_folders_with_equal_file_names_do_not_collide() {
    let world = World::new();
    let folders = [world.rman("erp/rman_a_18-08-2025"), world.rman("erp/rman_b_18-08-2025")];
    world.backup().exits(0);
    assert_eq!(world.keys().len(), 6);
    for folder in folders {
        let name = folder.file_name().unwrap().to_str().unwrap();
        let key = format!("backup/oracle/erp/weekly/{name}/0a3v1k2m_1_1");
        assert_eq!(world.get(&key), fs::read(folder.join("0a3v1k2m_1_1")).unwrap());
    }
}

#[test]
fn an_exclusion_leaves_the_other_bak_files_alone() {
    let world = World::new();
    world.bak("api1/test/api_20250818.bak", 100);
    world.bak("api1/live/api_20250818.bak", 100);
    world.bak("crm/crm_20250818.bak", 100);
    world.backup().exits(0);
    assert_eq!(
        world.keys(),
        ["backup/mssql/api1/live/weekly/api_20250818.bak", "backup/mssql/crm/weekly/crm_20250818.bak"]
    );
}

#[test]
fn an_exclusion_is_a_whole_name_and_no_prefix() {
    let world = World::new();
    world.dump("skip/a_20250818.sql");
    world.dump("skip2/a_20250818.sql");
    world.rman("skip/rman_a_18-08-2025");
    world.rman("skip2/rman_a_18-08-2025");
    world.backup().exits(0);
    let keys = world.keys();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| key.contains("/skip2/")), "{keys:?}");
}

#[test]
fn the_fourth_monday_is_monthly_for_every_engine() {
    let world = World::new();
    world.rman("erp/rman_erp_25-08-2025");
    world.dump("shop/shop_20250825.sql");
    world.bak("crm/crm_20250825.bak", 100);
    world.run(&["all", "--date", MONTHLY]).exits(0);
    let keys = world.keys();
    assert_eq!(keys.len(), 5);
    assert!(keys.iter().all(|key| key.contains("/monthly/")), "{keys:?}");
}

#[test]
fn files_that_are_no_dumps_are_not_sent_as_mysql() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.write("mysql/shop/notes_20250818.txt", "not a dump");
    world.write("mysql/shop/shop_20250818.tar", "not a dump either");
    world.backup().exits(0);
    assert_eq!(world.keys(), ["backup/mysql/shop/weekly/shop_20250818.sql"]);
}

#[test]
fn level_1_folders_are_not_sent() {
    let world = World::new();
    world.rman("erp/rman_lv1_18-08-2025");
    world.backup().exits(3);
    assert!(world.keys().is_empty());
}

#[test]
fn one_failed_set_makes_exit_code_1_and_stops_no_other() {
    let world = World::new();
    world.company();
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::PutObject).key("mysql/shop/weekly/shop_"));
    let output = world.backup().exits(1).says("[FAILED] mysql/shop/weekly/shop_20250818.sql");
    assert!(
        output.stderr.lines().last().unwrap().ends_with("2 backups uploaded to S3."),
        "{}",
        output.stderr
    );
    world.heal();
    assert_eq!(world.whole_manifests().len(), 2);
}

#[test]
fn a_second_run_skips_all_and_puts_nothing_but_its_record() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    let (puts, parts) = (world.server.count(Op::PutObject), world.server.count(Op::UploadPart));
    let output = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0);
    assert_eq!(output.json()["skipped"], 3);
    assert_eq!(world.server.count(Op::PutObject) - puts, 1, "the record of the run");
    assert_eq!(world.server.count(Op::UploadPart), parts);
    assert!(output.stderr.lines().last().unwrap().ends_with("No backups were uploaded to S3."));
}

#[test]
fn a_set_with_other_times_is_compared_and_skipped() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    let file = fs::File::options().write(true).open(&dump).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    drop(file);
    let report = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0).json();
    assert_eq!(report["sets"][0]["status"], "skipped", "{report}");
}

#[test]
fn the_same_key_with_other_content_is_refused_and_left_as_it_is() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    let key = "backup/mysql/shop/weekly/shop_20250818.sql";
    let before = world.get(key);
    // Once with another size, once with the same: the plan sees the first, only a comparison the second.
    fs::write(&dump, "-- another dump\n-- Dump completed\n").unwrap();
    world.backup().exits(1).says("[REFUSED] mysql/shop/weekly/shop_20250818.sql").says("other content");
    let mut changed = before.clone();
    changed[5] ^= 1;
    fs::write(&dump, changed).unwrap();
    world.backup().exits(1).says("[REFUSED] mysql/shop/weekly/shop_20250818.sql").says("other content");
    assert_eq!(world.get(key), before);
}

#[test]
fn an_object_without_manifest_and_with_other_content_is_not_overwritten() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    let key = "backup/mysql/shop/weekly/shop_20250818.sql";
    world.put(key, "what the old script sent");
    world.backup().exits(1).says("other content");
    assert_eq!(world.get(key), b"what the old script sent");
    assert!(world.whole_manifests().is_empty());
}

#[test]
fn an_object_without_manifest_and_with_the_same_content_gets_one() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    world.put("backup/mysql/shop/weekly/shop_20250818.sql", fs::read(dump).unwrap());
    world.backup().exits(0);
    assert_eq!(world.whole_manifests().len(), 1);
}

#[test]
fn replace_needs_a_versioned_bucket() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    fs::write(dump, "-- another\n").unwrap();
    world.run(&["all", "--date", WEEKLY, "--replace"]).exits(2).says("versioned");
    assert_ne!(world.get("backup/mysql/shop/weekly/shop_20250818.sql"), b"-- another\n");
}

#[test]
fn replace_on_a_versioned_bucket_stores_the_new_content() {
    let world = World::versioned();
    let dump = world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    fs::write(&dump, "-- another\nSELECT 1;\n").unwrap();
    world.backup().exits(1);
    world.run(&["all", "--date", WEEKLY, "--replace"]).exits(0);
    assert_eq!(world.get("backup/mysql/shop/weekly/shop_20250818.sql"), b"-- another\nSELECT 1;\n");
    assert_eq!(world.whole_manifests().len(), 1);
    world.backup().exits(0);
}

#[test]
fn retries_are_counted_and_shown() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world
        .faults()
        .add(Rule::new(Fault::SLOW_DOWN).on(Op::PutObject).key("weekly/shop_20250818.sql").times(2));
    let output = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0).says("[RETRY]").says("SlowDown");
    assert_eq!(output.json()["sets"][0]["retries"], 2);
    let shown = world.run(&["show", "mysql/shop/weekly/shop_20250818.sql"]).exits(0);
    assert!(shown.stdout.lines().any(|line| line.starts_with("Retries") && line.ends_with('2')), "{shown:?}");
}

#[test]
fn three_attempts_and_no_more() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.faults().add(Rule::new(Fault::SLOW_DOWN).on(Op::PutObject).key("mysql/shop/weekly/shop_"));
    world.backup();
    assert_eq!(world.faults().fired(), 3);
}

#[test]
fn a_file_of_60_mb_goes_in_parts_and_comes_back_the_same() {
    let world = World::new();
    let bak = world.bak("crm/crm_20250818.bak", 60_000_000);
    world.backup().exits(0);
    assert!(world.server.count(Op::UploadPart) >= 11, "{:?}", world.server.requests());
    assert_eq!(world.whole_manifests().len(), 1);
    world.run(&["restore", "mssql/crm/weekly/crm_20250818.bak"]).exits(0);
    assert!(fs::read(world.path("out/crm_20250818.bak")).unwrap() == fs::read(bak).unwrap());
}

#[test]
fn an_empty_file_in_an_rman_folder_comes_back_empty() {
    let world = World::new();
    let folder = world.rman("erp/rman_erp_18-08-2025");
    world.write("oracle/erp/rman_erp_18-08-2025/rman.log", "");
    world.backup().exits(0);
    world.run(&["restore", "oracle/erp/weekly/rman_erp_18-08-2025"]).exits(0);
    crate::support::world::assert_same(&folder, &world.path("out/rman_erp_18-08-2025"));
    assert_eq!(fs::metadata(world.path("out/rman_erp_18-08-2025/rman.log")).unwrap().len(), 0);
}

#[test]
fn a_thousand_small_files_in_one_folder_arrive_and_come_back() {
    let world = World::new();
    for number in 0..1000 {
        world.write(&format!("oracle/erp/rman_18-08-2025/piece_{number:04}"), noise(500, number));
    }
    world.backup().exits(0);
    assert_eq!(world.keys().len(), 1000);
    world.run(&["restore", "oracle/erp/weekly/rman_18-08-2025"]).exits(0);
    crate::support::world::assert_same(
        &world.path("oracle/erp/rman_18-08-2025"),
        &world.path("out/rman_18-08-2025"),
    );
}

#[test]
fn strange_names_keep_their_keys_and_come_back() {
    let world = World::new();
    let names = [
        "two words 20250818.sql",
        "übergröße_20250818.sql",
        "a+b_20250818.sql",
        "100%25_20250818.sql",
        "no#1_20250818.sql",
        "why?_20250818.sql",
        "日本_20250818.sql",
        "q'\"&=_20250818.sql",
    ];
    for name in names {
        world.dump(&format!("my app+1/{name}"));
    }
    world.backup().exits(0);
    let mut keys: Vec<String> =
        names.iter().map(|name| format!("backup/mysql/my app+1/weekly/{name}")).collect();
    keys.sort();
    let mut stored = world.keys();
    stored.sort();
    assert_eq!(stored, keys);
    for name in names {
        world.run(&["restore", &format!("mysql/my app+1/weekly/{name}")]).exits(0);
        let there = fs::read(world.path("mysql/my app+1").join(name)).unwrap();
        assert_eq!(fs::read(world.path("out").join(name)).unwrap(), there, "{name}");
    }
    world.backup().exits(0);
}
