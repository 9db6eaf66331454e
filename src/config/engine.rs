//! `[oracle]`, `[mysql]`, `[mssql]`: where an engine's backups lie, and what is done with them.

use std::collections::BTreeMap;

use toml::de::DeTable;

use super::error::Report;
use super::parse::{BUFFER_MAX, DAY, SECOND};
use super::section::{At, Section};
use super::{Check, Source, secrets};
use crate::codec::{Compression, Pack, Recipe, Recipient};
use crate::model::Engine;
use crate::source::Excludes;

pub(super) fn sources(document: &DeTable<'_>, report: &mut Report<'_>) -> BTreeMap<Engine, Source> {
    let mut sources = BTreeMap::new();
    for engine in Engine::ALL {
        if document.contains_key(engine.as_str()) {
            let mut section = Section::open(document, engine.as_str(), report);
            if let Some(source) = source(engine, &mut section) {
                sources.insert(engine, source);
            }
            section.finish();
        }
    }
    sources
}

fn source(engine: Engine, section: &mut Section<'_, '_, '_>) -> Option<Source> {
    let known = section.has("source");
    let dir = section.path("source");
    if !known {
        section.missing("source", "the absolute path of the directory that holds the backups");
    }
    let allowed = "paths or globs relative to `source`, such as \"excluded-db\" or \"api1/test\"";
    let patterns = section.list("exclude", allowed, |text| {
        Excludes::new(std::slice::from_ref(&text.to_owned())).map(|_| text.to_owned())
    });
    let exclude = match patterns {
        None => Excludes::default(),
        Some(At { value, span }) => match Excludes::new(&value) {
            Ok(excludes) => excludes,
            Err(why) => {
                section.problem(&span, "exclude", format!("{why}; allowed: {allowed}"));
                return None;
            }
        },
    };
    let (mut include_level1, mut include_differential, mut include_log) = (false, false, false);
    match engine {
        Engine::Oracle => include_level1 = section.flag("include_level1", false),
        Engine::Mysql => {}
        Engine::Mssql => {
            include_differential = section.flag("include_differential", false);
            include_log = section.flag("include_log", false);
        }
    }
    let min_size = section.size("min_size", 0..=BUFFER_MAX, Source::MIN_SIZE).value;
    let priority = section.number("priority", 0, 100, 0).value;
    let check = check(section);
    let compress = section.text("compress", Compression::ALLOWED, |text| match text {
        "none" => Ok(None),
        text => {
            text.parse().map(Some).map_err(|error: String| format!("`{}`: {error}", secrets::short(text)))
        }
    });
    let recipients = encrypt(section);
    // A SQL Server backup is never a folder.
    let pack = match engine {
        Engine::Oracle | Engine::Mysql => section.text("pack", "\"none\" or \"tar\"", pack),
        Engine::Mssql => None,
    };
    Some(Source {
        dir: dir?.value,
        exclude,
        include_level1,
        include_differential,
        include_log,
        priority,
        min_size,
        check,
        recipe: Recipe {
            pack: pack.and_then(|at| at.value),
            compression: compress.and_then(|at| at.value),
            recipients,
        },
    })
}

fn pack(text: &str) -> Result<Option<Pack>, String> {
    match text {
        "none" => Ok(None),
        "tar" => Ok(Some(Pack::Tar)),
        _ => Err(format!("`{}` is not known", secrets::short(text))),
    }
}

fn encrypt(section: &mut Section<'_, '_, '_>) -> Vec<Recipient> {
    let Some(At { value, span }) = section.list("encrypt", Recipient::ALLOWED, str::parse) else {
        return Vec::new();
    };
    if !Recipient::may_be(value.len()) {
        let what = format!(
            "a list of {} keys; allowed: {}; leave the line out to encrypt nothing",
            value.len(),
            Recipient::ALLOWED
        );
        section.problem(&span, "encrypt", what);
    }
    value
}

fn check(section: &mut Section<'_, '_, '_>) -> Check {
    let allowed = "the program and its arguments, one of them with {path} in it, such as \
                   [\"/usr/local/bin/check-backup\", \"{path}\"]";
    let command = section.list("check_command", allowed, |text| Ok(text.to_owned()));
    let timeout = section.duration("check_timeout", SECOND..=DAY, Check::TIMEOUT);
    let Some(At { value: command, span }) = command else {
        return Check { command: Vec::new(), timeout };
    };
    let named = command.first().is_some_and(|program| !program.is_empty() && !program.contains(Check::PLACE));
    let placed = command.iter().any(|argument| argument.contains(Check::PLACE));
    let whole = command.iter().all(|argument| !argument.contains('\0'));
    if !named || !placed || !whole {
        section.problem(&span, "check_command", format!("cannot be run for each set; allowed: {allowed}"));
    }
    Check { command, timeout }
}
