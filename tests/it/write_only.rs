//! An identity that may write and nothing else.

use std::fs;

use dbbackup::embedded::Op;

use crate::support::noise;
use crate::support::world::{WEEKLY, World};

fn write_only() -> World {
    let world = World::new();
    world.company();
    world.write("mssql/crm/big_20250818.bak", noise(17_000_000, 3));
    world.faults().write_only();
    world
}

#[test]
fn the_backup_works_and_everything_is_confirmed() {
    let world = write_only();
    let report = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0).json();
    assert_eq!(report["sent"], 4);
    for set in report["sets"].as_array().unwrap() {
        assert_eq!(set["proof"], "stored", "{set}");
    }
    world.heal();
    assert_eq!(world.whole_manifests().len(), 4);
}

#[test]
fn a_second_run_skips_from_the_copies_on_this_host() {
    let world = write_only();
    world.backup().exits(0);
    let puts = world.server.count(Op::PutObject);
    let report = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0).json();
    assert_eq!((&report["skipped"], &report["sent"]), (&4.into(), &0.into()));
    assert_eq!(world.server.count(Op::PutObject) - puts, 1, "the record of the run");
    assert_eq!(world.server.count(Op::CreateMultipartUpload), 1);
}

#[test]
fn what_is_there_and_cannot_be_compared_is_not_called_good() {
    let world = write_only();
    world.backup().exits(0);
    fs::remove_dir_all(world.path("state/catalog")).unwrap();
    let output = world.backup().exits(1).says("present but not compared");
    assert!(output.stderr.lines().last().unwrap().ends_with("No backups were uploaded to S3."));
}

#[test]
fn looking_and_restoring_say_which_permission_is_missing() {
    let world = write_only();
    world.backup().exits(0);
    world.run(&["list"]).exits(5).says("AccessDenied");
    world.run(&["restore", "mysql/shop/weekly/none_20250818.sql"]).exits(5).says("AccessDenied");
}

#[test]
fn another_store_with_a_bucket_of_that_name_has_nothing_and_gets_everything() {
    let (world, other) = (write_only(), write_only());
    world.backup().exits(0);
    // What is known of the first by its copies is said to be known so.
    world.backup().exits(0).says("stored with the same content, by this host's copy of its record");
    let (first, second) = (world.server.endpoint_url(), other.server.endpoint_url());
    world.configure(|text| text.replace(&first, &second));
    world.backup().exits(0).says("4 backups uploaded to S3.");
    other.heal();
    assert_eq!(other.whole_manifests().len(), 4);
    world.configure(|text| text);
    world.backup().exits(0).says("No backups were uploaded to S3.");
    let names: Vec<String> = fs::read_dir(world.path("state/catalog"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() == 2 && names.iter().all(|name| name.starts_with("backups@127.0.0.1_")), "{names:?}");
}

#[test]
fn a_copy_that_cannot_be_read_is_told() {
    let world = write_only();
    world.backup().exits(0);
    let copies = walkdir::WalkDir::new(world.path("state/catalog")).into_iter().map(Result::unwrap);
    let copy = copies.into_iter().find(|entry| entry.file_type().is_file()).unwrap().into_path();
    fs::write(&copy, "{").unwrap();
    world.backup().exits(1).says("read this host's copy of a manifest in").says("present but not compared");
    fs::remove_file(&copy).unwrap();
    fs::create_dir(&copy).unwrap();
    world.backup().exits(1).says("read this host's copy of a manifest in");
}
