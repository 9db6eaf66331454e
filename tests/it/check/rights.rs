//! What these credentials may do, and whether the store keeps its promises, tried on a real server.

use dbbackup::embedded::{Fault, Op, Rule};

use super::{closed_to_others, good, is, line, lines, uploader, with};
use crate::support::world::World;

#[test]
fn an_uploader_of_a_good_bucket_exits_0_and_is_refused_everything_else() {
    let world = good();
    uploader(&world);
    // The second time the probe object is there, and its version is not this identity's to know.
    for _ in 0..2 {
        let lines = lines(&world, 0);
        assert_eq!(with(&lines, "fail"), [""; 0]);
        for what in [
            "can upload",
            "cannot read",
            "cannot list",
            "cannot overwrite",
            "cannot delete",
            "cannot delete versions",
            "probe object",
            "checksum",
            "conditional writes",
        ] {
            is(&lines, what, "ok");
        }
        for (what, permission) in [("versioning", "s3:GetBucketVersioning"), ("region", "s3:ListBucket")] {
            is(&lines, what, "unknown");
            assert_eq!(line(&lines, what)["missing_permission"], permission);
        }
        // It may not remove what it wrote, and says so; the next check writes no second one.
        let seen = line(&lines, "probe object")["seen"].as_str().unwrap();
        assert!(seen.contains("stays") && seen.contains("the next check uses the same"), "{seen}");
        let checked = line(&lines, "checksum")["seen"].as_str().unwrap();
        assert!(checked.contains("of a part and of a whole object"), "{checked}");
    }
    assert_eq!(world.open_uploads(), 0);
    world.heal();
    world.faults().allow(Op::ListObjectVersions);
    assert_eq!(probes(&world), 1);
    // What is there for the next check is nothing that `verify` complains of.
    let verified = world.run(&["verify"]);
    assert!(!(verified.stdout.clone() + &verified.stderr).contains("_check"), "{verified:?}");
}

/// Versions and markers of everything below `_check/`.
fn probes(world: &World) -> usize {
    world.versions().iter().filter(|key| key.contains("/_check/")).count()
}

#[test]
fn versions_that_cannot_be_removed_are_told() {
    // May overwrite, and neither delete nor see the versions.
    let world = good();
    world.faults().write_only();
    let first = lines(&world, 0);
    let second = lines(&world, 0);
    for lines in [&first, &second] {
        is(lines, "cannot overwrite", "warn");
        let seen = line(lines, "probe object")["seen"].as_str().unwrap().to_owned();
        assert!(seen.contains("leaves 1 more version (") && seen.contains("after 30 days"), "{seen}");
    }
    world.faults().allow(Op::ListObjectVersions);
    assert_eq!(probes(&world), 3, "the object, and one more version of each check");
    // No rule that would remove them, and no other setting.
    world.faults().clear();
    let lines = lines(&world, 1);
    is(&lines, "probe object", "warn");
    let advice = line(&lines, "probe object")["advice"].as_str().unwrap();
    assert!(advice.contains("`backup/_check/`"), "{advice}");
}

#[test]
fn a_probe_of_an_earlier_check_is_removed_by_who_may() {
    let world = good();
    uploader(&world);
    lines(&world, 0);
    world.heal();
    for op in [Op::DeleteObject, Op::ListObjectVersions] {
        world.faults().allow(op);
    }
    assert_eq!(probes(&world), 1);
    let lines = lines(&world, 1);
    assert!(line(&lines, "probe object")["seen"].as_str().unwrap().contains("removed"), "{lines:#?}");
    assert_eq!(probes(&world), 0);
}

#[test]
fn read_only_writes_nothing_and_judges_the_bucket_all_the_same() {
    let world = good();
    for op in [Op::PutObject, Op::CreateMultipartUpload, Op::DeleteObject] {
        world.faults().deny(op);
    }
    let output = world.run(&["check", "--json", "--read-only"]).exits(0);
    let lines = output.json()["lines"].as_array().unwrap().clone();
    is(&lines, "rights", "unknown");
    is(&lines, "versioning", "ok");
    is(&lines, "default retention", "ok");
    for op in [Op::PutObject, Op::CreateMultipartUpload, Op::DeleteObject, Op::GetObject] {
        assert_eq!(world.server.count(op), 0, "{op:?}");
    }
}

#[test]
fn a_role_that_can_do_everything_leaves_nothing_behind_and_fails() {
    let world = good();
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["cannot delete versions"], "{lines:#?}");
    for what in ["cannot read", "cannot list", "cannot overwrite", "cannot delete"] {
        is(&lines, what, "warn");
    }
    for what in ["versioning", "encryption", "public access block", "ownership", "policy", "object lock"] {
        is(&lines, what, "ok");
    }
    assert!(line(&lines, "probe object")["seen"].as_str().unwrap().contains("removed"));
    assert_eq!(world.all_keys(), [""; 0]);
    assert_eq!(world.open_uploads(), 0);
}

#[test]
fn a_bucket_without_versions_fails_and_deleting_in_it_is_grave() {
    let world = World::new();
    world.company();
    let lines = lines(&world, 1);
    for what in ["versioning", "cannot overwrite", "cannot delete"] {
        is(&lines, what, "fail");
    }
    assert_eq!(world.all_keys(), [""; 0]);
}

#[test]
fn a_store_that_breaks_its_promises_is_found_out() {
    for (fault, what) in
        [(Fault::SkipVerification, "checksum"), (Fault::IgnoreIfNoneMatch, "conditional writes")]
    {
        let world = good();
        world.faults().add(Rule::new(fault));
        is(&lines(&world, 1), what, "fail");
        assert_eq!(world.all_keys(), [""; 0]);
    }
    let world = good();
    world.faults().add(Rule::new(Fault::RejectCrc64 { status: 501 }));
    let lines = lines(&world, 1);
    is(&lines, "checksum", "warn");
    is(&lines, "can upload", "ok");
    is(&lines, "conditional writes", "ok");
    assert_eq!(with(&lines, "fail"), ["cannot delete versions"]);
}

#[test]
fn a_refused_upload_fails_and_names_the_way_out() {
    let world = good();
    world.faults().write_only();
    world.faults().deny(Op::CreateMultipartUpload);
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["can upload"]);
    for what in ["cannot read", "cannot overwrite", "cannot delete", "checksum", "conditional writes"] {
        is(&lines, what, "unknown");
    }
    is(&lines, "probe object", "ok");
    assert_eq!(line(&lines, "probe object")["seen"], "none was written");
}

#[test]
fn keys_that_the_store_does_not_take_fail_and_nothing_is_guessed() {
    let world = good();
    world.faults().add(Rule::new(Fault::INVALID_ACCESS_KEY));
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["can upload"]);
    assert!(line(&lines, "can upload")["seen"].as_str().unwrap().contains("InvalidAccessKeyId"));
    assert_eq!(with(&lines, "unknown").iter().filter(|what| **what == "the rest").count(), 2);
}

#[test]
fn a_bucket_that_is_not_there_is_said_once() {
    let world = good();
    world.configure(|text| text.replace("bucket = \"backups\"", "bucket = \"elsewhere\""));
    closed_to_others(&world);
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["answer"]);
    assert_eq!(line(&lines, "answer")["seen"], "there is no bucket elsewhere there");
    assert_eq!(with(&lines, "unknown"), ["the rest", "the rest"]);
}

#[test]
fn an_object_that_is_no_probe_is_left_alone_under_the_probes_key() {
    let world = good();
    world.faults().deny(Op::DeleteObject);
    lines(&world, 0);
    let key = world.all_keys().into_iter().find(|key| key.contains("/_check/")).unwrap();
    world.faults().allow(Op::DeleteObject);
    world.put(&key, "somebody's notes");
    let lines = lines(&world, 0);
    for what in ["cannot overwrite", "cannot delete", "cannot delete versions"] {
        is(&lines, what, "unknown");
    }
    assert_eq!(world.get(&key), b"somebody's notes");
}
