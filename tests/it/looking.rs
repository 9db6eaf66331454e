//! `list` and `show`: what the bucket has.

use std::fs;

use crate::support::world::{MONTHLY, WEEKLY, World, assert_same};

fn stored() -> World {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world
}

#[test]
fn list_prints_a_row_for_each_stored_set() {
    let world = stored();
    let output = world.run(&["list"]).exits(0);
    for text in ["mysql/shop/weekly/shop_20250818.sql", "mssql/crm/weekly/crm_20250818.bak", WEEKLY, "stored"]
    {
        assert!(output.stdout.contains(text), "{text} in {}", output.stdout);
    }
    assert_eq!(output.stdout.lines().count(), 4, "{}", output.stdout);
}

#[test]
fn list_of_an_empty_bucket_says_so() {
    let output = World::new().run(&["list"]).exits(0);
    assert!(output.stdout.contains("No stored backups fit"), "{}", output.stdout);
}

#[test]
fn list_takes_an_engine_an_app_a_span_and_a_category() {
    let world = stored();
    world.dump("shop/shop_20250825.sql");
    world.dump("shop2/shop_20250825.sql");
    world.run(&["mysql", "--date", MONTHLY]).exits(0);
    let count = |args: &[&str]| {
        let list: Vec<&str> = ["list", "--json"].iter().chain(args).copied().collect();
        world.run(&list).exits(0).json()["sets"].as_array().unwrap().len()
    };
    assert_eq!(count(&[]), 5);
    assert_eq!(count(&["mysql"]), 3);
    assert_eq!(count(&["mysql/shop"]), 2);
    assert_eq!(count(&["--since", "2025-08-19"]), 2);
    assert_eq!(count(&["--until", "2025-08-19"]), 3);
    assert_eq!(count(&["--category", "monthly"]), 2);
    assert_eq!(count(&["mysql/shop", "--category", "weekly"]), 1);
}

#[test]
fn list_json_tells_each_set_with_size_files_and_proof() {
    let world = stored();
    let document = world.run(&["list", "oracle", "--json"]).exits(0).json();
    let set = &document["sets"][0];
    assert_eq!(set["key"], "oracle/erp/weekly/rman_erp_18-08-2025");
    assert_eq!((&set["files"], &set["size"], &set["proof"]), (&3.into(), &27_000.into(), &"stored".into()));
    assert_eq!(set["date"], WEEKLY);
}

#[test]
fn list_all_shows_objects_without_a_manifest_as_unproven() {
    let world = stored();
    world.put("backup/mysql/shop/weekly/by_hand_20250811.sql", "sent by hand");
    let plain = world.run(&["list"]).exits(0);
    assert!(!plain.stdout.contains("by_hand"), "{}", plain.stdout);
    let all = world.run(&["list", "--all"]).exits(0);
    assert!(all.stdout.contains("unproven") && all.stdout.contains("mysql/shop/weekly/by_hand_20250811.sql"));
    let document = world.run(&["list", "--all", "--json"]).exits(0).json();
    let loose = document["unproven"].as_array().unwrap();
    assert_eq!(loose.len(), 1, "{document}");
    assert_eq!(loose[0]["key"], "mysql/shop/weekly/by_hand_20250811.sql");
}

#[test]
fn list_tells_a_damaged_manifest_and_exits_1() {
    let world = stored();
    world.put("backup/_catalog/mysql/shop/weekly/shop_20250818.sql/manifest.json", "{");
    world.run(&["list"]).exits(1).says("manifest.json");
}

#[test]
fn show_tells_why_and_how_a_set_is_stored() {
    let world = stored();
    for key in [
        "mysql/shop/weekly/shop_20250818.sql",
        "backup/mysql/shop/weekly/shop_20250818.sql",
        "s3://backups/backup/mysql/shop/weekly/shop_20250818.sql",
    ] {
        let output = world.run(&["show", key]).exits(0);
        for text in [
            "Monday 18 August 2025 is in week 3",
            "stored: S3's own checksum of every object equals ours",
            "s3://backups/backup/mysql/shop/weekly/shop_20250818.sql",
            "crc64nvme",
        ] {
            assert!(
                output.stdout.to_lowercase().contains(&text.to_lowercase()),
                "{text} in {}",
                output.stdout
            );
        }
    }
}

#[test]
fn show_json_is_one_document_with_the_manifest() {
    let world = stored();
    let document = world.run(&["show", "oracle/erp/weekly/rman_erp_18-08-2025", "--json"]).exits(0).json();
    assert_eq!(document["manifest"]["files"].as_array().unwrap().len(), 3);
    assert_eq!(document["proof"], "stored");
}

#[test]
fn show_of_what_is_not_there_exits_1_and_of_another_bucket_2() {
    let world = stored();
    world.run(&["show", "mysql/shop/weekly/none_20250818.sql"]).exits(1).says("nothing is stored under");
    world.run(&["show", "s3://another/backup/mysql/x"]).exits(2).says("another");
}

#[test]
fn what_verify_says_to_do_of_a_lost_object_brings_it_back() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    let key = "mysql/shop/weekly/shop_20250818.sql";
    world.delete(&format!("backup/{key}"));
    let lost = world.run(&["verify"]).exits(1);
    assert!(
        lost.stdout.contains("remove the backup's manifest (`_catalog/KEY/manifest.json`"),
        "{}",
        lost.stdout
    );
    world.delete(&format!("backup/_catalog/{key}/manifest.json"));
    world.backup().exits(0).says("[SUCCESS] mysql/shop");
    world.run(&["verify"]).exits(0);
}

#[test]
fn a_damaged_manifest_is_told_with_what_helps_and_does_not_stand_in_the_way() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    let key = "mysql/shop/weekly/shop_20250818.sql";
    let manifest = format!("backup/_catalog/{key}/manifest.json");
    world.put(&manifest, "garbage");
    let verified = world.run(&["verify"]).exits(1);
    assert!(
        verified.stdout.contains("or remove it, and run the backup of its day again"),
        "{}",
        verified.stdout
    );
    assert!(!verified.stdout.contains("ORPHANED"), "{}", verified.stdout);
    world.backup().exits(1).says("or remove it, and run the backup of its day again");
    world.run(&["restore", key]).exits(1).says("or remove it");
    world.run(&["restore", key, "--unproven"]).exits(1).says("restored without it");
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
    world.delete(&manifest);
    world.backup().exits(0);
    world.run(&["verify"]).exits(0);
}

#[test]
fn a_backup_of_the_future_is_not_the_latest() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    world.dump("shop/shop_20901122.sql");
    world.run(&["all", "--since", "2025-08-18", "--until", "2025-08-18"]).exits(0);
    world.run(&["all", "--date", "2090-11-22"]).exits(0);
    let latest = world.run(&["restore", "--latest", "mysql/shop"]).exits(0);
    assert!(
        latest.stderr.contains("shop_20901122.sql is newer and passed over: its date"),
        "{}",
        latest.stderr
    );
    assert_same(&dump, &world.path("out/shop_20250818.sql"));
    let status = world.run(&["status"]).exits(1);
    assert!(status.stdout.contains("shop_20901122.sql is dated in the future"), "{}", status.stdout);
}

#[test]
fn verify_of_nothing_finds_nothing_to_do() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world.run(&["verify", "mysql/nope"]).exits(3);
    world.run(&["verify", "mysql/shop"]).exits(0);
}

#[test]
fn a_host_is_asked_for_only_where_the_prefix_has_hosts() {
    let world = World::new();
    for command in [&["status"][..], &["list"], &["verify"], &["restore", "mysql/shop"]] {
        world
            .run(&[command, &["--host", "nope"]].concat())
            .exits(2)
            .says("--host needs a prefix with {hostname}");
    }
}

#[test]
fn what_the_bucket_holds_moves_no_cursor() {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    let (key, manifest) = (
        "mysql/shop/weekly/shop_20250818.sql",
        "backup/_catalog/mysql/shop/weekly/shop_20250818.sql/manifest.json",
    );
    let mut altered: serde_json::Value = serde_json::from_slice(&world.get(manifest)).unwrap();
    altered["host"] = "db1\u{1b}[2J\nProof       restored\u{202e}".into();
    world.put(manifest, serde_json::to_vec(&altered).unwrap());
    world.put("backup/mysql/shop/\u{9b}2J\u{202e}", "x");
    fs::remove_dir_all(world.path("state")).unwrap();
    for args in [&["show", key][..], &["list", "--all"], &["verify"]] {
        let output = world.run(args);
        let said = format!("{}{}", output.stdout, output.stderr);
        let moves = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!said.contains(moves) && !said.contains("\nProof       restored"), "{said:?}");
    }
}
