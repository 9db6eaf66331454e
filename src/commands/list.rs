//! `dbbackup list` and `dbbackup show`: what the bucket's catalog knows.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Write as _;

use chrono::Utc;
use serde::Serialize;

use super::{Failure, Site};
use crate::bucket::Listed;
use crate::catalog::{Entry, Loaded};
use crate::config::Config;
use crate::manifest::{Confirmation, Manifest};
use crate::model::{BackupDate, Category, Engine, ExitCode, Proof, Selector, SetId, SetKind};
use crate::report;
use crate::ui;

/// Which sets, and how.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Engine, and app.
    pub selector: Option<Selector>,
    /// Not before this backup date.
    pub since: Option<BackupDate>,
    /// Not after this backup date.
    pub until: Option<BackupDate>,
    /// Only this category.
    pub category: Option<Category>,
    /// Also objects without a manifest.
    pub all: bool,
    /// One JSON document.
    pub json: bool,
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
    proof: Proof,
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
pub async fn list(config: &Config, query: &Query) -> Result<ExitCode, Failure> {
    let site = Site::new(config).await?;
    let scope = query.selector.as_ref().map(Selector::scope).unwrap_or_default();
    let loaded = site.catalog.load(&scope).await?;
    let loose = if query.all { loose(&site, &scope, query, &loaded).await? } else { Vec::new() };
    let entries: Vec<&Entry> = loaded.entries.values().filter(|entry| fits(query, &entry.manifest)).collect();
    let text = if query.json {
        let document =
            Document { sets: entries.iter().map(|entry| row(entry)).collect(), unproven: loose, findings: &loaded.findings };
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
    } else {
        table(&entries, &loose, query.all)
    };
    ui::result(&text).map_err(anyhow::Error::from)?;
    for finding in &loaded.findings {
        tracing::warn!("[WARNING] {} {}; {}", finding.subject, finding.what, finding.advice);
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
        files: manifest.files.len(),
        size: manifest.bytes(),
        proof: entry.proof(),
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
        let objects: Vec<Listed> = site.bucket.list(&prefix).await?;
        found.extend(objects.into_iter().filter(|object| !known.contains(object.key.as_str())).map(|object| {
            Loose {
                key: site.bucket.layout().strip(&object.key).unwrap_or(&object.key).to_owned(),
                size: object.size,
                modified: object.modified.map(Into::into),
            }
        }));
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
            let _infallible = writeln!(text, "  {:>10}  {}", report::bytes(object.size), object.key);
        }
    }
    text
}

/// Prints everything known about one set.
pub async fn show(config: &Config, key: &str, json: bool) -> Result<ExitCode, Failure> {
    let site = Site::new(config).await?;
    let entry = find(&site, key).await?;
    let text = if json {
        let document = serde_json::json!({
            "manifest": entry.manifest,
            "proof": entry.proof(),
            "proofs": entry.proofs.iter().map(|mark| serde_json::json!({
                "at": mark.at, "kind": mark.kind, "key": mark.key,
            })).collect::<Vec<_>>(),
        });
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
    } else {
        describe(&entry, &site)
    };
    ui::result(&text).map_err(anyhow::Error::from)?;
    Ok(ExitCode::Done)
}

async fn find(site: &Site, key: &str) -> Result<Entry, Failure> {
    let located = crate::restore::locate(key, &site.catalog, &site.bucket).await;
    let id: SetId = match located {
        Ok(crate::restore::Located::Set(manifest) | crate::restore::Located::FileOfSet(manifest, _)) => manifest.id,
        Ok(crate::restore::Located::Loose { .. }) => {
            return Err(Failure {
                code: ExitCode::Failed,
                error: anyhow::anyhow!(
                    "{key} is in the bucket but has no manifest: nothing was recorded about it, and it is unproven"
                ),
            });
        }
        Err(crate::restore::LocateError::Bucket(error)) => return Err(error.into()),
        Err(error) => return Err(Failure { code: ExitCode::NothingFound, error: error.into() }),
    };
    let loaded = site.catalog.load(&format!("{}/", id.key())).await?;
    loaded.entries.into_values().find(|entry| entry.manifest.id == id).ok_or_else(|| {
        Failure::from(anyhow::anyhow!("the manifest of {id} cannot be listed: this identity may only read it"))
    })
}

fn describe(entry: &Entry, site: &Site) -> String {
    let manifest = &entry.manifest;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "{name:<12}{value}");
    };
    line("Key", &manifest.id.key());
    line("Engine", manifest.id.engine.title());
    line("App", if manifest.id.app.is_empty() { "-" } else { manifest.id.app.as_str() });
    line("Date", &manifest.date.to_string());
    line("Category", &format!("{}: {}", manifest.id.category, manifest.why));
    line("Size", &format!("{} ({} bytes) in {} files", report::bytes(manifest.bytes()), manifest.bytes(), manifest.files.len()));
    line("Proof", &format!("{}: {}", entry.proof(), meaning(entry.proof())));
    for mark in &entry.proofs {
        line("", &format!("{} on {}", mark.kind, mark.at.format("%Y-%m-%d %H:%M UTC")));
    }
    line("Stored", &format!("{} in {:.1} s", manifest.created.format("%Y-%m-%d %H:%M:%S UTC"), manifest.seconds));
    line("Retries", &manifest.retries().to_string());
    line("Host", &manifest.host);
    line("Source", &manifest.source);
    line("Run", &manifest.run);
    line("dbbackup", &manifest.dbbackup);
    for note in &manifest.notes {
        line("Note", note);
    }
    line("Files", "");
    for file in &manifest.files {
        let _infallible = writeln!(text, "  {}", site.bucket.uri(&file.key));
        let _infallible = writeln!(
            text,
            "    {} bytes, {}, {}, {}",
            file.size,
            file.checksum,
            confirmed(file.confirmed),
            if file.parts == 1 { "1 request".to_owned() } else { format!("{} parts", file.parts) },
        );
    }
    text
}

const fn meaning(proof: Proof) -> &'static str {
    match proof {
        Proof::Unproven => "nobody has compared it",
        Proof::Stored => "S3's own checksum of every object equals ours",
        Proof::Reread => "downloaded again and compared",
        Proof::Restored => "loaded into a real database, or passed the engine's own check",
    }
}

const fn confirmed(how: Confirmation) -> &'static str {
    match how {
        Confirmation::Checksum => "confirmed by S3's checksum",
        Confirmation::Reread => "confirmed by reading it back",
        Confirmation::Accepted => "accepted by S3, not compared",
    }
}
