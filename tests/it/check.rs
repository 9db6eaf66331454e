//! `dbbackup check`, and connections that may only be private.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use dbbackup::embedded::{Fault, Op, Rule};
use serde_json::Value;

use crate::support::world::World;

/// The world's server by a name, which is resolved, in place of its address.
fn by_name(text: &str) -> String {
    text.replace("http://127.0.0.1:", "http://localhost:")
}

#[test]
fn nothing_is_sent_to_an_address_that_is_not_private() {
    let world = World::new();
    world.company();
    world.configure(|text| {
        by_name(&text) + "[network]\nrequire_private = true\nallowed_cidrs = [\"10.0.0.0/8\"]\n"
    });
    for output in [world.backup(), world.run(&["restore", "--latest", "mysql/shop"])] {
        output.exits(5).says("localhost has the address").says("require_private").says("allowed_cidrs");
    }
    assert!(world.server.requests().is_empty());
}

#[test]
fn an_endpoint_written_as_a_public_address_is_a_wrong_configuration() {
    let world = World::new();
    world.company();
    world.configure(|text| text + "[network]\nrequire_private = true\nallowed_cidrs = [\"10.0.0.0/8\"]\n");
    world.backup().exits(2).says("127.0.0.1 has the address 127.0.0.1");
    assert!(world.server.requests().is_empty());
}

#[test]
fn a_private_address_is_used_under_require_private() {
    let world = World::new();
    world.company();
    world.configure(|text| by_name(&text) + "[network]\nrequire_private = true\n");
    world.backup().exits(0);
    assert_eq!(world.whole_manifests().len(), 3);
}

/// What a bucket made by the template says of itself.
const GOOD: [(Op, &str); 6] = [
    (
        Op::GetBucketEncryption,
        "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms\
         </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>",
    ),
    (
        Op::GetPublicAccessBlock,
        "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true\
         </IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy><RestrictPublicBuckets>true\
         </RestrictPublicBuckets></PublicAccessBlockConfiguration>",
    ),
    (
        Op::GetBucketOwnershipControls,
        "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>",
    ),
    (Op::GetBucketPolicyStatus, "<PolicyStatus><IsPublic>false</IsPublic></PolicyStatus>"),
    (
        Op::GetBucketLifecycleConfiguration,
        "<LifecycleConfiguration><Rule><ID>abort</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>\
         <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>\
         </AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>",
    ),
    (
        Op::GetObjectLockConfiguration,
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>\
         GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
    ),
];

/// A host with a source, and a versioned bucket as the template makes it.
fn good() -> World {
    let world = World::versioned();
    world.company();
    let config = world.path("config.toml");
    fs::set_permissions(config, fs::Permissions::from_mode(0o640)).unwrap();
    for (op, body) in GOOD {
        say(&world, op, body);
    }
    world
}

fn say(world: &World, op: Op, body: &str) {
    world.faults().add(Rule::new(Fault::Say { status: 200, body: body.to_owned() }).on(op));
}

/// The check's lines as JSON; it must have ended with this exit code.
#[track_caller]
fn lines(world: &World, code: i32) -> Vec<Value> {
    let output = world.run(&["check", "--json"]).exits(code);
    output.json()["lines"].as_array().unwrap().clone()
}

/// The line of that name.
#[track_caller]
fn line<'l>(lines: &'l [Value], what: &str) -> &'l Value {
    lines.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("no line {what} in {lines:#?}"))
}

#[track_caller]
fn is(lines: &[Value], what: &str, outcome: &str) {
    assert_eq!(line(lines, what)["outcome"], outcome, "{}", line(lines, what));
}

/// The names of the lines with that outcome.
fn with<'l>(lines: &'l [Value], outcome: &str) -> Vec<&'l str> {
    lines
        .iter()
        .filter(|line| line["outcome"] == outcome)
        .map(|line| line["what"].as_str().unwrap())
        .collect()
}

#[test]
fn an_uploader_of_a_good_bucket_exits_0_and_is_refused_everything_else() {
    let world = good();
    world.faults().write_only();
    let lines = lines(&world, 0);
    assert_eq!(with(&lines, "fail"), [""; 0]);
    for what in
        ["may upload", "may not read", "may not list", "may not delete", "checksum", "conditional writes"]
    {
        is(&lines, what, "ok");
    }
    for (what, permission) in [("versioning", "s3:GetBucketVersioning"), ("region", "s3:ListBucket")] {
        is(&lines, what, "unknown");
        assert_eq!(line(&lines, what)["missing_permission"], permission);
    }
    // It may not remove what it wrote, and says so; the next check writes no second one.
    assert!(line(&lines, "probe object")["seen"].as_str().unwrap().contains("stays"));
    assert_eq!(world.open_uploads(), 0);
    world.run(&["check"]).exits(0);
    world.heal();
    let probes: Vec<String> = world.all_keys().into_iter().filter(|key| key.contains("/_check/")).collect();
    assert_eq!(probes.len(), 1, "{probes:?}");
}

#[test]
fn a_role_that_can_do_everything_leaves_nothing_behind_and_fails() {
    let world = good();
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["may not delete versions"], "{lines:#?}");
    for what in ["may not read", "may not list", "may not overwrite", "may not delete"] {
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
    for what in ["versioning", "may not overwrite", "may not delete"] {
        is(&lines, what, "fail");
    }
    // This server has none of these calls.
    is(&lines, "encryption", "unknown");
    assert_eq!(world.all_keys(), [""; 0]);
}

#[test]
fn a_clock_twenty_minutes_off_fails_with_what_to_do() {
    let world = good();
    world.faults().write_only();
    world.faults().add(Rule::new(Fault::DateOff { seconds: -1200 }).on(Op::HeadBucket));
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["clock"]);
    assert_eq!(line(&lines, "clock")["seen"], "20 min ahead of the server's");
    assert!(line(&lines, "clock")["advice"].as_str().unwrap().contains("time service"));
}

#[test]
fn a_store_that_breaks_its_promises_is_found_out() {
    for (fault, what) in
        [(Fault::SkipVerification, "checksum"), (Fault::IgnoreIfNoneMatch, "conditional writes")]
    {
        let world = good();
        world.faults().add(Rule::new(fault));
        is(&lines(&world, 1), what, "fail");
    }
    let world = good();
    world.faults().add(Rule::new(Fault::RejectCrc64 { status: 501 }));
    let lines = lines(&world, 1);
    is(&lines, "checksum", "warn");
    is(&lines, "may upload", "ok");
    is(&lines, "conditional writes", "ok");
    assert_eq!(with(&lines, "fail"), ["may not delete versions"]);
}

#[test]
fn a_bucket_that_does_not_answer_fails_and_nothing_is_guessed() {
    let world = good();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = world.server.addr().port();
    world.configure(|text| text.replace(&format!(":{server}"), &format!(":{port}")));
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["connection", "answer"]);
    assert!(line(&lines, "answer")["advice"].as_str().unwrap().contains("tunnel"));
    is(&lines, "rights and set-up", "unknown");
}

#[test]
fn a_refused_upload_fails_and_names_the_way_out() {
    let world = good();
    world.faults().write_only();
    world.faults().deny(Op::CreateMultipartUpload);
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["may upload"]);
    is(&lines, "may not read", "unknown");
    is(&lines, "conditional writes", "unknown");
}

#[test]
fn files_of_this_machine_are_judged() {
    let world = good();
    world.faults().write_only();
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::remove_dir_all(world.path("oracle")).unwrap();
    world.write(".aws/credentials", "[default]\n");
    fs::set_permissions(world.path(".aws/credentials"), fs::Permissions::from_mode(0o644)).unwrap();
    world.write("log", "a file where the directory should be");
    let lines = lines(&world, 1);
    for what in ["configuration file", "credentials file", "source oracle"] {
        is(&lines, what, "fail");
    }
    is(&lines, "source mysql", "ok");
    is(&lines, "environment", "warn");
}

#[test]
fn a_file_that_this_user_cannot_read_fails_its_source() {
    let world = good();
    world.faults().write_only();
    let dump = world.dump("shop/other_20250818.sql");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o000)).unwrap();
    let output = world.run_unprivileged(&["check"]).exits(1);
    assert!(output.stdout.contains("cannot be read, such as"), "{}", output.stdout);
    assert!(output.stdout.contains("other_20250818.sql"), "{}", output.stdout);
}

#[test]
fn a_check_beside_a_run_sees_the_lock_and_leaves_it() {
    let world = good();
    world.faults().write_only();
    let lock = dbbackup::lock::Lock::acquire(&world.path("state"), "mysql").unwrap();
    let seen = lines(&world, 0);
    is(&seen, "lock", "warn");
    assert!(line(&seen, "lock")["seen"].as_str().unwrap().contains("target mysql"));
    drop(lock);
    is(&lines(&world, 0), "lock", "ok");
}

#[test]
fn a_proxy_variable_is_told_and_leads_nowhere() {
    let world = good();
    world.faults().write_only();
    // Nothing listens there: a connection by it would fail.
    let run = |args: &[&str]| {
        let mut command = world.command(args);
        command.env("HTTP_PROXY", "http://127.0.0.1:1").env("HTTPS_PROXY", "http://127.0.0.1:1");
        command.output().unwrap()
    };
    let checked = run(&["check"]);
    let text = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{text}");
    assert!(text.contains("HTTP_PROXY, HTTPS_PROXY set; dbbackup connects directly all the same"), "{text}");
    assert_eq!(run(&["all", "--date", "2025-08-18"]).status.code(), Some(0));
}

#[test]
fn an_address_that_is_not_private_is_told() {
    let world = good();
    world.faults().write_only();
    world.configure(|text| by_name(&text) + "[network]\nallowed_cidrs = [\"10.0.0.0/8\"]\n");
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let open = lines(&world, 0);
    is(&open, "name", "warn");
    is(&open, "connection", "warn");
    world.configure(|text| {
        by_name(&text) + "[network]\nrequire_private = true\nallowed_cidrs = [\"10.0.0.0/8\"]\n"
    });
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let required = lines(&world, 1);
    assert_eq!(with(&required, "fail"), ["name", "connection", "answer"]);
}

#[test]
fn cron_sees_what_this_shell_hides() {
    let world = good();
    world.faults().write_only();
    let config = world.path("config.toml");
    let args = ["check", "--as-cron", "--json", "--config", config.to_str().unwrap()];
    let output = world.run(&args).exits(1);
    let lines = output.json()["lines"].as_array().unwrap().clone();
    is(&lines, "environment", "ok");
    // The keys were in this test's environment alone.
    is(&lines, "credentials", "fail");
}

#[test]
fn findings_are_kept_and_reported_with_their_dates() {
    let world = good();
    world.faults().write_only();
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    world.run(&["check"]).exits(0);
    let report = world.run(&["check", "--report"]).exits(0).stdout;
    assert!(report.contains("- warn local configuration file: "), "{report}");
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let report = world.run(&["check", "--report"]).exits(0).stdout;
    let closed = report.split("## Closed findings").nth(1).unwrap();
    assert!(closed.contains("configuration file") && closed.contains("closed 20"), "{report}");
    for title in ["## Versions", "## Capacity", "## Access", "## Network", "## Bucket", "## Configuration"] {
        assert!(report.contains(title), "{report}");
    }
    let kept: Value = serde_json::from_slice(&fs::read(world.path("state/findings.json")).unwrap()).unwrap();
    assert!(kept["findings"].as_array().unwrap().iter().any(|one| one["closed"].is_string()), "{kept}");
}

#[test]
fn rates_are_measured_and_leave_nothing_behind() {
    let world = good();
    world.backup().exits(0);
    let before = world.all_keys();
    let output = world.run(&["check", "--json", "--speed"]).exits(1);
    let lines = output.json()["lines"].as_array().unwrap().clone();
    is(&lines, "upload rate", "ok");
    is(&lines, "download rate", "ok");
    assert_eq!((world.all_keys(), world.open_uploads()), (before, 0));
}
