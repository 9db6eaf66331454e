//! The parser as its users meet it: a file in, a configuration or messages out.

mod example;

use std::path::Path;
use std::time::Duration;

use chrono::Weekday;

use super::{ChecksumChoice, Config, ConfigError, LogFormat, OnCutShort, Origin, Problem, Sse};
use crate::model::{Category, Engine};

const LEAST: &str = "[mysql]\nsource = \"/srv/mysql\"\n[s3]\nbucket = \"example-backup\"\n";
/// Of a pair that was made for this.
const PUBLIC_KEY: &str = "age1waps80f6rlmn3skl5f3fm2j3tjhnn89rj4k6qp5m25kk7nt4nfzq0vskk7";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/dbbackup/config.toml"), "db1")
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Err(ConfigError::Invalid { problems, .. }) => problems,
        other => panic!("{text}\nwas taken: {other:?}"),
    }
}

/// The one problem of the least configuration with lines of one section added.
fn problem_with(section: &str, lines: &str) -> Problem {
    let header = format!("[{section}]\n");
    let text = if lines.starts_with("source") {
        LEAST.replace("source = \"/srv/mysql\"", lines)
    } else if LEAST.contains(&header) {
        LEAST.replace(&header, &format!("{header}{lines}\n"))
    } else {
        format!("{LEAST}{header}{lines}\n")
    };
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    found.into_iter().next().unwrap()
}

#[test]
fn least_file_gets_every_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.sources.keys().collect::<Vec<_>>(), [&Engine::Mysql]);
    assert_eq!(config.s3.prefix, "");
    assert_eq!(config.s3.checksum, ChecksumChoice::Auto);
    assert_eq!(config.s3.connect_timeout, Duration::from_secs(10));
    assert_eq!(config.s3.attempt_timeout, Duration::from_mins(5));
    assert_eq!(config.s3.stall_timeout, Duration::from_mins(5));
    assert_eq!(config.s3.min_rate.bytes(), 64 << 10);
    assert_eq!(config.log.dir, Path::new("/var/log/dbbackup"));
    assert_eq!((config.log.keep_days, config.log.format), (90, LogFormat::Text));
    assert_eq!(config.state.dir, Path::new("/var/lib/dbbackup"));
    assert_eq!(config.backup.attempts, 3);
    assert_eq!(config.backup.pauses, [Duration::from_secs(5), Duration::from_secs(10)]);
    assert_eq!((config.backup.concurrency, config.backup.part_size), (128, 8 << 20));
    assert_eq!(config.backup.buffer_memory(), 32 << 20);
    assert_eq!(config.backup.categories, crate::calendar::CategoryRules::default());
    assert_eq!(config.backup.settle_time, Duration::from_mins(1));
    assert_eq!(config.backup.settle_wait, Duration::from_mins(10));
    assert_eq!(config.backup.on_cut_short, OnCutShort::Refuse);
    assert_eq!((config.backup.strict, config.backup.catch_up_days), (false, 0));
    let mysql = &config.sources[&Engine::Mysql];
    assert_eq!((mysql.min_size, mysql.check.timeout), (1024, Duration::from_mins(30)));
    assert!(mysql.check.command.is_empty());
    let told = config.warnings();
    assert!(told.len() == 1 && told[0].starts_with("nothing is expected ([[expect]])"), "{told:?}");
}

#[test]
fn week_is_caught_up_with_where_every_night_is_sent_unless_told_otherwise() {
    let days = |lines: &str| parse(&format!("{LEAST}[backup]\n{lines}\n")).unwrap().backup.catch_up_days;
    assert_eq!(days("daily = true"), 7);
    assert_eq!(days("daily = false"), 0);
    assert_eq!(days("daily = true\ncatch_up_days = 0"), 0);
    assert_eq!(days("catch_up_days = 3"), 3);
}

#[test]
fn engine_of_which_nothing_is_expected_is_named() {
    let expect = "[[expect]]\nengine = \"mysql\"\napp = \"*\"\nschedule = \"daily\"\n";
    assert_eq!(parse(&format!("{LEAST}{expect}")).unwrap().warnings(), Vec::<String>::new());
    let both = parse(&format!("{LEAST}[mssql]\nsource = \"/srv/mssql\"\n{expect}")).unwrap().warnings();
    assert!(both.len() == 1 && both[0].starts_with("nothing is expected of mssql"), "{both:?}");
}

#[test]
fn full_file_is_taken_as_written() {
    let text = r#"
        [oracle]
        source = "/srv/oracle/"
        exclude = ["old", "test/x"]
        include_level1 = true
        [mssql]
        source = "/srv/mssql"
        include_differential = true
        include_log = true
        min_size = "1MiB"
        check_command = ["/usr/local/bin/check", "--file={path}"]
        check_timeout = "2h"
        [s3]
        bucket = "example-backup"
        prefix = "fleet/{hostname}"
        region = "eu-west-1"
        endpoint_url = "https://bucket.vpce-0a1b.s3.eu-west-1.vpce.amazonaws.com/"
        path_style = true
        profile = "backup"
        sse = "aws:kms"
        kms_key_id = "alias/backup"
        checksum = "sha256"
        expected_bucket_owner = "123456789012"
        connect_timeout = "3s"
        attempt_timeout = "1h 30m"
        stall_timeout = "30s"
        min_rate = "1Mbit/s"
        [s3.storage_class]
        weekly = "STANDARD_IA"
        monthly = "GLACIER_IR"
        [s3.expires]
        daily = "1week"
        weekly = "90d"
        [log]
        dir = "/srv/log"
        keep_days = 30
        format = "json"
        [state]
        dir = "/srv/state"
        [backup]
        attempts = 1
        pauses = ["0s"]
        concurrency = 256
        max_memory = "1GiB"
        part_size = "64MiB"
        settle_time = "0s"
        settle_wait = "1h"
        on_cut_short = "send"
        strict = true
        catch_up_days = 7
        daily = true
        weekly_day = "Sunday"
        monthly_week = 1
    "#;
    let config = parse(text).unwrap();
    let oracle = &config.sources[&Engine::Oracle];
    assert_eq!(oracle.dir.as_os_str(), "/srv/oracle");
    assert_eq!(oracle.exclude.texts(), ["old", "test/x"]);
    assert!(oracle.include_level1);
    let mssql = &config.sources[&Engine::Mssql];
    assert!(mssql.include_differential && mssql.include_log);
    assert_eq!(mssql.min_size, 1 << 20);
    assert_eq!(mssql.check.command, ["/usr/local/bin/check", "--file={path}"]);
    assert_eq!(mssql.check.timeout, Duration::from_hours(2));
    let s3 = &config.s3;
    assert_eq!(s3.prefix, "fleet/db1");
    let endpoint = "https://bucket.vpce-0a1b.s3.eu-west-1.vpce.amazonaws.com";
    assert_eq!(s3.endpoint_url.as_deref(), Some(endpoint));
    assert_eq!(s3.profile.as_deref(), Some("backup"));
    assert_eq!(s3.sse, Some(Sse::Kms(Some("alias/backup".into()))));
    assert_eq!(s3.checksum, ChecksumChoice::Sha256);
    assert_eq!(s3.storage_class[&Category::Monthly], "GLACIER_IR");
    assert_eq!(s3.expires.iter().collect::<Vec<_>>(), [(Category::Daily, 7), (Category::Weekly, 90)]);
    assert_eq!(s3.attempt_timeout, Duration::from_mins(90));
    assert_eq!((s3.stall_timeout, s3.min_rate.bytes()), (Duration::from_secs(30), 125_000));
    assert_eq!((config.log.keep_days, config.log.format), (30, LogFormat::Json));
    assert_eq!(config.backup.max_memory, 1 << 30);
    assert_eq!(
        (config.backup.settle_time, config.backup.settle_wait),
        (Duration::ZERO, Duration::from_hours(1))
    );
    assert_eq!(config.backup.on_cut_short, OnCutShort::Send);
    assert_eq!((config.backup.strict, config.backup.catch_up_days), (true, 7));
    assert_eq!(config.backup.categories.weekly_day, Weekday::Sun);
    assert_eq!(config.backup.categories.monthly_week, 1);
    assert_eq!(parse(&config.render()).unwrap().render(), config.render());
}

#[test]
fn impossible_value_names_its_key_and_what_is_allowed() {
    for (section, line, allowed) in [
        ("mysql", "source = 5", "absolute path"),
        ("mysql", "exclude = \"x\"", "list"),
        ("mysql", "exclude = [5]", "relative"),
        ("mysql", "include_level1 = true", "exclude"),
        ("s3", "prefix = \"/backup\"", "slash"),
        ("s3", "prefix = \"a/{host}\"", "{hostname}"),
        ("s3", "region = \"Frankfurt\"", "eu-west-1"),
        ("s3", "endpoint_url = \"s3.example.com\"", "http or https"),
        ("s3", "path_style = \"yes\"", "true or false"),
        ("s3", "storage_class = \"STANDARD_IA\"", "table"),
        ("s3", "storage_class = { weekly = \"standard_ia\" }", "did you mean `STANDARD_IA`"),
        ("s3", "expires = \"90d\"", "table, such as { weekly = \"90d\" }"),
        ("s3", "expires = { weekly = \"36h\" }", "not whole days; allowed: whole days from \"1d\""),
        ("s3", "expires = { weekly = \"0d\" }", "out of range"),
        ("s3", "expires = { weekly = 90 }", "whole number is the wrong type"),
        ("s3", "expires = { yearly = \"400d\" }", "daily, weekly, monthly"),
        ("s3", "storage_class = { yearly = \"STANDARD\" }", "daily, weekly, monthly"),
        ("s3", "sse = \"aes256\"", "did you mean `AES256`"),
        ("s3", "kms_key_id = \"alias/backup\"", "sse = \"aws:kms\""),
        ("s3", "checksum = \"md5\"", "\"crc64nvme\""),
        ("s3", "expected_bucket_owner = \"1234\"", "12 digits"),
        ("s3", "expected_bucket_owner = 123456789012", "in quotes"),
        ("s3", "ca_bundle = \"/nonexistent/ca.pem\"", "PEM"),
        ("s3", "connect_timeout = \"0s\"", "from \"1s\" to \"1h\""),
        ("s3", "attempt_timeout = 300", "with its unit"),
        ("s3", "stall_timeout = \"2h\"", "to \"1h\""),
        ("s3", "min_rate = \"64KiB\"", "64KiB/s"),
        ("s3", "profile = \"\"", "~/.aws/config"),
        ("log", "dir = \"logs\"", "absolute"),
        ("log", "keep_days = 0", "from 1 to 36500"),
        ("log", "format = \"xml\"", "\"text\", \"json\""),
        ("state", "dir = \"~/state\"", "absolute"),
        ("backup", "attempts = 0", "from 1 to 10"),
        ("backup", "attempts = 11", "from 1 to 10"),
        ("backup", "attempts = 2.5", "whole number"),
        ("backup", "pauses = []", "1 to 9"),
        ("backup", "pauses = [\"5\"]", "with its unit"),
        ("backup", "concurrency = 257", "from 1 to 256"),
        ("backup", "concurrency = -1", "from 1 to 256"),
        ("backup", "on_cut_short = \"ignore\"", "\"refuse\", \"send\""),
        ("backup", "catch_up_days = 400", "from 0 to 366"),
        ("backup", "settle_wait = \"2days\"", "to \"1day\""),
        ("mysql", "check_command = [\"/bin/check\"]", "{path}"),
        ("mysql", "check_command = []", "{path}"),
        ("mysql", "compress = \"lz4\"", "`lz4`: no such compression"),
        ("mysql", "compress = \"zstd:30\"", "`zstd:30`: zstd has no such level"),
        ("mysql", "check_command = [\"{path}\"]", "the program"),
        ("backup", "part_size = \"4MiB\"", "from \"5MiB\" to \"5GiB\""),
        ("backup", "part_size = \"8\"", "no unit"),
        ("backup", "max_memory = \"6MiB\"", "from \"40MiB\""),
        ("backup", "bandwidth = \"07:00-19:00\"", "80Mbit/s"),
        ("backup", "abort_after = \"1h\"", "from \"1day\""),
        ("backup", "daily = 1", "true or false"),
        ("backup", "weekly_day = \"montag\"", "mon, tue"),
        ("backup", "monthly_week = 5", "not in every month"),
    ] {
        let problem = problem_with(section, line);
        assert!(problem.what.contains(allowed), "{line}: {}", problem.what);
        let key = line.split(" = ").next().unwrap();
        let child = format!("[{section}.{key}]");
        assert!(
            problem.key == format!("[{section}] {key}") || problem.key.starts_with(&child),
            "{line}: {}",
            problem.key
        );
        assert!(problem.line > 1 && problem.column > 0, "{line}");
    }
}

#[test]
fn message_begins_with_file_line_and_column() {
    let error =
        parse("[mysql]\nsource = \"/srv/mysql\"\n[s3]\nbucket = \"example-backup\"\n  buket = \"x\"\n");
    assert_eq!(
        error.unwrap_err().to_string().split("; allowed").next().unwrap(),
        "/etc/dbbackup/config.toml:5:3: [s3] buket: unknown key; did you mean `bucket`?"
    );
}

#[test]
fn every_problem_of_a_file_is_listed_in_the_order_of_its_lines() {
    let found = problems("[s3]\nbukcet = \"x\"\nregion = 5\n\n[logs]\ndir = \"/x\"\n");
    let lines: Vec<(usize, &str)> =
        found.iter().map(|problem| (problem.line, problem.key.as_str())).collect();
    assert_eq!(lines, [(1, "[s3] bucket"), (2, "[s3] bukcet"), (3, "[s3] region"), (5, "[logs]")]);
    assert!(found[3].what.contains("did you mean `log`?"), "{}", found[3].what);
}

#[test]
fn text_that_is_not_toml_is_placed() {
    for (text, line) in
        [("[s3\n", 1), ("[s3]\nbucket = \n", 2), ("[s3]\nbucket = \"a\"\nbucket = \"b\"\n", 3)]
    {
        assert_eq!(problems(text)[0].line, line, "{text}");
    }
}

#[test]
fn empty_file_says_what_is_missing() {
    let keys: Vec<String> = problems("").into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["[s3] bucket"]);
}

#[test]
fn bucket_alone_is_enough_to_restore_and_not_to_back_up() {
    let config = parse("[s3]\nbucket = \"example-backup\"\n").unwrap();
    assert!(config.warnings()[0].contains("nothing to back up"), "{:?}", config.warnings());
    let error = config.with_sources().unwrap_err().to_string();
    assert!(error.contains("none of [oracle], [mysql], [mssql] is there"), "{error}");
}

#[test]
fn value_above_every_section_is_told_where_it_belongs() {
    let found = problems(&format!("bucket = \"x\"\n{LEAST}"));
    assert!(found[0].what.contains("[s3]"), "{}", found[0].what);
    let found = problems(&format!("log = \"/var/log\"\n{LEAST}"));
    assert!(found[0].what.contains("section"), "{}", found[0].what);
}

#[test]
fn a_secret_is_refused_and_never_shown() {
    let id = format!("AKIA{}", "EXAMPLE123456789");
    let secret = format!("{}{}", "wJalrXUtnFEMIK7MDENGbPxRfi", "CYEXAMPLEKEY12");
    assert_eq!((id.len(), secret.len()), (20, 40));
    for lines in [
        format!("access_key_id = \"{id}\""),
        format!("secret_access_key = \"{secret}\""),
        "session_token = \"hunter2secret\"".to_owned(),
        "aws_profile_key = \"hunter2secret\"".to_owned(),
        "password = \"hunter2secret\"".to_owned(),
        format!("profile = \"{id}\""),
        format!("kms_key_id = \"{secret}\""),
        format!("{id} = 1"),
        "endpoint_url = \"https://user:hunter2secret@s3.example.com\"".to_owned(),
        "endpoint_url = \"https://hunter2secret@s3.example.com\"".to_owned(),
        format!("storage_class = {{ weekly = \"{id}\" }}"),
    ] {
        let text = LEAST.replace("[s3]\n", &format!("[s3]\n{lines}\n"));
        let error = parse(&text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("credentials do not belong in this file"), "{shown}");
        assert!(shown.contains("config.toml:4:"), "{shown}");
        for hidden in [id.as_str(), &secret, "hunter2secret"] {
            assert!(!shown.contains(hidden), "{hidden} is shown for {lines}");
        }
    }
}

#[test]
fn unwise_settings_are_warned_of() {
    for (from, to, warned) in [
        ("[s3]\n", "[s3]\nendpoint_url = \"http://s3.example.com\"\n", "unencrypted"),
        ("example-backup", "example.backup", "path_style"),
        ("[s3]\n", "[s3]\nstorage_class = { weekly = \"DEEP_ARCHIVE\" }\n", "thawed"),
        ("[s3]\n", "[s3]\nstorage_class = { daily = \"STANDARD_IA\" }\n", "daily = true"),
        ("[s3]\n", "[s3]\nchecksum = \"none\"\n", "proven"),
        (
            "[s3]\n",
            "[backup]\ncatch_up_days = 14\n[s3]\nexpires = { daily = \"7d\", weekly = \"14d\" }\n",
            "set catch_up_days to 7 at most",
        ),
        ("[s3]\n", "[mssql]\nsource = \"/srv/mysql\"\n[s3]\n", "sent twice"),
        ("[s3]\n", "[mssql]\nsource = \"/srv/mysql/mssql\"\n[s3]\n", "sent twice"),
    ] {
        let mut warnings = parse(&LEAST.replace(from, to)).unwrap().warnings();
        warnings.retain(|warning| !warning.contains("[[expect]]"));
        assert_eq!(warnings.len(), 1, "{to}: {warnings:?}");
        assert!(warnings[0].contains(warned), "{to}: {warnings:?}");
    }
    let beside =
        parse(&LEAST.replace("[s3]\n", "[mssql]\nsource = \"/srv/mysql2\"\n[s3]\n")).unwrap().warnings();
    assert!(!beside.iter().any(|warning| warning.contains("sent twice")), "{beside:?}");
}

#[test]
fn rendered_configuration_hides_a_user_in_the_endpoint() {
    let mut config = parse(LEAST).unwrap();
    config.s3.endpoint_url = Some("https://user:hunter2secret@s3.example.com".into());
    let text = config.render();
    assert!(!text.contains("hunter2secret") && text.contains("***@s3.example.com"), "{text}");
}

#[test]
fn certificate_bundle_has_to_hold_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let text = LEAST.replace("[s3]\n", &format!("[s3]\nca_bundle = {:?}\n", path.display().to_string()));
    std::fs::write(&path, "nothing").unwrap();
    assert!(problems(&text)[0].what.contains("no certificate"));
    let whole = certificate();
    std::fs::write(&path, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();
    assert!(problems(&text)[0].what.contains("certificate 2 in"), "{:?}", problems(&text));
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(parse(&text).unwrap().s3.ca_bundle.as_deref(), Some(path.as_path()));
}

fn certificate() -> String {
    let params = rcgen::CertificateParams::new(vec!["s3.example.com".to_owned()]).unwrap();
    params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
}

#[test]
fn missing_file_names_the_three_places() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("none.toml");
    let error = Config::load(Some(&path), None).unwrap_err();
    assert!(matches!(&error, ConfigError::NotFound { origin: Origin::Option, .. }), "{error:?}");
    let text = error.to_string();
    for part in
        ["none.toml", "--config", "$DBBACKUP_CONFIG", "/etc/dbbackup/config.toml", "config.example.toml"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert!(matches!(Config::load(Some(dir.path()), None), Err(ConfigError::Unreadable { .. })));
    std::fs::write(&path, b"\xff\xfe").unwrap();
    assert!(matches!(Config::load(Some(&path), None), Err(ConfigError::Unreadable { .. })));
    std::fs::write(&path, LEAST).unwrap();
    assert_eq!(Config::load(Some(&path), None).unwrap().path, path);
}

#[test]
fn keys_to_encrypt_to_are_public_ones_and_a_secret_one_is_not_repeated() {
    let with = |keys: &str| {
        let text =
            format!("[mysql]\nsource = \"/srv/mysql\"\nencrypt = {keys}\n[s3]\nbucket = \"acme-backups\"\n");
        problems(&text).remove(0).to_string()
    };
    let secret = "AGE-SECRET-KEY-1UAJSQ65GRJZLNDCN59WUMGHEYSQ0XTVTVKL74T39Y7XY37QCS59S22CK5G";
    let told = with(&format!("[\"{secret}\"]"));
    assert!(told.contains("[mysql] encrypt: that is a secret key") && !told.contains("UAJSQ65"), "{told}");
    for keys in ["[\"age1your-public-key\"]", "[\"ssh-ed25519 AAAAC3Nz\"]"] {
        let told = with(keys);
        assert!(told.contains("no public key of age") && told.contains("age-keygen -y"), "{told}");
    }
    assert!(with("[]").contains("a list of 0 keys"));
    assert!(with(&format!("\"{PUBLIC_KEY}\"")).contains("a list of public keys of age"));
}
