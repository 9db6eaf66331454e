//! Only whole backups: what is refused, waited for, marked and caught up with.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};

use chrono::{Days, NaiveDate, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::program::Output;
use crate::support::world::{WEEKLY, World};
use crate::support::{MIB, noise};

/// A dump of about `bytes` bytes whose rows do not compress well.
pub(crate) fn dump(bytes: usize, completed: &str) -> Vec<u8> {
    let mut text = b"-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n".to_vec();
    let digits = b"0123456789abcdef";
    for (row, line) in noise(bytes / 2, 7).chunks(60).enumerate() {
        text.extend(format!("INSERT INTO `orders` VALUES ({row},'").bytes());
        text.extend(
            line.iter().flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
        );
        text.extend(b"');\n");
    }
    text.extend(format!("-- Dump completed on {completed}  1:00:03\n").bytes());
    text
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn cut(bytes: &[u8], percent: usize) -> &[u8] {
    &bytes[..bytes.len() * percent / 100]
}

/// Sets options of `[backup]`, the last section, in place of those that the world has.
pub(crate) fn backup_option(world: &World, lines: &str) {
    let set =
        |line: &str| line.split_once(" = ").is_some_and(|(key, _)| lines.contains(&format!("{key} = ")));
    world.configure(|text| {
        let (before, options) = text.split_once("[backup]").unwrap();
        let kept: Vec<&str> = options.lines().filter(|line| !set(line)).collect();
        format!("{before}[backup]{}\n{lines}\n", kept.join("\n"))
    });
}

/// The manifest's inspection of a stored set.
pub(crate) fn inspection(world: &World, key: &str) -> serde_json::Value {
    world.run(&["show", key, "--json"]).exits(0).json()["manifest"]["inspection"].clone()
}

/// The set's report in the document of a run.
fn set(output: &Output, name: &str) -> serde_json::Value {
    let document = output.json();
    let sets = document["sets"].as_array().unwrap();
    sets.iter().find(|set| set["name"] == name).unwrap_or_else(|| panic!("no {name} in {document}")).clone()
}

#[test]
fn dump_cut_at_60_percent_is_refused_by_name_and_reason_while_its_neighbours_are_sent() {
    let world = World::new();
    world.company();
    world.write("mysql/shop/orders_20250818.sql", cut(&dump(200_000, WEEKLY), 60));
    world.run(&["all", "--date", WEEKLY, "--dry-run"]).exits(1);
    let run =
        world.backup().exits(1).says("mysql/shop/weekly/orders_20250818.sql: cut short: its header is there");
    assert!(run.stdout.contains("REFUSED"), "{}", run.stdout);
    let keys = world.keys();
    assert!(!keys.iter().any(|key| key.contains("orders")), "{keys:?}");
    assert_eq!(world.whole_manifests().len(), 3);
}

#[test]
fn cut_gz_is_refused_after_its_decode_and_leaves_no_object() {
    for bytes in [200_000, 60 * MIB] {
        let world = World::new();
        world.dump("shop/shop_20250818.sql");
        let packed = gzip(&dump(bytes, WEEKLY));
        let packed = cut(&packed, 90);
        assert_eq!(packed.len() > 16 * MIB, bytes > MIB, "one way of sending each: {}", packed.len());
        world.write("mysql/shop/big_20250818.sql.gz", packed);
        // Its first bytes are those of a good one.
        world.run(&["mysql", "--date", WEEKLY, "--dry-run"]).exits(0);
        world.backup().exits(1).says("big_20250818.sql.gz: cut short: it does not decode as gzip");
        assert_eq!(world.keys(), ["backup/mysql/shop/weekly/shop_20250818.sql"]);
        assert_eq!(world.open_uploads(), 0);
    }
}

#[test]
fn whole_gz_is_decoded_on_its_way_and_called_whole() {
    for bytes in [200_000, 60 * MIB] {
        let world = World::new();
        let plain = dump(bytes, WEEKLY);
        world.write("mysql/shop/big_20250818.sql.gz", gzip(&plain));
        world.backup().exits(0);
        let inspection = inspection(&world, "mysql/shop/weekly/big_20250818.sql.gz");
        assert_eq!(inspection["verdict"], "whole", "{inspection}");
        assert_eq!(inspection["facts"]["decoded_bytes"], plain.len());
    }
}

#[test]
fn gz_whose_dump_was_cut_before_it_was_compressed_is_refused() {
    let world = World::new();
    world.write("mysql/shop/big_20250818.sql.gz", gzip(cut(&dump(200_000, WEEKLY), 60)));
    world.backup().exits(1).says("but what was compressed is cut");
    assert_eq!(world.keys(), Vec::<String>::new());
}

#[test]
fn dump_that_is_being_written_is_waited_for_while_others_go_and_then_sent() {
    let world = World::new();
    backup_option(&world, "settle_wait = \"1m\"");
    world.dump("blog/blog_20250818.sql");
    let whole = dump(100_000, WEEKLY);
    let path = world.write("mysql/shop/shop_20250818.sql", cut(&whole, 60));
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    let run = world.begin(&["all", "--date", WEEKLY]);
    let begun = Instant::now();
    while world.keys().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the other set did not go");
        std::thread::sleep(Duration::from_millis(20));
    }
    writer.write_all(&whole[whole.len() * 60 / 100..]).unwrap();
    drop(writer);
    run.finish().exits(0).says("[WAIT] mysql/shop/weekly/shop_20250818.sql: still being written");
    assert_eq!(world.get("backup/mysql/shop/weekly/shop_20250818.sql"), whole);
    assert_eq!(inspection(&world, "mysql/shop/weekly/shop_20250818.sql")["verdict"], "whole");
}

#[test]
fn dump_that_is_still_being_written_after_the_wait_is_refused_as_such() {
    let world = World::new();
    backup_option(&world, "settle_wait = \"300ms\"");
    world.dump("blog/blog_20250818.sql");
    let path = world.write("mysql/shop/shop_20250818.sql", dump(100_000, WEEKLY));
    let _writer = OpenOptions::new().append(true).open(&path).unwrap();
    world.backup().exits(1).says("[REFUSED] mysql/shop/weekly/shop_20250818.sql: still being written:");
    assert_eq!(world.keys(), ["backup/mysql/blog/weekly/blog_20250818.sql"]);
}

#[test]
fn compact_dump_is_not_judged_and_sent() {
    let world = World::new();
    world.write("mysql/shop/shop_20250818.sql", "INSERT INTO `orders` VALUES (1,'tea');\n".repeat(99));
    let run = world.run(&["all", "--date", WEEKLY, "--json"]).exits(0);
    assert_eq!(set(&run, "shop_20250818.sql")["inspection"]["verdict"], "not-judged");
    assert_eq!(inspection(&world, "mysql/shop/weekly/shop_20250818.sql")["verdict"], "not-judged");
    let list = world.run(&["list"]).exits(0);
    assert!(list.stdout.contains("not judged"), "{}", list.stdout);
}

#[test]
fn date_that_contradicts_the_name_is_sent_and_an_error_only_where_strict() {
    for strict in [false, true] {
        let world = World::new();
        backup_option(&world, &format!("strict = {strict}"));
        world.write("mysql/shop/shop_20250818.sql", dump(9_000, "2025-07-01"));
        world.backup().exits(i32::from(strict)).says("the name says 2025-08-18");
        let inspection = inspection(&world, "mysql/shop/weekly/shop_20250818.sql");
        assert_eq!(inspection["verdict"], "whole");
        // What a run makes of it is that run's configuration's, also of one that is stored.
        assert_eq!(inspection["notes"][0]["severity"], "warning");
        world.backup().exits(i32::from(strict)).says("[SKIP]");
        backup_option(&world, &format!("strict = {}", !strict));
        world.backup().exits(i32::from(!strict));
    }
}

#[test]
fn size_below_a_tenth_of_the_usual_is_remarked() {
    let world = World::new();
    for day in ["20250804", "20250805", "20250806"] {
        let completed = NaiveDate::parse_from_str(day, "%Y%m%d").unwrap().to_string();
        world.write(&format!("mysql/shop/shop_{day}.sql"), dump(90_000, &completed));
    }
    world.run(&["all", "--since", "2025-08-04", "--until", "2025-08-06"]).exits(0);
    world.write("mysql/shop/shop_20250818.sql", dump(4_000, WEEKLY));
    world.backup().exits(0).says("less than a tenth of the usual");
}

#[test]
fn check_command_decides_and_its_words_are_kept() {
    let world = World::new();
    let script = world.write(
        "check",
        "#!/bin/sh\ncase \"$1\" in *crm*) echo page 7 is torn; exit 1;; esac\necho validated\n",
    );
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let check = format!("check_command = [\"{}\", \"{{path}}\"]\n", script.display());
    world.configure(|text| text.replace("exclude = [\"skip\"]\n", &format!("exclude = [\"skip\"]\n{check}")));
    world.rman("erp/rman_erp_18-08-2025");
    world.rman("crm/rman_crm_18-08-2025");
    world.backup().exits(1).says("page 7 is torn");
    assert!(!world.keys().iter().any(|key| key.contains("crm")), "{:?}", world.keys());
    let inspection = inspection(&world, "oracle/erp/weekly/rman_erp_18-08-2025");
    assert_eq!(inspection["verdict"], "whole");
    assert!(inspection["how"].as_str().unwrap().contains("validated"), "{inspection}");
}

#[test]
fn check_command_that_cannot_run_leaves_the_set_sent_and_the_run_not_well() {
    let world = World::new();
    let check = "check_command = [\"/nonexistent/check\", \"{path}\"]\n";
    world.configure(|text| {
        text.replacen("exclude = [\"skip\"]\n", &format!("exclude = [\"skip\"]\n{check}"), 1)
    });
    world.rman("erp/rman_erp_18-08-2025");
    world.backup().exits(1).says("could not be started");
    assert_eq!(world.whole_manifests().len(), 1);
}

#[test]
fn cut_dump_that_is_sent_on_demand_is_marked_and_is_never_the_latest() {
    let world = World::new();
    backup_option(&world, "on_cut_short = \"send\"");
    world.write("mysql/shop/shop_20250811.sql", dump(9_000, "2025-08-11"));
    world.run(&["all", "--date", "2025-08-11"]).exits(0);
    world.write("mysql/shop/shop_20250818.sql", cut(&dump(9_000, WEEKLY), 60));
    world.write("mysql/blog/blog_20250818.sql.gz", cut(&gzip(&dump(9_000, WEEKLY)), 60));
    world.backup().exits(1).says("No backups were uploaded to S3.");
    for key in ["mysql/shop/weekly/shop_20250818.sql", "mysql/blog/weekly/blog_20250818.sql.gz"] {
        assert_eq!(inspection(&world, key)["verdict"], "cut-short", "{key}");
    }
    world.backup().exits(1);
    let newer = "mysql/shop/weekly/shop_20250818.sql is newer and passed over: it is cut short";
    world.run(&["restore", "--latest", "mysql/shop"]).exits(0).says(newer);
    assert!(world.path("out/shop_20250811.sql").exists());
    let latest = world.run(&["restore", "--latest", "mysql/blog"]).exits(1);
    assert!(latest.stderr.contains("what is stored of mysql/blog is cut short"), "{}", latest.stderr);
    let by_key = world.run(&["restore", "mysql/shop/weekly/shop_20250818.sql"]).exits(0);
    assert!(by_key.stderr.contains("it was stored although it is no whole backup"), "{}", by_key.stderr);
}

#[test]
fn a_server_that_was_off_for_a_week_catches_up() {
    let world = World::new();
    let today = Utc::now().date_naive();
    let write = |back: u64| {
        let day = today - Days::new(back);
        let name = format!("mysql/shop/shop_{}.sql", day.format("%Y%m%d"));
        world.write(&name, dump(9_000, &day.to_string()));
    };
    (1..=8).for_each(write);
    world.run(&["all"]).exits(0);
    assert_eq!(world.keys().len(), 1);
    world.run(&["all", "--catch-up"]).exits(0).says("6 backups uploaded to S3.");
    assert_eq!(world.keys().len(), 7, "the eighth day is out of its reach");
    let again = world.run(&["all", "--catch-up", "--json"]).exits(0);
    assert_eq!(
        again.json()["sets"].as_array().unwrap().len(),
        1,
        "stored ones of other days go without a word"
    );
    backup_option(&world, "catch_up_days = 8");
    world.run(&["all"]).exits(0).says("1 backups uploaded to S3.");
    assert_eq!(world.keys().len(), 8);
    world.run(&["all", "--date", "2025-08-18"]).exits(3);
}

#[test]
fn rman_folder_rests_for_the_settle_time_before_it_is_taken() {
    let world = World::new();
    backup_option(&world, "settle_time = \"1m\"\nsettle_wait = \"200ms\"");
    let folder = world.rman("erp/rman_erp_18-08-2025");
    world.backup().exits(1).says("within the settle time of 60 s");
    assert_eq!(world.keys(), Vec::<String>::new());
    for piece in fs::read_dir(&folder).unwrap() {
        let piece = fs::File::options().write(true).open(piece.unwrap().path()).unwrap();
        piece.set_modified(SystemTime::now() - Duration::from_mins(2)).unwrap();
    }
    world.backup().exits(0);
    assert_eq!(world.keys().len(), 3);
}

#[test]
fn set_that_is_cut_short_is_missing_where_one_is_expected_and_not_among_the_good_ones() {
    let world = World::new();
    backup_option(
        &world,
        "on_cut_short = \"send\"\n[[expect]]\nengine = \"mysql\"\napp = \"shop\"\nschedule = \"daily\"",
    );
    world.write("mysql/shop/shop_20250818.sql", cut(&dump(9_000, WEEKLY), 60));
    for _ in ["sent", "stored before"] {
        let run = world.backup().exits(1).says("mysql/shop: its backup of 2025-08-18 is on this host");
        assert!(run.stderr.contains("and is no whole one: it is cut short"), "{}", run.stderr);
    }
    let verified = world.run(&["verify"]).exits(1);
    assert!(
        verified.stdout.contains("CUT SHORT  mysql/shop/weekly/shop_20250818.sql"),
        "{}",
        verified.stdout
    );
    assert!(verified.stdout.contains("0 of 1 sets are good"), "{}", verified.stdout);
    world.run(&["drill"]).exits(3);
}

#[test]
fn last_lines_of_a_run_say_what_is_amiss_beside_what_was_sent() {
    let world = World::new();
    world.company();
    world.write("mysql/shop/orders_20250818.sql", cut(&dump(9_000, WEEKLY), 60));
    let run = world.backup().exits(1);
    let last: Vec<&str> = run.stderr.lines().rev().take(2).collect();
    assert!(last[0].ends_with("3 backups uploaded to S3."), "{last:?}");
    assert!(last[1].contains("not all is well: 1 refused"), "{last:?}");
}

#[test]
fn every_app_directory_is_expected_though_nothing_was_ever_in_it() {
    let world = World::new();
    let expect = |engine| format!("[[expect]]\nengine = \"{engine}\"\napp = \"*\"\nschedule = \"daily\"\n");
    backup_option(&world, &format!("{}{}", expect("mysql"), expect("oracle")));
    world.company();
    world.backup().exits(0);
    for dir in ["mysql/payroll", "mysql/api1/test", "oracle/hr", "mysql/skip"] {
        fs::create_dir_all(world.path(dir)).unwrap();
    }
    world.write("mysql/failing/backup.err", "mysqldump: Got error: 1045");
    let run = world.backup().exits(1);
    let missing: Vec<&str> =
        run.stderr.lines().filter_map(|line| line.split("[FINDING] ").nth(1)?.split(": ").next()).collect();
    assert_eq!(missing, ["oracle/hr", "mysql/api1/test", "mysql/failing", "mysql/payroll"], "{}", run.stderr);
}

#[test]
fn folder_of_a_dump_program_is_one_set_and_refused_without_its_end_marker() {
    let world = World::new();
    let folder = "mysql/shop/export-20250818-010003";
    let metadata = "# Started dump at: 2025-08-18 01:00:03\n\n[`shop`.`orders`]\nrows = 2\n\
                    # Finished dump at: 2025-08-18 01:00:09\n";
    let files = ["shop-schema-create.sql", "shop.orders-schema.sql", "shop.orders.00000.sql"];
    for file in files {
        world.write(&format!("{folder}/{file}"), format!("-- {file}\nSELECT 1;\n"));
    }
    world.write(&format!("{folder}/metadata"), metadata);
    world.backup().exits(0);
    let key = "mysql/shop/weekly/export-20250818-010003";
    assert_eq!(world.keys().len(), 4);
    assert_eq!(inspection(&world, key)["verdict"], "whole");
    world.run(&["restore", key]).exits(0);
    crate::support::world::assert_same(&world.path(folder), &world.path("out/export-20250818-010003"));
    world.run(&["drill", "mysql"]).exits(0).says("is reread");
    let stopped = "mysql/shop/export-20250818-020003";
    for file in files {
        world.write(&format!("{stopped}/{file}"), format!("-- {file}\nSELECT 1;\n"));
    }
    world.backup().exits(1).says("export-20250818-020003: cut short: `metadata`, which mydumper writes last");
    world.write(&format!("{stopped}/metadata.partial"), "Started dump");
    world.backup().exits(1).says("export-20250818-020003: still being written");
    fs::remove_file(world.path(&format!("{stopped}/metadata.partial"))).unwrap();
    world.write(&format!("{stopped}/metadata"), metadata);
    world.write(&format!("{stopped}/shop.orders.00000.sql"), "INSERT INTO `orders` VALUES (1),\n(2");
    world.backup().exits(1).says("cut short: `shop.orders.00000.sql` does not end with `;`");
    fs::remove_file(world.path(&format!("{stopped}/shop.orders.00000.sql"))).unwrap();
    world
        .backup()
        .exits(1)
        .says("cut short: `metadata` lists 2 rows of `shop.orders`, of which no data file");
    assert_eq!(world.keys().len(), 4);
}

#[test]
fn folder_with_a_piece_that_is_still_being_copied_is_waited_for_and_refused_as_such() {
    let world = World::new();
    backup_option(&world, "settle_wait = \"200ms\"");
    world.rman("erp/rman_erp_18-08-2025");
    world.write("oracle/erp/rman_erp_18-08-2025/0c3v1k2m_1_1.filepart", "half");
    let run =
        world.backup().exits(1).says("[WAIT] oracle/erp/weekly/rman_erp_18-08-2025: still being written");
    assert!(run.stderr.contains("[REFUSED] oracle/erp/weekly/rman_erp_18-08-2025: still being written"));
    assert_eq!(world.keys(), Vec::<String>::new());
}
