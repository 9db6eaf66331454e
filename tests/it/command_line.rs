//! What can be typed and configured wrongly, and what the program says of itself.

use crate::support::world::{WEEKLY, World};

#[test]
fn a_misspelt_target_exits_2_with_a_suggestion() {
    let world = World::new();
    world.run(&["mysq"]).exits(2).says("did you mean `dbbackup mysql`?");
    world.run(&["lst"]).exits(2).says("did you mean `dbbackup list`?");
}

#[test]
fn a_date_that_is_none_exits_2() {
    let world = World::new();
    for day in ["2025-02-30", "18-08-2025", "soon"] {
        world.run(&["all", "--date", day]).exits(2).says(day);
    }
    world.run(&["all", "--since", WEEKLY, "--until", "2025-08-17"]).exits(2);
    assert!(world.server.requests().is_empty());
}

#[test]
fn a_time_zone_that_cannot_be_read_exits_2() {
    let world = World::new();
    world.company();
    for (zone, code) in [("CET-1CEST", 2), ("Europe/Atlantis", 2), ("CET-1CEST,M3.5.0,M10.5.0/3", 0)] {
        let run = world.run_under(&["all", "--date", WEEKLY], &[("TZ", zone)]).exits(code);
        assert_eq!(run.stderr.contains(&format!("TZ is `{zone}`")), code == 2, "{}", run.stderr);
    }
}

#[test]
fn two_targets_exit_2() {
    World::new().run(&["oracle", "mysql"]).exits(2).says("mysql");
}

#[test]
fn an_unknown_key_exits_2_with_file_and_line() {
    let world = World::new();
    world.configure(|text| text.replace("prefix =", "prefiks ="));
    let place = format!("{}:15:1", world.path("config.toml").display());
    world.backup().exits(2).says(&place).says("prefiks").says("prefix");
    assert!(!world.path("log").exists() && world.server.requests().is_empty());
}

#[test]
fn a_wrong_value_exits_2_with_what_is_allowed() {
    let world = World::new();
    world.configure(|text| text.replace("part_size = \"5MiB\"", "part_size = \"1MiB\"\nattempts = 11"));
    world.backup().exits(2).says("part_size").says("5MiB").says("attempts");
}

#[test]
fn a_secret_in_the_file_exits_2_and_is_not_repeated() {
    let world = World::new();
    let secret = "wJalrXUtnFEMIexampleK7MDENGbPxRfiCYzzzzz";
    world.configure(|text| text.replace("[log]", &format!("secret_access_key = \"{secret}\"\n[log]")));
    let output = world.backup().exits(2).says("secret_access_key").says("credentials do not belong");
    assert!(!output.stderr.contains(secret) && !output.stdout.contains(secret));
    let output = world.run(&["config", "check"]).exits(2);
    assert!(!output.stderr.contains(secret) && !output.stdout.contains(secret));
}

#[test]
fn a_configuration_that_is_not_there_exits_2_and_is_named() {
    let world = World::new();
    world.run(&["all", "--config", "/nowhere/config.toml"]).exits(2).says("/nowhere/config.toml");
}

#[test]
fn a_relative_path_in_the_configuration_exits_2() {
    let world = World::new();
    world.configure(|text| {
        text.replacen(&format!("{}/mysql", world.path("").display()).replace("//", "/"), "mysql", 1)
    });
    world.backup().exits(2).says("absolute");
}

#[test]
fn an_engine_that_is_not_configured_exits_2_where_it_is_named() {
    let world = World::new();
    let start = |text: &str| text.find("[mysql]").unwrap();
    world.configure(|text| text[start(&text)..].to_owned());
    world.run(&["oracle", "--date", WEEKLY]).exits(2).says("[oracle]");
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
}

#[test]
fn config_check_prints_what_is_in_effect() {
    let world = World::new();
    let output = world.run(&["config", "check"]).exits(0);
    for text in ["bucket = \"backups\"", "keep_days = 90", "attempts = 3"] {
        assert!(output.stdout.contains(text), "{text} in {}", output.stdout);
    }
}

#[test]
fn what_config_check_prints_is_a_configuration() {
    let world = World::new();
    let output = world.run(&["config", "check"]).exits(0);
    world.configure(|_| output.stdout.clone());
    assert_eq!(world.run(&["config", "check"]).exits(0).stdout, output.stdout);
}

#[test]
fn version_names_the_version_and_the_commit() {
    let output = World::new().run(&["--version"]).exits(0);
    let expected = format!("dbbackup {} (", env!("CARGO_PKG_VERSION"));
    assert!(output.stdout.starts_with(&expected) && output.stdout.ends_with(")\n"), "{}", output.stdout);
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let world = World::new();
    let commands: [&[&str]; 10] = [
        &[],
        &["restore"],
        &["list"],
        &["show"],
        &["config"],
        &["config", "check"],
        &["policy"],
        &["demo"],
        &["completions"],
        &["man"],
    ];
    for command in commands {
        let output = world.run(&[command, &["--help"]].concat()).exits(0);
        assert!(output.stdout.contains("Example"), "{command:?}: {}", output.stdout);
    }
}

#[test]
fn completions_and_manual_need_no_configuration() {
    let world = World::new();
    world.configure(|_| "broken".to_owned());
    let output = world.run(&["completions", "bash"]).exits(0);
    assert!(output.stdout.contains("complete -F _dbbackup"), "{}", output.stdout);
    let output = world.run(&["man"]).exits(0);
    assert!(output.stdout.contains(".TH dbbackup"), "{}", output.stdout);
}

#[test]
fn options_of_the_backup_before_another_command_exit_2() {
    World::new().run(&["--dry-run", "list"]).exits(2).says("--dry-run");
}

#[test]
fn a_bucket_that_is_not_there_exits_5() {
    let world = World::new();
    world.company();
    world.configure(|text| text.replace("bucket = \"backups\"", "bucket = \"nowhere-backups\""));
    world.backup().exits(5).says("nowhere-backups").says("No backups were uploaded to S3.");
    world.run(&["list"]).exits(5);
}

#[test]
fn credentials_that_s3_does_not_take_exit_5() {
    let world = World::new();
    world.company();
    let mut command = world.command(&["all", "--date", WEEKLY]);
    command.env("AWS_SECRET_ACCESS_KEY", "another");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("SignatureDoesNotMatch") && said.contains("check the credentials"), "{said}");
}

#[test]
fn no_credentials_at_all_exit_5() {
    let world = World::new();
    world.company();
    let mut command = world.command(&["all", "--date", WEEKLY]);
    command.env_remove("AWS_SECRET_ACCESS_KEY").env_remove("AWS_ACCESS_KEY_ID");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

#[test]
fn an_endpoint_where_nobody_listens_exits_5() {
    let world = World::new();
    world.company();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = world.server.endpoint_url();
    world.configure(|text| text.replace(&endpoint, &format!("http://{free}")));
    let run = world.backup().exits(5).says("[RETRY]").says("endpoint_url");
    // Three sets, the bucket and the catalog are asked for at once: one of them speaks for all.
    let told = |attempt| run.stderr.matches(&format!("attempt {attempt} of 3 failed")).count();
    assert_eq!([1, 2, 3].map(told), [1, 1, 0], "{}", run.stderr);
}

#[test]
fn the_demo_runs_to_its_end() {
    let output = World::new().run(&["demo"]).exits(0);
    assert!(output.stdout.contains("dbbackup restore"), "{}", output.stdout);
}

#[test]
fn credentials_that_cannot_be_had_are_one_error_and_no_dump_of_the_libraries() {
    let world = World::new();
    world.company();
    let port = world.server.addr().port();
    let none = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_EC2_METADATA_DISABLED", "false"),
        // It answers, and is no metadata service.
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://127.0.0.1:{port}")),
    ];
    let output = world
        .run_under(&["list"], &none)
        .exits(5)
        .says("check the credentials (environment, `profile` in [s3] or AWS_PROFILE, role)");
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
}
