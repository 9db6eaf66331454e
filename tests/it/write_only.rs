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
