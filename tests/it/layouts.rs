//! Layouts and names that companies have: what counts, what does not, and that the rest is told.

use std::fs;

use chrono::{Days, NaiveDate, Utc};

use crate::inspect::backup_option;
use crate::support::noise;
use crate::support::program::Output;
use crate::support::world::{WEEKLY, World};

fn days_back(back: u64) -> NaiveDate {
    Utc::now().date_naive() - Days::new(back)
}

fn compact(back: u64) -> String {
    days_back(back).format("%Y%m%d").to_string()
}

fn expect(world: &World, lines: &str) {
    world.configure(|text| format!("{text}{lines}"));
}

fn every(engine: &str) -> String {
    format!("[[expect]]\nengine = \"{engine}\"\napp = \"*\"\nschedule = \"daily\"\n")
}

fn app(status: &Output, name: &str) -> serde_json::Value {
    let document: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let apps = document["apps"].as_array().unwrap();
    apps.iter().find(|app| app["app"] == name).unwrap_or_else(|| panic!("no {name} in {document}")).clone()
}

#[test]
fn compressed_differential_without_a_full_backup_is_no_backup_to_count_on() {
    let world = World::new();
    let mut content = b"MSSQLBAK".to_vec();
    content.extend(noise(5_000, 7));
    let yesterday = compact(1);
    let name = format!("SRV1_CRM_DIFF_{yesterday}_010203.bak");
    world.write(&format!("mssql/SRV1/CRM/DIFF/{name}"), &content);
    world.run(&["mssql"]).exits(0).says("by its name it is a differential backup");
    let status = world.run(&["status", "--json"]).exits(1);
    let app = app(&status, "SRV1/CRM/DIFF");
    assert_eq!(app["why"][0], "there is no full backup, and those that there are restore only on top of one");
    let out = world.path("out").display().to_string();
    let restored = world.run(&["restore", "--latest", "mssql/SRV1/CRM/DIFF", "--to", &out]).exits(0);
    restored.says("restores only on top of the full backup before it");
    let shown = world.run(&["list", "mssql", "--json"]).exits(0).json();
    assert_eq!(shown["sets"].as_array().unwrap().len(), 1, "{shown}");
}

#[test]
fn folders_of_level_1_logs_or_a_control_file_alone_are_no_full_backup() {
    for (name, pieces) in [
        ("rman_night", &["o1_mf_nnnd1_TAG_1_1.bkp", "c-1-20250818-00"][..]),
        ("rman_arch", &["arch_0b3k_1_1"][..]),
        ("rman_full", &["c-1-20250818-00"][..]),
    ] {
        let world = World::new();
        for (seed, piece) in pieces.iter().enumerate() {
            world.write(&format!("oracle/erp/{name}_18-08-2025/{piece}"), noise(9_000, seed as u64 + 3));
        }
        world.backup().exits(0).says("it restores only on top of");
        let status = world.run(&["status", "--json"]).exits(1);
        let app = app(&status, "erp");
        let why = app["why"].to_string();
        assert!(why.contains("there is no full backup"), "{name}: {why}");
        let out = world.path("out").display().to_string();
        let restored = world.run(&["restore", "--latest", "oracle/erp", "--to", &out]).exits(0);
        restored.says("restores only on top of the full backup before it");
    }
}

#[test]
fn level_1_folders_are_left_out_however_their_level_is_written() {
    let world = World::new();
    world.rman("erp/rman_full_18-08-2025");
    for name in ["LV1", "lvl1", "L1", "incr_level1", "incr1"] {
        world.rman(&format!("erp/rman_{name}_18-08-2025"));
    }
    world.rman("prod/rman_mlv1prod_18-08-2025");
    let run = world.backup().exits(0).says("1 backups uploaded to S3.");
    assert!(run.stderr.contains("rman_mlv1prod_18-08-2025: it has a date"), "{}", run.stderr);
    assert!(!run.stderr.contains("rman_lvl1_18-08-2025: it has a date"), "{}", run.stderr);
}

#[test]
fn full_backup_of_sixty_days_ago_is_critical_though_its_logs_are_of_yesterday() {
    let world = World::new();
    world.configure(|text| text.replace("[s3]", "include_log = true\n[s3]"));
    let old = days_back(60);
    world.bak(&format!("crm/crm_{}.bak", old.format("%Y%m%d")), 9_000);
    world.bak(&format!("crm/crm_{}.trn", compact(1)), 5_000);
    world.run(&["mssql", "--date", &old.to_string()]).exits(0);
    world.run(&["mssql"]).exits(0);
    let status = world.run(&["status"]).exits(1);
    assert!(status.stdout.contains("and 8d 0h are allowed (full_rpo)"), "{}", status.stdout);
    let nagios = world.run(&["status", "--nagios"]).exits(2);
    assert!(nagios.stdout.contains("mssql/crm: the newest full backup, mssql/crm/"), "{}", nagios.stdout);
    expect(&world, "[[expect]]\nengine = \"mssql\"\napp = \"*\"\nschedule = \"daily\"\nfull_rpo = \"62d\"\n");
    let status = world.run(&["status", "--json"]).exits(0);
    assert_eq!(app(&status, "crm")["full_rpo_seconds"], 62 * 86_400);
    world.run(&["config", "check"]).exits(0);
}

#[test]
fn backups_in_forms_that_are_not_taken_are_warnings_and_the_run_is_well() {
    let world = World::new();
    world.company();
    for n in 0..40 {
        world.write(&format!("mysql/shop/t{n:02}_20250818.sql.gpg"), "x");
    }
    world.write("mysql/crm/crm_20250818.dump.gz", "x");
    world.write("mysql/phys/2025-08-18_01-00-00/ibdata1", "x");
    world.write("mssql/crm/crm_20250818.bacpac", "x");
    world.write("oracle/ORCL/backupset/2025_08_18/o1_mf_nnnd0_TAG20250818T010203_abc_.bkp", "x");
    let run = world.backup().exits(0).says("3 backups uploaded to S3.").says("warnings: 5, see above");
    for text in [
        "t00_20250818.sql.gpg: it has a date that was asked for, but only files ending",
        "so it is with 39 more in its directory",
        "crm_20250818.dump.gz: it has a date",
        "phys/2025-08-18_01-00-00: it has a date that was asked for, but nothing in this directory",
        "crm_20250818.bacpac: it has a date",
        "backupset/2025_08_18: it has a date",
    ] {
        assert!(run.stderr.contains(text), "{text} in {}", run.stderr);
    }
    assert!(!run.stderr.contains("t01_20250818"), "{}", run.stderr);
}

#[test]
fn copy_of_rclone_that_is_under_way_is_waited_for() {
    let world = World::new();
    backup_option(&world, "settle_wait = \"200ms\"");
    world.dump("blog/blog_20250818.sql");
    world.write("mysql/shop/shop_20250818.sql.gz.1f3d2a9c.partial", "half");
    let run = world.backup().exits(1).says("1 backups uploaded to S3.");
    let what =
        "shop_20250818.sql.gz.1f3d2a9c.partial: its name says that it is still being written, and still did";
    assert!(run.stderr.contains(what), "{}", run.stderr);
}

#[test]
fn what_was_under_way_and_is_no_backup_once_it_is_there_is_a_warning() {
    let world = World::new();
    backup_option(&world, "settle_wait = \"30s\"");
    world.dump("blog/blog_20250818.sql");
    let part = world.write("mysql/shop/shop_20250818.zip.part", "half");
    let run = world.begin(&["all", "--date", WEEKLY]);
    while world.keys().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    fs::rename(&part, part.with_file_name("shop_20250818.zip")).unwrap();
    let run = run.finish().exits(0).says("1 backups uploaded to S3.");
    assert!(run.stderr.contains("shop_20250818.zip: it has a date that was asked for"), "{}", run.stderr);
}

#[test]
fn directories_of_days_are_one_app_that_is_missed_where_its_day_is() {
    let world = World::new();
    expect(&world, &every("mysql"));
    for back in [2, 1] {
        world.dump(&format!("{}/shop_{}.sql", days_back(back), compact(back)));
    }
    world.run(&["mysql", "--since", &days_back(2).to_string()]).exits(0).says("2 backups uploaded to S3.");
    let run = world.run(&["mysql"]).exits(0).says("each day has a directory of its own");
    assert_eq!(run.stderr.matches("each day has a directory").count(), 1, "{}", run.stderr);
    assert!(!run.stderr.contains("never produced"), "{}", run.stderr);
    let status = world.run(&["status"]).exits(0);
    assert_eq!(status.stdout.matches("each day has a directory").count(), 1, "{}", status.stdout);
    fs::remove_dir_all(world.path(&format!("mysql/{}", days_back(1)))).unwrap();
    let asked = days_back(3).to_string();
    let run = world.run(&["mysql", "--date", &asked]).exits(1);
    assert!(run.stderr.contains("mysql: the source never produced its backup of"), "{}", run.stderr);
}

#[test]
fn excluded_or_retired_app_is_not_missed_for_what_was_sent_of_it_once() {
    let world = World::new();
    expect(&world, &every("mysql"));
    for app in ["shop", "skip", "old"] {
        world.dump(&format!("{app}/{app}_20250818.sql"));
    }
    world.configure(|text| text.replace("exclude = [\"skip\"]", "exclude = []") + &every("mysql"));
    world.run(&["mysql", "--date", WEEKLY]).exits(0).says("3 backups uploaded to S3.");
    let retired = "[[expect]]\nengine = \"mysql\"\napp = \"old\"\nschedule = \"none\"\n";
    world.configure(|text| format!("{text}{}{retired}", every("mysql")));
    world.dump("shop/shop_20250819.sql");
    let run = world.run(&["mysql", "--date", "2025-08-19"]).exits(0);
    assert!(!run.stderr.contains("never produced"), "{}", run.stderr);
    let status = world.run(&["status", "--json"]).exits(1);
    assert_eq!(app(&status, "old")["state"], "retired");
}

#[test]
fn app_that_ended_before_the_month_is_not_missed_on_the_days_of_a_catch_up() {
    let world = World::new();
    expect(&world, &every("mysql"));
    let old = days_back(33);
    world.dump(&format!("gone/gone_{}.sql", old.format("%Y%m%d")));
    world.run(&["mysql", "--date", &old.to_string()]).exits(0);
    fs::remove_dir_all(world.path("mysql/gone")).unwrap();
    world.dump(&format!("shop/shop_{}.sql", compact(1)));
    expect(&world, &format!("catch_up_days = 7\n{}", every("mysql")));
    let run = world.run(&["mysql"]).exits(0);
    assert!(!run.stderr.contains("mysql/gone"), "{}", run.stderr);
}

#[test]
fn app_whose_logs_are_left_out_by_an_option_is_told_so() {
    let world = World::new();
    expect(&world, &every("mssql"));
    world.bak("SRV/CRM/FULL/SRV_CRM_FULL_20250818_010203.bak", 9_000);
    world.bak("SRV/CRM/LOG/SRV_CRM_LOG_20250818_010203.trn", 5_000);
    let run = world.run(&["mssql", "--date", WEEKLY]).exits(1);
    let what =
        "mssql/SRV/CRM/LOG: all that it has of 2025-08-18 is left out, since include_log is off in [mssql]";
    assert!(run.stderr.contains(what), "{}", run.stderr);
}

#[test]
fn rman_folder_whose_control_file_is_of_another_day_is_warned_of() {
    let world = World::new();
    world.write("oracle/erp/rman_full_05-11-2025/0a3k_1_1", noise(9_000, 3));
    world.write("oracle/erp/rman_full_05-11-2025/c-1-20250511-00", noise(9_000, 4));
    let run = world.run(&["oracle", "--date", "2025-11-05"]).exits(0);
    assert!(run.stderr.contains("c-1-20250511-00, says 2025-05-11"), "{}", run.stderr);
}
