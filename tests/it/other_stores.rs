//! Stores that differ from AWS, and AWS on a bad day: it works, or says what could not be proven.

use std::fs;

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::noise;
use crate::support::world::{WEEKLY, World};

fn company() -> World {
    let world = World::new();
    world.company();
    world.write("mssql/crm/big_20250818.bak", noise(17_000_000, 7));
    world
}

/// The bytes come back, whatever the store said.
fn comes_back(world: &World) {
    world.heal();
    assert_eq!(world.whole_manifests().len(), 4);
    world.run(&["restore", "mssql/crm/weekly/big_20250818.bak"]).exits(0);
    let ours = fs::read(world.path("mssql/crm/big_20250818.bak")).unwrap();
    assert!(fs::read(world.path("out/big_20250818.bak")).unwrap() == ours);
}

#[test]
fn a_store_that_refuses_crc64nvme_gets_what_it_can_do() {
    for status in [400, 501] {
        let world = company();
        world.faults().add(Rule::new(Fault::RejectCrc64 { status }));
        world.backup().exits(0).says("the endpoint refuses");
        // The records of a run that sends nothing get through too.
        world.backup().exits(0).says("[SKIP]");
        world.run(&["all", "--date", "2025-08-01"]).exits(3);
        comes_back(&world);
    }
}

#[test]
fn a_store_that_ignores_crc64nvme_is_read_back() {
    let world = company();
    world.faults().add(Rule::new(Fault::IgnoreCrc64));
    let report = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0).json();
    for set in report["sets"].as_array().unwrap() {
        assert_eq!(set["proof"], "reread", "{set}");
    }
    comes_back(&world);
}

#[test]
fn entity_tags_that_are_wrong_or_empty_do_no_harm() {
    for fault in [Fault::WrongEtag, Fault::EmptyEtag] {
        let world = company();
        world.faults().add(Rule::new(fault.clone()).on(Op::CompleteMultipartUpload));
        world.faults().add(Rule::new(fault).on(Op::PutObject));
        world.backup().exits(0);
        comes_back(&world);
    }
}

#[test]
fn an_error_inside_200_at_completion_is_tried_again() {
    let world = company();
    world.faults().add(
        Rule::new(Fault::ErrorInside200 { code: "InternalError" }).on(Op::CompleteMultipartUpload).times(1),
    );
    world.backup().exits(0).says("[RETRY]");
    comes_back(&world);
}

#[test]
fn a_conflict_at_completion_begins_the_upload_again() {
    let world = company();
    world.faults().add(Rule::new(Fault::CONFLICT).on(Op::CompleteMultipartUpload).times(1));
    world.backup().exits(0).says("[RETRY]");
    comes_back(&world);
}

#[test]
fn connections_cut_in_the_middle_of_parts_are_tried_again() {
    let world = company();
    world.faults().add(Rule::new(Fault::ResetRequest { at: 100_000 }).on(Op::UploadPart).times(2));
    world.backup().exits(0).says("[RETRY]");
    comes_back(&world);
}

#[test]
fn credentials_that_expire_in_the_middle_stop_the_set_and_the_next_run_goes_on() {
    let world = company();
    world.faults().add(Rule::new(Fault::EXPIRED_TOKEN).on(Op::UploadPart).after(1));
    world.backup().exits(1).says("ExpiredToken").says("the credentials' source gives new ones");
    world.heal();
    assert_eq!(world.whole_manifests().len(), 3);
    world.backup().exits(0);
    comes_back(&world);
}

#[test]
fn short_pages_are_followed_to_their_end() {
    let world = company();
    world.backup().exits(0);
    world.faults().add(Rule::new(Fault::ShortPages(1)));
    assert_eq!(world.run(&["list", "--json"]).exits(0).json()["sets"].as_array().unwrap().len(), 4);
    let all = world.run(&["list", "--all", "--json"]).exits(0).json();
    assert_eq!(all["unproven"], serde_json::json!([]));
}

#[test]
fn a_store_that_ignores_if_none_match_does_not_lose_what_is_there() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.write("mssql/crm/big_20250818.bak", noise(17_000_000, 7));
    let (small, large) =
        ("backup/mysql/shop/weekly/shop_20250818.sql", "backup/mssql/crm/weekly/big_20250818.bak");
    world.put(small, "what the old script sent");
    world.put(large, "what the old script sent");
    world.faults().add(Rule::new(Fault::IgnoreIfNoneMatch));
    world.backup().exits(1).says("other content");
    assert_eq!(world.get(large), b"what the old script sent");
    assert_eq!(world.get(small), b"what the old script sent");
}

#[test]
fn a_prefix_with_the_hosts_name_parts_hosts_and_another_ones_sets_are_reached() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.configure(|text| text.replace("prefix = \"backup\"", "prefix = \"fleet/db1\""));
    world.backup().exits(0);
    world.configure(|text| text.replace("prefix = \"backup\"", "prefix = \"fleet/{hostname}\""));
    let own = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(own["sets"], serde_json::json!([]));
    let theirs = world.run(&["list", "--host", "db1", "--json"]).exits(0).json();
    assert_eq!(theirs["sets"].as_array().unwrap().len(), 1);
    world.run(&["restore", "--host", "db1", "--latest", "mysql/shop"]).exits(0);
}

#[test]
fn an_object_that_is_gone_fails_its_restore_and_names_it() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    world.delete("backup/mysql/shop/weekly/shop_20250818.sql");
    world
        .run(&["restore", "mysql/shop/weekly/shop_20250818.sql"])
        .exits(1)
        .says("backup/mysql/shop/weekly/shop_20250818.sql");
    assert!(!world.path("out/shop_20250818.sql").exists());
}

#[test]
fn daily_backups_have_a_category_of_their_own_where_switched_on() {
    let world = World::new();
    world.dump("shop/shop_20250819.sql");
    world.configure(|text| text + "daily = true\n");
    world.run(&["all", "--date", "2025-08-19"]).exits(0);
    assert_eq!(world.keys(), ["backup/mysql/shop/daily/shop_20250819.sql"]);
}
