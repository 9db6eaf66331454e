//! Drills with the operator's own check, and who hears of one that failed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::support::world::World;

#[test]
fn drill_asks_the_operators_check_what_came_back_is_worth() {
    let world = World::new();
    let script = world
        .write("check", "#!/bin/sh\ngrep -q torn \"$1\" && { echo page 7 is torn; exit 1; }\necho valid\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let check =
        format!("exclude = [\"api1/test\"]\ncheck_command = [\"{}\", \"{{path}}\"]", script.display());
    world.bak("crm/crm_20250818.bak", 40_000);
    world.write("mssql/hr/hr_20250818.bak", "torn");
    world.backup().exits(0);
    world.configure(|text| text.replace("exclude = [\"api1/test\"]", &check));
    let drilled = world.run(&["drill", "mssql"]).exits(1);
    assert!(drilled.stderr.contains("crm_20250818.bak is restored: check_command"), "{}", drilled.stderr);
    assert!(
        drilled.stderr.contains("it came back, and is no good backup: check_command"),
        "{}",
        drilled.stderr
    );
    assert!(drilled.stderr.contains("page 7 is torn"), "{}", drilled.stderr);
    let proof = |key| world.run(&["show", key, "--json"]).exits(0).json()["proof"].clone();
    assert_eq!(proof("mssql/crm/weekly/crm_20250818.bak"), "restored");
    assert_eq!(proof("mssql/hr/weekly/hr_20250818.bak"), "stored");
}

#[test]
fn a_failed_drill_is_known_to_status_and_to_whoever_restores_until_one_passes() {
    const KEY: &str = "mssql/hr/weekly/hr_20250818.bak";
    let world = World::new();
    world.write("mssql/hr/hr_20250818.bak", "torn");
    world.backup().exits(0);
    let script =
        world.write("check", "#!/bin/sh\ntest -e \"$0.fails\" && { echo page 7 is torn; exit 1; }\n:\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let fails = world.write("check.fails", "");
    let check =
        format!("exclude = [\"api1/test\"]\ncheck_command = [\"{}\", \"{{path}}\"]", script.display());
    world.configure(|text| text.replace("exclude = [\"api1/test\"]", &check));
    world.run(&["drill", "mssql"]).exits(1).says("page 7 is torn");

    let failed = format!("the last drill, of {KEY} on ");
    assert!(world.run(&["status"]).exits(1).stdout.contains(&failed));
    assert!(world.run(&["status", "--nagios"]).exits(2).stdout.contains(&failed));
    assert!(world.run(&["list"]).exits(0).stdout.contains("DRILL FAILED"));
    assert!(world.run(&["list", "--json"]).exits(0).json()["sets"][0]["drill_failed"].is_string());
    let shown = world.run(&["show", KEY]).exits(0);
    assert!(
        shown.stdout.contains("failed on ") && shown.stdout.contains("page 7 is torn"),
        "{}",
        shown.stdout
    );
    let to = world.path("out");
    let restore = ["restore", "--latest", "mssql/hr", "--to", to.to_str().unwrap()];
    world.run(&restore).exits(0).says(&format!("{KEY}: its drill on "));

    // That every byte is the one that was sent is no answer.
    world.run(&["verify", "--reread"]).exits(0);
    assert!(world.run(&["status"]).exits(1).stdout.contains(&failed));
    fs::remove_file(fails).unwrap();
    world.run(&["drill", "mssql"]).exits(0);
    assert!(!world.run(&["status"]).exits(1).stdout.contains(&failed));
    assert!(!world.run(&["list"]).exits(0).stdout.contains("DRILL FAILED"));
}

#[test]
fn a_check_that_could_not_be_started_fails_its_run_and_no_later_one() {
    let world = World::new();
    world.bak("hr/hr_20250818.bak", 40_000);
    let with = |program: &str| {
        let check = format!("exclude = [\"api1/test\"]\ncheck_command = [\"{program}\", \"{{path}}\"]");
        world.configure(|text| text.replace("exclude = [\"api1/test\"]", &check));
    };
    with("/nowhere/check");
    world.backup().exits(1).says("could not be started");
    with("/bin/true");
    world.backup().exits(0).says("[SKIP]");
}

#[test]
fn a_drill_that_could_not_be_held_says_nothing_of_the_backup() {
    let world = World::new();
    world.bak("hr/hr_20250818.bak", 40_000);
    world.backup().exits(0);
    let check = "exclude = [\"api1/test\"]\ncheck_command = [\"/nowhere/check\", \"{path}\"]";
    world.configure(|text| text.replace("exclude = [\"api1/test\"]", check));
    world.run(&["drill", "mssql"]).exits(1).says("nothing is proven");
    assert!(!world.run(&["status"]).exits(1).stdout.contains("drill"));
}
