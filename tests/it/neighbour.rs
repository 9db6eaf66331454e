//! What goes first, what will be late, and how a run keeps behind its neighbours.

use std::fs;
use std::process::Command;

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::noise;
use crate::support::world::{WEEKLY, World};

#[test]
fn sections_of_a_higher_priority_go_first_and_of_one_section_the_older_sets() {
    let world = World::new();
    // Whoever comes first goes while the others queue up.
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 200_000 }).on(Op::PutObject));
    world.bak("crm/first_20250818.bak", 80_000);
    world.write("mysql/shop/shop_20250817.sql", noise(80_000, 1));
    world.write("mysql/shop/shop_20250818.sql", noise(80_000, 2));
    world.bak("crm/crm_20250818.bak", 80_001);
    world.configure(|text| {
        text.replace("[mssql]\n", "[mssql]\npriority = 10\n") + "concurrency = 1\ndaily = true\n"
    });
    world.run(&["all", "--since", "2025-08-17", "--until", WEEKLY]).exits(0);
    let log = world.log();
    let sent: Vec<&str> = log.lines().filter(|line| line.contains("[SENT]")).skip(1).collect();
    let mut expected = sent.clone();
    let rank = |line: &&str| ["mssql/", "_20250817", "_20250818"].iter().position(|part| line.contains(part));
    expected.sort_by_key(rank);
    assert_eq!(sent, expected);
}

#[test]
fn small_sets_do_not_wait_for_a_huge_one_that_goes_first() {
    let world = World::new();
    // Half a minute for the huge one, the oldest and of the highest priority; the line is never free of it.
    world.configure(|text| {
        text.replace("[mssql]\n", "[mssql]\npriority = 100\n") + "bandwidth = \"4MB/s\"\ndaily = true\n"
    });
    world.write("mssql/crm/crm_20250817.bak", noise(60_000_000, 1));
    for number in 0..20 {
        world.write(&format!("mysql/shop{number}/shop_20250818.sql"), noise(100_000, number));
    }
    world.run(&["all", "--since", "2025-08-17", "--until", WEEKLY]).exits(0);
    let log = world.log();
    let stored: Vec<&str> = log.lines().filter(|line| line.contains("[SUCCESS]")).collect();
    assert_eq!(stored.len(), 21, "{log}");
    assert!(stored[20].contains("crm_20250817.bak"), "{stored:#?}");
}

#[test]
fn set_that_will_miss_the_deadline_is_told_by_the_rate_of_the_last_run() {
    let world = World::new();
    world.configure(|text| text + "deadline = \"06:00\"\n");
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    // A TiB, of which nothing is on the disk: a day is too short for it at 12 MB/s, and one small dump is
    // slower than that.
    let huge = world.write("mssql/crm/crm_20250818.bak", b"MSSQLBAK");
    fs::OpenOptions::new().write(true).open(huge).unwrap().set_len(1 << 40).unwrap();
    let plan = world.run(&["all", "--date", WEEKLY, "--dry-run", "--json"]).exits(0).json();
    let late: Vec<&str> = plan["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["what"].as_str().unwrap().contains("will not be stored by 06:00"))
        .map(|finding| finding["subject"].as_str().unwrap())
        .collect();
    assert_eq!(late, ["mssql/crm/weekly/crm_20250818.bak"], "{plan}");
}

#[test]
fn every_thread_steps_back_at_processor_and_disk() {
    let world = World::new();
    world.bak("crm/crm_20250818.bak", 20 << 20);
    world.configure(|text| text + "nice = 7\nio_class = \"idle\"\nbandwidth = \"5MiB/s\"\n");
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 1);
    let mut threads = 0;
    for thread in fs::read_dir(format!("/proc/{}/task", run.id())).unwrap() {
        let thread = thread.unwrap();
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap();
        // Field 19 of proc_pid_stat(5); the name in field 2 may hold spaces.
        let nice = stat.rsplit(')').next().unwrap().split_whitespace().nth(16).unwrap();
        assert_eq!(nice, "7", "{stat}");
        let tid = thread.file_name().into_string().unwrap();
        let class = Command::new("ionice").args(["-p", &tid]).output().unwrap();
        assert_eq!(String::from_utf8(class.stdout).unwrap().trim(), "idle");
        threads += 1;
    }
    assert!(threads > 2, "its workers too");
    run.finish().exits(0);
}
