//! Backups that are still being copied when a run looks: what becomes of each is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use dbbackup::embedded::{Fault, Op, Rule};

use crate::inspect::{backup_option, dump};
use crate::support::program::Output;
use crate::support::world::{WEEKLY, World};

/// A run that waits for `unfinished` while something is done to it, after another set was sent.
fn meanwhile(world: &World, wait: &str, unfinished: &str, deed: impl FnOnce(&Path)) -> Output {
    backup_option(world, &format!("settle_wait = \"{wait}\""));
    world.dump("blog/blog_20250818.sql");
    let unfinished = world.write(&format!("mysql/{unfinished}"), "SELECT 1;\n-- half");
    let run = world.begin_unprivileged(&["all", "--date", WEEKLY]);
    let begun = Instant::now();
    while world.keys().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the other set did not go");
        std::thread::sleep(Duration::from_millis(20));
    }
    deed(&unfinished);
    run.finish()
}

#[test]
fn dump_that_is_still_being_copied_is_waited_for_under_its_name_to_come() {
    let world = World::new();
    let whole = dump(9_000, WEEKLY);
    let run = meanwhile(&world, "1m", "shop/shop_20250818.sql.part", |half| {
        fs::write(half, &whole).unwrap();
        fs::rename(half, half.with_file_name("shop_20250818.sql")).unwrap();
    });
    run.exits(0).says("shop_20250818.sql.part: its name says").says("2 backups uploaded to S3.");
    assert_eq!(world.get("backup/mysql/shop/weekly/shop_20250818.sql"), whole);
}

#[test]
fn dump_that_is_still_being_copied_after_the_wait_makes_the_run_fail() {
    let world = World::new();
    backup_option(&world, "settle_wait = \"200ms\"");
    world.dump("blog/blog_20250818.sql");
    world.write("mysql/shop/shop_20250818.sql.part", "SELECT 1;\n-- half");
    let run = world.backup().exits(1);
    assert!(
        run.stderr
            .contains("shop_20250818.sql.part: its name says that it is still being written, and still did")
    );
    assert_eq!(world.keys(), ["backup/mysql/blog/weekly/blog_20250818.sql"]);
}

#[test]
fn what_was_being_copied_and_is_removed_makes_the_run_fail() {
    let world = World::new();
    let run = meanwhile(&world, "1m", "shop/shop_20250818.sql.part", |path| fs::remove_file(path).unwrap());
    run.exits(1).says("shop_20250818.sql.part: it was being written when the run looked, and is gone now");
}

#[test]
fn what_was_being_copied_and_ends_under_a_name_without_a_date_makes_the_run_fail() {
    let world = World::new();
    let run = meanwhile(&world, "1m", "shop/shop_20250818.sql.part", |path| {
        fs::rename(path, path.with_file_name("shop.sql")).unwrap();
    });
    run.exits(1).says("shop_20250818.sql.part: it was being written when the run looked, and is gone now");
}

#[test]
fn a_source_that_goes_away_while_it_is_waited_for_makes_the_run_fail() {
    let world = World::new();
    let source = world.path("mysql");
    let run = meanwhile(&world, "5s", "shop/shop_20250818.sql.part", |_| {
        fs::set_permissions(&source, fs::Permissions::from_mode(0o000)).unwrap();
    });
    fs::set_permissions(&source, fs::Permissions::from_mode(0o755)).unwrap();
    run.exits(1).says("it cannot be searched any more");
}

#[test]
fn a_copy_that_takes_the_place_of_what_was_sent_is_looked_at() {
    let world = World::new();
    let run = meanwhile(&world, "1m", "blog/.blog_20250818.sql.aB3dE9", |path| {
        fs::write(path, "-- another dump of that day\n").unwrap();
        fs::rename(path, path.with_file_name("blog_20250818.sql")).unwrap();
    });
    run.exits(1).says("a set of this name is stored with other content");
}

#[test]
fn what_is_done_when_the_others_went_is_sent_however_long_those_took() {
    let world = World::new();
    let run = meanwhile(&world, "1ms", "shop/shop_20250818.sql.part", |_| {});
    run.exits(1).says("and still did after");
    // The other is sent slowly, beyond the wait; the copy ends meanwhile.
    let world = World::new();
    backup_option(&world, "settle_wait = \"1s\"");
    world.dump("blog/blog_20250818.sql");
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_secs(3))).on(Op::PutObject).key("/blog"));
    let part = world.write("mysql/shop/shop_20250818.sql.part", dump(9_000, WEEKLY));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for_a_fault();
    fs::rename(&part, world.path("mysql/shop/shop_20250818.sql")).unwrap();
    run.finish().exits(0).says("2 backups uploaded to S3.");
}

#[test]
fn a_copy_that_goes_to_its_place_from_elsewhere_is_what_was_awaited() {
    let world = World::new();
    let place = world.path("mysql/shop");
    fs::create_dir_all(&place).unwrap();
    let run = meanwhile(&world, "1m", "incoming/shop_20250818.sql.part", |path| {
        fs::rename(path, place.join("shop_20250818.sql")).unwrap();
    });
    run.exits(0).says("2 backups uploaded to S3.");
}

#[test]
fn a_dry_run_does_not_miss_what_is_being_copied() {
    let world = World::new();
    world.configure(|text| {
        format!("{text}[[expect]]\nengine = \"mysql\"\napp = \"*\"\nschedule = \"daily\"\n")
    });
    world.write("mysql/shop/shop_20250818.sql.part", "SELECT 1;\n-- half");
    let planned = world.run(&["all", "--date", WEEKLY, "--dry-run"]).exits(3);
    assert!(!planned.stdout.contains("never produced"), "{}", planned.stdout);
}
