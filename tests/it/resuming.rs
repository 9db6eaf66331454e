//! A restore that was interrupted goes on with what it wrote, once those bytes were read again and
//! compared; nothing of another version gets in.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::support::noise;
use crate::support::world::{World, assert_same};

const KEY: &str = "mssql/crm/weekly/crm_20250818.bak";
const SOURCE: &str = "mssql/crm/crm_20250818.bak";
const TARGET: &str = "out/crm_20250818.bak";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

/// Waits until that many ranges are in the journal.
fn wait_for_ranges(journal: &Path, count: usize) {
    let begun = Instant::now();
    let lines = || fs::read_to_string(journal).unwrap_or_default().lines().count();
    while lines() < count {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} ranges in {}", lines(), journal.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A restore of four ranges, killed when three of them had arrived.
fn three_of_four() -> World {
    let world = World::new();
    world.write(SOURCE, noise(17_000_000, 9));
    world.backup().exits(0);
    // The manifest is the first to be read.
    let never = Rule::new(Fault::DelayReply(Duration::from_hours(1)));
    world.faults().add(never.on(Op::GetObject).key("crm_20250818.bak").after(4));
    let run = world.begin(&["restore", KEY]);
    wait_for_ranges(&world.path("out/crm_20250818.bak.partial.ranges"), 3);
    run.signal(Signal::KILL);
    run.finish().exits(137);
    world.heal();
    assert!(!world.path(TARGET).exists() && world.path("out/crm_20250818.bak.partial").exists());
    world
}

/// How many objects and ranges the next restore fetches, its manifest left out.
#[track_caller]
fn fetched_again(world: &World, key: &str, ours: &str, target: &str) -> u64 {
    let before = world.server.count(Op::GetObject);
    let output = world.run(&["restore", key]).exits(0);
    assert_same(&world.path(ours), &world.path(target));
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 1, "nothing else is left");
    let fetched = world.server.count(Op::GetObject) - before - 1;
    assert_eq!(fetched < 4, output.stderr.contains("[RESUMED]"), "{}", output.stderr);
    fetched
}

#[test]
fn no_range_is_fetched_twice() {
    let world = three_of_four();
    assert_eq!(fetched_again(&world, KEY, SOURCE, TARGET), 1);
}

#[test]
fn a_range_that_the_disk_lost_is_fetched_again() {
    let world = three_of_four();
    let partial = fs::File::options().write(true).open(world.path("out/crm_20250818.bak.partial")).unwrap();
    // All of the first range and the beginning of the second, as a power cut may leave them.
    partial.write_all_at(&vec![0; 6 << 20], 0).unwrap();
    let fetched = fetched_again(&world, KEY, SOURCE, TARGET);
    assert!((2..=3).contains(&fetched), "{fetched}");
}

#[test]
fn another_version_is_fetched_from_its_beginning() {
    let world = three_of_four();
    // The same bytes under another entity tag: nothing but the tag can tell.
    world.put(&format!("backup/{KEY}"), fs::read(world.path(SOURCE)).unwrap());
    assert_eq!(fetched_again(&world, KEY, SOURCE, TARGET), 4);
}

#[test]
fn a_partial_file_of_something_else_is_no_beginning() {
    let world = three_of_four();
    fs::write(world.path("out/crm_20250818.bak.partial"), noise(17_000_000, 8)).unwrap();
    assert_eq!(fetched_again(&world, KEY, SOURCE, TARGET), 4);
}

#[test]
fn a_folder_goes_on_with_the_files_that_are_missing() {
    let world = World::new();
    world.rman("erp/rman_erp_18-08-2025");
    world.backup().exits(0);
    let never = Rule::new(Fault::DelayReply(Duration::from_hours(1)));
    world.faults().add(never.on(Op::GetObject).key("/c-1234567890"));
    let run = world.begin(&["restore", FOLDER]);
    wait_for_ranges(&world.path("out/rman_erp_18-08-2025.partial.ranges"), 2);
    run.signal(Signal::KILL);
    run.finish().exits(137);
    world.heal();
    let fetched = fetched_again(&world, FOLDER, "oracle/erp/rman_erp_18-08-2025", "out/rman_erp_18-08-2025");
    assert_eq!(fetched, 1, "two of three files were there");
}

#[test]
fn what_turned_out_damaged_is_not_built_upon() {
    let world = World::new();
    world.write(SOURCE, noise(17_000_000, 9));
    world.faults().add(Rule::new(Fault::FlipStoredBit { at: 4_000_000 }).on(Op::UploadPart).times(1));
    world.backup().exits(0);
    world.run(&["restore", KEY]).exits(1).says("is damaged");
    assert_eq!(fs::metadata(world.path("out/crm_20250818.bak.partial.ranges")).unwrap().len(), 0);
    world.put(&format!("backup/{KEY}"), fs::read(world.path(SOURCE)).unwrap());
    assert_eq!(fetched_again(&world, KEY, SOURCE, TARGET), 4);
}
