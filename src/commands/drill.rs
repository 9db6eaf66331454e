//! `dbbackup drill`: restores a backup to scratch space, proves it there, and removes it again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use super::setup::{Failure, Site, identities, step_back};
use super::verify::sample;
use crate::catalog::{Entry, Shown};
use crate::codec::Member;
use crate::config::Config;
use crate::drill::room::{EMPTY_SERVER, LOADED, Room};
use crate::drill::scratch::{Scratch, sweep};
use crate::drill::{NoGood, Throwaway};
use crate::formats::{self, Format};
use crate::inspect::{self, Checked};
use crate::manifest::Manifest;
use crate::model::{Engine, ExitCode, Selector, SetKind, Severity, Verdict};
use crate::transfer::{Downloader, FetchError, Folder, Wanted};
use crate::{causes, ui};

/// Restores the newest good set of each app, or some by chance, and proves each.
pub(super) async fn drill(
    config: &Config,
    selector: Option<&Selector>,
    count: Option<usize>,
    identity: Option<&Path>,
    cancel: CancellationToken,
    lines: &ui::Lines,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let site = Site::new(config).await?;
    step_back(&config.backup);
    let scope = selector.map(Selector::scope).unwrap_or_default();
    let loaded = site.catalog.load(&scope).await?;
    let mut failed = false;
    for finding in loaded.findings.iter().filter(|finding| finding.severity == Severity::Error) {
        tracing::error!("{}: {}; {}", finding.subject, finding.what, finding.advice);
        failed = true;
    }
    let good = loaded.entries.into_values().filter(|entry| {
        entry.is_good() && selector.is_none_or(|selector| selector.matches(&entry.manifest.id))
    });
    let today = crate::calendar::today().day();
    // A log or a differential alone restores nothing.
    let alone =
        good.filter(|entry| !entry.manifest.needs_another() && !entry.manifest.date.lies_ahead(today));
    let picked = if count.is_some() { sample(alone.collect(), count) } else { newest(alone) };
    if picked.is_empty() {
        tracing::warn!("no good backup fits: there is nothing to drill");
        return Ok(ExitCode::NothingFound);
    }
    let scratch = config.drill.scratch.as_ref().unwrap_or(&config.state.dir);
    let left = std::fs::create_dir_all(scratch).and_then(|()| sweep(scratch));
    for dir in left.with_context(|| format!("make {} ready", scratch.display()))? {
        tracing::info!("{} removed: its drill was killed", dir.display());
    }
    let (bars, events) =
        lines.watch("restoring", picked.iter().map(|entry| entry.manifest.bytes()).sum(), quiet);
    let downloader = site.downloader(&config.backup, identities(identity)?, events, cancel.clone());
    for entry in &picked {
        let rehearsal =
            Rehearsal { config, site: &site, downloader: &downloader, manifest: &entry.manifest, scratch };
        let drilled = tokio::select! {
            drilled = rehearsal.run() => drilled,
            () = cancel.cancelled() => Err(anyhow::anyhow!("interrupted; nothing is recorded")),
        };
        match drilled {
            Ok(in_time) => failed |= !in_time,
            Err(error) => {
                let why = causes::told(error.as_ref());
                tracing::error!("[DRILL FAILED] {}: {why}", entry.manifest.id);
                if is_of_the_backup(&error) {
                    rehearsal.record_failure(&why).await;
                }
                failed = true;
            }
        }
        if cancel.is_cancelled() {
            break;
        }
    }
    drop(downloader);
    bars.finish().await;
    Ok(if failed { ExitCode::Failed } else { ExitCode::Done })
}

/// Whether it says something of the backup, which everybody has to know, or only of this host and the way.
fn is_of_the_backup(error: &anyhow::Error) -> bool {
    error.downcast_ref::<NoGood>().is_some()
        || matches!(error.downcast_ref(), Some(FetchError::Damaged { .. }))
}

fn newest(good: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut apps: BTreeMap<_, Entry> = BTreeMap::new();
    for entry in good {
        let id = &entry.manifest.id;
        let moment = |entry: &Entry| (entry.manifest.date, entry.manifest.created);
        match apps.get(&(id.engine, id.app.clone())) {
            Some(other) if moment(other) >= moment(&entry) => {}
            _ => {
                apps.insert((id.engine, id.app.clone()), entry);
            }
        }
    }
    apps.into_values().collect()
}

/// One set's drill.
struct Rehearsal<'a> {
    config: &'a Config,
    site: &'a Site,
    downloader: &'a Downloader,
    manifest: &'a Manifest,
    /// Below which it takes place.
    scratch: &'a Path,
}

impl Rehearsal<'_> {
    /// False where it took longer than the RTO. The scratch directory goes whatever happens.
    async fn run(&self) -> anyhow::Result<bool> {
        let room = Room::of(self.scratch).with_context(|| format!("look at {}", self.scratch.display()))?;
        room.fits(needs(self.manifest), "the drill")?;
        tokio::select! {
            rehearsed = self.rehearse(&room) => rehearsed,
            short = room.shrinks() => Err(short),
        }
    }

    async fn rehearse(&self, room: &Room) -> anyhow::Result<bool> {
        let id = &self.manifest.id;
        let dir = Scratch::make(self.scratch)
            .with_context(|| format!("make a directory in {}", self.scratch.display()))?;
        tracing::info!("drill of {id} in {}", dir.path().display());
        let begun = Instant::now();
        let set = dir.closed("set").context("make a directory for the set")?;
        let files = self.restore(&set).await?;
        let download = begun.elapsed().as_secs_f64();
        let (shown, mut details) = match (id.engine, self.manifest.kind, files.as_slice()) {
            (Engine::Mysql, SetKind::File, [dump]) => self.load(dir.path(), dump, room).await?,
            _ => self.judge(&set, files.clone()).await?,
        };
        let seconds = begun.elapsed().as_secs_f64();
        let rto = self.config.drill.rto;
        let in_time = seconds <= rto.as_secs_f64();
        if let Some(details) = details.as_object_mut() {
            details.insert("by".to_owned(), "drill".into());
            details.insert("seconds".to_owned(), seconds.into());
            details.insert("download_seconds".to_owned(), download.into());
            details.insert("rto_seconds".to_owned(), rto.as_secs().into());
            details.insert("within_rto".to_owned(), in_time.into());
        }
        dir.close().context("remove the scratch directory")?;
        tracing::info!(
            minutes = format!("{:.1}", seconds / 60.0),
            "[PROVEN] {id} is {}: {}",
            shown.proof(),
            details.get("how").and_then(|how| how.as_str()).unwrap_or_default()
        );
        self.site
            .catalog
            .record_proof(id, shown, details)
            .await
            .map_err(|error| anyhow::anyhow!("it is {}, but that is not recorded: {error}", shown.proof()))?;
        if !in_time {
            tracing::error!(
                "{id}: it restores, but in {:.1} minutes where [drill] rto allows {:.1}; a faster line or server, or \
                 another objective, is needed",
                seconds / 60.0,
                rto.as_secs_f64() / 60.0
            );
        }
        Ok(in_time)
    }

    /// Told by the exit code all the same; the record is for `status` and for whoever restores it next.
    async fn record_failure(&self, why: &str) {
        let id = &self.manifest.id;
        let details = serde_json::json!({ "by": "drill", "why": why });
        if let Err(error) = self.site.catalog.record_proof(id, Shown::Failed, details).await {
            tracing::warn!("{id}: that its drill failed is not recorded: {error}");
        }
    }

    async fn restore(&self, to: &Path) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for stored in &self.manifest.files {
            let name = Path::new(self.manifest.id.name.as_str());
            let path = if !stored.members().is_empty() {
                to.join("archive")
            } else if stored.path.is_empty() {
                to.join(name)
            } else {
                to.join(name).join(stored.path.as_str())
            };
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent).with_context(|| format!("make {}", parent.display()))?;
            }
            let file =
                std::fs::File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
            let wanted = Wanted::of(stored)?;
            if !stored.members().is_empty() {
                let folder = to.join(name);
                let below = Below(folder.clone());
                self.downloader.fetch_packed(&wanted, (file, &path), None, below).await?;
                files.extend(stored.members().iter().map(|member| folder.join(member.path.as_str())));
                std::fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))?;
                continue;
            }
            self.downloader.fetch(&wanted, file, &path, None).await?;
            files.push(path);
        }
        Ok(files)
    }

    /// The operator's own check where there is one, else what inspection says of the restored bytes.
    async fn judge(&self, dir: &Path, files: Vec<PathBuf>) -> anyhow::Result<(Shown, serde_json::Value)> {
        let id = &self.manifest.id;
        let check = self.config.sources.get(&id.engine).map(|source| &source.check);
        let Some(check) = check.filter(|check| !check.command.is_empty()) else {
            let said = match (id.engine, self.manifest.kind) {
                (Engine::Oracle, _) | (_, SetKind::Folder) => self.inspected_folder(files).await?,
                (Engine::Mysql | Engine::Mssql, SetKind::File) => inspected(files).await?.0,
            };
            return Ok((Shown::Drilled, said));
        };
        tracing::info!("[CHECK] {id}: {}", check.command.first().map_or("", String::as_str));
        match inspect::run_check(check, &dir.join(id.name.as_str())).await {
            Checked::Passed(how) => Ok((Shown::Restored, serde_json::json!({ "how": how }))),
            Checked::Failed(why) => Err(NoGood(format!("it came back, and is no good backup: {why}")).into()),
            Checked::Unknown(why) => anyhow::bail!("nothing is proven: {why}"),
        }
    }

    async fn inspected_folder(&self, files: Vec<PathBuf>) -> anyhow::Result<serde_json::Value> {
        let manifest = self.manifest.clone();
        let judgement =
            tokio::task::spawn_blocking(move || inspect::judge_restored(&manifest, &files)).await??;
        match &judgement.verdict {
            Verdict::CutShort { why } | Verdict::StillBeingWritten { why } => {
                return Err(
                    NoGood(format!("it came back as it was stored, and is no whole backup: {why}")).into()
                );
            }
            Verdict::Whole { .. } | Verdict::NotJudged { .. } => {}
        }
        let how =
            format!("every byte of {} files compared; {}", self.manifest.contents().len(), judgement.verdict);
        Ok(serde_json::json!({ "how": how, "inspected": judgement }))
    }

    /// Loads a dump into a server of its own.
    async fn load(&self, dir: &Path, dump: &Path, room: &Room) -> anyhow::Result<(Shown, serde_json::Value)> {
        // A dump cut between two statements loads without an error.
        let (inspection, decoded) = inspected(vec![dump.to_owned()]).await?;
        if let Some(decoded) = decoded {
            room.fits(loaded(decoded), "loading the dump")?;
        }
        let limit = self.config.drill.timeout;
        let Ok(proven) = tokio::time::timeout(limit, self.load_and_check(dir, dump, inspection)).await else {
            anyhow::bail!(
                "loading and checking it did not end within {}: given up; see whether it stands still (locks, a slow \
                 disk), or raise [drill] timeout",
                humantime::format_duration(limit)
            );
        };
        proven
    }

    async fn load_and_check(
        &self,
        dir: &Path,
        dump: &Path,
        inspection: serde_json::Value,
    ) -> anyhow::Result<(Shown, serde_json::Value)> {
        let kind = match Format::of_name(self.manifest.id.name.as_str()) {
            Some(Format::Compressed(kind)) => Some(kind),
            Some(Format::SqlDump | Format::Mtf) | None => None,
        };
        let begun = Instant::now();
        let server = Throwaway::create(dir, self.config.drill.server.as_deref()).await?;
        let prepared = begun.elapsed().as_secs_f64();
        server.load(dump, kind).await?;
        let loaded = begun.elapsed().as_secs_f64();
        let counted = server.check().await?;
        let checked = begun.elapsed().as_secs_f64();
        let how = format!(
            "loaded into {}; {} tables checked, {} rows",
            server.version, counted.tables, counted.rows
        );
        let details = serde_json::json!({
            "how": how,
            "server": server.version,
            "tables": counted.tables,
            "rows": counted.rows,
            "inspection": inspection.get("how"),
            "prepare_seconds": prepared,
            "load_seconds": loaded - prepared,
            "check_seconds": checked - loaded,
        });
        Ok((Shown::Restored, details))
    }
}

/// The directory that a packed folder is restored into.
struct Below(PathBuf);

impl Folder for Below {
    fn open(&mut self, member: &Member) -> std::io::Result<std::fs::File> {
        let path = self.0.join(member.path.as_str());
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::File::create_new(path)
    }
}

/// Bytes that a drill of a set takes at most, as far as that is known before it is fetched.
fn needs(manifest: &Manifest) -> u64 {
    let fetched: u64 = manifest
        .files
        .iter()
        // What is decoded or unpacked lies beside its object meanwhile.
        .map(
            |file| {
                if file.coding.is_some() { file.size.saturating_add(file.plain_size()) } else { file.size }
            },
        )
        .sum();
    match (manifest.id.engine, manifest.kind) {
        (Engine::Mysql, SetKind::File) => {
            let decoded = manifest.inspection.as_ref().and_then(|inspection| inspection.facts.decoded_bytes);
            fetched.saturating_add(loaded(decoded.unwrap_or_else(|| manifest.plain_bytes())))
        }
        (Engine::Mysql | Engine::Oracle | Engine::Mssql, _) => fetched,
    }
}

/// Bytes of a server with a dump of this size in it.
fn loaded(dump: u64) -> u64 {
    dump.saturating_mul(LOADED).saturating_add(EMPTY_SERVER)
}

/// What the formats say of the restored bytes, and how many they are decoded where they had to be; a file that is cut
/// short is no backup.
async fn inspected(files: Vec<PathBuf>) -> anyhow::Result<(serde_json::Value, Option<u64>)> {
    let looked = tokio::task::spawn_blocking(move || {
        let (mut said, mut decoded) = (Vec::new(), None);
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let file = std::fs::File::open(path).with_context(|| format!("read {}", path.display()))?;
            let judgement =
                formats::inspect_all(&name, &file).with_context(|| format!("read {}", path.display()))?;
            if let Some(bytes) = judgement.facts.decoded_bytes {
                *decoded.get_or_insert(0) += bytes;
            }
            match &judgement.verdict {
                Verdict::CutShort { why } => {
                    return Err(NoGood(format!("{name} is cut short: {why}")).into());
                }
                Verdict::Whole { .. } | Verdict::NotJudged { .. } | Verdict::StillBeingWritten { .. } => {
                    said.push(format!("{name}: {}", judgement.verdict));
                }
            }
        }
        anyhow::Ok((said, decoded))
    });
    let (said, decoded) = looked.await.context("internal: an inspecting thread ended")??;
    let how = match said.as_slice() {
        [one] => format!("every byte compared; {one}"),
        many => format!("every byte of {} files compared", many.len()),
    };
    Ok((serde_json::json!({ "how": how, "inspected": said }), decoded))
}
