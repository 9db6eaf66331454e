//! Several dumps in one file, as a loop around mysqldump writes them: one that failed in the middle of it shows.

use crate::inspect::{backup_option, dump, gzip, inspection};
use crate::support::MIB;
use crate::support::world::{WEEKLY, World};

const HEADER: &str =
    "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: bakery\n";
const WHY: &str = "2 dumps begin in it and 1 is completed";

/// A dump that broke off, and then one of about `bytes` bytes that did not.
fn mixed(bytes: usize) -> Vec<u8> {
    [HEADER.as_bytes(), b"INSERT INTO `a` VALUES (1),\n", &completed(bytes)].concat()
}

fn completed(bytes: usize) -> Vec<u8> {
    let text = dump(bytes, WEEKLY);
    let body = text.iter().position(|byte| *byte == b'I').unwrap();
    [HEADER.as_bytes(), &text[body..]].concat()
}

#[test]
fn file_in_which_one_dump_was_not_completed_is_refused_though_it_ends_well_and_leaves_no_object() {
    for bytes in [200_000, 20 * MIB] {
        for compress in ["none", "zstd"] {
            let world = World::new();
            world.configure(|text| {
                text.replace(
                    "exclude = [\"skip\"]",
                    &format!("exclude = [\"skip\"]\ncompress = \"{compress}\""),
                )
            });
            world.write("mysql/all/all_20250818.sql", mixed(bytes));
            world.write("mysql/all/all_20250818.sql.gz", gzip(&mixed(bytes)));
            world
                .backup()
                .exits(1)
                .says(&format!("all_20250818.sql: cut short: {WHY}"))
                .says(&format!("but what was compressed is cut: {WHY}"));
            assert_eq!(world.keys(), Vec::<String>::new());
            assert_eq!(world.open_uploads(), 0);
        }
    }
}

#[test]
fn file_in_which_every_dump_is_completed_is_whole() {
    let world = World::new();
    let two = [completed(100_000), completed(50_000)].concat();
    world.write("mysql/all/all_20250818.sql", &two);
    world.write("mysql/all/all_20250818.sql.gz", gzip(&two));
    world.backup().exits(0);
    for key in ["mysql/all/weekly/all_20250818.sql", "mysql/all/weekly/all_20250818.sql.gz"] {
        assert_eq!(inspection(&world, key)["verdict"], "whole", "{key}");
    }
}

#[test]
fn file_in_which_one_dump_was_not_completed_is_marked_where_it_is_sent_on_demand() {
    let world = World::new();
    backup_option(&world, "on_cut_short = \"send\"");
    world.write("mysql/all/all_20250818.sql", mixed(9_000));
    world.backup().exits(1);
    let inspection = inspection(&world, "mysql/all/weekly/all_20250818.sql");
    assert_eq!(inspection["verdict"], "cut-short", "{inspection}");
    assert_eq!(inspection["facts"]["database"], "bakery", "what its ends said stays: {inspection}");
}

#[test]
fn adopted_file_in_which_one_dump_was_not_completed_is_marked() {
    let world = World::new();
    for name in ["all_20250818.sql", "all_20250818.sql.gz"] {
        let bytes = if name.ends_with("gz") { gzip(&mixed(9_000)) } else { mixed(9_000) };
        world.put(&format!("backup/mysql/all/weekly/{name}"), bytes);
    }
    let adopted = world.run(&["adopt", "mysql"]).exits(1);
    for name in ["all_20250818.sql", "all_20250818.sql.gz"] {
        let said = format!("[CUT SHORT] mysql/all/weekly/{name}");
        assert!(adopted.stderr.contains(&said) || adopted.stdout.contains(&said), "{}", adopted.stderr);
    }
}

#[test]
fn error_text_in_place_of_a_dump_is_refused() {
    let world = World::new();
    world.write("mysql/shop/shop_20250818.sql", "sh: 1: mysqldump: not found\n");
    world
        .write("mysql/crm/crm_20250818.sql.gz", gzip(b"Error response from daemon: No such container: db\n"));
    world
        .backup()
        .exits(1)
        .says("shop_20250818.sql: cut short: it holds no SQL statement: `sh: 1: mysqldump: not found`")
        .says("it holds no SQL statement: `Error response from daemon: No such container: db`");
    assert_eq!(world.keys(), Vec::<String>::new());
}
