//! The policies that the program prints for the configuration at hand.

use serde_json::Value;

use crate::support::world::World;

const ROLES: [&str; 4] = ["uploader", "restorer", "auditor", "pruner"];
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/1a2b3c4d-0000-4000-8000-000000000001";

/// One, or a list of them.
fn resources(statement: &Value) -> Vec<&str> {
    let one = std::slice::from_ref(&statement["Resource"]);
    let all = statement["Resource"].as_array().map_or(one, Vec::as_slice);
    all.iter().map(|resource| resource.as_str().unwrap()).collect()
}

#[test]
fn every_policy_is_json_without_a_placeholder_and_needs_no_network() {
    let world = World::new();
    world.configure(|text| text.replace("prefix = \"backup\"", "prefix = \"backup/{hostname}\""));
    for role in ROLES {
        for more in [&[][..], &["--any-host"], &["--kms-key", KEY], &["--host", "db2"]] {
            let output = world.run(&[&["policy", role], more].concat()).exits(0);
            assert_eq!(output.json()["Version"], "2012-10-17");
            assert!(!output.stdout.contains('$') && !output.stdout.contains("{hostname}"), "{output:?}");
            assert_eq!(output.stdout.contains("kms:Decrypt"), more.contains(&KEY), "{output:?}");
        }
    }
    assert!(world.server.requests().is_empty());
}

#[test]
fn the_policy_follows_the_host() {
    let world = World::new();
    world.configure(|text| text.replace("prefix = \"backup\"", "prefix = \"backup/{hostname}\""));
    let resource = |more: &[&str]| {
        let output = world.run(&[&["policy", "uploader"], more].concat()).exits(0);
        output.json()["Statement"][0]["Resource"].as_str().unwrap().to_owned()
    };
    assert_eq!(resource(&["--host", "db2"]), "arn:aws:s3:::backups/backup/db2/*");
    assert_eq!(resource(&["--any-host"]), "arn:aws:s3:::backups/backup/*/*");
    assert!(!resource(&[]).contains('{'));
}

#[test]
fn no_policy_grants_a_whole_service_or_names_a_whole_account() {
    let world = World::new();
    for role in ROLES {
        let policy = world.run(&["policy", role, "--any-host", "--kms-key", KEY]).exits(0).json();
        for statement in policy["Statement"].as_array().unwrap() {
            assert!(!statement["Action"].to_string().contains('*'), "{statement}");
            for resource in resources(statement) {
                assert!(resource.starts_with("arn:aws:"), "{statement}");
            }
        }
    }
}

#[test]
fn what_verify_records_is_what_the_auditor_may_add_and_a_manifest_ends_otherwise() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    world.run(&["verify", "--reread"]).exits(0);
    let keys = world.all_keys();
    let policy = world.run(&["policy", "auditor"]).exits(0).json();
    let statements = policy["Statement"].as_array().unwrap();
    let add = statements.iter().find(|statement| statement["Sid"] == "AddProofs").unwrap();
    let ends: Vec<&str> =
        resources(add).into_iter().map(|resource| resource.rsplit_once('*').unwrap().1).collect();
    let proof = keys.iter().find(|key| key.contains("/proof-")).unwrap();
    assert!(ends.iter().any(|end| proof.ends_with(end)), "{proof}: {ends:?}");
    assert!(ends.iter().all(|end| !"/manifest.json".ends_with(end)), "{ends:?}");
}

#[test]
fn a_key_without_its_arn_exits_2_with_what_to_give() {
    let world = World::new();
    world.run(&["policy", "uploader", "--kms-key", "alias/backup"]).exits(2).says("--kms-key").says("ARN");
}

#[test]
fn a_policy_without_a_key_says_so() {
    let world = World::new();
    world.run(&["policy", "restorer"]).exits(0).says("--kms-key");
    assert_eq!(world.run(&["-q", "policy", "restorer"]).exits(0).stderr, "");
}
