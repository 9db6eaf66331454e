//! Each operation denied, and each failing for good: the run ends, says so, and no manifest speaks of
//! what is not there.

use std::sync::LazyLock;

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::noise;
use crate::support::program::Output;
use crate::support::world::{OPS, WEEKLY, World};

fn world() -> World {
    static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| noise(17_000_000, 5));
    let world = World::new();
    world.rman("erp/rman_erp_18-08-2025");
    world.dump("shop/shop_20250818.sql");
    world.write("mssql/crm/crm_20250818.bak", &*LARGE);
    world
}

/// A backup never sends these, or not without `--replace`.
const fn is_called(op: Op) -> bool {
    !matches!(op, Op::HeadBucket | Op::GetBucketVersioning)
}

/// What must hold after a run under a fault, and after the next one without it.
fn holds(world: &World, output: &Output, case: &str) {
    let said = &output.stderr;
    assert!([0, 1, 5].contains(&output.code), "{case}: exit code {}\n{said}", output.code);
    let last = said.lines().last().unwrap_or_default();
    assert!(last.ends_with("uploaded to S3."), "{case}: {said}");
    world.heal();
    let stored = world.whole_manifests().len();
    match output.code {
        0 => assert_eq!(stored, 3, "{case}: {said}"),
        1 => assert!(said.contains("ERROR"), "{case}: {said}"),
        _ => {
            assert_eq!((stored, world.keys().len()), (0, 0), "{case}: {said}");
            assert!(last.ends_with("No backups were uploaded to S3."), "{case}: {said}");
        }
    }
    let again = world.backup();
    assert_eq!(again.code, 0, "{case}, the next run: {}", again.stderr);
    if stored < 3 {
        assert_eq!(world.whole_manifests().len(), 3, "{case}: {}", again.stderr);
    }
}

#[test]
fn an_operation_that_is_denied_ends_in_a_true_exit_code() {
    for op in OPS.into_iter().filter(|op| is_called(*op)) {
        let world = world();
        world.faults().deny(op);
        let output = world.backup();
        let expected = match op {
            Op::PutObject | Op::CreateMultipartUpload | Op::UploadPart | Op::CompleteMultipartUpload => 1,
            _ => 0,
        };
        assert_eq!(output.code, expected, "{op:?} denied: {}", output.stderr);
        holds(&world, &output, &format!("{op:?} denied"));
    }
}

#[test]
fn an_operation_that_fails_for_good_ends_in_a_true_exit_code() {
    for op in OPS.into_iter().filter(|op| is_called(*op)) {
        let world = world();
        world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(op));
        let output = world.backup();
        holds(&world, &output, &format!("{op:?} answers 500"));
    }
}

#[test]
fn a_reply_that_is_lost_after_the_deed_is_no_failure() {
    for op in [Op::PutObject, Op::UploadPart, Op::CompleteMultipartUpload, Op::CreateMultipartUpload] {
        let world = world();
        world.faults().add(Rule::new(Fault::DropReply).on(op).times(1));
        let output = world.backup();
        assert_eq!(output.code, 0, "{op:?}: {}", output.stderr);
        holds(&world, &output, &format!("{op:?} without a reply"));
    }
}

#[test]
fn listing_and_restoring_under_a_fault_end_and_say_so() {
    let world = world();
    world.backup().exits(0);
    for op in [Op::ListObjectsV2, Op::GetObject] {
        for denied in [true, false] {
            if denied {
                world.faults().deny(op);
            } else {
                world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(op));
            }
            let listed = world.run(&["list"]);
            assert!([1, 5].contains(&listed.code), "{op:?}: {listed:?}");
            assert!(!listed.stderr.is_empty());
            let restored = world.run(&["restore", "--latest", "mysql/shop"]);
            assert!([1, 5].contains(&restored.code), "{op:?}: {restored:?}");
            assert!(restored.stderr.contains("error"), "{op:?}: {restored:?}");
            assert_eq!(std::fs::read_dir(world.path("out")).unwrap().count(), 0, "{op:?}: {restored:?}");
            world.heal();
        }
    }
    let run_record = world.server.count(Op::PutObject);
    world.run(&["all", "--date", WEEKLY]).exits(0);
    assert!(world.server.count(Op::PutObject) > run_record);
}

#[test]
fn an_endpoint_that_damages_bytes_is_found_out() {
    let world = world();
    world.faults().add(Rule::new(Fault::SkipVerification));
    world.faults().add(Rule::new(Fault::IgnoreCrc64));
    world.faults().add(Rule::new(Fault::FlipStoredBit { at: 30 }).on(Op::PutObject).key("weekly/shop_"));
    let output = world.backup().exits(1);
    assert!(output.stderr.contains("shop_20250818.sql"), "{}", output.stderr);
    world.heal();
    assert!(world.run(&["list", "mysql", "--json"]).json()["sets"].as_array().unwrap().is_empty());
}

#[test]
fn data_without_its_manifest_is_no_backup_and_the_next_run_sends_only_the_manifest() {
    let world = world();
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::PutObject).key("/_catalog/"));
    // Not 5, which says that nothing was done.
    world.backup().exits(1).says("its data is in the bucket but not its manifest");
    world.heal();
    assert_eq!(world.keys().len(), 5);
    assert_eq!(world.run(&["list", "--json"]).exits(0).json()["sets"], serde_json::json!([]));
    let parts = world.server.count(Op::UploadPart);
    world.backup().exits(0);
    assert_eq!(world.server.count(Op::UploadPart), parts);
    assert_eq!(world.whole_manifests().len(), 3);
}

#[test]
fn a_run_whose_record_is_not_in_the_bucket_exits_1_and_its_backups_are_stored() {
    let world = world();
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::PutObject).key("/_runs/"));
    world.backup().exits(1).says("its record is not in the bucket").says("3 backups uploaded to S3.");
    world.heal();
    assert_eq!(world.whole_manifests().len(), 3);
}

#[test]
fn a_state_directory_that_cannot_be_made_exits_1_and_nothing_is_sent() {
    let world = world();
    world.write("state", "a file where the directory should be");
    world.backup().exits(1).says("[state] dir");
    assert!(world.server.requests().is_empty());
}

#[test]
fn copies_of_manifests_that_cannot_be_kept_stop_no_backup() {
    let world = world();
    world.write("state/catalog", "a file where the directory should be");
    world.backup().exits(0).says("keep a copy of the manifest");
    assert_eq!(world.whole_manifests().len(), 3);
}
