use super::super::sql_dump::TAIL;
use super::*;

fn judge(bytes: &[u8]) -> Judgement {
    super::super::sql_dump::judge(bytes).unwrap()
}

fn word(bytes: &[u8]) -> &'static str {
    judge(bytes).verdict.word()
}

fn dump() -> String {
    String::from_utf8(fixture("shop_20250818.sql")).unwrap()
}

#[test]
fn real_dump_is_whole_and_tells_program_database_and_date() {
    let judgement = judge(dump().as_bytes());
    assert!(judgement.verdict.is_whole(), "{}", judgement.verdict);
    assert_eq!(judgement.facts.completed_at.unwrap().to_string(), "2025-08-18 01:30:05");
    assert_eq!(judgement.facts.database.as_deref(), Some("shop"));
    assert!(judgement.facts.producer.unwrap().starts_with("MariaDB dump 10.19 / 10.11."));
}

#[test]
fn lines_before_the_header_and_windows_line_ends_do_not_matter() {
    assert_eq!(
        word(format!("-- nightly job\nmysqldump: [Warning] password\n{}", dump()).as_bytes()),
        "whole"
    );
    assert_eq!(word(dump().replace('\n', "\r\n").as_bytes()), "whole");
    assert_eq!(word(format!("\u{feff}{}\n \t\n", dump()).as_bytes()), "whole");
}

#[test]
fn mysql_8_dump_with_its_own_header_is_whole() {
    let text = "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: bakery\n\
                /*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;\nCREATE TABLE `a` (`b` int);\n\
                /*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;\n\n-- Dump completed on 2025-08-18  1:02:03\n";
    let judgement = judge(text.as_bytes());
    assert!(judgement.verdict.is_whole());
    assert_eq!(judgement.facts.producer.as_deref(), Some("MySQL dump 10.13 / 8.0.36"));
}

#[test]
fn dump_without_a_date_is_whole_and_without_comments_not_judged() {
    let undated = judge(&fixture("shop_nodate.sql"));
    assert!(undated.verdict.is_whole());
    assert_eq!(undated.facts.completed_at, None);
    let compact = fixture("shop_compact.sql");
    assert_eq!(word(&compact), "not judged");
    assert!(judge(&compact).notes.is_empty());
    assert_eq!(judge(&compact[..compact.len() / 2]).notes.len(), 1);
}

#[test]
fn trailer_inside_the_text_of_a_procedure_or_a_row_does_not_pass_for_the_end() {
    let dump = dump();
    let body =
        dump.split("-- Dump completed").next().unwrap().split("/*!40111 SET SQL_NOTES=@OLD").next().unwrap();
    for end in [
        "CREATE PROCEDURE p()\n-- Dump completed on 2025-08-18  1:00:00\n",
        "CREATE PROCEDURE p()\n-- Dump completed\n",
        "INSERT INTO t VALUES ('-- Dump completed on 2025-08-18  1:00:00\n",
        "-- Dump completed on 2025-08-18  1:00:00\nSELECT 1;\n",
    ] {
        assert_eq!(word(format!("{body}{end}").as_bytes()), "cut short", "{end}");
    }
    // A row that is longer than the part that is looked at.
    let long = format!("{body}INSERT INTO t VALUES ('{}-- Dump completed\n", "x".repeat(TAIL - 18));
    assert_eq!(word(long.as_bytes()), "cut short");
}

#[test]
fn ends_that_are_wrong_are_named() {
    let dump = dump();
    let why = |text: &str| judge(text.as_bytes()).verdict.to_string();
    assert!(why("").contains("empty"));
    assert!(why(&dump[..dump.len() - 1]).contains("cut in itself"));
    assert!(why(&format!("{dump}\0\0\0")).contains("3 zero bytes"));
    assert!(why(&"\0".repeat(9000)).starts_with("cut short"));
    assert!(why(&format!("{dump}-- uploaded by job 7\n")).starts_with("not judged"));
    let lost = format!("{}mysqldump: Error 2013: Lost connection to server\n", &dump[..dump.len() / 2]);
    assert!(why(&lost).contains("mysqldump: Error 2013"), "{}", why(&lost));
    assert!(why(&format!("{dump}{}", " ".repeat(TAIL + 1))).starts_with("cut short"));
}

#[test]
fn dumps_of_other_programs_and_other_encodings_are_not_judged() {
    for text in [
        "-- phpMyAdmin SQL Dump\n-- version 5.2.1\nCOMMIT;\n",
        "-- Adminer 4.8.1 MySQL dump\nSELECT 1;\n-- 2025-08-18 01:00:00\n",
        "--\n-- PostgreSQL database dump\n--\n",
        "<?xml version=\"1.0\"?>\n<mysqldump>\n</mysqldump>\n",
        "CREATE TABLE a (b int);\n-- Dump completed on 2025-08-18  1:00:00\n",
    ] {
        assert_eq!(word(text.as_bytes()), "not judged", "{text}");
    }
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(dump().encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert!(judge(&wide).verdict.to_string().contains("PowerShell"));
    assert!(judge(&wide).notes.iter().any(|note| note.text.contains("from UTF-16 to UTF-8")));
    assert!(judge(&fixture("shop_20250818.sql.gz")).verdict.to_string().contains("gzip data"));
}

#[test]
fn statements_that_a_wrapper_appended_leave_a_complete_dump_not_judged() {
    let dump = dump();
    let grants = "GRANT SELECT ON `shop`.* TO `app`@`10.0.0.%`;\n".repeat(200);
    for end in [
        "COMMIT;\nSET FOREIGN_KEY_CHECKS=1;\n",
        &grants,
        "-- grants\nGRANT USAGE ON *.* TO `a`@`%`;\n-- end\n",
    ] {
        let judgement = judge(format!("{dump}{end}").as_bytes());
        assert!(
            judgement.verdict.to_string().starts_with("not judged: statements follow its trailer"),
            "{}",
            judgement.verdict
        );
    }
    for end in ["COMMIT;\nSET FOREIGN_KEY_CH", "-- MariaDB dump 10.19\n--\nSELECT 1;\n"] {
        assert_eq!(word(format!("{dump}{end}").as_bytes()), "cut short", "{end}");
    }
    // The text of a procedure, after which no complete dump ends.
    let body = dump.split("/*!40111 SET SQL_NOTES=@OLD").next().unwrap();
    assert_eq!(word(format!("{body}-- Dump completed\nCOMMIT;\n").as_bytes()), "cut short");
}

#[test]
fn dump_that_was_not_completed_among_others_is_cut_short_though_the_ends_are_those_of_a_whole_file() {
    let dump = dump();
    let cut = &dump[..dump.len() / 2];
    let all = |text: &str| super::super::sql_dump::judge_all(text.as_bytes()).unwrap().verdict;
    let mended = format!("{dump}{cut}\n{dump}");
    assert_eq!(word(mended.as_bytes()), "whole", "its ends are");
    assert!(all(&mended).reason().starts_with("3 dumps begin in it and 2 are completed"), "{}", all(&mended));
    assert!(all(&format!("{dump}{dump}{dump}")).is_whole());
    assert!(all(&dump).is_whole());
    // Its own reason stays.
    assert!(all(cut).reason().starts_with("its header is there, but"));
}

#[test]
fn what_a_program_says_that_could_not_dump_is_no_dump() {
    for (text, first) in [
        ("sh: 1: mysqldump: not found\n", "sh: 1: mysqldump: not found"),
        (
            "\nError response from daemon: No such container: db\r\n",
            "Error response from daemon: No such container: db",
        ),
        ("-- nightly\n", "-- nightly"),
    ] {
        let judgement = judge(text.as_bytes());
        assert_eq!(judgement.verdict.word(), "cut short", "{text}");
        assert_eq!(judgement.verdict.reason(), format!("it holds no SQL statement: `{first}`"));
    }
    assert_eq!(word(b"SELECT 1;\n"), "not judged");
    assert_eq!(word(&"log\n".repeat(9000).into_bytes()), "not judged", "of a large one not all was seen");
}
