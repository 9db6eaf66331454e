//! `dbbackup adopt`: gives objects of the old script a manifest, after reading each once.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU32;

use tokio_util::sync::CancellationToken;

use super::setup::{Failure, Site, step_back};
use crate::adopt::{self, Step};
use crate::bucket::{Listed, ObjectKey};
use crate::catalog::Stamp;
use crate::codec::Identities;
use crate::config::Config;
use crate::formats::{self, Format, Judgement, Tap, sql_dump};
use crate::model::{BackupDate, Engine, ExitCode, Selector, SetId, Severity, Verdict};
use crate::transfer::{AdoptedSet, Downloader, RemoteFile};
use crate::{causes, report, ui};

/// Adopts what can be, names what cannot, and ends with 1 where there was any such.
pub(super) async fn adopt(
    config: &Config,
    selector: Option<&Selector>,
    dry_run: bool,
    cancel: CancellationToken,
    lines: &ui::Lines,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let site = Site::new(config).await?;
    step_back(&config.backup);
    let mut steps = plan(&site, selector).await?;
    if let Some(selector) = selector {
        steps.retain(|step| match step {
            Step::Adopt { id, .. } => selector.matches(id),
            Step::Leave { .. } => true,
        });
    }
    if steps.is_empty() {
        tracing::info!("every object has its manifest: there is nothing to adopt");
        return Ok(ExitCode::NothingFound);
    }
    let total = steps
        .iter()
        .map(|step| match step {
            Step::Adopt { size, .. } => *size,
            Step::Leave { .. } => 0,
        })
        .sum();
    let (bars, events) = lines.watch("reading", total, quiet || dry_run);
    let downloader = site.downloader(&config.backup, Identities::default(), events, cancel.clone());
    let mut failed = false;
    for step in steps {
        if cancel.is_cancelled() {
            break;
        }
        match step {
            Step::Leave { key, why } => {
                tracing::warn!("[NOT ADOPTED] {key}: {why}");
                failed = true;
            }
            Step::Adopt { id, size, .. } if dry_run => {
                tracing::info!("would read and adopt {id} ({})", report::bytes(size));
            }
            Step::Adopt { id, date, key, size, .. } => {
                match one(&site, &downloader, id.clone(), date, key).await {
                    Ok(judgement) => {
                        tracing::info!(bytes = size, "[ADOPTED] {id} of {date}: {}", judgement.verdict);
                        for note in &judgement.notes {
                            tracing::warn!("{id}: {}", note.text);
                        }
                        if let Verdict::CutShort { .. } = judgement.verdict {
                            tracing::error!(
                                "[CUT SHORT] {id} is no backup to count on; it is marked as such"
                            );
                            failed = true;
                        }
                    }
                    Err(error) => {
                        tracing::error!("[NOT ADOPTED] {id}: {}", causes::told(error.as_ref()));
                        failed = true;
                    }
                }
            }
        }
    }
    drop(downloader);
    bars.finish().await;
    Ok(if failed { ExitCode::Failed } else { ExitCode::Done })
}

async fn plan(site: &Site, selector: Option<&Selector>) -> Result<Vec<Step>, Failure> {
    let scope = selector.map(Selector::scope);
    let loaded = site.catalog.load(scope.as_deref().unwrap_or_default()).await?;
    // What a manifest that cannot be read speaks of must not be given another one.
    if let Some(finding) = loaded.findings.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(Failure::from(anyhow::anyhow!(
            "{}: {}; mend the catalog before anything is adopted (`dbbackup verify`)",
            finding.subject,
            finding.what
        )));
    }
    let mut listed: Vec<Listed> = Vec::new();
    let scopes =
        scope.map_or_else(|| Engine::ALL.map(|engine| format!("{engine}/")).to_vec(), |scope| vec![scope]);
    for scope in scopes {
        let prefix = format!("{}{scope}", site.bucket.layout().prefix());
        let objects =
            site.policy.run("list the bucket", &AtomicU32::new(0), || site.bucket.list(&prefix)).await?;
        listed.extend(objects);
    }
    let known: BTreeSet<&str> = loaded
        .entries
        .values()
        .flat_map(|entry| entry.manifest.files.iter().map(|file| file.key.as_str()))
        .collect();
    Ok(adopt::plan(&listed, &known, site.bucket.layout(), crate::calendar::today().day()))
}

async fn one(
    site: &Site,
    downloader: &Downloader,
    id: SetId,
    date: BackupDate,
    key: String,
) -> anyhow::Result<Judgement> {
    let (adopted, mut judgement) = read(downloader, id.clone(), date, ObjectKey::new(key)?).await?;
    let moment = judgement.facts.moment();
    judgement.notes.extend(moment.and_then(|moment| formats::date_contradiction(date, moment)));
    let stamp = Stamp {
        run: format!("adopt-{}", chrono::Utc::now().format("%Y%m%dT%H%M%SZ")),
        host: crate::source::host_name(),
        why: format!("it was found under {}/", id.category),
        inspection: Some(judgement.clone()),
    };
    site.catalog.commit_adopted(&adopted, stamp).await?;
    Ok(judgement)
}

/// What its content says: a dump is watched as it is read, of others kilobytes are looked at.
async fn read(
    downloader: &Downloader,
    id: SetId,
    date: BackupDate,
    key: ObjectKey,
) -> anyhow::Result<(AdoptedSet, Judgement)> {
    let name = id.name.to_string();
    let mut watching = Watching(Format::of_name(&name).and_then(Tap::of));
    let adopted = downloader.adopt(id, date, key, &mut watching).await?;
    let dumps = match watching.0 {
        Some(Tap::Compressed(tap)) => return Ok((adopted, tap.finish())),
        Some(Tap::SqlDump(dumps)) => dumps,
        None => sql_dump::Dumps::default(),
    };
    let remote = RemoteFile::of(downloader, adopted.file())?;
    let judgement = tokio::task::spawn_blocking(move || formats::inspect(&name, &remote)).await??;
    Ok((adopted, sql_dump::counted(judgement, dumps)))
}

/// Hands every byte to the tap, where there is one; what that makes of them is its judgement's.
struct Watching(Option<Tap>);

impl std::io::Write for Watching {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(tap) = &mut self.0 {
            tap.feed(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
