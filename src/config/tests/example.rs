//! The shipped example: its values, its defaults, and that it names every option.

use std::path::Path;

use super::{PUBLIC_KEY, certificate, parse};

const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// The example with its commented options switched on; those without a default on request.
fn uncommented(without_default: bool) -> String {
    let mut text = String::new();
    for line in EXAMPLE.lines() {
        let option = line.strip_prefix("# ").filter(|rest| {
            rest.starts_with("[[")
                || rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b"_1".contains(&b)))
        });
        match option {
            Some(option) if without_default || !option.contains("# no default") => text.push_str(option),
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[test]
fn example_holds_the_scripts_values() {
    let config = parse(EXAMPLE).unwrap();
    let sources: Vec<(&str, &[String])> = config
        .sources
        .values()
        .map(|source| (source.dir.to_str().unwrap(), source.exclude.texts()))
        .collect();
    assert_eq!(
        sources,
        [
            ("/home/server/database/oracle", &["skiptothisfolder".to_owned()][..]),
            ("/home/server/database/mysql", &["excluded-db".to_owned()][..]),
            ("/home/server/database/mssql", &["api1/test".to_owned()][..]),
        ]
    );
    assert_eq!((config.s3.bucket.as_str(), config.s3.prefix.as_str()), ("ict-backup", "backup"));
    assert_eq!(config.log.dir, Path::new("/var/log/dbbackup"));
    // The shipped timer and cron line send Monday's backups, and nobody else would miss them.
    let expected: Vec<_> =
        config.expect.iter().map(|it| (it.engine, it.app.clone(), it.schedule.to_string())).collect();
    assert_eq!(
        expected,
        config.sources.keys().map(|it| (*it, None, "weekly mon".to_owned())).collect::<Vec<_>>()
    );
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn commented_options_of_the_example_are_the_defaults() {
    let text = uncommented(false);
    assert_eq!(parse(&text).unwrap().render(), parse(EXAMPLE).unwrap().render());
}

#[test]
fn every_option_is_in_the_example_and_can_be_switched_on() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    std::fs::write(&bundle, certificate()).unwrap();
    // What the example names for a key is none, so that nobody encrypts to it.
    let text = uncommented(true)
        .replace("/etc/ssl/private-ca.pem", bundle.to_str().unwrap())
        .replace("age1your-public-key", PUBLIC_KEY)
        .replace("age1the-one-in-the-safe", PUBLIC_KEY);
    let rendered = parse(&text).unwrap_or_else(|error| panic!("{error}")).render();
    // The rendering shows an option that is not set as a comment `# key: …`.
    let unset: Vec<&str> = rendered.lines().skip(1).filter(|line| line.starts_with('#')).collect();
    assert_eq!(unset, Vec::<&str>::new());
    for option in rendered.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key) {
        assert!(EXAMPLE.contains(&format!("{option} = ")), "{option} is not in the example");
    }
}
