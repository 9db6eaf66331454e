//! A bad network, a server in trouble, a store that is no AWS. For each: the bytes restored equal the
//! bytes sent, or the set is reported; no manifest without its data; and the next run mends it.

use std::fs;

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::noise;
use crate::support::world::{WEEKLY, World, assert_same};

const LARGE: &str = "mysql/shop/weekly/shop_20250818.sql";
const SMALL: &str = "mssql/crm/weekly/crm_20250818.bak";

/// A large file that goes in five parts, and a small one.
fn company() -> World {
    let world = World::new();
    let mut dump = b"-- MySQL dump 10.13  Distrib 8.0.36\n".to_vec();
    dump.extend(noise(23 << 20, 1));
    dump.extend(b"\n-- Dump completed on 2025-08-18  1:00:03\n");
    world.write("mysql/shop/shop_20250818.sql", dump);
    world.bak("crm/crm_20250818.bak", 300_000);
    world
}

/// Every set in the catalog restores to the bytes of its source.
fn stored_sets_restore(world: &World) -> usize {
    let manifests = world.whole_manifests();
    for manifest in &manifests {
        let key = format!(
            "{}/{}/{}/{}",
            manifest["engine"].as_str().unwrap(),
            manifest["app"].as_str().unwrap(),
            manifest["category"].as_str().unwrap(),
            manifest["name"].as_str().unwrap()
        );
        let out = world.path("out").display().to_string();
        world.run(&["restore", &key, "--to", &out, "--force"]).exits(0);
        let source = manifest["source"].as_str().unwrap();
        assert_same(source.as_ref(), &world.path("out").join(manifest["name"].as_str().unwrap()));
    }
    manifests.len()
}

/// With `rules` in force a run ends with `code`; what it calls stored restores; once the trouble is
/// over, the next run stores the rest and leaves no upload unfinished.
#[track_caller]
fn trouble_passes(rules: Vec<Rule>, code: i32) {
    let world = company();
    for rule in rules {
        world.faults().add(rule);
    }
    let run = world.backup().exits(code);
    world.heal();
    let stored = stored_sets_restore(&world);
    if code == 0 {
        assert_eq!(stored, 2, "{}", run.stderr);
    } else {
        assert!(stored < 2, "{}", run.stderr);
        assert!(run.stderr.contains("[FAILED]") || run.stderr.contains("[REFUSED]"), "{}", run.stderr);
    }
    world.backup().exits(0);
    assert_eq!(stored_sets_restore(&world), 2);
    assert_eq!(world.open_uploads(), 0);
}

#[test]
fn part_whose_connection_is_reset_is_sent_again() {
    trouble_passes(vec![Rule::new(Fault::ResetRequest { at: 1 << 20 }).on(Op::UploadPart).times(2)], 0);
}

#[test]
fn small_file_whose_connection_is_reset_is_sent_again() {
    trouble_passes(vec![Rule::new(Fault::ResetRequest { at: 100_000 }).on(Op::PutObject).times(2)], 0);
}

#[test]
fn part_that_never_gets_through_fails_its_set_and_not_the_neighbour() {
    trouble_passes(vec![Rule::new(Fault::ResetRequest { at: 1 << 20 }).on(Op::UploadPart)], 1);
}

#[test]
fn slow_down_is_waited_for() {
    trouble_passes(
        vec![
            Rule::new(Fault::SLOW_DOWN).on(Op::UploadPart).times(2),
            Rule::new(Fault::INTERNAL_ERROR).on(Op::CreateMultipartUpload).times(1),
        ],
        0,
    );
}

#[test]
fn error_inside_200_at_completion_is_an_error() {
    let inside = Fault::ErrorInside200 { code: "InternalError" };
    trouble_passes(vec![Rule::new(inside.clone()).on(Op::CompleteMultipartUpload).times(1)], 0);
    trouble_passes(vec![Rule::new(inside).on(Op::CompleteMultipartUpload)], 1);
}

#[test]
fn completion_whose_reply_is_lost_is_found_to_have_succeeded() {
    trouble_passes(vec![Rule::new(Fault::DropReply).on(Op::CompleteMultipartUpload)], 0);
}

#[test]
fn put_whose_reply_is_lost_is_found_to_have_succeeded() {
    trouble_passes(vec![Rule::new(Fault::DropReply).on(Op::PutObject).times(1)], 0);
}

#[test]
fn conflict_at_completion_begins_the_upload_again() {
    trouble_passes(vec![Rule::new(Fault::CONFLICT).on(Op::CompleteMultipartUpload).times(3)], 0);
}

#[test]
fn token_that_expires_in_mid_upload_fails_the_set_and_keeps_its_parts() {
    trouble_passes(vec![Rule::new(Fault::EXPIRED_TOKEN).on(Op::UploadPart).after(2)], 1);
}

#[test]
fn upload_without_an_entity_tag_at_its_end_is_stored() {
    trouble_passes(vec![Rule::new(Fault::EmptyEtag).on(Op::CompleteMultipartUpload)], 0);
}

#[test]
fn lists_in_short_pages_are_followed_to_their_end() {
    let world = company();
    for number in 0..7 {
        world.dump(&format!("app{number}/app{number}_20250818.sql"));
    }
    world.backup().exits(0);
    world.faults().add(Rule::new(Fault::ShortPages(2)));
    let listed = world.run(&["list", "--json"]).exits(0).json();
    assert_eq!(listed["sets"].as_array().unwrap().len(), 9);
}

#[test]
fn unfinished_parts_in_short_pages_are_used_again() {
    let world = company();
    // Every part is there before anything fails, so that no timing decides.
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::CompleteMultipartUpload));
    world.backup().exits(1);
    world.heal();
    world.faults().add(Rule::new(Fault::ShortPages(1)));
    let sent = world.server.count(Op::UploadPart);
    world.backup().exits(0);
    assert_eq!(world.server.count(Op::UploadPart), sent, "all five parts were there");
    world.heal();
    assert_eq!(stored_sets_restore(&world), 2);
}

#[test]
fn store_that_ignores_if_none_match_still_has_nothing_overwritten_by_a_second_run() {
    let world = company();
    world.faults().add(Rule::new(Fault::IgnoreIfNoneMatch));
    world.backup().exits(0);
    let before = world.get(&format!("backup/{SMALL}"));
    world.bak("crm/crm_20250818.bak", 299_000);
    world.backup().exits(1).says("other content");
    assert_eq!(world.get(&format!("backup/{SMALL}")), before);
}

#[test]
fn store_that_refuses_crc64nvme_gets_the_next_best_and_the_proof_says_so() {
    for status in [400, 501] {
        let world = company();
        world.faults().add(Rule::new(Fault::RejectCrc64 { status }));
        world.backup().exits(0);
        world.heal();
        assert_eq!(stored_sets_restore(&world), 2);
    }
}

#[test]
fn store_that_ignores_crc64nvme_is_read_back() {
    let world = company();
    world.faults().add(Rule::new(Fault::IgnoreCrc64));
    world.backup().exits(0);
    let listed = world.run(&["list", "--json"]).exits(0).json();
    for set in listed["sets"].as_array().unwrap() {
        assert_eq!(set["proof"], "reread", "{set}");
    }
}

#[test]
fn bit_that_flips_in_a_store_without_checksums_is_noticed() {
    let world = company();
    world.faults().add(Rule::new(Fault::IgnoreCrc64));
    world.faults().add(Rule::new(Fault::FlipStoredBit { at: 1000 }).on(Op::PutObject).key("crm_20250818"));
    world.backup().exits(1).says("other content");
    assert!(world.whole_manifests().iter().all(|manifest| manifest["engine"] != "mssql"));
}

#[test]
fn bit_that_rots_in_the_store_fails_the_restore() {
    let world = company();
    world.faults().add(Rule::new(Fault::FlipStoredBit { at: 4_000_000 }).on(Op::UploadPart).times(1));
    world.backup().exits(0);
    let out = world.path("out").display().to_string();
    world.run(&["restore", LARGE, "--to", &out]).exits(1).says("is damaged");
    assert!(!world.path("out/shop_20250818.sql").exists());
    assert!(world.path("out/shop_20250818.sql.partial").exists());
}

#[test]
fn restore_over_a_bad_line_gets_every_byte() {
    let world = company();
    world.backup().exits(0);
    world
        .faults()
        .add(Rule::new(Fault::ResetResponse { at: 700_000 }).on(Op::GetObject).key("shop_").times(2));
    world.faults().add(Rule::new(Fault::SLOW_DOWN).on(Op::GetObject).key("shop_").times(1));
    let out = world.path("out").display().to_string();
    world.run(&["restore", LARGE, "--to", &out]).exits(0);
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
    world
        .faults()
        .add(Rule::new(Fault::ResetResponse { at: 700_000 }).on(Op::GetObject).key("shop_").times(2));
    let piped = world.run(&["restore", LARGE, "--stdout"]).exits(0);
    assert_eq!(piped.raw, fs::read(world.path("mysql/shop/shop_20250818.sql")).unwrap());
}

#[test]
fn restore_to_a_pipe_makes_all_its_attempts_before_the_first_byte() {
    let world = company();
    world.backup().exits(0);
    let cut = || Rule::new(Fault::ResetResponse { at: 0 }).on(Op::GetObject).key("backup/mysql/shop");
    world.faults().add(cut().times(2));
    let piped = world.run(&["restore", LARGE, "--stdout"]).exits(0).says("attempt 2 of 3 failed");
    assert_eq!(piped.raw, fs::read(world.path("mysql/shop/shop_20250818.sql")).unwrap());
    let asked = world.server.count(Op::GetObject);
    world.faults().add(cut());
    world.run(&["restore", LARGE, "--stdout"]).exits(5);
    assert_eq!(world.server.count(Op::GetObject) - asked, 4, "the manifest and three attempts");
}

#[test]
fn replacement_whose_completion_fails_is_no_refusal_and_keeps_its_parts() {
    let world = World::versioned();
    world.write("mssql/crm/crm_20250818.bak", noise(20_000_000, 9));
    world.backup().exits(0);
    world.write("mssql/crm/crm_20250818.bak", noise(21_000_000, 10));
    world.faults().add(Rule::new(Fault::SLOW_DOWN).on(Op::CompleteMultipartUpload));
    let replace = ["all", "--date", WEEKLY, "--replace"];
    let run = world.run(&replace).exits(1).says("[FAILED] mssql/crm/weekly/crm_20250818.bak");
    assert!(!run.stderr.contains("REFUSED"), "{}", run.stderr);
    world.heal();
    assert_eq!(world.open_uploads(), 1);
    let sent = world.server.count(Op::UploadPart);
    world.run(&replace).exits(0);
    assert_eq!(world.server.count(Op::UploadPart), sent, "what was there is not sent again");
    assert_eq!(world.open_uploads(), 0);
}

#[test]
fn clock_that_is_off_is_told_as_such() {
    let world = company();
    world.faults().add(Rule::new(Fault::CLOCK_SKEW));
    world.backup().exits(5).says("clock");
}

#[test]
fn wrong_entity_tag_of_a_part_completes_nothing_and_the_next_run_stores_it() {
    trouble_passes(vec![Rule::new(Fault::WrongEtag).on(Op::UploadPart).times(1)], 1);
}

#[test]
fn wrong_entity_tags_of_whole_objects_change_no_byte() {
    let world = company();
    world.faults().add(Rule::new(Fault::WrongEtag).on(Op::PutObject));
    world.faults().add(Rule::new(Fault::WrongEtag).on(Op::CompleteMultipartUpload));
    world.backup().exits(0);
    world.heal();
    assert_eq!(stored_sets_restore(&world), 2);
}

/// A store that tells every checksum as it was sent, over bytes that it damaged, cannot be seen through
/// while sending; whatever reads the bytes sees it.
#[test]
fn damage_under_a_checksum_that_is_told_as_sent_never_restores() {
    let world = company();
    world.faults().add(Rule::new(Fault::SkipVerification));
    for op in [Op::PutObject, Op::UploadPart] {
        world.faults().add(Rule::new(Fault::FlipStoredBit { at: 1000 }).on(op).key("_20250818").times(1));
    }
    world.faults().add(Rule::new(Fault::FlipStoredBit { at: 1000 }).on(Op::PutObject).key(SMALL).times(1));
    world.backup().exits(0);
    world.heal();
    for key in [LARGE, SMALL] {
        world.run(&["restore", key]).exits(1).says("is damaged");
        assert!(!world.path("out").join(key.rsplit('/').next().unwrap()).exists());
        world.run(&["restore", key, "--stdout"]).exits(1).says("is damaged");
    }
    let verified = world.run(&["verify", "--reread"]).exits(1);
    for key in [LARGE, SMALL] {
        assert!(verified.stdout.contains(key) || verified.stderr.contains(key), "{verified:?}");
    }
}

#[test]
fn answer_that_comes_after_the_attempts_time_is_found_to_have_been_a_success() {
    for op in [Op::CompleteMultipartUpload, Op::PutObject] {
        let world = company();
        let limits = "attempt_timeout = \"2s\"\nmin_rate = \"20MB/s\"\npath_style";
        world.configure(|text| text.replace("path_style", limits));
        let late = Fault::DelayReply(std::time::Duration::from_secs(4));
        world.faults().add(Rule::new(late).on(op).key("20250818").times(1));
        world.backup().exits(0).says("[RETRY]");
        assert_eq!(world.faults().fired(), 1);
        world.heal();
        assert_eq!(stored_sets_restore(&world), 2);
        assert_eq!(world.open_uploads(), 0);
        let sent = world.server.count(Op::UploadPart);
        world.backup().exits(0);
        assert_eq!(world.server.count(Op::UploadPart), sent);
    }
}

#[test]
fn line_that_is_slow_but_not_too_slow_is_waited_for() {
    let world = company();
    // A part takes 1.7 s: longer than an attempt without a body may, and not as long as it may at min_rate.
    let limits = "attempt_timeout = \"1s\"\nmin_rate = \"1MB/s\"\npath_style";
    world.configure(|text| text.replace("path_style", limits));
    let drip = Fault::Drip { bytes_per_second: 3_000_000 };
    world.faults().add(Rule::new(drip.clone()).on(Op::UploadPart));
    let sent = world.backup().exits(0);
    world.faults().add(Rule::new(drip).on(Op::GetObject).key(LARGE));
    let restored = world.run(&["restore", LARGE]).exits(0);
    assert!(!(sent.stderr + &restored.stderr).contains("[RETRY]"));
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
}
