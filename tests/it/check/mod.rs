//! `dbbackup check`, and connections that may only be private.

mod bucket;
mod certificates;
mod network;
mod rights;
mod told;

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
         </AbortIncompleteMultipartUpload><NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays>\
         </NoncurrentVersionExpiration></Rule></LifecycleConfiguration>",
    ),
    (
        Op::GetObjectLockConfiguration,
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>\
         GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>",
    ),
];

/// A host with a source, and a versioned bucket as the template makes it.
fn good() -> World {
    let world = bare();
    for (op, body) in GOOD {
        say(&world, op, body);
    }
    world
}

/// A host with a source, and a bucket that keeps versions and has no other setting.
fn bare() -> World {
    let world = World::versioned();
    world.company();
    closed_to_others(&world);
    world
}

/// The configuration as it is installed.
fn closed_to_others(world: &World) {
    fs::set_permissions(world.path("config.toml"), fs::Permissions::from_mode(0o640)).unwrap();
}

fn say(world: &World, op: Op, body: &str) {
    world.faults().add(Rule::new(Fault::Say { status: 200, body: body.to_owned() }).on(op));
}

/// The check's lines as JSON; it must have ended with this exit code.
#[track_caller]
fn lines(world: &World, code: i32) -> Vec<Value> {
    lines_under(world, code, &[])
}

/// The same with variables in its environment.
#[track_caller]
fn lines_under(world: &World, code: i32, variables: &[(&str, &str)]) -> Vec<Value> {
    let output = world.run_under(&["check", "--json"], variables).exits(code);
    output.json()["lines"].as_array().unwrap().clone()
}

/// The line's advice.
#[track_caller]
fn advice<'l>(lines: &'l [Value], what: &str) -> &'l str {
    line(lines, what)["advice"].as_str().unwrap()
}

/// What the line saw.
#[track_caller]
fn seen<'l>(lines: &'l [Value], what: &str) -> &'l str {
    line(lines, what)["seen"].as_str().unwrap()
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

/// The rights of the uploader's role, and the bucket policy of the template.
fn uploader(world: &World) {
    world.faults().write_only();
    world.faults().add(Rule::new(Fault::DenyUnconditional).on(Op::PutObject));
}

#[test]
fn a_clock_twenty_minutes_off_fails_with_what_to_do() {
    let world = good();
    world.faults().write_only();
    // Once: the SDK signs by the clock of the last reply, and this server's own is right.
    world.faults().add(Rule::new(Fault::DateOff { seconds: -1200 }).on(Op::HeadBucket).times(1));
    let lines = lines(&world, 1);
    assert_eq!(with(&lines, "fail"), ["clock"], "{lines:#?}");
    assert_eq!(line(&lines, "clock")["seen"], "20 min ahead of the server's clock");
    assert!(line(&lines, "clock")["advice"].as_str().unwrap().contains("time service"));
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
    assert!(line(&lines, "connection")["advice"].as_str().unwrap().contains("tunnel"));
    assert_eq!(line(&lines, "answer")["advice"], "see the line `connection`");
    is(&lines, "the rest", "unknown");
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
