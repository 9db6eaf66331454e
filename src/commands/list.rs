//! `dbbackup list`: the sets that the bucket's catalog knows.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use chrono::Utc;
use serde::Serialize;

use super::setup::{Failure, Site};
use crate::bucket::Listed;
use crate::catalog::{Entry, Loaded};
use crate::config::Config;
use crate::manifest::Manifest;
use crate::model::{BackupDate, Category, Engine, ExitCode, Proof, Selector, SetKind};
use crate::printable::printable;
use crate::report;
use crate::ui;

/// Which sets, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// Engine, and app.
    pub(super) selector: Option<Selector>,
    /// Not before this backup date.
    pub(super) since: Option<BackupDate>,
    /// Not after this backup date.
    pub(super) until: Option<BackupDate>,
    /// Only this category.
    pub(super) category: Option<Category>,
    /// Also objects without a manifest.
    pub(super) all: bool,
    /// One JSON document.
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
struct Document<'e> {
    sets: Vec<Row<'e>>,
    unproven: Vec<Loose>,
    findings: &'e [crate::model::Finding],
}

#[derive(Debug, Serialize)]
struct Row<'e> {
    key: String,
    engine: Engine,
    app: &'e str,
    name: &'e str,
    date: BackupDate,
    category: Category,
    kind: SetKind,
    files: usize,
    size: u64,
    /// Bytes of its objects; fewer where they are compressed.
    stored: u64,
    verdict: Option<&'static str>,
    proof: Proof,
    /// When the last drill of it failed, where it did.
    drill_failed: Option<chrono::DateTime<Utc>>,
    host: &'e str,
    created: chrono::DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Loose {
    key: String,
    size: u64,
    modified: Option<chrono::DateTime<Utc>>,
}

/// Prints the stored sets. A record that cannot be read is told and makes the exit code 1.
pub(super) async fn list(config: &Config, query: &Query) -> Result<ExitCode, Failure> {
    let site = Site::new(config).await?;
    let scope = query.selector.as_ref().map(Selector::scope).unwrap_or_default();
    let loaded = site.catalog.load(&scope).await?;
    let loose = if query.all { loose(&site, &scope, query, &loaded).await? } else { Vec::new() };
    let entries: Vec<&Entry> = loaded.entries.values().filter(|entry| fits(query, &entry.manifest)).collect();
    let text = if query.json {
        let document = Document {
            sets: entries.iter().map(|entry| row(entry)).collect(),
            unproven: loose,
            findings: &loaded.findings,
        };
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
    } else {
        table(&entries, &loose, query.all)
    };
    ui::result(&text).map_err(anyhow::Error::from)?;
    for finding in &loaded.findings {
        tracing::warn!("{} {}; {}", finding.subject, finding.what, finding.advice);
    }
    let bad = loaded.findings.iter().any(|finding| finding.severity == crate::model::Severity::Error);
    Ok(if bad { ExitCode::Failed } else { ExitCode::Done })
}

fn fits(query: &Query, manifest: &Manifest) -> bool {
    query.selector.as_ref().is_none_or(|selector| selector.matches(&manifest.id))
        && query.since.is_none_or(|since| since <= manifest.date)
        && query.until.is_none_or(|until| manifest.date <= until)
        && query.category.is_none_or(|category| category == manifest.id.category)
}

fn row(entry: &Entry) -> Row<'_> {
    let manifest = &entry.manifest;
    Row {
        key: manifest.id.key(),
        engine: manifest.id.engine,
        app: manifest.id.app.as_str(),
        name: manifest.id.name.as_str(),
        date: manifest.date,
        category: manifest.id.category,
        kind: manifest.kind,
        files: manifest.contents().len(),
        size: manifest.plain_bytes(),
        stored: manifest.bytes(),
        verdict: manifest.inspection.as_ref().map(|inspection| inspection.verdict.word()),
        proof: entry.proof(),
        drill_failed: entry.failed_drill().map(|mark| mark.at),
        host: &manifest.host,
        created: manifest.created,
    }
}

/// Objects under the engines' prefixes that no manifest names. Dates are unknown, so the filters by
/// date leave them out; the category is part of the key.
async fn loose(site: &Site, scope: &str, query: &Query, loaded: &Loaded) -> Result<Vec<Loose>, Failure> {
    let known: HashSet<&str> = loaded
        .entries
        .values()
        .flat_map(|entry| entry.manifest.files.iter().map(|file| file.key.as_str()))
        .collect();
    let engines: BTreeSet<Engine> = match &query.selector {
        Some(selector) => [selector.engine()].into(),
        None => Engine::ALL.into(),
    };
    let mut found = Vec::new();
    for engine in engines {
        let below = if scope.is_empty() { format!("{engine}/") } else { scope.to_owned() };
        let prefix = format!("{}{below}", site.bucket.layout().prefix());
        let list = || site.bucket.list(&prefix);
        let objects: Vec<Listed> = site.policy.ask(&format!("list {prefix}"), list).await?;
        found.extend(objects.into_iter().filter(|object| !known.contains(object.key.as_str())).map(
            |object| Loose {
                key: site.bucket.layout().strip(&object.key).unwrap_or(&object.key).to_owned(),
                size: object.size,
                modified: object.modified.map(Into::into),
            },
        ));
    }
    let category = query.category.map(|category| format!("/{category}/"));
    found.retain(|object| category.as_ref().is_none_or(|category| object.key.contains(category.as_str())));
    Ok(found)
}

fn table(entries: &[&Entry], loose: &[Loose], all: bool) -> String {
    if entries.is_empty() && loose.is_empty() {
        let hint = if all { "" } else { " (objects without a manifest: `dbbackup list --all`)" };
        return format!("No stored backups fit{hint}.\n");
    }
    let mut text = String::new();
    if !entries.is_empty() {
        text = report::sets_table(entries.iter().copied(), Utc::now());
        text.push('\n');
    }
    if !loose.is_empty() {
        text.push_str("\nWithout a manifest (unproven):\n");
        for object in loose {
            let _infallible =
                writeln!(text, "  {:>10}  {}", report::bytes(object.size), printable(&object.key));
        }
    }
    text
}
