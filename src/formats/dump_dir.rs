//! Dump directories of mydumper and MySQL Shell, judged by the names of their files.
//!
//! Both programs write an end marker last: mydumper renames `metadata.partial` to `metadata`, MySQL
//! Shell writes `@.done.json`. The marker says that the program came to its end, so an empty or
//! vanished data file is the only thing left to see without reading the data.

use super::{Facts, Judgement};
use crate::model::Verdict;

/// A file of the directory: name relative to it, and bytes.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Relative name.
    pub name: &'a str,
    /// Size in bytes.
    pub size: u64,
}

/// Judges a directory by its files; `None` where it looks like neither program's.
#[must_use]
pub fn judge(entries: &[Entry<'_>]) -> Option<Judgement> {
    let size = |name: &str| entries.iter().find(|entry| entry.name == name).map(|entry| entry.size);
    if size("@.json").is_some() || size("@.done.json").is_some() {
        return Some(shell(entries, size("@.done.json")));
    }
    if size("metadata.partial").is_some() || entries.iter().any(|entry| is_schema(entry.name)) {
        return Some(mydumper(entries, size("metadata"), size("metadata.partial").is_some()));
    }
    None
}

/// Whether a file of mydumper holds the definition of something.
fn is_schema(name: &str) -> bool {
    let ends = [".sql", ".sql.gz", ".sql.zst"];
    ends.iter().any(|end| name.strip_suffix(end).is_some_and(|stem| stem.contains("-schema")))
}

fn shell(entries: &[Entry<'_>], done: Option<u64>) -> Judgement {
    let mut facts = Facts::of("MySQL Shell dump");
    facts.producer = Some("MySQL Shell".to_owned());
    match done {
        None => Judgement::cut_short("`@.done.json`, which MySQL Shell writes last, is missing", facts),
        Some(0) => Judgement::cut_short("`@.done.json`, which MySQL Shell writes last, is empty", facts),
        Some(_) => {
            with_data(entries, &[".tsv", ".tsv.gz", ".tsv.zst", ".json", ".sql"], "`@.done.json`", facts)
        }
    }
}

fn mydumper(entries: &[Entry<'_>], metadata: Option<u64>, partial: bool) -> Judgement {
    let mut facts = Facts::of("mydumper dump");
    facts.producer = Some("mydumper".to_owned());
    match (metadata, partial) {
        (_, true) => Judgement::new(
            Verdict::StillBeingWritten {
                why: "`metadata.partial` is there: mydumper is at work, or was stopped before its end"
                    .to_owned(),
            },
            facts,
        ),
        (None, false) => Judgement::cut_short("`metadata`, which mydumper writes last, is missing", facts),
        (Some(0), false) => Judgement::cut_short("`metadata`, which mydumper writes last, is empty", facts),
        (Some(_), false) => with_data(entries, &[".sql", ".sql.gz", ".sql.zst", ".dat"], "`metadata`", facts),
    }
}

/// With the end marker there, every data file must have content.
fn with_data(entries: &[Entry<'_>], ends: &[&str], marker: &str, facts: Facts) -> Judgement {
    let mut data = entries.iter().filter(|entry| ends.iter().any(|end| entry.name.ends_with(end)));
    // A table without rows is an empty .tsv for MySQL Shell, but compressed and .sql files never are.
    let may_be_empty = |name: &str| name.rsplit('.').next() == Some("tsv");
    if let Some(empty) = data.clone().find(|entry| entry.size == 0 && !may_be_empty(entry.name)) {
        return Judgement::cut_short(format!("`{}` is empty although {marker} is there", empty.name), facts);
    }
    if !data.any(|entry| !is_schema(entry.name)) {
        return Judgement::not_judged(
            format!("{marker} is there, and no file with data: it was made without, or they did not arrive"),
            facts,
        );
    }
    let files = entries.len();
    Judgement::whole(
        format!(
            "{marker}, written last, is there and none of its {files} files is empty (names and sizes only were read)"
        ),
        facts,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries<'a>(names: &'a [(&'a str, u64)]) -> Vec<Entry<'a>> {
        names.iter().map(|(name, size)| Entry { name, size: *size }).collect()
    }

    fn word(names: &[(&str, u64)]) -> &'static str {
        judge(&entries(names)).map_or("none", |judgement| judgement.verdict.word())
    }

    #[test]
    fn mydumper_directory_is_whole_only_with_its_renamed_metadata() {
        let schema = ("shop-schema-create.sql", 90);
        let table = ("shop.orders.sql", 4000);
        assert_eq!(word(&[schema, table, ("metadata", 75)]), "whole");
        assert_eq!(word(&[schema, table, ("metadata.partial", 75)]), "still being written");
        assert_eq!(word(&[schema, table, ("metadata", 75), ("metadata.partial", 75)]), "still being written");
        assert_eq!(word(&[schema, table]), "cut short");
        assert_eq!(word(&[schema, table, ("metadata", 0)]), "cut short");
        assert_eq!(word(&[schema, ("shop.orders.sql", 0), ("metadata", 75)]), "cut short");
        assert_eq!(word(&[schema, ("shop.orders-schema.sql", 90), ("metadata", 75)]), "not judged");
    }

    #[test]
    fn mysql_shell_directory_is_whole_only_with_its_done_file() {
        let some = [("@.json", 900), ("shop@orders@@0.tsv.zst", 4000)];
        assert_eq!(word(&[some[0], some[1], ("@.done.json", 300)]), "whole");
        assert_eq!(word(&some), "cut short");
        assert_eq!(word(&[some[0], some[1], ("@.done.json", 0)]), "cut short");
        assert_eq!(word(&[some[0], ("shop@orders@@0.tsv.zst", 0), ("@.done.json", 300)]), "cut short");
        assert_eq!(word(&[some[0], some[1], ("@.done.json", 300), ("shop@notes@@0.tsv", 0)]), "whole");
    }

    #[test]
    fn another_directory_is_no_dump() {
        assert_eq!(word(&[("shop_20250818.sql", 4000), ("metadata", 5)]), "none");
        assert_eq!(word(&[]), "none");
    }
}
