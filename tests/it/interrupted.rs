//! Signals, kills and two runs at once: nothing half-done counts, and the next run completes it.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::support::noise;
use crate::support::program::Output;
use crate::support::world::{WEEKLY, World};

/// A run in the middle of an upload that would take minutes.
fn in_mid_upload(end: Signal) -> (World, Output, Duration) {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(20_000_000, 9));
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100_000 }).on(Op::UploadPart).after(1));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 3);
    world.wait_for_a_part();
    let begun = Instant::now();
    run.signal(end);
    let output = run.finish();
    (world, output, begun.elapsed())
}

fn ends_cleanly(signal: Signal, code: i32) {
    let (world, output, took) = in_mid_upload(signal);
    let output =
        output.exits(code).says("interrupted").says("[INTERRUPTED] mssql/crm/weekly/crm_20250818.bak");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(output.stderr.lines().last().unwrap().ends_with("No backups were uploaded to S3."));
    let log = world.log();
    assert!(log.contains("[INTERRUPTED]") && log.contains("No backups were uploaded to S3."), "{log}");
    world.heal();
    assert!(world.keys().is_empty() && world.whole_manifests().is_empty());
    world.backup().exits(0);
    assert_eq!(world.whole_manifests().len(), 1);
    assert_eq!(world.open_uploads(), 0);
}

#[test]
fn sigterm_ends_the_run_with_143_and_the_next_completes() {
    ends_cleanly(Signal::TERM, 143);
}

#[test]
fn a_run_whose_bucket_answers_no_more_ends_in_time_all_the_same() {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(20_000_000, 9));
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100_000 }).on(Op::UploadPart).after(1));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 3);
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_mins(2))));
    let begun = Instant::now();
    run.signal(Signal::TERM);
    run.finish().exits(143).says("the run record is not in the bucket");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_command_that_waits_for_an_answer_ends_soon_after_a_signal() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_mins(2))));
    let key = "mysql/shop/weekly/shop_20250818.sql";
    for words in [
        &["all", "--date", WEEKLY, "--dry-run"][..],
        &["verify"],
        &["drill", "mysql/shop"],
        &["restore", key],
        &["adopt"],
    ] {
        let run = world.begin(words);
        std::thread::sleep(Duration::from_millis(700));
        let begun = Instant::now();
        run.signal(Signal::TERM);
        run.finish().exits(143).says("interrupted");
        assert!(begun.elapsed() < Duration::from_secs(6), "{words:?}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_restore_into_a_pipe_that_nobody_reads_ends_in_time_after_a_signal() {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(2_000_000, 9));
    world.backup().exits(0);
    let mut command = world.command(&["restore", "mssql/crm/weekly/crm_20250818.bak", "--stdout"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let begun = Instant::now();
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
}

#[test]
fn sigint_ends_the_run_with_130_and_the_next_completes() {
    ends_cleanly(Signal::INT, 130);
}

#[test]
fn a_run_that_was_killed_leaves_nothing_listed_and_the_next_completes() {
    let (world, output, _) = in_mid_upload(Signal::KILL);
    output.exits(137);
    world.heal();
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["sets"], serde_json::json!([]));
    let sent = world.server.count(Op::UploadPart);
    world.backup().exits(0).says("going on with an unfinished upload");
    assert_eq!(world.whole_manifests().len(), 1);
    assert!(world.server.count(Op::UploadPart) - sent < 4, "a part that was there is not sent again");
    assert_eq!(world.open_uploads(), 0);
}

#[test]
fn a_bucket_that_is_busy_when_asked_for_parts_is_asked_again() {
    let (world, output, _) = in_mid_upload(Signal::KILL);
    output.exits(137);
    world.heal();
    let (held, sent) = (world.held_parts(), world.server.count(Op::UploadPart));
    for op in [Op::ListParts, Op::ListMultipartUploads] {
        let busy = Fault::Answer { status: 503, code: "SlowDown" };
        world.faults().add(Rule::new(busy).on(op).times(2));
    }
    world.backup().exits(0).says("going on with an unfinished upload");
    let again = world.server.count(Op::UploadPart) - sent;
    assert!(held > 0 && held + again <= 4, "{held} parts were there, and {again} were sent again");
    assert_eq!((world.whole_manifests().len(), world.open_uploads()), (1, 0));
}

#[test]
fn what_a_resumed_upload_has_stays_where_the_rest_fails_and_is_not_swept() {
    let (world, _, _) = in_mid_upload(Signal::KILL);
    world.heal();
    let journal = world.path("state/uploads.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let year = text.find("\"at\":\"").unwrap() + 6;
    fs::write(&journal, format!("{}2024{}", &text[..year], &text[year + 4..])).unwrap();
    let held = world.held_parts();
    // So that the part that gets through is there before the others are given up.
    world.configure(|text| text.replace("\"10ms\", \"20ms\"", "\"700ms\""));
    world.faults().add(Rule::new(Fault::SLOW_DOWN).on(Op::UploadPart).after(1));
    let run = world.backup().exits(1).says("going on with an unfinished upload").says("stay in the bucket");
    assert!(!run.stderr.contains("begun anew") && !world.log().contains("[SWEPT]"), "{}", run.stderr);
    assert_eq!((world.open_uploads(), world.held_parts()), (1, held + 1));
    assert!(world.all_keys().iter().any(|key| key.contains("/_runs/")), "a run that sent data is recorded");
    world.heal();
    let sent = world.server.count(Op::UploadPart);
    world.backup().exits(0);
    assert_eq!(world.server.count(Op::UploadPart) - sent, 4 - held - 1);
    assert_eq!((world.whole_manifests().len(), world.open_uploads()), (1, 0));
}

#[test]
fn a_host_that_knows_nothing_of_an_upload_goes_on_with_it_and_leaves_none_open() {
    let (world, _, _) = in_mid_upload(Signal::KILL);
    world.heal();
    let (held, sent) = (world.held_parts(), world.server.count(Op::UploadPart));
    // It begins an upload of its own before it is told of the other one.
    fs::remove_dir_all(world.path("state")).unwrap();
    world.backup().exits(0);
    let again = world.server.count(Op::UploadPart) - sent;
    assert!(held > 0 && held + again <= 4, "{held} parts were there, and {again} were sent again");
    assert_eq!((world.whole_manifests().len(), world.open_uploads()), (1, 0));
    // Nor does one stay open where the object is there and only its record is lost.
    for key in world.all_keys().iter().filter(|key| key.ends_with("/manifest.json")) {
        world.delete(key);
    }
    fs::remove_dir_all(world.path("state")).unwrap();
    world.backup().exits(0);
    assert_eq!(world.server.count(Op::UploadPart) - sent, again, "nothing is sent for it");
    assert_eq!((world.whole_manifests().len(), world.open_uploads()), (1, 0));
}

#[test]
fn a_killed_folder_is_not_listed_and_not_restored_and_the_next_run_completes_it() {
    let world = World::new();
    world.rman("erp/rman_erp_18-08-2025");
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100 }).on(Op::PutObject).key("/c-1234"));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 3);
    let begun = Instant::now();
    while world.keys().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", world.keys());
        std::thread::sleep(Duration::from_millis(5));
    }
    run.signal(Signal::KILL);
    run.finish().exits(137);
    world.heal();
    let key = "oracle/erp/weekly/rman_erp_18-08-2025";
    assert_eq!(world.run(&["list", "--json"]).exits(0).json()["sets"], serde_json::json!([]));
    world.run(&["restore", key]).exits(1).says("no manifest");
    world.backup().exits(0);
    world.run(&["restore", key]).exits(0);
}

#[test]
fn a_restore_that_is_interrupted_leaves_no_file_of_that_name() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    let key = "mssql/crm/weekly/crm_20250818.bak";
    let drip = Fault::Drip { bytes_per_second: 1000 };
    world.faults().add(Rule::new(drip).on(Op::GetObject).key("mssql/crm/weekly/crm_20250818.bak").after(1));
    let fetched = world.server.count(Op::GetObject);
    let run = world.begin(&["restore", key]);
    world.wait_for(Op::GetObject, fetched + 2);
    run.signal(Signal::TERM);
    run.finish().exits(143);
    assert!(!world.path("out/crm_20250818.bak").exists());
    world.heal();
    world.run(&["restore", key]).exits(0);
}

#[test]
fn a_second_run_exits_4_and_says_who_holds_the_lock() {
    let world = World::new();
    world.company();
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100 }).on(Op::PutObject));
    let first = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 1);
    let pid = first.id().to_string();
    world.run(&["mysql", "--date", WEEKLY]).exits(4).says(&pid);
    world.heal();
    first.signal(Signal::KILL);
    first.finish();
    // The kernel released it with the process: no stale file stops the next run.
    world.backup().exits(0);
}

#[test]
fn a_dry_run_needs_no_lock() {
    let world = World::new();
    world.company();
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100 }).on(Op::PutObject));
    let first = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 1);
    world.run(&["all", "--date", WEEKLY, "--dry-run"]).exits(0);
    first.signal(Signal::KILL);
}

#[test]
fn a_run_that_waits_for_its_first_answer_ends_at_once_on_a_signal() {
    let world = World::new();
    world.company();
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_hours(1))).on(Op::ListObjectsV2));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::ListObjectsV2, 1);
    let begun = Instant::now();
    run.signal(Signal::TERM);
    let output = run.finish().exits(143).says("interrupted before anything was sent");
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert!(output.stderr.lines().last().unwrap().ends_with("No backups were uploaded to S3."));
}

#[test]
fn a_bucket_that_hangs_does_not_keep_an_interrupted_run() {
    let world = World::new();
    world.company();
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_hours(1))).on(Op::PutObject));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 5);
    let begun = Instant::now();
    run.signal(Signal::TERM);
    run.finish().exits(143).says("[INTERRUPTED]");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    world.heal();
    assert!(world.whole_manifests().is_empty());
    world.backup().exits(0);
}

#[test]
fn a_request_without_an_answer_ends_at_the_attempt_timeout() {
    let world = World::new();
    world.company();
    world.configure(|text| text.replace("path_style = true", "path_style = true\nattempt_timeout = \"1s\""));
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_hours(1))).on(Op::PutObject).times(1));
    world.backup().exits(0).says("[RETRY]");
    assert_eq!(world.whole_manifests().len(), 3);
}
