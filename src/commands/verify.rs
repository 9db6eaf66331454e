//! `dbbackup verify`: the catalog against the bucket, the disk, and the bytes themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Instant;

use serde::Serialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::on_disk::{self, OnDisk};
use super::setup::{Failure, Site, identities, step_back};
use crate::bucket::{BucketError, ErrorKind, ObjectKey};
use crate::catalog::{self, Entry, Loaded, Shown};
use crate::checksum::Digest;
use crate::config::Config;
use crate::manifest::{Manifest, StoredFile};
use crate::model::{ExitCode, Expires, Selector, SetId, Severity};
use crate::printable::printable;
use crate::transfer::{Downloader, FetchError, Wanted};
use crate::verify::{self, Fault, Kind};
use crate::{calendar, report, ui};

/// Sets looked at together; their requests are small.
const SETS_AT_ONCE: usize = 8;

/// What is compared, and of which sets.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// Engine, and app.
    pub(super) selector: Option<Selector>,
    /// Also with the files still on this host.
    pub(super) local: bool,
    /// Also by reading every byte.
    pub(super) reread: bool,
    /// The secret keys for what is encrypted.
    pub(super) identity: Option<PathBuf>,
    /// Only so many sets, by chance.
    pub(super) sample: Option<usize>,
    /// One JSON document.
    pub(super) json: bool,
}

#[derive(Debug, Serialize)]
struct Document {
    sets: usize,
    objects: usize,
    bytes: u64,
    good: usize,
    /// Sets that the bucket's own rule removed at their age; none of `sets`.
    expired: usize,
    recorded: usize,
    reread: bool,
    /// Objects that are encrypted to others than the identities given: compared as they are stored.
    sealed: usize,
    /// Files on this host that were compared, with `--local`.
    local_compared: Option<usize>,
    /// Files that are no longer on this host, or came from another.
    local_gone: Option<usize>,
    /// Whether secret keys were given.
    identity: bool,
    seconds: f64,
    faults: Vec<Fault>,
}

/// Compares, records what was proven, and says with the exit code whether all is well.
pub(super) async fn verify(
    config: &Config,
    query: &Query,
    cancel: CancellationToken,
    lines: &ui::Lines,
    quiet: bool,
) -> Result<ExitCode, Failure> {
    let begun = Instant::now();
    let site = Site::new(config).await?;
    step_back(&config.backup);
    let scope = query.selector.as_ref().map(Selector::scope).unwrap_or_default();
    let loaded = site.catalog.load(&scope).await?;
    let mut faults = record_faults(&loaded);
    let Around { faults: strange, mut expired } = around(&site, &scope, &loaded, &config.s3.expires).await?;
    faults.extend(strange);
    let selected = |id: &SetId| query.selector.as_ref().is_none_or(|selector| selector.matches(id));
    expired.extend(loaded.expired.entries.into_keys().chain(loaded.expired.proofs.into_keys()));
    expired.retain(selected);
    let entries: Vec<Entry> =
        loaded.entries.into_values().filter(|entry| selected(&entry.manifest.id)).collect();
    let entries = sample(entries, query.sample);
    let sets = entries.len();
    let objects = entries.iter().map(|entry| entry.manifest.files.len()).sum();
    let bytes = entries.iter().map(|entry| entry.manifest.bytes()).sum();
    let (bars, events) = lines.watch("reading", if query.reread { bytes } else { 0 }, quiet || !query.reread);
    let identities = identities(query.identity.as_deref())?;
    let identity = !identities.is_empty();
    let downloader = site.downloader(&config.backup, identities, events, cancel);
    let files = entries.iter().flat_map(|entry| &entry.manifest.files);
    let closed = |file: &&StoredFile| {
        let recipients = file.coding.as_ref().map_or(&[][..], |coding| &coding.recipe.recipients);
        !recipients.is_empty() && !downloader.identities.open(recipients)
    };
    let sealed = if query.reread { files.filter(closed).count() } else { 0 };
    let checker = Checker { site, downloader, local: query.local, reread: query.reread };
    let tally = checker.check(entries, &mut faults).await;
    if tally.is_err() {
        // No document follows.
        for Fault { finding, .. } in &faults {
            tracing::error!("{}: {}; {}", finding.subject, finding.what, finding.advice);
        }
    }
    let Tally { good, recorded, compared, gone } = tally?;
    drop(checker);
    bars.finish().await;
    let document = Document {
        sets,
        objects,
        bytes,
        good,
        expired: expired.len(),
        recorded,
        reread: query.reread,
        sealed,
        local_compared: query.local.then_some(compared),
        local_gone: query.local.then_some(gone),
        identity,
        seconds: begun.elapsed().as_secs_f64(),
        faults,
    };
    let bad = document.faults.iter().any(|fault| fault.finding.severity == Severity::Error);
    // Whoever gives a key asks whether it opens the backups.
    let locked_out = document.identity && document.sealed > 0;
    // A set of which nothing could be compared, or that was cut short from the start, is not good either.
    let code = match (bad || locked_out || document.good < sets, sets) {
        (true, _) => ExitCode::Failed,
        (false, 0) => ExitCode::NothingFound,
        (false, _) => ExitCode::Done,
    };
    if query.json {
        let json = serde_json::to_string_pretty(&document).map_err(anyhow::Error::from)?;
        ui::result(&json).map_err(anyhow::Error::from)?;
    } else if !(quiet && code == ExitCode::Done && document.faults.is_empty()) {
        ui::result(&text(&document)).map_err(anyhow::Error::from)?;
    }
    Ok(code)
}

fn record_faults(loaded: &Loaded) -> Vec<Fault> {
    loaded.findings.iter().map(|finding| Fault { kind: Kind::Record, finding: finding.clone() }).collect()
}

/// What lies around the sets.
struct Around {
    /// Objects without a manifest, uploads without an end.
    faults: Vec<Fault>,
    /// Sets of which the bucket's rule has taken the manifest, and not yet all objects.
    expired: BTreeSet<SetId>,
}

async fn around(site: &Site, scope: &str, loaded: &Loaded, expires: &Expires) -> Result<Around, Failure> {
    let layout = site.bucket.layout();
    let prefix = format!("{}{scope}", layout.prefix());
    let listed = site.policy.run("list the bucket", &AtomicU32::new(0), || site.bucket.list(&prefix)).await?;
    // Of a set that is expiring something may be left.
    let recorded = || loaded.entries.iter().chain(&loaded.expired.entries);
    let known: BTreeSet<&str> =
        recorded().flat_map(|(_, entry)| entry.manifest.files.iter().map(|file| file.key.as_str())).collect();
    let sets: BTreeSet<&SetId> = recorded().map(|(id, _)| id).collect();
    let unreadable: BTreeSet<String> = loaded.unreadable.iter().map(SetId::key).collect();
    let mut faults = verify::strangers(&listed, &known, &sets, layout);
    let today = calendar::today().day();
    // What is wrong with the unreadable is told already, and with better advice.
    faults.retain(|fault| fault.kind != Kind::Orphaned || !unreadable.contains(&fault.finding.subject));
    let going = |fault: &Fault| {
        let id = SetId::parse_key(&fault.finding.subject).ok().filter(|_| fault.kind == Kind::Orphaned)?;
        catalog::is_going(&id, expires, today).then_some(id)
    };
    let leaving = faults.iter().filter_map(going).collect();
    faults.retain(|fault| going(fault).is_none());
    match site.policy.ask("list unfinished uploads", || site.bucket.list_uploads(&prefix)).await {
        Ok(uploads) => faults.extend(verify::unfinished(&uploads)),
        Err(error) => tracing::warn!("unfinished uploads were not looked for: {error}"),
    }
    Ok(Around { faults, expired: leaving })
}

/// `count` of them by chance, or all.
pub(super) fn sample<T>(mut all: Vec<T>, count: Option<usize>) -> Vec<T> {
    let Some(count) = count else { return all };
    while all.len() > count {
        // A hasher's keys are the standard library's only randomness, and enough for a sample.
        let number = RandomState::new().hash_one(all.len());
        let place = usize::try_from(number % all.len() as u64).unwrap_or(0);
        all.swap_remove(place);
    }
    all
}

#[derive(Debug, Clone)]
struct Checker {
    site: Site,
    downloader: Downloader,
    local: bool,
    reread: bool,
}

impl Checker {
    /// Adds what is wrong to `faults`.
    async fn check(&self, entries: Vec<Entry>, faults: &mut Vec<Fault>) -> Result<Tally, Failure> {
        let places = Arc::new(Semaphore::new(SETS_AT_ONCE));
        let mut tasks = JoinSet::new();
        for entry in entries {
            let (checker, places) = (self.clone(), places.clone());
            tasks.spawn(async move {
                let _place = places.acquire_owned().await;
                let found = checker.set(&entry).await;
                (entry.manifest.id, found)
            });
        }
        let mut by_set = BTreeMap::new();
        let mut tally = Tally::default();
        while let Some(done) = tasks.join_next().await {
            let (id, found) =
                done.map_err(|error| anyhow::anyhow!("internal: a set's task ended: {error}"))?;
            let found = found?;
            let cut_short = found.cut_short;
            tally.good += usize::from(found.faults.is_empty() && cut_short.is_none());
            tally.recorded += usize::from(found.recorded);
            tally.compared += found.compared;
            tally.gone += found.gone;
            by_set.insert(id, found.faults.into_iter().chain(cut_short));
        }
        faults.extend(by_set.into_values().flatten());
        Ok(tally)
    }

    async fn set(&self, entry: &Entry) -> Result<Found, Failure> {
        let manifest = &entry.manifest;
        let begun = Instant::now();
        let mut faults: Vec<Fault> = self.record_itself(manifest).await?.into_iter().collect();
        for file in &manifest.files {
            faults.extend(self.object(file).await?);
        }
        let OnDisk { faults: on_disk, compared, gone } =
            if self.local { on_disk::compare(manifest).await? } else { OnDisk::default() };
        faults.extend(on_disk);
        let proven = faults.iter().all(|fault| fault.kind == Kind::OtherOnDisk);
        let shown = if self.reread { Shown::Reread } else { Shown::Stored };
        // That S3 still has what it confirmed is no news, and a record of it each night would fill the bucket.
        let news = self.reread || entry.proof() < shown.proof();
        let recorded = proven && news && self.record(manifest, shown, begun.elapsed().as_secs_f64()).await;
        Ok(Found { faults, cut_short: verify::cut_short(manifest), recorded, compared, gone })
    }

    async fn object(&self, file: &StoredFile) -> Result<Option<Fault>, Failure> {
        let Ok(key) = ObjectKey::new(file.key.clone()) else {
            let what = "its manifest names an object by a key that is none";
            return Ok(Some(Fault::error(Kind::Record, &file.key, what, verify::ALTERED)));
        };
        let Site { bucket, policy, .. } = &self.site;
        let what = format!("look at {key}");
        let info = match policy.run(&what, &AtomicU32::new(0), || bucket.head(&key)).await {
            Ok(info) => info,
            Err(error) => return not_compared(&key, error).map(Some),
        };
        let fault = verify::object(file, info.as_ref());
        // What S3 cannot compare, reading does.
        if self.reread && fault.as_ref().is_none_or(|fault| fault.kind == Kind::NotCompared) {
            return self.read(&key, file).await;
        }
        Ok(fault)
    }

    /// The manifest's own bytes against the checksum that S3 keeps of them.
    async fn record_itself(&self, manifest: &Manifest) -> Result<Option<Fault>, Failure> {
        let Ok(key) = self.site.bucket.layout().manifest(&manifest.id) else { return Ok(None) };
        let Site { bucket, policy, .. } = &self.site;
        let what = format!("look at {key}");
        let head = match policy.run(&what, &AtomicU32::new(0), || bucket.head(&key)).await {
            Ok(head) => head,
            Err(error) => return not_compared(&key, error).map(Some),
        };
        let Some(theirs) = head.and_then(|info| info.checksum) else { return Ok(None) };
        let what = format!("read {key}");
        let bytes = match policy.run(&what, &AtomicU32::new(0), || bucket.get_small(&key, 256 << 20)).await {
            Ok(bytes) => bytes,
            Err(error) => return not_compared(&key, error).map(Some),
        };
        let mut digest = Digest::new(theirs.algorithm);
        digest.update(&bytes);
        let same = theirs.agrees(&digest.full_object());
        Ok((same == Some(false)).then(|| {
            Fault::error(
                Kind::Record,
                key.as_str(),
                "its bytes are not those that S3 took",
                "bring it back from a version of the bucket or a replica",
            )
        }))
    }

    async fn read(&self, key: &ObjectKey, file: &StoredFile) -> Result<Option<Fault>, Failure> {
        let mut wanted =
            Wanted::of(file).map_err(|error| anyhow::anyhow!("use key of {}: {error}", file.path))?;
        if wanted.openable(&self.downloader.identities).is_err() {
            // Its bytes are compared as they are stored.
            wanted.coding = None;
        }
        match self.downloader.stream(&wanted, &mut std::io::sink()).await {
            Ok(_) => Ok(None),
            Err(FetchError::Damaged { how, .. }) => {
                Ok(Some(Fault::error(Kind::Damaged, &file.key, how, verify::LOST)))
            }
            Err(FetchError::Bucket(error)) => not_compared(key, error).map(Some),
            Err(error) => Err(super::placing::fetch_failure(error)),
        }
    }

    /// An identity that may not write has proven it all the same.
    async fn record(&self, manifest: &Manifest, shown: Shown, seconds: f64) -> bool {
        let details = serde_json::json!({
            "by": "verify", "seconds": seconds, "objects": manifest.files.len(), "bytes": manifest.bytes(),
        });
        match self.site.catalog.record_proof(&manifest.id, shown, details).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!("{}: it is good, but that is not recorded: {error}", manifest.id);
                false
            }
        }
    }
}

struct Found {
    faults: Vec<Fault>,
    /// Not of what lies in the bucket, but of what it was from the start.
    cut_short: Option<Fault>,
    recorded: bool,
    compared: usize,
    gone: usize,
}

/// Of all sets.
#[derive(Debug, Default)]
struct Tally {
    good: usize,
    /// Of how many it was recorded.
    recorded: usize,
    compared: usize,
    gone: usize,
}

/// An object that could not be looked at stops nobody from looking at the next; only where that would come to
/// nothing either does the command end.
fn not_compared(key: &ObjectKey, error: BucketError) -> Result<Fault, Failure> {
    match error.kind {
        ErrorKind::Unreachable
        | ErrorKind::NotPrivate
        | ErrorKind::NoSuchBucket
        | ErrorKind::Credentials
        | ErrorKind::CredentialsSource
        | ErrorKind::Expired => Err(error.into()),
        ErrorKind::NotFound
        | ErrorKind::NoSuchUpload
        | ErrorKind::Precondition
        | ErrorKind::Conflict
        | ErrorKind::Denied
        | ErrorKind::BadDigest
        | ErrorKind::Rejected
        | ErrorKind::Damaged
        | ErrorKind::Server
        | ErrorKind::Archived
        | ErrorKind::Changed => Ok(Fault::error(
            Kind::NotCompared,
            key.as_str(),
            format!("it could not be compared: {}", error.detail),
            error.advice(),
        )),
    }
}

fn text(document: &Document) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for Fault { kind, finding } in &document.faults {
        let word = match kind {
            Kind::Missing => "MISSING",
            Kind::Damaged => "DAMAGED",
            Kind::NotCompared => "not compared",
            Kind::Record => "RECORD",
            Kind::Orphaned => "ORPHANED",
            Kind::Foreign => "foreign",
            Kind::Unfinished => "unfinished",
            Kind::OtherOnDisk => "OTHER ON DISK",
            Kind::CutShort => "CUT SHORT",
        };
        let _infallible = writeln!(
            text,
            "{word}  {}\n    {}; {}",
            printable(&finding.subject),
            printable(&finding.what),
            finding.advice
        );
    }
    let how = if document.reread { "every byte read and compared" } else { "compared with S3's checksums" };
    let _infallible = writeln!(
        text,
        "{} of {} sets are good ({} objects, {}, {how}, {:.1} s); {} proofs recorded",
        document.good,
        document.sets,
        document.objects,
        report::bytes(document.bytes),
        document.seconds,
        document.recorded,
    );
    if document.expired > 0 {
        let _infallible = writeln!(
            text,
            "{} more have expired: by its age the bucket has removed what was stored of each ([s3] expires)",
            document.expired
        );
    }
    if let (Some(compared), Some(gone)) = (document.local_compared, document.local_gone) {
        let _infallible = writeln!(
            text,
            "{compared} files on this host were read and compared; {gone} are no longer here, or came from another host"
        );
    }
    if document.sealed > 0 {
        let why = if document.identity {
            "none of the identities that were given opens it"
        } else {
            "--identity FILE looks into it too"
        };
        let _infallible = writeln!(
            text,
            "{} objects are encrypted: each was compared as it is stored; {why}",
            document.sealed
        );
    }
    text
}
