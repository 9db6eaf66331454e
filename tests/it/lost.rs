//! Sets whose manifest is in the bucket and whose objects are not: no run calls them stored.

use std::fs;

use crate::support::world::{WEEKLY, World, assert_same};

const DUMP: &str = "mysql/shop/weekly/shop_20250818.sql";

#[test]
fn a_set_whose_object_is_gone_is_not_skipped_as_stored() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world.delete(&format!("backup/{DUMP}"));
    let run =
        world.backup().exits(1).says(&format!("[REFUSED] {DUMP}: it is recorded as stored, and cannot"));
    assert!(run.stderr.contains(&format!("object backup/{DUMP} is missing")), "{}", run.stderr);
    assert!(run.stderr.contains("bring the object back from a version"), "{}", run.stderr);
    let planned = world.run(&["all", "--date", WEEKLY, "--dry-run"]).exits(1);
    assert!(planned.stdout.contains("is missing"), "{}", planned.stdout);
}

#[test]
fn what_a_run_says_to_do_of_a_lost_object_brings_it_back() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world.delete(&format!("backup/{DUMP}"));
    world.backup().exits(1).says("after removing its manifest (`_catalog/KEY/manifest.json`");
    world.delete(&format!("backup/_catalog/{DUMP}/manifest.json"));
    world.backup().exits(0);
    world.run(&["verify"]).exits(0);
}

#[test]
fn replace_sends_a_lost_object_again_on_a_versioned_bucket() {
    let world = World::versioned();
    world.company();
    world.backup().exits(0);
    world.delete(&format!("backup/{DUMP}"));
    world.backup().exits(1).says("on a versioned bucket with --replace");
    world.run(&["all", "--date", WEEKLY, "--replace"]).exits(0).says("1 backups uploaded to S3.");
    world.run(&["verify"]).exits(0);
    world.run(&["restore", DUMP, "--to", world.path("out").to_str().unwrap()]).exits(0);
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
}

#[test]
fn a_folder_that_lost_one_of_its_files_is_not_skipped_either() {
    let world = World::new();
    world.rman("erp/rman_erp_18-08-2025");
    world.backup().exits(0);
    let key = world.keys().pop().unwrap();
    world.delete(&key);
    world.backup().exits(1).says(&format!("object {key} is missing"));
}

#[test]
fn a_file_that_is_only_touched_does_not_bring_a_lost_object_under_an_old_record() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    world.delete(&format!("backup/{DUMP}"));
    fs::File::options().write(true).open(&dump).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    world.backup().exits(1).says("is missing");
    assert!(world.keys().is_empty());
}

#[test]
fn a_lost_set_of_the_days_before_is_told_by_a_catch_up() {
    let world = World::new();
    for back in 1..=3 {
        let day = chrono::Utc::now().date_naive() - chrono::Days::new(back);
        world.dump(&format!("shop/shop_{}.sql", day.format("%Y%m%d")));
    }
    world.run(&["all", "--catch-up"]).exits(0).says("3 backups uploaded to S3.");
    let key = world.keys().remove(0);
    world.delete(&key);
    world.run(&["all", "--catch-up"]).exits(1).says(&format!("object {key} is missing"));
}
