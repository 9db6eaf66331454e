//! This machine, and how what was found is told and kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::{closed_to_others, good, is, line, lines, uploader};
use crate::support::world::World;

#[test]
fn the_table_says_what_to_do_the_worst_first() {
    let world = World::new();
    world.company();
    closed_to_others(&world);
    let text = world.run(&["check"]).exits(1).stdout;
    assert!(text.starts_with("Check of ") && text.contains("s3://backups/backup"), "{text}");
    let advice = text.split("What to do:\n").nth(1).unwrap();
    let words: Vec<&str> = advice
        .lines()
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let mut sorted = words.clone();
    sorted.sort_by_key(|word| ["FAIL", "warn", "unknown"].iter().position(|one| one == word));
    assert_eq!(words, sorted);
    assert!(words.len() > 5 && words[0] == "FAIL", "{text}");
    assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    assert!(text.trim_end().ends_with("exit code 1"), "{text}");
}

#[test]
fn what_a_check_found_is_in_the_record_of_the_next_run() {
    let world = good();
    uploader(&world);
    let config = world.path("config.toml");
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["check"]).exits(1);
    // It is told, and changes nothing about how the backup went.
    world.backup().exits(0);
    world.heal();
    let key = world.all_keys().into_iter().find(|key| key.contains("/_runs/")).unwrap();
    let record: Value = serde_json::from_slice(&world.get(&key)).unwrap();
    let found = record["check_findings"].as_array().unwrap();
    let open = found.iter().find(|one| one["what"] == "configuration file").unwrap();
    assert_eq!((open["outcome"].as_str(), open["closed"].is_null()), (Some("fail"), true), "{open}");
    assert!(open["first_seen"].as_str().unwrap().starts_with("20"), "{open}");
    // Mended, it is in no record any more.
    uploader(&world);
    fs::set_permissions(&config, fs::Permissions::from_mode(0o640)).unwrap();
    world.run(&["check"]);
    let plan = world.run(&["all", "--date", "2025-08-18", "--dry-run", "--json"]).exits(0).json();
    let found = plan["check_findings"].as_array().cloned().unwrap_or_default();
    assert!(found.iter().all(|one| one["what"] != "configuration file"), "{found:#?}");
}

#[test]
fn findings_are_kept_and_reported_with_their_dates() {
    let world = good();
    world.faults().write_only();
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["check"]).exits(1);
    let report = world.run(&["check", "--report"]).exits(1).stdout;
    assert!(report.contains("- FAIL local configuration file: "), "{report}");
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let report = world.run(&["check", "--report"]).exits(0).stdout;
    let closed = report.split("## Closed findings").nth(1).unwrap();
    assert!(closed.contains("configuration file") && closed.contains("closed 20"), "{report}");
    for title in ["## Versions", "## Capacity", "## Access", "## Network", "## Bucket", "## Configuration"] {
        assert!(report.contains(title), "{report}");
    }
    let kept: Value = serde_json::from_slice(&fs::read(world.path("state/findings.json")).unwrap()).unwrap();
    assert!(kept["findings"].as_array().unwrap().iter().any(|one| one["closed"].is_string()), "{kept}");
}

#[test]
fn cron_sees_what_this_shell_hides() {
    let world = good();
    world.faults().write_only();
    let config = world.path("config.toml");
    let args = ["check", "--as-cron", "--json", "--config", config.to_str().unwrap()];
    let output = world.run(&args).exits(1);
    let lines = output.json()["lines"].as_array().unwrap().clone();
    is(&lines, "environment", "ok");
    // The keys were in this test's environment alone.
    is(&lines, "credentials", "fail");
    is(&lines, "answer", "unknown");
}

#[test]
fn files_of_this_machine_are_judged() {
    let world = good();
    world.faults().write_only();
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_dir_all(world.path("oracle")).unwrap();
    world.write(".aws/credentials", "[default]\n");
    fs::set_permissions(world.path(".aws/credentials"), fs::Permissions::from_mode(0o644)).unwrap();
    world.write("log", "a file where the directory should be");
    let lines = lines(&world, 1);
    for what in ["configuration file", "credentials file", "source oracle", "log directory"] {
        is(&lines, what, "fail");
    }
    assert!(
        line(&lines, "configuration file")["seen"]
            .as_str()
            .unwrap()
            .ends_with("mode 666, writable by others")
    );
    is(&lines, "source mysql", "ok");
    is(&lines, "environment", "warn");
}

#[test]
fn a_state_directory_that_others_may_write_fails_and_what_nothing_is_expected_of_is_told() {
    let world = good();
    uploader(&world);
    world.backup().exits(0);
    let open = |mode| fs::set_permissions(world.path("state"), fs::Permissions::from_mode(mode)).unwrap();
    open(0o777);
    let checked = lines(&world, 1);
    is(&checked, "state directory", "fail");
    is(&checked, "log directory", "ok");
    assert!(
        line(&checked, "state directory")["seen"].as_str().unwrap().ends_with("may be written by everybody")
    );
    open(0o750);
    let checked = lines(&world, 0);
    is(&checked, "state directory", "ok");
    is(&checked, "expectations", "warn");
    let expect = |engine| format!("[[expect]]\nengine = \"{engine}\"\napp = \"*\"\nschedule = \"daily\"\n");
    world.configure(|text| text + &["oracle", "mysql", "mssql"].map(expect).concat());
    closed_to_others(&world);
    is(&lines(&world, 0), "expectations", "ok");
}

#[test]
fn a_machine_as_it_should_be_is_ok_and_an_empty_source_is_told() {
    let world = good();
    world.faults().write_only();
    fs::remove_dir_all(world.path("oracle")).unwrap();
    fs::create_dir(world.path("oracle")).unwrap();
    world.write(".aws/credentials", "[default]\n");
    fs::set_permissions(world.path(".aws/credentials"), fs::Permissions::from_mode(0o600)).unwrap();
    let lines = lines(&world, 0);
    for what in ["user", "configuration file", "credentials file", "log directory", "state directory", "lock"]
    {
        is(&lines, what, "ok");
    }
    is(&lines, "source oracle", "warn");
    assert!(line(&lines, "source oracle")["advice"].as_str().unwrap().contains("database's own backups"));
}

#[test]
fn a_file_that_this_user_cannot_read_fails_its_source() {
    let world = good();
    world.faults().write_only();
    let dump = world.dump("shop/other_20250818.sql");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o000)).unwrap();
    let output = world.run_unprivileged(&["check"]).exits(1);
    assert!(output.stdout.contains("cannot be read, such as"), "{}", output.stdout);
    assert!(output.stdout.contains("other_20250818.sql"), "{}", output.stdout);
}

#[test]
fn a_check_beside_a_run_sees_the_lock_and_leaves_it() {
    let world = good();
    world.faults().write_only();
    let lock = dbbackup::lock::Lock::acquire(&world.path("state"), "mysql").unwrap();
    let seen = lines(&world, 0);
    is(&seen, "lock", "warn");
    assert!(line(&seen, "lock")["seen"].as_str().unwrap().contains("target mysql"));
    drop(lock);
    is(&lines(&world, 0), "lock", "ok");
    // Of a holder that has not said yet who it is.
    let file = fs::File::create(world.path("state/lock")).unwrap();
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    let seen = lines(&world, 0);
    is(&seen, "lock", "warn");
    assert_eq!(line(&seen, "lock")["seen"], "held");
}

#[test]
fn rates_are_measured_and_leave_nothing_behind() {
    let world = good();
    world.backup().exits(0);
    let before = world.all_keys();
    let output = world.run(&["check", "--json", "--speed"]).exits(1);
    let lines = output.json()["lines"].as_array().unwrap().clone();
    is(&lines, "upload rate", "ok");
    is(&lines, "download rate", "ok");
    assert_eq!((world.all_keys(), world.open_uploads()), (before, 0));
}
