//! What earlier runs left undone: the runs after them name it until it is stored.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::program::Output;
use crate::support::world::{MONTHLY, WEEKLY, World};

/// The words of the finding, in what follows the log's time.
const LEFT: &str = "[FINDING] mysql/shop/weekly/shop_20250818.sql: it was not stored on 20";

fn world() -> World {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.dump("shop/shop_20250825.sql");
    world
}

/// The good run of the week after.
fn next_week(world: &World) -> Output {
    world.heal();
    world.run(&["all", "--date", MONTHLY]).exits(0).says("shop_20250825.sql")
}

fn assert_named(run: Output, why: &str) {
    let run = run.says(&format!("({why}")).says("and still is not; ");
    assert!(run.stderr.contains(LEFT), "{}", run.stderr);
    assert!(run.stderr.contains("run `dbbackup all --date 2025-08-18`"), "{}", run.stderr);
}

/// Newest last.
fn records(world: &World) -> Vec<Value> {
    let mut paths: Vec<_> =
        fs::read_dir(world.path("state/runs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

#[test]
fn a_killed_run_and_what_it_left_are_told_by_the_good_run_after_it_until_it_is_stored() {
    let world = world();
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_hours(1))).on(Op::PutObject));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 1);
    let pid = run.id();
    run.signal(Signal::KILL);
    run.finish().exits(137);
    let run = next_week(&world).says("did not end by itself").says(&format!("process {pid} on"));
    assert_named(run, "interrupted");
    // The kill is told once, the set until it is stored, by a dry run too.
    let run = next_week(&world);
    assert!(!run.stderr.contains("did not end by itself"), "{}", run.stderr);
    assert_named(run, "interrupted");
    let plan = world.run(&["all", "--date", MONTHLY, "--dry-run", "--json"]).exits(0).json();
    assert_eq!(plan["findings"][0]["subject"], "mysql/shop/weekly/shop_20250818.sql");
    world.backup().exits(0);
    assert!(!next_week(&world).stderr.contains(LEFT));
}

#[test]
fn what_was_refused_is_told_by_the_runs_after_it_of_that_engine() {
    let world = world();
    world.write("mysql/shop/shop_20250818.sql", "-- MySQL dump 10.13\nINSERT INTO `orders` VALUES (1");
    world.backup().exits(1).says("[REFUSED]");
    assert_named(next_week(&world), "refused: ");
    world.bak("crm/crm_20250825.bak", 9_000);
    assert!(!world.run(&["mssql", "--date", MONTHLY]).exits(0).stderr.contains(LEFT));
}

#[test]
fn a_night_on_which_the_bucket_was_not_reached_is_told_by_the_runs_after_it() {
    for op in [Op::ListObjectsV2, Op::PutObject] {
        let world = world();
        world.faults().add(Rule::new(Fault::Answer { status: 403, code: "InvalidAccessKeyId" }).on(op));
        world.backup().exits(5);
        assert_eq!(records(&world)[0]["exit_code"], 5);
        assert_named(next_week(&world), "failed: ");
    }
}

#[test]
fn what_another_stored_since_is_not_told() {
    let world = world();
    world
        .faults()
        .add(Rule::new(Fault::Answer { status: 403, code: "InvalidAccessKeyId" }).on(Op::ListObjectsV2));
    world.backup().exits(5);
    world.heal();
    world.configure(|text| text.replace("/state\"", "/other\""));
    world.backup().exits(0);
    world.configure(|text| text);
    assert!(!next_week(&world).stderr.contains(LEFT));
}

#[test]
fn a_record_says_the_exit_code_of_the_signal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let world = world();
        world.faults().add(
            Rule::new(Fault::DelayReply(Duration::from_hours(1))).on(Op::PutObject).key("shop_20250818"),
        );
        let run = world.begin(&["all", "--date", WEEKLY]);
        world.wait_for(Op::PutObject, 1);
        run.signal(signal);
        run.finish().exits(code);
        assert_eq!(records(&world)[0]["exit_code"], code);
    }
}

#[test]
fn records_are_for_owner_and_group_and_go_with_the_logs() {
    let world = world();
    world.configure(|text| text.replace("[state]", "keep_days = 30\n[state]"));
    let old = SystemTime::now() - Duration::from_hours(24 * 31);
    for (name, is_ours) in [("20250101T010000Z-all-7.json", true), ("notes.json", false)] {
        let path = world.write(&format!("state/runs/{name}"), "{}");
        fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
        world.backup().exits(0);
        assert_eq!(path.exists(), !is_ours, "{name}");
    }
    let modes: Vec<u32> = fs::read_dir(world.path("state/runs"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name() != "notes.json")
        .map(|entry| entry.metadata().unwrap().permissions().mode() & 0o777)
        .collect();
    assert_eq!(modes, [0o640, 0o640]);
}

#[test]
fn a_record_that_cannot_be_read_is_told() {
    let world = world();
    let now = chrono::Utc::now().format("%Y%m%dT%H%M%SZ");
    world.write(&format!("state/runs/{now}-all-1.json"), "{");
    world.backup().exits(0).says("read what a run left in").says("-all-1.json");
}

#[test]
fn a_night_that_was_left_out_is_sent_by_the_next_where_every_night_is() {
    let world = World::new();
    for back in 1..=3 {
        let day = chrono::Utc::now().date_naive() - chrono::Days::new(back);
        world.dump(&format!("shop/shop_{}.sql", day.format("%Y%m%d")));
    }
    world.run(&["all"]).exits(0).says("1 backups uploaded to S3.");
    world.configure(|text| text + "daily = true\n");
    world.run(&["all", "--dry-run"]).exits(0);
    let sent = world.run(&["all"]).exits(0);
    assert!(sent.stderr.contains("backups uploaded to S3."), "{}", sent.stderr);
    let dates: std::collections::BTreeSet<_> =
        world.whole_manifests().iter().map(|manifest| manifest["date"].to_string()).collect();
    assert_eq!(dates.len(), 3);
}

#[test]
fn a_warning_that_comes_late_is_told_and_not_only_counted() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.configure(|text| text.replace("settle_wait = \"2s\"", "settle_wait = \"20s\""));
    let half = world.write("mysql/shop/big_20250818.sql.part", "half");
    let run = world.begin_unprivileged(&["all", "--date", WEEKLY]);
    let begun = std::time::Instant::now();
    while world.keys().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the other set did not go");
        std::thread::sleep(Duration::from_millis(20));
    }
    // A name that no engine takes: passed over with a warning.
    fs::rename(&half, half.with_file_name("big_20250818.sql.lz4")).unwrap();
    let run = run.finish().says("see above; they change no exit code");
    assert!(
        run.stderr
            .lines()
            .any(|line| line.contains("WARN [FINDING]") && line.contains("big_20250818.sql.lz4")),
        "{}",
        run.stderr
    );
}

#[test]
fn findings_and_last_words_come_also_where_standard_output_takes_nothing() {
    let world = World::new();
    world.company();
    world.write("mysql/cut/cut_20250818.sql", "-- MySQL dump 10.13\nINSERT INTO `orders` VALUES (1");
    world.configure(|text| {
        format!("{text}[[expect]]\nengine = \"mysql\"\napp = \"*\"\nschedule = \"weekly mon\"\n")
    });
    let mut command = world.command(&["all", "--date", WEEKLY]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for words in ["[FINDING] mysql/cut", "write standard output: ", "3 backups uploaded to S3."] {
        assert!(stderr.contains(words), "{words} in {stderr}");
    }
}
