//! The bucket's settings, each forced to each of its results.

use std::fs;

use dbbackup::embedded::{Fault, Op, Rule};
use serde_json::Value;

use super::{GOOD, advice, bare, closed_to_others, good, is, line, lines, say, seen};
use crate::support::world::World;
use crate::support::{BUCKET, Fixture, code};

/// The lines of a bucket that says what [`GOOD`] says, but for these settings.
fn but_for(settings: &[(Op, &str)]) -> World {
    let world = bare();
    world.faults().write_only();
    world.faults().allow(Op::HeadBucket);
    world.faults().allow(Op::GetBucketVersioning);
    for (op, body) in settings {
        say(&world, *op, body);
    }
    for (op, body) in GOOD.iter().filter(|(op, _)| settings.iter().all(|(other, _)| other != op)) {
        say(&world, *op, body);
    }
    world
}

#[test]
fn settings_as_the_template_makes_them_are_ok() {
    let lines = lines(&but_for(&[]), 0);
    for (what, text) in [
        ("region", "us-east-1"),
        ("versioning", "on"),
        ("encryption", "aws:kms, AWS's own key"),
        ("public access block", "all four settings are on"),
        ("ownership", "BucketOwnerEnforced"),
        ("policy", "there is one, and it is not public"),
        ("incomplete uploads", "aborted after 7 days"),
        ("expiry", "no lifecycle rule removes backups"),
        ("object lock", "on"),
        ("default retention", "GOVERNANCE, 30 days"),
    ] {
        is(&lines, what, "ok");
        assert_eq!(seen(&lines, what), text);
    }
}

#[test]
fn settings_that_were_never_made_are_told_with_what_to_do() {
    let world = World::new();
    world.company();
    closed_to_others(&world);
    let lines = lines(&world, 1);
    for (what, outcome, to_do) in [
        ("versioning", "fail", "switch it on"),
        ("encryption", "warn", "set a default encryption"),
        ("public access block", "fail", "switch on all four"),
        ("ownership", "warn", "BucketOwnerEnforced"),
        ("policy", "warn", "deploy/aws/bucket.yaml"),
        ("incomplete uploads", "warn", "AbortIncompleteMultipartUpload"),
        ("object lock", "warn", "ObjectLockMode=GOVERNANCE or COMPLIANCE"),
    ] {
        is(&lines, what, outcome);
        assert!(advice(&lines, what).contains(to_do), "{}", line(&lines, what));
    }
    let template =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/aws/bucket.yaml")).unwrap();
    assert!(template.contains("  ObjectLockMode:\n") && template.contains("GOVERNANCE"), "no such parameter");
    is(&lines, "expiry", "ok");
    // Nothing is locked, so there is no retention to speak of.
    assert!(lines.iter().all(|line| line["what"] != "default retention"), "{lines:#?}");
}

#[test]
fn settings_that_were_made_wrongly_are_told_as_they_are() {
    let world = but_for(&[
        (
            Op::GetBucketVersioning,
            "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
        ),
        (
            Op::GetPublicAccessBlock,
            "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true\
             </IgnorePublicAcls><BlockPublicPolicy>false</BlockPublicPolicy></PublicAccessBlockConfiguration>",
        ),
        (
            Op::GetBucketOwnershipControls,
            "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership></Rule></OwnershipControls>",
        ),
        (Op::GetBucketPolicyStatus, "<PolicyStatus><IsPublic>true</IsPublic></PolicyStatus>"),
        (
            Op::GetBucketLifecycleConfiguration,
            "<LifecycleConfiguration><Rule><ID>tidy</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>\
             <Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>",
        ),
        (
            Op::GetObjectLockConfiguration,
            "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
        ),
    ]);
    world.configure(|text| text.replace("region = \"us-east-1\"", "region = \"eu-central-1\""));
    closed_to_others(&world);
    let lines = lines(&world, 1);
    for (what, outcome, text) in [
        ("region", "fail", "the bucket is in us-east-1, the configuration says eu-central-1"),
        ("versioning", "fail", "suspended"),
        ("public access block", "fail", "off: BlockPublicPolicy, RestrictPublicBuckets"),
        ("ownership", "warn", "ObjectWriter"),
        ("policy", "fail", "S3 calls it public"),
        ("incomplete uploads", "warn", "never aborted"),
        ("expiry", "warn", "rule `tidy` removes everything under `` after 30 days"),
        (
            "[s3] expires",
            "warn",
            "a rule removes weekly backups after 30 days, of which it says nothing; a rule removes monthly backups after \
             30 days, of which it says nothing",
        ),
        ("object lock", "ok", "on"),
        ("default retention", "warn", "none"),
    ] {
        is(&lines, what, outcome);
        assert_eq!(seen(&lines, what), text);
        assert_eq!(advice(&lines, what).is_empty(), outcome == "ok");
    }
    assert_eq!(advice(&lines, "region"), "set [s3] region = \"us-east-1\"");
}

#[test]
fn what_the_check_says_to_write_of_a_rule_is_what_it_wants_to_read() {
    let category = |days: u32, category: &str| {
        format!(
            "<Rule><ID>{category}</ID><Status>Enabled</Status><Filter><Tag><Key>dbbackup-category</Key><Value>{category}\
             </Value></Tag></Filter><Expiration><Days>{days}</Days></Expiration></Rule>"
        )
    };
    let rules = format!(
        "<LifecycleConfiguration>{}{}</LifecycleConfiguration>",
        category(90, "weekly"),
        category(400, "monthly")
    );
    let world = but_for(&[(Op::GetBucketLifecycleConfiguration, &rules)]);
    let told = lines(&world, 0);
    is(&told, "[s3] expires", "warn");
    let written = advice(&told, "[s3] expires").strip_prefix("write ").unwrap().split_once(" }").unwrap().0;
    assert_eq!(written, "expires = { weekly = \"90d\", monthly = \"400d\"");
    let option = format!("path_style = true\n{written} }}\n");
    world.configure(|text| text.replace("path_style = true\n", &option));
    closed_to_others(&world);
    let told = lines(&world, 0);
    is(&told, "[s3] expires", "ok");
    assert_eq!(
        seen(&told, "expiry"),
        "`` dbbackup-category=weekly after 90 days, `` dbbackup-category=monthly after 400 days"
    );
}

/// The lines that come from one call each.
const CALLS: [(&str, Op, &str); 8] = [
    ("versioning", Op::GetBucketVersioning, "s3:GetBucketVersioning"),
    ("encryption", Op::GetBucketEncryption, "s3:GetEncryptionConfiguration"),
    ("public access block", Op::GetPublicAccessBlock, "s3:GetBucketPublicAccessBlock"),
    ("ownership", Op::GetBucketOwnershipControls, "s3:GetBucketOwnershipControls"),
    ("policy", Op::GetBucketPolicyStatus, "s3:GetBucketPolicyStatus"),
    ("incomplete uploads", Op::GetBucketLifecycleConfiguration, "s3:GetLifecycleConfiguration"),
    ("expiry", Op::GetBucketLifecycleConfiguration, "s3:GetLifecycleConfiguration"),
    ("object lock", Op::GetObjectLockConfiguration, "s3:GetBucketObjectLockConfiguration"),
];

#[test]
fn a_call_that_is_refused_is_unknown_by_the_name_of_its_permission() {
    let world = but_for(&[]);
    for op in CALLS.map(|(_, op, _)| op).into_iter().chain([Op::HeadBucket]) {
        world.faults().deny(op);
    }
    let lines = lines(&world, 0);
    for (what, permission) in
        CALLS.map(|(what, _, permission)| (what, permission)).into_iter().chain([("region", "s3:ListBucket")])
    {
        is(&lines, what, "unknown");
        assert_eq!(line(&lines, what)["missing_permission"], permission);
        assert!(advice(&lines, what).contains(permission), "{}", line(&lines, what));
    }
}

#[test]
fn a_call_that_the_store_does_not_have_is_unknown_and_no_permission_is_missing() {
    let world = but_for(&[]);
    world.faults().clear();
    // Its head has no region either.
    world.faults().add(Rule::new(Fault::Say { status: 200, body: String::new() }).on(Op::HeadBucket));
    for (_, op, _) in CALLS {
        world.faults().add(Rule::new(Fault::Answer { status: 501, code: "NotImplemented" }).on(op));
    }
    let lines = lines(&world, 0);
    for (what, _, _) in CALLS {
        is(&lines, what, "unknown");
        assert_eq!(line(&lines, what)["missing_permission"], Value::Null);
        assert!(advice(&lines, what).contains("may not have this call"), "{}", line(&lines, what));
    }
    is(&lines, "region", "unknown");
    assert_eq!(seen(&lines, "region"), "the store tells none");
}

#[test]
fn encryption_that_the_configuration_asks_for_is_enough() {
    let world = bare();
    world.faults().write_only();
    world.configure(|text| text.replace("path_style = true\n", "path_style = true\nsse = \"AES256\"\n"));
    closed_to_others(&world);
    let lines = lines(&world, 1);
    is(&lines, "encryption", "ok");
    assert!(seen(&lines, "encryption").contains("[s3] sse asks for it"), "{lines:#?}");
}

#[test]
fn a_wrong_checksum_that_is_refused_for_another_reason_proves_nothing() {
    let world = good();
    world.faults().write_only();
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::UploadPart).times(1));
    let lines = lines(&world, 0);
    is(&lines, "checksum", "unknown");
    assert!(seen(&lines, "checksum").contains("for another reason: InternalError"), "{lines:#?}");
    is(&lines, "conditional writes", "ok");
}

#[tokio::test]
async fn the_embedded_server_tells_of_settings_that_were_never_made_as_s3_does() {
    let s3 = Fixture::new().await;
    let client = &s3.client;
    for (bucket, codes) in [
        (
            BUCKET,
            [
                "ServerSideEncryptionConfigurationNotFoundError",
                "NoSuchPublicAccessBlockConfiguration",
                "OwnershipControlsNotFoundError",
                "NoSuchBucketPolicy",
                "NoSuchLifecycleConfiguration",
                "ObjectLockConfigurationNotFoundError",
            ],
        ),
        ("elsewhere", ["NoSuchBucket"; 6]),
    ] {
        let found = [
            code(client.get_bucket_encryption().bucket(bucket).send().await),
            code(client.get_public_access_block().bucket(bucket).send().await),
            code(client.get_bucket_ownership_controls().bucket(bucket).send().await),
            code(client.get_bucket_policy_status().bucket(bucket).send().await),
            code(client.get_bucket_lifecycle_configuration().bucket(bucket).send().await),
            code(client.get_object_lock_configuration().bucket(bucket).send().await),
        ];
        assert_eq!(found, codes);
    }
    let stranger = crate::support::client(&s3.server, "test", "wrong");
    let refused = stranger.get_bucket_encryption().bucket(BUCKET).send().await;
    assert_eq!(code(refused), "SignatureDoesNotMatch");
}

#[test]
fn another_host_that_sends_to_the_same_folder_is_told_while_it_does() {
    let world = good();
    world.backup().exits(0);
    is(&lines(&world, 1), "prefix", "ok");
    let run = |host: &str, date: &str| {
        world.put(&format!("backup/_runs/host={host}/date={date}/20250819T010000Z-all.json"), "{}");
    };
    run("aaa", "2025-08-19");
    is(&lines(&world, 1), "prefix", "ok");
    let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
    run("zzz", &today);
    let checked = lines(&world, 1);
    is(&checked, "prefix", "warn");
    assert_eq!(seen(&checked, "prefix"), "backup: the host zzz sends to it too");
    world.configure(|text| text.replace("\"backup\"", "\"backup/{hostname}\""));
    closed_to_others(&world);
    is(&lines(&world, 1), "prefix", "ok");
}
