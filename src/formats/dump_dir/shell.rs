//! MySQL Shell: `util.dumpInstance`, `dumpSchemas` and `dumpTables`.
//!
//! `@.done.json` lists the bytes of each table (`tableDataBytes`) and, from 8.0.22 on, each data file with its bytes
//! before compression (`chunkFileBytes`). `@.json` names the schemas, and each schema's file the objects in it.
//! Source: MySQL Shell's own code, `modules/util/dump/dumper.cc`.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::{Facts, Judgement};
use super::{Entry, Files, and_more, is_compressed};

/// `@.done.json`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    #[serde(default)]
    table_data_bytes: BTreeMap<String, BTreeMap<String, u64>>,
    chunk_file_bytes: Option<BTreeMap<String, u64>>,
}

/// `@.json`.
#[derive(Deserialize)]
struct Dump {
    /// The beginning of its files' names, by schema.
    #[serde(default)]
    basenames: BTreeMap<String, String>,
}

/// The file of one schema.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Schema {
    #[serde(default)]
    includes_ddl: bool,
    /// The beginning of their files' names, by table or view.
    #[serde(default)]
    basenames: BTreeMap<String, String>,
}

/// A list, or what is to be said where it cannot be had.
type Listed<T> = Result<T, Box<Judgement>>;

pub(super) fn judge(files: &Files<'_>) -> io::Result<Judgement> {
    let mut facts = Facts::of("MySQL Shell dump");
    facts.producer = Some("MySQL Shell".to_owned());
    let cut_short = |why: String| Ok(Judgement::cut_short(why, facts.clone()));
    let Some(done) = files.get("@.done.json") else {
        return cut_short("`@.done.json`, which MySQL Shell writes last, is missing".to_owned());
    };
    if done.size == 0 {
        return cut_short("`@.done.json`, which MySQL Shell writes last, is empty".to_owned());
    }
    let Some(dump) = files.get("@.json") else {
        return cut_short("`@.json`, without which nothing of it can be loaded, is missing".to_owned());
    };
    let (done, dump): (Done, Dump) = match (list(done, &facts)?, list(dump, &facts)?) {
        (Ok(done), Ok(dump)) => (done, dump),
        (Err(judgement), _) | (_, Err(judgement)) => return Ok(*judgement),
    };
    let mut schemas = BTreeMap::new();
    for (schema, base) in &dump.basenames {
        let name = format!("{base}.json");
        let Some(file) = files.get(&name) else {
            return cut_short(format!(
                "`{name}`, which describes the schema {schema}, is not there: a copy was stopped"
            ));
        };
        match list::<Schema>(file, &facts)? {
            Ok(listed) => schemas.insert(schema.as_str(), listed),
            Err(judgement) => return Ok(*judgement),
        };
    }
    if let Some(why) = without_definition(files, &schemas) {
        return cut_short(why);
    }
    let counted = match &done.chunk_file_bytes {
        Some(chunks) => match wrong_chunk(files, chunks) {
            Some(why) => return cut_short(why),
            None => chunks.len(),
        },
        None => match without_chunk(files, &done, &schemas) {
            Some(why) => return cut_short(why),
            None => files.all().filter(|file| is_data(file.name)).count(),
        },
    };
    // A table without rows is an empty file, but compressed ones never are.
    let never_empty = |name: &str| match name.rsplit('.').next() {
        Some("json" | "sql") => true,
        Some(_) | None => is_data(name) && is_compressed(name),
    };
    if let Some(empty) = files.all().find(|file| file.size == 0 && never_empty(file.name)) {
        return cut_short(format!("`{}` is empty although `@.done.json` is there", empty.name));
    }
    if counted == 0 {
        let why =
            "`@.done.json` is there, and no file with data: it was made without, or they did not arrive";
        return Ok(Judgement::not_judged(why, facts));
    }
    let listed = if done.chunk_file_bytes.is_some() {
        format!("all {counted} data files that it lists are")
    } else {
        "data of every table that has any by it is".to_owned()
    };
    Ok(Judgement::whole(
        format!(
            "`@.done.json`, written last, is there, and {listed} (of compressed ones only names and sizes were read)"
        ),
        facts,
    ))
}

/// A file of the dump as what it lists.
fn list<T: DeserializeOwned>(file: &Entry<'_>, facts: &Facts) -> io::Result<Listed<T>> {
    let Some(bytes) = file.all_bytes()? else {
        let why = format!("`{}` is too large to be read here", file.name);
        return Ok(Err(Box::new(Judgement::not_judged(why, facts.clone()))));
    };
    Ok(serde_json::from_slice(&bytes).map_err(|error| {
        let why = format!("`{}` is not what MySQL Shell writes: {error}", file.name);
        Box::new(Judgement::cut_short(why, facts.clone()))
    }))
}

/// A file with rows.
fn is_data(name: &str) -> bool {
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    [".tsv", ".csv", ".txt"].iter().any(|end| plain.ends_with(end))
}

fn without_definition(files: &Files<'_>, schemas: &BTreeMap<&str, Schema>) -> Option<String> {
    let defined = schemas.values().filter(|schema| schema.includes_ddl);
    let names = defined.flat_map(|schema| schema.basenames.values()).map(|base| format!("{base}.sql"));
    let mut missing = names.filter(|name| files.get(name).is_none());
    let first = missing.next()?;
    let which = and_more(&format!("`{first}`"), missing.count());
    Some(format!("definitions that its schemas list are not there ({which}): a copy was stopped"))
}

/// A data file that is not there, or not with the bytes that it had.
fn wrong_chunk(files: &Files<'_>, chunks: &BTreeMap<String, u64>) -> Option<String> {
    let mut missing = chunks.keys().filter(|name| files.get(name).is_none());
    if let Some(first) = missing.next() {
        let which = and_more(&format!("`{first}`"), missing.count());
        return Some(format!(
            "data files that `@.done.json` lists are not there ({which}): a copy was stopped"
        ));
    }
    let shorter = |(name, bytes): (&String, &u64)| {
        let size = files.get(name)?.size;
        (!is_compressed(name) && size < *bytes).then(|| {
            format!("`{name}` has {size} bytes in place of the {bytes} that `@.done.json` lists: it is cut")
        })
    };
    chunks.iter().find_map(shorter)
}

/// A table that has bytes and no file with any, where no list of files is there.
fn without_chunk(files: &Files<'_>, done: &Done, schemas: &BTreeMap<&str, Schema>) -> Option<String> {
    let has_data = |base: &str| {
        let of_it = |file: &Entry<'_>| {
            let rest = file.name.strip_prefix(base).unwrap_or_default();
            file.size > 0 && is_data(file.name) && rest.starts_with(['@', '.'])
        };
        files.begin(base).any(of_it)
    };
    let filled = done.table_data_bytes.iter().flat_map(|(schema, tables)| {
        tables.iter().filter(|(_, bytes)| **bytes > 0).map(move |(table, _)| (schema, table))
    });
    let missing = filled.filter(|(schema, table)| {
        let base = schemas.get(schema.as_str()).and_then(|schema| schema.basenames.get(*table));
        base.is_some_and(|base| !has_data(base))
    });
    let mut names = missing.map(|(schema, table)| format!("`{schema}`.`{table}`"));
    let first = names.next()?;
    let which = and_more(&first, names.count());
    Some(format!("`@.done.json` lists bytes of {which}, of which no data file is there: a copy was stopped"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::said;

    const DUMP: (&str, &str) = ("@.json", r#"{"dumper": "mysqlsh", "basenames": {"shop": "shop"}}"#);
    const SCHEMA: (&str, &str) = (
        "shop.json",
        r#"{"includesDdl": true, "tables": ["orders", "notes"], "basenames": {"orders": "shop@orders", "notes": "shop@notes"}}"#,
    );
    const DDL: [(&str, &str); 2] = [("shop@orders.sql", "x"), ("shop@notes.sql", "x")];
    const ORDERS: (&str, &str) = ("shop@orders@@0.tsv.zst", "zstd");
    const NOTES: (&str, &str) = ("shop@notes@@0.tsv", "");
    const DONE: (&str, &str) = (
        "@.done.json",
        r#"{"end": "2025-08-18 01:00:09", "dataBytes": 9, "tableDataBytes": {"shop": {"orders": 9, "notes": 0}},
            "chunkFileBytes": {"shop@orders@@0.tsv.zst": 9, "shop@notes@@0.tsv": 0}}"#,
    );
    /// As 8.0.21 writes it.
    const FIRST: (&str, &str) = ("@.done.json", r#"{"tableDataBytes": {"shop": {"orders": 9, "notes": 0}}}"#);

    fn without(name: &str, done: (&'static str, &'static str)) -> String {
        let all = [DUMP, SCHEMA, DDL[0], DDL[1], ORDERS, NOTES, done];
        said(&all.into_iter().filter(|file| file.0 != name).collect::<Vec<_>>())
    }

    #[test]
    fn directory_is_whole_only_with_its_done_file_and_every_file_that_it_lists() {
        let whole = without("", DONE);
        assert!(
            whole.starts_with("whole: `@.done.json`, written last, is there, and all 2 data files"),
            "{whole}"
        );
        for (name, why) in [
            ("@.done.json", "`@.done.json`, which MySQL Shell writes last, is missing"),
            ("@.json", "`@.json`, without which nothing"),
            ("shop.json", "`shop.json`, which describes the schema shop, is not there"),
            ("shop@notes.sql", "definitions that its schemas list are not there (`shop@notes.sql`)"),
            (
                "shop@orders@@0.tsv.zst",
                "data files that `@.done.json` lists are not there (`shop@orders@@0.tsv.zst`)",
            ),
            ("shop@notes@@0.tsv", "data files that `@.done.json` lists are not there (`shop@notes@@0.tsv`)"),
        ] {
            let verdict = without(name, DONE);
            assert!(verdict.starts_with(&format!("cut short: {why}")), "{verdict}");
        }
    }

    #[test]
    fn first_version_lists_tables_and_each_that_has_bytes_must_have_a_data_file() {
        assert!(without("", FIRST).starts_with("whole"), "{}", without("", FIRST));
        assert!(without("shop@notes@@0.tsv", FIRST).starts_with("whole"), "it has no rows");
        let verdict = without("shop@orders@@0.tsv.zst", FIRST);
        assert!(
            verdict.starts_with("cut short: `@.done.json` lists bytes of `shop`.`orders`, of which no"),
            "{verdict}"
        );
    }

    #[test]
    fn file_that_is_empty_or_shorter_than_listed_is_cut() {
        let of = |done: &str, orders: (&str, &str)| {
            said(&[DUMP, SCHEMA, DDL[0], DDL[1], orders, NOTES, (DONE.0, done)])
        };
        let plain = DONE.1.replace(".tsv.zst", ".tsv");
        assert!(of(&plain, ("shop@orders@@0.tsv", "123456789")).starts_with("whole"));
        let cut = of(&plain, ("shop@orders@@0.tsv", "12345678"));
        assert!(cut.starts_with("cut short: `shop@orders@@0.tsv` has 8 bytes in place of the 9"), "{cut}");
        assert!(of(DONE.1, (ORDERS.0, "")).starts_with("cut short: `shop@orders@@0.tsv.zst` is empty"));
        assert!(of("", ORDERS).ends_with("is empty"));
        assert!(
            of(&DONE.1[..90], ORDERS).starts_with("cut short: `@.done.json` is not what MySQL Shell writes")
        );
        let none = said(&[DUMP, ("shop.json", "{}"), ("@.done.json", r#"{"chunkFileBytes": {}}"#)]);
        assert!(none.starts_with("not judged"), "{none}");
    }
}
