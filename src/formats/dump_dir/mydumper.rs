//! mydumper, and Dumpling, which writes the same files.
//!
//! `metadata` lists each table with its rows from version 0.15 on; before, it says only when the dump began and
//! ended. A table without rows has no data file, or with `--build-empty-files` an empty one. Every version ends each
//! file of statements with `;` and a line feed. Source: mydumper's own code, 0.9.5 to 1.0.1.

use std::collections::BTreeMap;
use std::io;

use super::super::{Facts, Judgement};
use super::{Entry, Files, and_more, is_compressed};
use crate::model::Verdict;

/// The last line of `metadata`, after `# ` in newer versions.
const FINISHED: &str = "Finished dump at";
/// Endings of files with rows, or with statements.
const ENDS: [&str; 4] = [".sql", ".sql.gz", ".sql.zst", ".dat"];

/// Whether a file of mydumper holds the definition of something.
pub(super) fn is_schema(name: &str) -> bool {
    let ends = [".sql", ".sql.gz", ".sql.zst"];
    ends.iter().any(|end| name.strip_suffix(end).is_some_and(|stem| stem.contains("-schema")))
}

pub(super) fn judge(files: &Files<'_>) -> io::Result<Judgement> {
    let mut facts = Facts::of("mydumper dump");
    facts.producer = Some("mydumper".to_owned());
    let cut_short = |why: &str| Ok(Judgement::cut_short(why, facts.clone()));
    if files.get("metadata.partial").is_some() {
        let why =
            "`metadata.partial` is there: mydumper is at work, or was stopped before its end".to_owned();
        return Ok(Judgement::new(Verdict::StillBeingWritten { why }, facts));
    }
    let Some(metadata) = files.get("metadata") else {
        return cut_short("`metadata`, which mydumper writes last, is missing");
    };
    if metadata.size == 0 {
        return cut_short("`metadata`, which mydumper writes last, is empty");
    }
    let Some(text) = metadata.all_bytes()? else {
        return Ok(Judgement::not_judged("`metadata` is too large to be read here", facts));
    };
    let text = String::from_utf8_lossy(&text);
    if !text.contains(FINISHED) {
        return cut_short(&format!(
            "`metadata` has no line `{FINISHED}`, which mydumper writes last: it is cut"
        ));
    }
    let rows = rows(&text);
    if let Some(why) = missing(files, &rows) {
        return cut_short(&why);
    }
    let mut data = 0;
    for file in files.all().filter(|file| ENDS.iter().any(|end| file.name.ends_with(end))) {
        if file.size == 0 && !is_empty_table(file.name, files) {
            return cut_short(&format!("`{}` is empty although `metadata` is there", file.name));
        }
        if file.size > 0 && has_statements(file.name) && !ends_a_statement(file)? {
            return cut_short(&format!(
                "`{}` does not end with `;` and a line feed, as all of mydumper's do: it is cut",
                file.name
            ));
        }
        data += usize::from(!is_schema(file.name));
    }
    if data == 0 {
        let why = "`metadata` is there, and no file with data: it was made without, or they did not arrive"
            .to_owned();
        return Ok(Judgement::not_judged(why, facts));
    }
    let seen = seen(files);
    if rows.is_empty() {
        return Ok(Judgement::not_judged(
            format!(
                "`metadata`, written last, is there, {seen}; but it lists no tables (mydumper before 0.15), so \
                 nothing tells whether every file arrived{}",
                without_data(files)
            ),
            facts,
        ));
    }
    let tables = rows.values().filter(|rows| **rows > 0).count();
    Ok(Judgement::whole(
        format!(
            "`metadata`, written last, is there, each of the {tables} tables that have rows by it has data, {seen}"
        ),
        facts,
    ))
}

/// What was seen of the files besides their names.
fn seen(files: &Files<'_>) -> String {
    let compressed = files.all().filter(|file| is_compressed(file.name)).count();
    if compressed == 0 {
        "and each file ends with the end of a statement".to_owned()
    } else {
        format!("and no file is empty (of {compressed} compressed ones only names and sizes were read)")
    }
}

/// How many tables have no data, which is how one looks whose data did not arrive.
fn without_data(files: &Files<'_>) -> String {
    let definitions = files.all().filter_map(|file| file.name.split_once("-schema.sql"));
    // A view has one more definition, and never data.
    let view = |table: &&str| files.begin(&format!("{table}-schema-view.sql")).next().is_some();
    let has_data = |table: &&str| files.begin(&format!("{table}.")).any(|file| file.size > 0);
    match definitions.map(|(table, _)| table).filter(|table| !view(table) && !has_data(table)).count() {
        0 => String::new(),
        1 => " (1 table has no data file with content)".to_owned(),
        many => format!(" ({many} tables have no data file with content)"),
    }
}

/// The rows of each table that `metadata` lists, by the beginning of its data files' names.
fn rows(metadata: &str) -> BTreeMap<String, u64> {
    let (mut rows, mut table) = (BTreeMap::new(), None);
    for line in metadata.lines().map(str::trim) {
        if line.starts_with('[') {
            table = table_of(line);
        } else if let (Some(table), Some((key, count))) = (&table, line.split_once('='))
            && key.trim() == "rows"
            && let Ok(count) = count.trim().parse()
        {
            rows.insert(String::clone(table), count);
        }
    }
    rows
}

/// ``[`shop`.`orders`]`` as `shop.orders.`; names that files do not bear as they are, are passed over.
fn table_of(section: &str) -> Option<String> {
    let inner = section.strip_prefix('[')?.strip_suffix(']')?;
    let quote = inner.chars().next().filter(|quote| ['`', '"'].contains(quote))?;
    let inner = inner.strip_prefix(quote)?.strip_suffix(quote)?;
    let (database, table) = inner.split_once(&format!("{quote}.{quote}"))?;
    let plain = |name: &str| {
        let fine = |c: char| c.is_ascii_alphanumeric() || ['_', '-'].contains(&c);
        !name.is_empty() && name.chars().all(fine) && !name.starts_with("mydumper_")
    };
    (plain(database) && plain(table)).then(|| format!("{database}.{table}."))
}

fn missing(files: &Files<'_>, rows: &BTreeMap<String, u64>) -> Option<String> {
    let filled = rows.iter().filter(|(_, rows)| **rows > 0);
    let mut missing = filled.filter(|(table, _)| !files.begin(table).any(|file| file.size > 0));
    let (table, rows) = missing.next()?;
    let tables = and_more(&format!("`{}`", table.trim_end_matches('.')), missing.count());
    Some(format!(
        "`metadata` lists {rows} rows of {tables}, of which no data file is there: a copy was stopped"
    ))
}

/// `shop.orders` of `shop.orders.00000.sql`; none where mydumper names no file so.
fn table_of_file(name: &str) -> Option<String> {
    let mut parts = name.split('.');
    let (database, table, _rest) = (parts.next()?, parts.next()?, parts.next()?);
    (table != "sql").then(|| format!("{database}.{table}"))
}

/// An empty file of a table whose definition is there: `--build-empty-files`.
fn is_empty_table(name: &str, files: &Files<'_>) -> bool {
    let table = table_of_file(name).filter(|_| !is_schema(name) && !is_compressed(name));
    let defined = |table: String| files.begin(&format!("{table}-schema.sql")).any(|file| file.size > 0);
    table.is_some_and(defined)
}

/// Whether mydumper wrote statements into it, uncompressed; routines and the like are left out.
fn has_statements(name: &str) -> bool {
    let Some(stem) = name.strip_suffix(".sql") else { return false };
    let defines = stem.ends_with("-schema") || stem.ends_with("-schema-create");
    defines || (!is_schema(name) && table_of_file(name).is_some())
}

fn ends_a_statement(file: &Entry<'_>) -> io::Result<bool> {
    let tail = file.size.min(64);
    let tail = file.content.bytes_at(file.size - tail, usize::try_from(tail).unwrap_or(64))?;
    Ok(tail.ends_with(b"\n") && tail.trim_ascii_end().ends_with(b";"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::said;

    const CREATE: (&str, &str) = ("shop-schema-create.sql", "CREATE DATABASE `shop`;\n");
    const SCHEMA: (&str, &str) = ("shop.orders-schema.sql", "CREATE TABLE `orders` (a int);\n");
    const DATA: (&str, &str) = ("shop.orders.00000.sql", "INSERT INTO `orders` VALUES (1);\n");
    const OLD: (&str, &str) =
        ("metadata", "Started dump at: 2025-08-18 01:00:00\nFinished dump at: 2025-08-18 01:00:09\n");
    const LISTED: (&str, &str) = (
        "metadata",
        "# Started dump at: 2025-08-18 01:00:00\n[config]\nquote-character = BACKTICK\n\n[`shop`.`orders`]\n\
         real_table_name=orders\nrows = 1\n\n[`shop`.`notes`]\nreal_table_name=notes\nrows = 0\n\n\
         [`odd name`.`x`]\nrows = 7\n# Finished dump at: 2025-08-18 01:00:09\n",
    );

    #[test]
    fn directory_is_whole_only_with_its_renamed_metadata_and_a_data_file_of_every_table_that_has_rows() {
        let whole = said(&[CREATE, SCHEMA, DATA, LISTED]);
        assert!(whole.starts_with("whole: `metadata`"), "{whole}");
        let packed =
            [CREATE, ("shop.orders-schema.sql.zst", "x"), ("shop.orders.00000.sql.zst", "x"), LISTED];
        assert!(said(&packed).contains("of 2 compressed ones only names"), "{}", said(&packed));
        let missing = said(&[CREATE, SCHEMA, ("shop.notes.sql", ""), ("shop.orders2.sql", "x;\n"), LISTED]);
        assert!(
            missing.starts_with("cut short: `metadata` lists 1 rows of `shop.orders`, of which no"),
            "{missing}"
        );
        let empty = [CREATE, SCHEMA, ("shop.orders.00000.sql", ""), LISTED];
        assert!(said(&empty).starts_with("cut short: `metadata` lists 1 rows"), "{}", said(&empty));

        for (files, word) in [
            (vec![CREATE, DATA, OLD, ("metadata.partial", "x")], "still being written"),
            (vec![CREATE, DATA, ("metadata.partial", "x")], "still being written"),
            (vec![CREATE, DATA], "cut short"),
            (vec![CREATE, DATA, ("metadata", "")], "cut short"),
            (vec![CREATE, DATA, ("metadata", &LISTED.1[..90])], "cut short"),
            (vec![CREATE, SCHEMA, OLD], "not judged"),
        ] {
            assert!(said(&files).starts_with(word), "{}", said(&files));
        }
    }

    #[test]
    fn metadata_that_lists_no_tables_leaves_it_not_judged() {
        let notes = ("shop.notes-schema.sql", "CREATE TABLE `notes` (a int);\n");
        let view = [("shop.v-schema.sql", "CREATE TABLE v (a int);\n"), ("shop.v-schema-view.sql", "x")];
        let verdict = said(&[CREATE, SCHEMA, DATA, notes, view[0], view[1], OLD]);
        assert!(verdict.starts_with("not judged: `metadata`, written last"), "{verdict}");
        assert!(
            verdict.ends_with("whether every file arrived (1 table has no data file with content)"),
            "{verdict}"
        );
    }

    #[test]
    fn uncompressed_file_that_ends_within_a_statement_is_cut() {
        for (cut, why) in [
            (
                ("shop.orders.00000.sql", "INSERT INTO `orders` VALUES (1),\n(2"),
                "`shop.orders.00000.sql` does not",
            ),
            (
                ("shop.orders.00000.sql", "INSERT INTO `orders` VALUES ('a;"),
                "`shop.orders.00000.sql` does not",
            ),
            (("shop.orders-schema.sql", "CREATE TABLE `orders` (a\n"), "`shop.orders-schema.sql` does not"),
        ] {
            let others = [CREATE, SCHEMA, DATA, OLD].into_iter().filter(|file| file.0 != cut.0);
            let verdict = said(&others.chain([cut]).collect::<Vec<_>>());
            assert!(verdict.starts_with(&format!("cut short: {why}")), "{verdict}");
        }
        // What somebody laid beside it is not mydumper's.
        let beside = said(&[CREATE, SCHEMA, DATA, LISTED, ("grants.sql", "-- none")]);
        assert!(beside.starts_with("whole"), "{beside}");
    }

    #[test]
    fn empty_file_of_a_table_is_one_without_rows_and_of_anything_else_is_cut() {
        let empty = ("shop.notes.sql", "");
        let notes = ("shop.notes-schema.sql", "CREATE TABLE `notes` (a int);\n");
        assert!(said(&[CREATE, SCHEMA, DATA, notes, empty, LISTED]).starts_with("whole"));
        assert!(said(&[CREATE, SCHEMA, DATA, notes, empty, OLD]).starts_with("not judged"));
        assert!(said(&[CREATE, SCHEMA, DATA, empty, OLD]).starts_with("cut short"), "no such table");
        assert!(said(&[CREATE, SCHEMA, DATA, ("shop.notes-schema.sql", ""), OLD]).starts_with("cut short"));
        assert!(
            said(&[CREATE, SCHEMA, DATA, notes, ("shop.notes.sql.gz", ""), OLD]).starts_with("cut short")
        );
    }
}
