//! Sets and their files: what is sent together, what stops what, and what is left behind.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use tokio::task::JoinSet;

use super::confirmed::Journey;
use super::form::{Form, fitting};
use super::input::Input;
use super::job::{FileJob, Way};
use super::ranked::Rank;
use super::reader::blocking;
use super::sent::Sent;
use super::shared::{Settings, Shared};
use super::{ConfirmedSet, FileError, ShipError, Watch};
use crate::bucket::{Bucket, ErrorKind, ObjectKey, Overwrite};
use crate::codec::{Pack, Recipe};
use crate::engines::{BackupSet, SourceFile};
use crate::formats::Judgement;
use crate::manifest::StoredFile;
use crate::model::{SetId, SetKind};
use crate::source;

/// A set to be sent.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which set.
    pub id: SetId,
    /// As it was found.
    pub set: BackupSet,
    /// Who goes first.
    pub rank: Rank,
    /// How its file is watched on its way; for folders it is not.
    pub watch: Option<Watch>,
    /// What is done to its bytes on their way; what is compressed already is not compressed again.
    pub recipe: Recipe,
    /// The objects that are stored of it already.
    pub stored: Vec<StoredFile>,
}

/// Sends sets to one bucket.
#[derive(Debug, Clone)]
pub struct Uploader {
    pub(super) shared: Arc<Shared>,
}

impl Uploader {
    /// To `bucket`.
    #[must_use]
    pub fn new(bucket: Arc<Bucket>, settings: Settings) -> Self {
        Self { shared: Arc::new(Shared::new(bucket, settings)) }
    }

    /// Sends every file of a set and has each confirmed. After the first file that fails no further
    /// one is begun; those under way end.
    ///
    /// # Errors
    /// The first failure; nothing of the set counts as stored then.
    pub async fn ship(&self, order: Order) -> Result<ConfirmedSet, ShipError> {
        let begun = Instant::now();
        let mut tasks: JoinSet<Ended> = JoinSet::new();
        let mut outcome = Outcome::default();
        let taken = match self.taken(&order).await {
            Ok(taken) => taken,
            Err(first) => return Err(ShipError { first, failed: 1, retries: 0, arrived: false }),
        };
        let whole = match self.packed(&order, &taken) {
            Ok(packed) => packed,
            Err(first) => return Err(ShipError { first, failed: 1, retries: 0, arrived: false }),
        };
        let inputs: Vec<Input> = match whole {
            Some(packed) => vec![packed],
            None => order.set.files.iter().map(|file| Input { file: file.clone(), members: None }).collect(),
        };
        self.warn_of_plain(&order, &taken);
        for input in &inputs {
            while let Some(finished) = tasks.try_join_next() {
                outcome.take(finished);
            }
            if !outcome.errors.is_empty() {
                break;
            }
            match self.begin(&order, input, &taken, &mut tasks).await {
                Ok(()) => {}
                Err(error) => outcome.errors.push(error),
            }
        }
        while let Some(finished) = tasks.join_next().await {
            outcome.take(finished);
        }
        if outcome.errors.is_empty() {
            let set = order.set.clone();
            outcome.errors.extend(blocking(move || unchanged_since(&set)).await.err());
        }
        let retries = outcome.retries;
        let failed = outcome.errors.len();
        if let Some(first) = outcome.errors.into_iter().next() {
            return Err(ShipError { first, failed, retries, arrived: outcome.arrived });
        }
        let mut files = outcome.files;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let seconds = begun.elapsed().as_secs_f64();
        let journey = Journey { seconds, sent_bytes: outcome.bytes, judgement: outcome.judgement };
        Ok(ConfirmedSet::new(order.id, order.set, files, journey))
    }

    /// The set's keys that are taken already. Asked where `If-None-Match` may be ignored, because there a
    /// put would write over what lies there (what goes in parts asks for itself), and where the set is to be
    /// encoded, because it may be there as it is. Whoever may not list goes on without.
    async fn taken(&self, order: &Order) -> Result<HashSet<String>, FileError> {
        let Shared { bucket, settings, .. } = &*self.shared;
        let in_one_request = |file: &SourceFile| file.stamp.size <= settings.pool.largest_put();
        let puts = order.set.files.iter().any(in_one_request);
        let asked = (!bucket.is_aws() && puts) || !order.recipe.is_plain();
        if !asked || settings.overwrite == Overwrite::Replace {
            return Ok(HashSet::new());
        }
        // An archive's key begins with the folder's name.
        let slash = match order.set.kind {
            SetKind::Folder if order.recipe.pack.is_none() => "/",
            SetKind::Folder | SetKind::File => "",
        };
        let prefix = format!("{}{}{slash}", bucket.layout().prefix(), order.id.key());
        let what = format!("look for objects of {}", order.id);
        let retries = AtomicU32::new(0);
        let asked = Instant::now();
        let listed = tokio::select! {
            listed = settings.policy.run(&what, &retries, || bucket.list(&prefix)) => listed,
            () = settings.cancel.cancelled() => return Err(FileError::Cancelled),
        };
        settings.pool.answered_question(asked.elapsed());
        match listed {
            Ok(listed) => Ok(listed.into_iter().map(|object| object.key).collect()),
            Err(error) if error.kind == ErrorKind::Denied => Ok(HashSet::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Says that files of a set that is to be encrypted lie in the bucket as they are: they stay so.
    fn warn_of_plain(&self, order: &Order, taken: &HashSet<String>) {
        if !order.recipe.encrypts() {
            return;
        }
        let layout = self.shared.bucket.layout();
        let in_plain = |file: &&SourceFile| {
            layout.data(&order.id, &file.rel).is_ok_and(|key| taken.contains(key.as_str()))
        };
        let count = order.set.files.iter().filter(in_plain).count();
        if count > 0 {
            tracing::warn!(
                "{}: {count} of its files lie in the bucket unencrypted, from before `encrypt` was set, and stay so",
                order.id
            );
        }
    }

    async fn begin(
        &self,
        order: &Order,
        input: &Input,
        taken: &HashSet<String>,
        tasks: &mut JoinSet<Ended>,
    ) -> Result<(), FileError> {
        let (shared, Input { file, members }) = (&self.shared, input);
        let cancel = shared.settings.cancel.clone();
        let plain_key = shared.bucket.layout().data(&order.id, &file.rel)?;
        let stored = order.stored.iter().find(|stored| stored.path == file.rel);
        // Without a manifest, and as it is: the old script stored it, or a run that did not encode.
        let there = taken.contains(plain_key.as_str());
        let recipe = if there { Recipe::default() } else { order.recipe.clone() };
        let pack = members.as_ref().map(|_| Pack::Tar);
        let recipe = Recipe { pack, ..recipe };
        let form = fitting(file, recipe, stored, shared.settings.overwrite).await?;
        let key = ObjectKey::new(format!("{plain_key}{}", form.suffix()))?;
        let job = Arc::new(FileJob {
            shared: shared.clone(),
            file: file.clone(),
            members: members.clone(),
            compare_only: taken.contains(key.as_str()) || form.exposes(&order.recipe),
            key,
            retries: AtomicU32::new(0),
            took_a_part: AtomicBool::new(false),
            category: order.id.category,
            rank: order.rank,
            form,
            watch: order.watch,
        });
        let rank = order.rank;
        let work = async {
            if let Form::Coded(recipe) = &job.form {
                Way::Encoded(shared.encoder_memory(recipe, file.stamp.size).await)
            } else if matches!(job.form, Form::Known(_))
                || file.stamp.size <= shared.settings.pool.largest_put()
            {
                Way::Small(shared.settings.pool.slot(rank).await)
            } else {
                Way::Large(shared.large.acquire(rank).await)
            }
        };
        let way = tokio::select! {
            way = work => way,
            () = cancel.cancelled() => return Err(FileError::Cancelled),
        };
        tasks.spawn(async move {
            let result = job.run(way, &cancel).await;
            Ended { result, retries: job.retried(), arrived: job.took_a_part.load(Ordering::Relaxed) }
        });
        Ok(())
    }
}

/// How one file ended: its record with how it went, or why not.
#[derive(Debug)]
struct Ended {
    result: Result<(StoredFile, Sent), FileError>,
    retries: u32,
    arrived: bool,
}

#[derive(Debug, Default)]
struct Outcome {
    files: Vec<StoredFile>,
    errors: Vec<FileError>,
    retries: u32,
    bytes: u64,
    /// Whether S3 took any of it.
    arrived: bool,
    judgement: Option<Judgement>,
}

impl Outcome {
    fn take(&mut self, finished: Result<Ended, tokio::task::JoinError>) {
        match finished {
            Ok(Ended { result: Ok((file, sent)), retries, .. }) => {
                self.files.push(file);
                self.bytes += sent.bytes;
                self.arrived |= sent.bytes > 0;
                self.judgement = self.judgement.take().or(sent.judgement);
                self.retries += retries;
            }
            Ok(Ended { result: Err(error), retries, arrived }) => {
                self.errors.push(error);
                self.arrived |= arrived;
                self.retries += retries;
            }
            Err(error) => self.errors.push(FileError::Internal(format!("a file's task ended: {error}"))),
        }
    }
}

/// The whole set must be what was found, also after its last file was sent.
fn unchanged_since(set: &BackupSet) -> Result<(), FileError> {
    for file in &set.files {
        source::still_the_same(&file.path, &file.stamp)
            .map_err(|changed| FileError::Changed { path: file.path.clone(), changed })?;
    }
    Ok(())
}
