//! Sets that a lifecycle rule of the bucket removed: no loss where `[s3] expires` repeats the rule, and one where not.

use chrono::{Datelike, Days, NaiveDate, Utc, Weekday};
use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::program::Output;
use crate::support::world::World;

const OLD: &str = "mysql/shop/weekly/shop_20250818.sql";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

fn yesterday() -> NaiveDate {
    Utc::now().date_naive() - Days::new(1)
}

/// With a weekly day that is neither of the two dates, so that neither is monthly.
fn expires(world: &World, days: &str) {
    let day = if yesterday().weekday() == Weekday::Tue { "wed" } else { "tue" };
    world.configure(|text| {
        let text = text.replace("[backup]\n", &format!("[backup]\nweekly_day = \"{day}\"\n"));
        if days.is_empty() {
            return text;
        }
        text.replace(
            "path_style = true\n",
            &format!("path_style = true\nexpires = {{ weekly = \"{days}\" }}\n"),
        )
    });
}

/// A bucket with an old dump and that of last night, both read back and proven.
fn proven() -> World {
    let world = World::new();
    expires(&world, "");
    world.dump("shop/shop_20250818.sql");
    world.dump(&format!("shop/shop_{}.sql", yesterday().format("%Y%m%d")));
    world.backup().exits(0);
    world.run(&["all"]).exits(0);
    world.run(&["verify", "--reread"]).exits(0);
    world.run(&["status"]).exits(0);
    world
}

fn manifest(set: &str) -> String {
    format!("backup/_catalog/{set}/manifest.json")
}

#[track_caller]
fn tells(output: &Output, text: &str) {
    assert!(output.stdout.contains(text), "{text}:\n{}{}", output.stdout, output.stderr);
}

#[test]
fn proofs_that_outlive_an_expired_set_are_a_loss_only_before_its_age() {
    let world = proven();
    world.delete(&format!("backup/{OLD}"));
    world.delete(&manifest(OLD));
    for too_young in ["", "36500d"] {
        expires(&world, too_young);
        tells(&world.run(&["status"]).exits(1), "something was proven of this set, but its manifest is gone");
        tells(&world.run(&["verify"]).exits(1), "1 of 1 sets are good");
        world.run(&["restore", "--latest", "mysql/shop"]).exits(1);
    }
    expires(&world, "1d");
    world.run(&["status"]).exits(0);
    world.run(&["list"]).exits(0);
    world.run(&["restore", "--latest", "mysql/shop"]).exits(0);
    let verify = world.run(&["verify"]).exits(0);
    tells(&verify, "1 more have expired: by its age the bucket has removed what was stored of each");
    assert_eq!(world.run(&["verify", "--json"]).exits(0).json()["expired"], 1);
}

#[test]
fn objects_whose_manifest_went_first_are_no_orphans_while_the_rule_is_at_work() {
    let world = proven();
    let newest = format!("mysql/shop/weekly/shop_{}.sql", yesterday().format("%Y%m%d"));
    for set in [OLD, &newest] {
        for key in world.all_keys().iter().filter(|key| key.contains(&format!("_catalog/{set}/"))) {
            world.delete(key);
        }
    }
    // By its name the other should have gone long ago.
    for (days, orphans) in [("", 2), ("36500d", 2), ("1d", 1)] {
        expires(&world, days);
        let verify = world.run(&["verify"]).exits(1);
        assert_eq!(verify.stdout.matches("ORPHANED").count(), orphans, "{}", verify.stdout);
        assert_eq!(verify.stdout.contains("1 more have expired"), orphans == 1, "{}", verify.stdout);
    }
}

#[test]
fn a_set_whose_object_expired_is_damaged_only_before_its_age() {
    let world = proven();
    world.delete(&format!("backup/{OLD}"));
    for too_young in ["", "36500d"] {
        expires(&world, too_young);
        tells(&world.run(&["status"]).exits(1), &format!("{OLD} is damaged"));
        tells(&world.run(&["verify"]).exits(1), "MISSING");
    }
    expires(&world, "1d");
    world.run(&["status"]).exits(0);
    tells(&world.run(&["verify"]).exits(0), "1 more have expired");
    assert!(!world.run(&["list"]).exits(0).stdout.contains("shop_20250818"));
    world.run(&["show", OLD]).exits(0).says("has expired");
    world.run(&["drill", "oracle/erp"]).exits(3);
}

#[test]
fn latest_says_that_it_passes_over_a_newer_set_that_expired() {
    let world = proven();
    let newest = format!("mysql/shop/weekly/shop_{}.sql", yesterday().format("%Y%m%d"));
    world.delete(&format!("backup/{newest}"));
    expires(&world, "1d");
    let restored = world.run(&["restore", "--latest", "mysql/shop"]).exits(0);
    assert!(restored.stderr.contains(&format!("{newest} is newer and passed over")), "{}", restored.stderr);
    assert!(world.path("out/shop_20250818.sql").is_file());
    // The rule excuses no app from having a new backup.
    tells(&world.run(&["status"]).exits(1), "the newest good backup is");
    world.delete(&format!("backup/{OLD}"));
    tells(&world.run(&["status"]).exits(1), "mysql/shop: all that was stored of it has expired");
}

/// A folder of the old day without one of its files.
fn without_a_piece() -> (World, String) {
    let world = World::new();
    expires(&world, "1d");
    world.rman("erp/rman_erp_18-08-2025");
    world.backup().exits(0);
    let piece = world.keys().remove(0);
    world.delete(&piece);
    (world, piece)
}

#[test]
fn a_folder_of_which_s3_took_the_first_files_only_is_not_damaged_for_those_days() {
    let (world, _) = without_a_piece();
    let verify = world.run(&["verify"]).exits(3);
    tells(&verify, "1 more have expired");
    assert!(!verify.stdout.contains("foreign") && !verify.stdout.contains("ORPHANED"), "{}", verify.stdout);
    assert!(!world.run(&["status"]).exits(1).stdout.contains("damaged"));
}

#[test]
fn a_folder_of_which_a_part_stays_for_good_is_damaged() {
    let (world, piece) = without_a_piece();
    let mut record: serde_json::Value = serde_json::from_slice(&world.get(&manifest(FOLDER))).unwrap();
    record["created"] = "2025-08-19T01:00:00Z".into();
    world.put(&manifest(FOLDER), record.to_string());
    let verify = world.run(&["verify"]).exits(1);
    tells(&verify, &format!("MISSING  {piece}"));
    tells(&world.run(&["status"]).exits(1), "is damaged");
    // Nothing of it is left: the rule did it.
    for key in world.keys() {
        world.delete(&key);
    }
    tells(&world.run(&["verify"]).exits(3), "1 more have expired");
}

#[test]
fn who_may_not_list_the_backups_goes_on_with_their_records() {
    let world = proven();
    world.delete(&format!("backup/{OLD}"));
    expires(&world, "1d");
    let denied = Rule::new(Fault::Answer { status: 403, code: "AccessDenied" });
    world.faults().add(denied.on(Op::ListObjectsV2).key("backup/mysql"));
    assert!(world.run(&["list"]).exits(0).stdout.contains("shop_20250818"));
}
