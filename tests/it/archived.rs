//! Sets in archive classes: nothing is retrieved unasked, each object is asked for once, and a wait that
//! was cut short goes on.

use std::fs;

use aws_sdk_s3::types::{GlacierJobParameters, RestoreRequest, StorageClass, Tier};
use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::support::world::{World, assert_same};
use crate::support::{BUCKET, Fixture, code};

const DUMP: &str = "mysql/shop/weekly/shop_20250818.sql";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

/// The three engines' sets, stored in `class`.
fn stored_in(world: World, class: &str) -> World {
    let line = format!("storage_class = {{ weekly = \"{class}\" }}\npath_style");
    world.configure(|text| text.replace("path_style", &line));
    world.company();
    world.backup().exits(0);
    world
}

fn archived() -> World {
    stored_in(World::new(), "GLACIER")
}

fn still_retrieving(world: &World) {
    world.faults().add(Rule::new(Fault::StillRetrieving));
}

fn nothing_restored(world: &World) {
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
}

#[test]
fn without_wait_nothing_is_asked_for_and_the_error_says_what_to_give() {
    let world = archived();
    let error = world.run(&["restore", FOLDER]).exits(1);
    for words in [
        "3 objects (27.0 kB) are in GLACIER",
        &format!("`dbbackup restore {FOLDER} --wait --tier TIER`"),
        "bulk typically takes 5 to 12 hours and costs about",
        "standard typically takes 3 to 5 hours",
        "expedited typically takes 1 to 5 minutes",
        "prices of us-east-1 in May 2026",
    ] {
        assert!(error.stderr.contains(words), "{words}: {}", error.stderr);
    }
    world.run(&["restore", DUMP, "--stdout"]).exits(1).says("is in GLACIER");
    assert_eq!(world.server.count(Op::RestoreObject), 0);
    nothing_restored(&world);
}

#[test]
fn an_object_without_manifest_is_told_how_to_be_asked_for() {
    let world = archived();
    world.delete(&format!("backup/_catalog/{DUMP}/manifest.json"));
    fs::remove_dir_all(world.path("state")).unwrap();
    let command = format!("`dbbackup restore backup/{DUMP} --unproven --wait --tier TIER`");
    world.run(&["restore", DUMP, "--unproven"]).exits(1).says(&command);
    world.run(&["restore", DUMP, "--unproven", "--wait"]).exits(1).says("not called good");
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
}

#[test]
fn wait_asks_for_every_file_of_a_folder_waits_and_restores() {
    let world = archived();
    let heads = world.server.count(Op::HeadObject);
    still_retrieving(&world);
    let run = world.begin(&["restore", FOLDER, "--wait", "--tier", "bulk", "--days", "3"]);
    world.wait_for(Op::HeadObject, heads + 5);
    assert_eq!(world.server.count(Op::RestoreObject), 3);
    nothing_restored(&world);
    world.heal();
    let run = run.finish().exits(0);
    for words in
        ["[RETRIEVE]", "bulk retrieval, which typically takes 5 to 12 hours", "3 days of a readable copy"]
    {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(run.stderr.contains("0 of 3 objects are ready, asked for 0m ago"), "{}", run.stderr);
    assert!(run.stderr.contains("[READY]"), "{}", run.stderr);
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
    assert_eq!(world.server.count(Op::RestoreObject), 3);
    world.run(&["restore", FOLDER, "--force"]).exits(0);
}

#[test]
fn a_wait_that_was_cut_short_goes_on_and_asks_for_nothing_again() {
    for (signal, code) in [(Signal::INT, 130), (Signal::KILL, 137)] {
        let world = archived();
        still_retrieving(&world);
        let heads = world.server.count(Op::HeadObject);
        let first = world.begin(&["restore", FOLDER, "--wait"]);
        world.wait_for(Op::HeadObject, heads + 4);
        first.signal(signal);
        let first = first.finish().exits(code);
        assert!(code != 130 || first.stderr.contains("goes on there"), "{}", first.stderr);
        world.run(&["restore", FOLDER]).exits(1).says("S3 is retrieving it").says("--wait`");

        let heads = world.server.count(Op::HeadObject);
        let second = world.begin(&["restore", FOLDER, "--wait"]);
        world.wait_for(Op::HeadObject, heads + 4);
        world.heal();
        second
            .finish()
            .exits(0)
            .says("objects are ready, asked for")
            .says("standard typically takes 3 to 5 hours");
        assert_eq!(world.server.count(Op::RestoreObject), 3);
        assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
        assert_eq!(fs::read_dir(world.path("state/retrieving/backups")).unwrap().count(), 0);
    }
}

#[test]
fn a_retrieval_that_another_host_asked_for_is_waited_for() {
    let world = archived();
    world.run(&["restore", DUMP, "--wait"]).exits(0);
    fs::remove_dir_all(world.path("state")).unwrap();
    // Under way for the look before the wait, and for the first of the wait.
    world.faults().add(Rule::new(Fault::StillRetrieving).on(Op::HeadObject).times(2));
    world.run(&["restore", DUMP, "--wait", "--force"]).exits(0).says("asked for before, by another host");
    assert_eq!(world.server.count(Op::RestoreObject), 1);
}

#[test]
fn a_line_that_breaks_while_it_waits_does_not_end_the_wait() {
    let world = archived();
    still_retrieving(&world);
    let heads = world.server.count(Op::HeadObject);
    let run = world.begin(&["restore", DUMP, "--wait"]);
    world.wait_for(Op::HeadObject, heads + 2);
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::HeadObject));
    world.wait_for(Op::HeadObject, heads + 5);
    world.heal();
    run.finish().exits(0).says("looking again in");
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
}

#[test]
fn a_deep_archive_has_no_expedited_retrieval() {
    let world = stored_in(World::new(), "DEEP_ARCHIVE");
    let error = world.run(&["restore", DUMP, "--wait", "--tier", "expedited"]).exits(2);
    let error = error.says("DEEP_ARCHIVE, which has no expedited retrieval").says("up to 12 hours");
    assert!(!error.stderr.contains("minutes"), "{}", error.stderr);
    assert_eq!(world.server.count(Op::RestoreObject), 0);
    world.run(&["restore", DUMP, "--wait", "--tier", "bulk"]).exits(0).says("up to 48 hours");
}

#[test]
fn what_is_in_the_way_shows_before_a_retrieval_is_paid_for() {
    let world = archived();
    world.write("out/shop_20250818.sql", "theirs");
    world.run(&["restore", DUMP, "--wait"]).exits(1).says("exists already");
    assert_eq!(world.server.count(Op::RestoreObject), 0);
}

#[test]
fn instant_retrieval_is_read_at_once() {
    let world = stored_in(World::new(), "GLACIER_IR");
    world.run(&["restore", DUMP]).exits(0);
    world.run(&["restore", FOLDER, "--wait"]).exits(0);
    assert_eq!(world.server.count(Op::RestoreObject), 0);
}

#[test]
fn the_version_that_was_stored_is_the_one_that_is_retrieved() {
    let world = stored_in(World::versioned(), "GLACIER");
    world.put(&format!("backup/{DUMP}"), "written over by somebody");
    world.run(&["restore", DUMP]).exits(1).says("is in GLACIER");
    world.run(&["restore", DUMP, "--wait"]).exits(0);
    assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
}

#[test]
fn a_retrieval_that_is_refused_is_told_and_nothing_is_restored() {
    let world = archived();
    world.faults().deny(Op::RestoreObject);
    world.run(&["restore", DUMP, "--wait"]).exits(5).says("ask for the retrieval of").says("AccessDenied");
    let none_left = Fault::Answer { status: 503, code: "GlacierExpeditedRetrievalNotAvailable" };
    world.faults().allow(Op::RestoreObject);
    world.faults().add(Rule::new(none_left).on(Op::RestoreObject));
    let refused = world.run(&["restore", DUMP, "--wait", "--tier", "expedited"]).exits(5);
    refused.says("--tier standard").says("0 of 1 objects were asked for");
    nothing_restored(&world);
}

#[tokio::test]
async fn the_embedded_server_hands_out_no_archived_object_before_it_was_asked_for() {
    let s3 = Fixture::new().await;
    let put =
        |key: &'static str, class| s3.client.put_object().bucket(BUCKET).key(key).storage_class(class).send();
    put("cold", StorageClass::Glacier).await.unwrap();
    put("deep", StorageClass::DeepArchive).await.unwrap();
    put("warm", StorageClass::StandardIa).await.unwrap();
    let ask = |key: &'static str, tier, days: Option<i32>| {
        let parameters = GlacierJobParameters::builder().tier(tier).build().unwrap();
        let request = RestoreRequest::builder().set_days(days).glacier_job_parameters(parameters).build();
        s3.client.restore_object().bucket(BUCKET).key(key).restore_request(request).send()
    };
    let get = || s3.client.get_object().bucket(BUCKET).key("cold").send();
    let told = || async {
        let head = s3.client.head_object().bucket(BUCKET).key("cold").send().await.unwrap();
        head.restore().map(str::to_owned)
    };
    assert_eq!(code(get().await), "InvalidObjectState");
    let copy = s3.client.copy_object().bucket(BUCKET).key("copy").copy_source(format!("{BUCKET}/cold"));
    assert_eq!(code(copy.send().await), "InvalidObjectState");
    assert_eq!(told().await, None);
    assert_eq!(code(ask("warm", Tier::Standard, Some(1)).await), "InvalidObjectState");
    assert_eq!(code(ask("deep", Tier::Expedited, Some(1)).await), "InvalidArgument");
    assert_eq!(code(ask("cold", Tier::Standard, None).await), "MalformedXML");
    s3.faults().add(Rule::new(Fault::StillRetrieving));
    ask("cold", Tier::Expedited, Some(1)).await.unwrap();
    assert_eq!(code(ask("cold", Tier::Standard, Some(1)).await), "RestoreAlreadyInProgress");
    assert_eq!(told().await.as_deref(), Some("ongoing-request=\"true\""));
    assert_eq!(code(get().await), "InvalidObjectState");
    s3.faults().clear();
    assert!(told().await.unwrap().starts_with("ongoing-request=\"false\", expiry-date=\""));
    get().await.unwrap();
    ask("cold", Tier::Bulk, Some(2)).await.unwrap();
    let s3 = s3.restart().await;
    assert_eq!(s3.get("cold").await, b"");
}

#[test]
fn what_cannot_be_compared_hides_nothing_of_its_neighbours() {
    let world = archived();
    world.run(&["verify"]).exits(0);
    let run = world.run(&["verify", "--reread"]).exits(1);
    for words in ["not compared", "restore KEY --wait", "0 of 3 sets are good"] {
        assert!(run.stdout.contains(words), "{}", run.stdout);
    }
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world.delete("backup/mssql/crm/weekly/crm_20250818.bak");
    world.faults().add(
        Rule::new(Fault::Answer { status: 403, code: "AccessDenied" })
            .on(Op::HeadObject)
            .key("/shop_20250818.sql"),
    );
    let run = world.run(&["verify"]).exits(1);
    for words in ["MISSING", "it could not be compared", "1 of 3 sets are good"] {
        assert!(run.stdout.contains(words), "{}", run.stdout);
    }
}
