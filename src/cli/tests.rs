use super::*;
use crate::model::Engine;

fn parse(words: &str) -> Result<Cli, clap::Error> {
    Cli::from_words(std::iter::once("dbbackup").chain(words.split_whitespace()))
}

/// The text of a refusal; it has to be one that exits with 2.
fn refused(words: &str) -> String {
    let error = parse(words).map(|cli| format!("{cli:?}")).expect_err(words);
    assert_eq!(error.exit_code(), 2, "{words}");
    error.to_string()
}

#[test]
fn definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn no_word_means_all_and_letter_case_does_not_matter() {
    for (words, target) in [
        ("", Target::All),
        ("ALL", Target::All),
        ("Oracle", Target::One(Engine::Oracle)),
        ("MySQL", Target::One(Engine::Mysql)),
        ("MSSQL", Target::One(Engine::Mssql)),
    ] {
        let cli = parse(words).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.backup.target, target, "{words}");
    }
}

#[test]
fn global_options_stand_before_or_after_the_command() {
    for words in [
        "--config /x oracle --dry-run",
        "oracle --config /x",
        "list --config /x",
        "--config /x list",
        "--config /x config check",
        "config check --config /x",
        "config --config /x check",
    ] {
        let cli = parse(words).unwrap();
        assert_eq!(cli.global.config.as_deref(), Some(std::path::Path::new("/x")), "{words}");
    }
    assert_eq!(parse("-v list -v").unwrap().global.verbose.max(1), 1);
    assert_eq!(parse("-vv").unwrap().global.verbose, 2);
    assert!(parse("list -q").unwrap().global.quiet);
    refused("-q -v");
}

#[test]
fn misspelt_word_is_refused_with_the_one_that_was_meant() {
    for (words, meant) in [
        ("orcale", "dbbackup oracle"),
        ("lst", "dbbackup list"),
        ("retsore x", "dbbackup restore"),
        ("frobnicate-everything", "restore, list, show"),
        ("--config /x orcale", "dbbackup oracle"),
    ] {
        let text = refused(words);
        assert!(text.contains(meant), "{words}: {text}");
    }
    assert!(refused("orcale").contains("orcale"));
    assert!(refused("--dryrun").contains("--dry-run"));
}

#[test]
fn days_are_dates_or_the_two_words() {
    let cli = parse("--since 2025-08-11 --until yesterday").unwrap();
    assert_eq!(cli.backup.since, Some(Day::On("2025-08-11".parse().unwrap())));
    assert_eq!(cli.backup.until, Some(Day::Yesterday));
    assert_eq!(parse("--date today").unwrap().backup.date, Some(Day::Today));
    assert!(refused("--date 11.08.2025").contains("YYYY-MM-DD"));
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    for words in [
        "--date today --since yesterday",
        "--until today",
        "--date today --until today",
        "--dry-run list",
        "--date today restore --latest mysql",
        "oracle list",
        "--json show x",
        "oracle mysql",
        "restore",
        "restore mysql/shop/weekly/a.sql --latest mysql/shop",
        "restore mysql/shop/weekly/a.sql --date today",
        "restore x --stdout --to /x",
        "restore x --stdout --force",
        "restore --latest postgres/x",
        "list mysql/../x",
        "list --category hourly",
        "show",
        "config",
        "completions tcsh",
        "policy",
        "policy administrator",
        "policy uploader --host db2 --any-host",
    ] {
        refused(words);
    }
}

#[test]
fn other_commands_take_their_own_words() {
    let Some(Command::Restore(restore)) =
        parse("restore --latest MySQL/shop --date yesterday --to /x --force").unwrap().command
    else {
        panic!("no restore")
    };
    assert_eq!(restore.latest.unwrap().to_string(), "mysql/shop");
    assert_eq!((restore.date, restore.force), (Some(Day::Yesterday), true));
    let Some(Command::List(list)) = parse("list oracle --category Monthly --all --json").unwrap().command
    else {
        panic!("no list")
    };
    assert_eq!(list.category, Some(Category::Monthly));
    assert!(list.all && list.json);
}

#[test]
fn help_of_every_command_has_an_example() {
    fn walk(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Example"), "{}", command.get_name());
        assert!(help.contains("dbbackup"), "{}", command.get_name());
        command.get_subcommands().for_each(walk);
    }
    walk(&Cli::command());
}

#[test]
fn examples_of_the_help_are_taken() {
    fn walk(command: &clap::Command, tried: &mut usize) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter_map(|line| line.strip_prefix("  dbbackup")) {
            let words = line.split(['>', '|']).next().unwrap().split("    ").next().unwrap();
            assert!(parse(words).is_ok(), "{words}");
            *tried += 1;
        }
        command.get_subcommands().for_each(|sub| walk(sub, tried));
    }
    let mut tried = 0;
    walk(&Cli::command(), &mut tried);
    assert!(tried > 10);
}

#[test]
fn version_names_the_commit() {
    let error = parse("--version").unwrap_err();
    assert_eq!(error.exit_code(), 0);
    assert_eq!(error.to_string(), format!("dbbackup {VERSION}\n"));
    assert!(VERSION.ends_with(')') && VERSION.contains(" ("));
}

#[test]
fn catch_up_goes_back_as_far_as_it_says_or_the_configuration_or_a_week() {
    for (words, configured, days) in [
        ("", 0, 0),
        ("", 3, 3),
        ("all --catch-up", 0, 7),
        ("all --catch-up", 3, 3),
        ("--catch-up 30 --dry-run", 3, 30),
        ("--date 2025-08-18", 3, 0),
        ("--since 2025-08-18", 3, 0),
    ] {
        assert_eq!(parse(words).unwrap().backup.catch_up_days(configured), days, "{words}");
    }
    for words in ["--catch-up 0", "--catch-up 367", "--catch-up --date today", "--catch-up list"] {
        refused(words);
    }
    let one = crate::model::DateRange::one("2025-08-18".parse().unwrap());
    assert_eq!(one.reaching_back(7).to_string(), "2025-08-12 to 2025-08-18");
    assert_eq!((one.reaching_back(0), one.reaching_back(1)), (one, one));
}

#[test]
fn how_fast_and_for_how_long_belong_to_wait() {
    for words in ["--tier bulk", "--days 3", "--wait --tier slow", "--wait --days 0"] {
        refused(&format!("restore mysql/shop/weekly/shop_20250818.sql {words}"));
    }
    let Some(Command::Restore(args)) =
        parse("restore --latest mysql --wait --tier Bulk --days 3").unwrap().command
    else {
        panic!("another command");
    };
    let args = args.retrieval;
    assert_eq!((args.wait, args.tier, args.days), (true, Some(crate::bucket::Tier::Bulk), Some(3)));
}
