//! Records that point elsewhere than where the objects of their set lie.

use std::fs;

use chrono::{Days, NaiveDate, Utc};

use crate::support::world::World;

const OLD: &str = "mysql/shop/weekly/shop_20250818.sql";

fn yesterday() -> NaiveDate {
    Utc::now().date_naive() - Days::new(1)
}

/// A bucket whose one backup is old, and a record that passes it for yesterday's.
fn forged() -> (World, String) {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    let manifest = String::from_utf8(world.get(&format!("backup/_catalog/{OLD}/manifest.json"))).unwrap();
    let name = format!("proof-x_{}.sql", yesterday().format("%Y%m%d"));
    let manifest = manifest
        .replace("\"name\": \"shop_20250818.sql\"", &format!("\"name\": \"{name}\""))
        .replace("\"date\": \"2025-08-18\"", &format!("\"date\": \"{}\"", yesterday()));
    let key = format!("backup/_catalog/mysql/shop/weekly/{name}/manifest.json");
    world.put(&key, manifest);
    (world, key)
}

#[test]
fn an_old_object_under_a_new_record_is_no_new_backup() {
    let (world, key) = forged();
    let told = format!("{key}: it names backup/{OLD}, which is not where objects of this set lie");
    let status = world.run(&["status"]).exits(1);
    assert!(status.stdout.contains(&told), "{}", status.stdout);
    assert!(status.stdout.contains("the newest good backup is"), "{}", status.stdout);
    let line = world.run(&["status", "--nagios"]).exits(2).stdout;
    assert!(line.starts_with(&format!("DBBACKUP CRITICAL - record {told}")), "{line}");
    let verify = world.run(&["verify"]).exits(1);
    assert!(verify.stdout.contains(&format!("RECORD  {key}")), "{}", verify.stdout);
    assert!(verify.stdout.contains("1 of 1 sets are good"), "{}", verify.stdout);
}

#[test]
fn latest_does_not_restore_what_a_record_borrows_from_another_set() {
    let (world, key) = forged();
    world
        .run(&["restore", "--latest", "mysql/shop"])
        .exits(1)
        .says(&key)
        .says("not where objects of this set");
    let by_name = key.replace("backup/_catalog/", "").replace("/manifest.json", "");
    world.run(&["restore", &by_name]).exits(1).says("not where objects of this set lie");
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
    world.run(&["restore", OLD]).exits(0);
}

#[test]
fn a_borrowed_object_meets_no_expectation() {
    let (world, _) = forged();
    world.configure(|text| text + "[[expect]]\nengine = \"mysql\"\napp = \"shop\"\nschedule = \"daily\"\n");
    world.run(&["all"]).exits(1).says("the source never produced its backup");
}

#[test]
fn a_bucket_of_which_no_record_can_be_read_is_not_called_empty() {
    let (world, key) = forged();
    world.delete(&format!("backup/_catalog/{OLD}/manifest.json"));
    let line = world.run(&["status", "--nagios"]).exits(2).stdout;
    assert!(line.starts_with(&format!("DBBACKUP CRITICAL - record {key}: it names")), "{line}");
}
