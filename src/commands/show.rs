//! `dbbackup show`: everything known about one set.

use std::fmt::Write as _;

use super::setup::{Failure, Site};
use crate::catalog::{Entry, ProofRecord};
use crate::config::Config;
use crate::manifest::Confirmation;
use crate::model::{ExitCode, Proof, SetId};
use crate::printable::printable;
use crate::report;
use crate::restore::{Located, locate};
use crate::ui;

/// Prints everything known about one set.
pub(super) async fn show(config: &Config, key: &str, json: bool) -> Result<ExitCode, Failure> {
    let site = Site::new(config).await?;
    let entry = find(&site, key).await?;
    let text = if json {
        let document = serde_json::json!({
            "manifest": entry.manifest,
            "proof": entry.proof(),
            "proofs": entry.proofs.iter().map(|mark| serde_json::json!({
                "at": mark.at, "kind": mark.shown, "key": mark.key,
            })).collect::<Vec<_>>(),
        });
        serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?
    } else {
        let mut records = Vec::new();
        for mark in &entry.proofs {
            records.push(site.catalog.read_proof(mark).await.ok());
        }
        describe(&entry, &records, &site)
    };
    ui::result(&text).map_err(anyhow::Error::from)?;
    Ok(ExitCode::Done)
}

async fn find(site: &Site, key: &str) -> Result<Entry, Failure> {
    let located = locate(key, &site.catalog, (&site.bucket, &site.policy)).await;
    let id: SetId = match located {
        Ok(Located::Set(manifest) | Located::FileOfSet(manifest, _)) => manifest.id,
        Ok(Located::Loose { above: Some(above), .. }) => {
            return Err(Failure::usage(above));
        }
        Ok(Located::Loose { .. }) => {
            return Err(Failure {
                code: ExitCode::Failed,
                error: anyhow::anyhow!(
                    "{key} is in the bucket but has no manifest: nothing was recorded about it, and it is unproven"
                ),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let loaded = site.catalog.load(&format!("{}/", id.key())).await?;
    if loaded.expired.entries.contains_key(&id) {
        tracing::warn!("{id} has expired: by its age the bucket has removed what was stored ([s3] expires)");
    }
    let mut entries = loaded.entries.into_values().chain(loaded.expired.entries.into_values());
    entries.find(|entry| entry.manifest.id == id).ok_or_else(|| {
        Failure::from(anyhow::anyhow!(
            "the manifest of {id} cannot be listed: this identity may only read it"
        ))
    })
}

fn describe(entry: &Entry, records: &[Option<ProofRecord>], site: &Site) -> String {
    let manifest = &entry.manifest;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _infallible = writeln!(text, "{name:<12}{}", printable(value));
    };
    line("Key", &manifest.id.key());
    line("Engine", manifest.id.engine.title());
    line("App", if manifest.id.app.is_empty() { "-" } else { manifest.id.app.as_str() });
    line("Date", &manifest.date.to_string());
    line("Category", &format!("{}: {}", manifest.id.category, manifest.why));
    line(
        "Size",
        &format!(
            "{} ({} bytes) in {} files",
            report::bytes(manifest.plain_bytes()),
            manifest.plain_bytes(),
            manifest.contents().len()
        ),
    );
    if manifest.bytes() != manifest.plain_bytes() {
        let bytes = manifest.bytes();
        line("Compressed", &format!("{} ({bytes} bytes) in the bucket", report::bytes(bytes)));
    }
    line(
        "Verdict",
        &manifest.inspection.as_ref().map_or_else(|| "-".to_owned(), |it| it.verdict.to_string()),
    );
    line("Proof", &format!("{}: {}", entry.proof(), meaning(entry.proof())));
    for (mark, record) in entry.proofs.iter().zip(records) {
        let how = record.as_ref().map_or_else(|| ": its record cannot be read".to_owned(), told);
        line("", &format!("{} on {}{how}", mark.shown, mark.at.format("%Y-%m-%d %H:%M UTC")));
    }
    line(
        "Stored",
        &format!("{} in {:.1} s", manifest.created.format("%Y-%m-%d %H:%M:%S UTC"), manifest.seconds),
    );
    line("Retries", &manifest.retries().to_string());
    line("Host", &manifest.host);
    line("Source", &manifest.source);
    line("Run", &manifest.run);
    line("dbbackup", &manifest.dbbackup);
    if let Some(inspection) = &manifest.inspection {
        let facts = &inspection.facts;
        let told = [
            Some(facts.format.clone()),
            facts.producer.clone(),
            facts.database.as_ref().map(|name| format!("database {name}")),
            facts.kind.map(|kind| format!("{} backup", kind.as_str())),
            facts.moment().map(|at| format!("of {}", at.format("%Y-%m-%d %H:%M:%S"))),
        ];
        line("Content", &told.into_iter().flatten().collect::<Vec<_>>().join(", "));
        for note in &inspection.notes {
            line("Warning", &note.text);
        }
    }
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
        if let Some(coding) = &file.coding {
            let sum = &coding.plain_checksum;
            let _infallible = writeln!(text, "    {} of {} bytes, {sum}", coding.recipe, coding.plain_size);
            for recipient in &coding.recipe.recipients {
                let _infallible = writeln!(text, "    encrypted to {recipient}");
            }
        }
    }
    text
}

/// How long a proof took, and what it counted.
fn told(record: &ProofRecord) -> String {
    let count = |name: &str| record.details.get(name).and_then(serde_json::Value::as_u64);
    let mut text = String::new();
    if let Some(seconds) = record.seconds() {
        let _infallible = write!(text, ", {:.1} min", seconds / 60.0);
    }
    if let (Some(tables), Some(rows)) = (count("tables"), count("rows")) {
        let _infallible = write!(text, ", {tables} tables, {rows} rows");
    }
    let _infallible = write!(text, ", on {}", record.host);
    if let Some(why) = record.why() {
        let _infallible = write!(text, ": {why}");
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
