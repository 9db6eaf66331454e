//! How a run tells of itself: its log, JSON, the plan of a dry run, the table at its end.

use std::fs;
use std::time::{Duration, SystemTime};

use dbbackup::embedded::Op;
use serde_json::Value;

use crate::support::world::{WEEKLY, World};

#[test]
fn logs_older_than_90_days_go_and_only_those_of_that_exact_name() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    let day = Duration::from_hours(24);
    let aged = |name: &str, days: u32| {
        let path = world.write(&format!("log/{name}"), "old");
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - day * days).unwrap();
    };
    for (name, days) in [
        ("upload_all_20250101_010000.log", 91),
        ("upload_mysql_20250101_010000.log", 200),
        ("upload_all_20250301_010000.log", 89),
        ("upload_all_20250101_010000.log.gz", 200),
        ("upload_shop_20250101_010000.log", 200),
        ("my_upload_all_20250101_010000.log", 200),
        ("upload_all_2025.log", 200),
    ] {
        aged(name, days);
    }
    world.backup().exits(0);
    let names: Vec<String> =
        world.logs().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert!(!names.contains(&"upload_all_20250101_010000.log".to_owned()));
    assert!(!names.contains(&"upload_mysql_20250101_010000.log".to_owned()));
}

#[test]
fn json_is_exactly_one_document_with_every_set() {
    let world = World::new();
    world.company();
    let report = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0).json();
    assert_eq!((&report["sent"], &report["exit_code"]), (&3.into(), &0.into()));
    assert_eq!(report["sets"].as_array().unwrap().len(), 3);
    assert_eq!(report["dates"], serde_json::json!([WEEKLY, WEEKLY]));
    let nothing = world.run(&["all", "--date", "2025-08-11", "--json"]).exits(3).json();
    assert_eq!(nothing["sets"], serde_json::json!([]));
}

#[test]
fn a_dry_run_prints_the_plan_and_touches_nothing() {
    let world = World::new();
    world.company();
    world.dump("skip/a_20250818.sql");
    let output = world.run(&["all", "--date", WEEKLY, "--dry-run"]).exits(0);
    for text in ["mysql/shop/weekly/shop_20250818.sql", "send: not in the bucket yet", "excluded by `skip`"] {
        assert!(output.stdout.contains(text), "{text} in {}", output.stdout);
    }
    assert!(!world.path("log").exists() && !world.path("state").exists());
    let asked = world.server.requests();
    for op in [Op::PutObject, Op::CreateMultipartUpload, Op::UploadPart, Op::DeleteObject] {
        assert_eq!(asked.get(&op), None, "{op:?}");
    }
    let report = world.run(&["all", "--date", WEEKLY, "--dry-run", "--json"]).exits(0).json();
    assert_eq!(report["sets"][0]["status"], "planned");
}

#[test]
fn the_log_has_every_set_with_time_and_offset() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    let name = world.logs()[0].file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        name.starts_with("upload_all_2") && name.len() == "upload_all_20250818_010203.log".len(),
        "{name}"
    );
    let log = world.log();
    assert_eq!(log.matches("[SUCCESS]").count(), 3, "{log}");
    assert_eq!(log.matches("[SENT]").count(), 5, "{log}");
    assert!(log.lines().all(|line| line.get(23..29) == Some("+00:00")), "{log}");
}

#[test]
fn the_log_can_be_json_lines() {
    let world = World::new();
    world.company();
    world.configure(|text| text.replace("[state]", "format = \"json\"\n[state]"));
    world.backup().exits(0);
    let log = world.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["message"], "3 backups uploaded to S3.");
}

#[test]
fn a_log_directory_that_cannot_be_written_stops_no_backup() {
    let world = World::new();
    world.company();
    world.write("log", "a file where the directory should be");
    world.backup().exits(0).says("cannot write the log file").says("3 backups uploaded to S3.");
    assert_eq!(world.whole_manifests().len(), 3);
}

#[test]
fn the_table_at_the_end_has_a_row_for_each_set() {
    let world = World::new();
    world.company();
    let output = world.backup().exits(0);
    for word in ["Engine", "Retries", "Status", "SQL Server", "shop_20250818.sql", "rman_erp_18-08-2025"] {
        assert!(output.stdout.contains(word), "{word} in {}", output.stdout);
    }
    assert_eq!(output.stdout.matches(" sent").count(), 3, "{}", output.stdout);
}

#[test]
fn whoever_asks_for_json_gets_a_document_also_where_nothing_could_be_done() {
    let world = World::new();
    world.company();
    let told = |args: &[&str], code: i32| {
        let output = world.run(args).exits(code);
        let document = output.json();
        assert_eq!(document["exit_code"], code, "{args:?}");
        assert!(output.stderr.contains(document["error"].as_str().unwrap()), "{args:?}: {}", output.stderr);
    };
    world.configure(|text| text.replace("bucket = \"backups\"", "bucket = \"nowhere\""));
    told(&["all", "--date", WEEKLY, "--json"], 5);
    told(&["list", "--json"], 5);
    told(&["verify", "--json"], 5);
    told(&["status", "--json"], 5);
    told(&["show", "mysql/shop/weekly/shop_20250818.sql", "--json"], 5);
    world.configure(|text| text.replace("[s3]", "[s4]"));
    told(&["all", "--json"], 2);
}

#[test]
fn quiet_says_nothing_of_success_and_the_log_file_everything() {
    let world = World::new();
    world.company();
    let output = world.run(&["all", "--date", WEEKLY, "-q"]).exits(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    assert!(world.log().contains("3 backups uploaded to S3."));
    let verified = world.run(&["verify", "-q"]).exits(0);
    assert_eq!((verified.stdout.as_str(), verified.stderr.as_str()), ("", ""));
    world.delete("backup/mysql/shop/weekly/shop_20250818.sql");
    assert!(world.run(&["verify", "-q"]).exits(1).stdout.contains("MISSING"));
    assert!(world.run(&["all", "--date", WEEKLY, "-q"]).exits(1).stdout.contains("REFUSED"));
}
