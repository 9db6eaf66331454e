//! Before a restore reads: are the objects readable, and if not, have S3 retrieve them and wait.
//!
//! What must stay true: nothing is asked for that costs money without the operator's `--wait`; each
//! object is asked for once, also over an interruption, because S3 itself knows what is under way.

use std::time::Duration;

use chrono::Utc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::setup::{Failure, Site};
use crate::bucket::{Archive, Asked, Bucket, BucketError, ErrorKind, ObjectKey, Shelf, Tier};
use crate::config::Config;
use crate::model::ExitCode;
use crate::report;
use crate::restore::{Need, Note, Request, basis, choices, estimate, typical};
use crate::transfer::Wanted;
use crate::ui;

/// Requests under way at once.
const AT_ONCE: usize = 32;
/// The first pause between two looks; each is twice the one before. A store that retrieves at once is
/// not waited for.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// So long an object that was asked for may still look as if it had not been.
const GRACE: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// A log line of a wait that nobody watches comes so often.
const TELL_EVERY: Duration = Duration::from_hours(1);
/// Days that a copy stays readable where nobody said how many.
pub(super) const DEFAULT_DAYS: u32 = 7;

/// `--wait`, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retrieval {
    /// How fast.
    pub(super) tier: Tier,
    /// How long the copies stay readable.
    pub(super) days: u32,
}

/// What is to be read, for one restore.
#[derive(Debug)]
pub(super) struct Reading<'r> {
    /// The key to give on the command line.
    pub(super) name: &'r str,
    /// Its objects.
    pub(super) wanted: Vec<Wanted>,
}

/// What is not readable yet: an object, and where it is.
type Waiting = (Wanted, Archive);

/// Returns once every object can be read: at once, or after S3 retrieved them where `retrieval` asks
/// for that.
///
/// # Errors
/// Without `retrieval`: what they are in, how long it takes, what it costs, and what to give.
pub(super) async fn readable(
    site: &Site,
    config: &Config,
    reading: &Reading<'_>,
    retrieval: Option<Retrieval>,
    cancel: &CancellationToken,
    lines: &ui::Lines,
    quiet: bool,
) -> Result<(), Failure> {
    let Some(retrieval) = retrieval else {
        return refused_if_archived(site, reading).await;
    };
    tokio::select! {
        done = retrieve(site, config, reading, retrieval, lines, quiet) => done,
        () = cancel.cancelled() => Err(Failure {
            code: ExitCode::Interrupted,
            error: anyhow::anyhow!(
                "waiting for {0} was interrupted; what was asked of S3 goes on there, and `dbbackup restore {0} --wait` \
                 goes on waiting for it, also after a restart of this host",
                reading.name
            ),
        }),
    }
}

/// Looks at the largest object alone, so that a restore of thousands of files begins at once: lifecycle
/// rules leave small objects where they are, and never the largest.
async fn refused_if_archived(site: &Site, reading: &Reading<'_>) -> Result<(), Failure> {
    let Some(largest) = reading.wanted.iter().max_by_key(|wanted| wanted.size) else { return Ok(()) };
    match look(site, largest).await {
        Ok(Some(Shelf::Ready { .. }) | None) => return Ok(()),
        Ok(Some(Shelf::Archived(_) | Shelf::Retrieving(_))) => {}
        Err(error) => {
            // Whatever is wrong shows when it is read, with the retries and words that belong to that.
            tracing::debug!("{error}");
            return Ok(());
        }
    }
    let found = survey(site, &reading.wanted).await?;
    let (needs, name) = (needs(&found.archived), reading.name);
    let under_way = found.retrieving.len();
    Err(Failure::from(if needs.is_empty() {
        anyhow::anyhow!(
            "{name} cannot be read yet: S3 is retrieving it ({under_way} of {} objects); wait for it with \
             `dbbackup restore {name} --wait`",
            reading.wanted.len()
        )
    } else {
        anyhow::anyhow!(
            "{name} cannot be read: {}, and S3 has to retrieve that first; `dbbackup restore {name} --wait --tier \
             TIER` asks for it and waits: {}",
            told(&needs),
            choices(&needs, DEFAULT_DAYS)
        )
    }))
}

async fn retrieve(
    site: &Site,
    config: &Config,
    reading: &Reading<'_>,
    retrieval: Retrieval,
    lines: &ui::Lines,
    quiet: bool,
) -> Result<(), Failure> {
    let Found { archived, retrieving } = survey(site, &reading.wanted).await?;
    let Some(first) = reading.wanted.first() else { return Ok(()) };
    let note = Note::of(&config.state.dir, site.bucket.name(), &first.key);
    let mut request = note.read();
    if !archived.is_empty() {
        announce(reading.name, &needs(&archived), retrieval)?;
        let now = Request::now(retrieval.tier);
        // Before the asking, so that an end in the middle of it leaves no retrieval without a note.
        note.write(&now);
        request = Some(now);
        ask_all(site, &archived, retrieval).await?;
    }
    let waiting: Vec<Waiting> = archived.into_iter().chain(retrieving).collect();
    if waiting.is_empty() {
        return Ok(());
    }
    wait(site, reading.name, waiting, request.as_ref(), &lines.waiting(quiet)).await?;
    note.remove();
    Ok(())
}

fn announce(name: &str, needs: &[Need], retrieval: Retrieval) -> Result<(), Failure> {
    let Some(estimate) = estimate(needs, retrieval.tier, retrieval.days) else {
        return Err(Failure::usage(anyhow::anyhow!(
            "{name}: {}, which has no {} retrieval: {}; nothing was asked for",
            told(needs),
            retrieval.tier.as_str(),
            choices(needs, retrieval.days)
        )));
    };
    tracing::info!(
        "[RETRIEVE] {name}: {}; asking S3 for their {} retrieval, which typically takes {} and costs about {} ({})",
        told(needs),
        retrieval.tier.as_str(),
        estimate.typical,
        estimate.cost,
        basis(retrieval.days)
    );
    Ok(())
}

/// Asks for every object before any is waited for.
async fn ask_all(site: &Site, archived: &[Waiting], retrieval: Retrieval) -> Result<(), Failure> {
    let ask = |(wanted, archive): Waiting, site: Site| async move {
        let what = format!("ask for the retrieval of {}", wanted.key);
        let (bucket, version) = (&site.bucket, wanted.version.as_deref());
        let call = || bucket.retrieve(&wanted.key, version, archive, retrieval.tier, retrieval.days);
        site.policy.run(&what, &std::sync::atomic::AtomicU32::new(0), call).await
    };
    let answers = at_once(archived.to_vec(), |waiting| ask(waiting, site.clone())).await;
    let asked = answers.iter().filter(|answer| answer.is_ok()).count();
    let already = answers.iter().filter(|answer| matches!(answer, Ok(Asked::Already))).count();
    let total = answers.len();
    match answers.into_iter().find_map(Result::err) {
        None => {
            tracing::debug!("{total} objects were asked for, {already} of them before");
            Ok(())
        }
        Some(error) => {
            let cheaper = match retrieval.tier {
                Tier::Expedited if error.kind == ErrorKind::Server => "; or use --tier standard",
                Tier::Bulk | Tier::Standard | Tier::Expedited => "",
            };
            let mut failure = Failure::from(error);
            failure.error = anyhow::anyhow!(
                "{}{cheaper}; {asked} of {total} objects were asked for, and the same command asks for the rest",
                failure.error
            );
            Err(failure)
        }
    }
}

async fn wait(
    site: &Site,
    name: &str,
    mut waiting: Vec<Waiting>,
    request: Option<&Request>,
    line: &ui::Waiting,
) -> Result<(), Failure> {
    let total = waiting.len();
    let longest = match request.and_then(Request::tier) {
        Some(Tier::Expedited) => Duration::from_secs(15),
        Some(Tier::Bulk | Tier::Standard) | None => Duration::from_mins(5),
    };
    let mut pause = FIRST_PAUSE;
    let mut told: Option<tokio::time::Instant> = None;
    // All have to be ready, so the first that is not stands for the rest.
    while let Some((first, _)) = waiting.first() {
        let seen = match look(site, first).await {
            Ok(shelf) if is_ready(first, shelf, request)? => Some(still_waiting(site, &waiting).await),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        match seen {
            None => {}
            Some(Ok(Found { archived, retrieving })) => {
                for (wanted, archive) in &archived {
                    is_ready(wanted, Some(Shelf::Archived(*archive)), request)?;
                }
                waiting = archived.into_iter().chain(retrieving).collect();
                continue;
            }
            // A wait of hours outlasts a broken line.
            Some(Err(error)) if error.is_transient() => {
                tracing::warn!("{error}; looking again in {}", humantime::format_duration(pause));
            }
            Some(Err(error)) => return Err(error.into()),
        }
        let state = progress(name, total - waiting.len(), total, &waiting, request);
        line.say(&state);
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            tracing::info!(
                "[WAIT] {state}; Ctrl-C ends the waiting alone, and the same command goes on with it"
            );
            told = Some(tokio::time::Instant::now());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
    tracing::info!("[READY] {name}: S3 has retrieved {total} objects");
    Ok(())
}

/// # Errors
/// Where waiting is in vain.
fn is_ready(wanted: &Wanted, shelf: Option<Shelf>, request: Option<&Request>) -> Result<bool, Failure> {
    match shelf {
        Some(Shelf::Ready { until }) => {
            if let Some(until) = until {
                tracing::debug!("{} is readable until {until}", wanted.key);
            }
            Ok(true)
        }
        Some(Shelf::Retrieving(_)) => Ok(false),
        Some(Shelf::Archived(_)) if request.is_some_and(|request| Utc::now() - request.since < GRACE) => {
            Ok(false)
        }
        Some(Shelf::Archived(archive)) => Err(Failure::from(anyhow::anyhow!(
            "{} is in {archive} and no longer being retrieved; give the same command to ask for it again",
            wanted.key
        ))),
        None => Err(Failure::from(anyhow::anyhow!(
            "{} is not in the bucket any more; look at it with `dbbackup verify`",
            wanted.key
        ))),
    }
}

/// Since when, and how long it typically takes.
fn progress(name: &str, done: usize, total: usize, waiting: &[Waiting], request: Option<&Request>) -> String {
    let since = match request {
        Some(request) => format!(
            "asked for {} ago ({})",
            report::age(request.since, Utc::now()),
            request.since.format("%Y-%m-%d %H:%M UTC")
        ),
        None => "asked for before, by another host or program".to_owned(),
    };
    let usual = request.and_then(Request::tier).and_then(|tier| {
        let slowest = waiting.iter().filter_map(|(_, archive)| typical(*archive, tier)).max()?;
        Some(format!("; {} typically takes {slowest}", tier.as_str()))
    });
    format!("{name}: {done} of {total} objects are ready, {since}{}", usual.unwrap_or_default())
}

/// What cannot be read yet.
#[derive(Debug, Default)]
struct Found {
    archived: Vec<Waiting>,
    retrieving: Vec<Waiting>,
}

async fn survey(site: &Site, wanted: &[Wanted]) -> Result<Found, BucketError> {
    let see = |wanted: Wanted, site: Site| async move {
        let shelf = look(&site, &wanted).await;
        (wanted, shelf)
    };
    let mut found = Found::default();
    for (wanted, shelf) in at_once(wanted.to_vec(), |wanted| see(wanted, site.clone())).await {
        match shelf? {
            Some(Shelf::Archived(archive)) => found.archived.push((wanted, archive)),
            Some(Shelf::Retrieving(archive)) => found.retrieving.push((wanted, archive)),
            // One that is missing is told by the restore itself, in its own words.
            Some(Shelf::Ready { .. }) | None => {}
        }
    }
    Ok(found)
}

async fn still_waiting(site: &Site, waiting: &[Waiting]) -> Result<Found, BucketError> {
    let wanted: Vec<Wanted> = waiting.iter().map(|(wanted, _)| wanted.clone()).collect();
    survey(site, &wanted).await
}

async fn look(site: &Site, wanted: &Wanted) -> Result<Option<Shelf>, BucketError> {
    let what = format!("look at {}", wanted.key);
    let (bucket, key): (&Bucket, &ObjectKey) = (&site.bucket, &wanted.key);
    let call = || bucket.shelf(key, wanted.version.as_deref());
    site.policy.run(&what, &std::sync::atomic::AtomicU32::new(0), call).await
}

/// Runs `work` for every item, a bounded number at once; the answers in no order. An item whose task
/// panicked has none: nothing is read without S3 handing it out, so it shows there.
async fn at_once<T, F, R>(items: Vec<T>, work: impl Fn(T) -> F) -> Vec<R>
where
    F: Future<Output = R> + Send + 'static,
    R: Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut answers = Vec::with_capacity(items.len());
    for item in items {
        while tasks.len() >= AT_ONCE {
            answers.extend(tasks.join_next().await.and_then(Result::ok));
        }
        tasks.spawn(work(item));
    }
    while let Some(done) = tasks.join_next().await {
        answers.extend(done.ok());
    }
    answers
}

fn needs(archived: &[Waiting]) -> Vec<Need> {
    let mut needs: Vec<Need> = Vec::new();
    for (wanted, archive) in archived {
        match needs.iter_mut().find(|need| need.archive == *archive) {
            Some(need) => {
                need.objects += 1;
                need.bytes += wanted.size;
            }
            None => needs.push(Need { archive: *archive, objects: 1, bytes: wanted.size }),
        }
    }
    needs
}

/// `2 objects (1.2 GB) are in GLACIER and 1 object (3 kB) in DEEP_ARCHIVE`.
fn told(needs: &[Need]) -> String {
    let each = needs.iter().enumerate().map(|(index, need)| {
        let (object, verb) = if need.objects == 1 { ("object", "is") } else { ("objects", "are") };
        let verb = if index == 0 { format!("{verb} in") } else { "in".to_owned() };
        format!("{} {object} ({}) {verb} {}", need.objects, report::bytes(need.bytes), need.archive)
    });
    each.collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_archived_is_told_by_class() {
        let need = |archive, objects| Need { archive, objects, bytes: 1000 };
        let needs = [need(Archive::Glacier, 2), need(Archive::DeepArchive, 1)];
        assert_eq!(told(&needs), "2 objects (1.0 kB) are in GLACIER and 1 object (1.0 kB) in DEEP_ARCHIVE");
    }

    #[tokio::test]
    async fn every_item_is_answered_once() {
        let mut answers = at_once((0..100).collect(), |item| async move { item }).await;
        answers.sort_unstable();
        assert_eq!(answers, (0..100).collect::<Vec<_>>());
    }
}
