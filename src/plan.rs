//! What a run will do with each set it found, and why. Pure: `--dry-run` prints it, the run takes it.

use crate::bucket::Layout;
use crate::bucket::Overwrite;
use crate::calendar::CategoryRules;
use crate::catalog::{InBucket, Known};
use crate::codec::Recipe;
use crate::config::OnCutShort;
use crate::engines::{BackupSet, SourceFile};
use crate::formats::Judgement;
use crate::manifest::{Content, Manifest, StoredFile};
use crate::model::{SetId, Verdict};

/// One set with its fate.
#[derive(Debug, Clone)]
pub struct Step {
    /// Which set.
    pub id: SetId,
    /// As it was found.
    pub set: BackupSet,
    /// What happens to it.
    pub action: Action,
    /// What inspection said: of the set here where it is to be sent, of the stored one where it is not.
    pub inspection: Option<Judgement>,
    /// The objects that are stored of it already: it keeps the form that they have.
    pub stored: Vec<StoredFile>,
}

/// What happens to a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is sent.
    Ship(ShipReason),
    /// Somebody still writes it, which this says: it is waited for, and decided on again.
    Wait(String),
    /// It is stored already, with the same content.
    Skip(SkipReason),
    /// It cannot be sent, or must not.
    Refuse(RefuseReason),
}

/// Why a set is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShipReason {
    /// The bucket has no such set.
    New,
    /// Of the same sizes as the stored one but with other times: its bytes are read and compared, and
    /// nothing is sent where they are equal.
    Compare,
    /// It differs from the stored one, or that is lost, and the operator said `--replace`.
    Replace,
}

/// Why a set is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// Same names, sizes and times as in the manifest.
    Stored,
    /// The same, in this host's copy of the manifest: these credentials may not read the bucket's.
    StoredByCopy,
    /// The same as in either, and it is to be encrypted now and was not then.
    StoredInPlain,
}

/// Why a set is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefuseReason {
    /// The stored set of this name has other content.
    OtherContent(String),
    /// It is recorded as stored, and its objects are not all there.
    Lost(String),
    /// It would be replaced as it is, and it is to be encrypted now.
    StoredInPlain,
    /// Something about the set on the disk.
    Incomplete(String),
    /// A key that S3 cannot have.
    Key(String),
    /// What the bucket has could not be found out.
    Unknown(String),
    /// Its content ends too early or is damaged.
    CutShort(String),
    /// It was waited for, and somebody writes it all the same.
    BeingWritten(String),
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ship(ShipReason::New) => write!(f, "send: not in the bucket yet"),
            Self::Ship(ShipReason::Compare) => {
                write!(f, "compare: stored with the same sizes and other times, sent only if it differs")
            }
            Self::Ship(ShipReason::Replace) => {
                write!(f, "replace: what is stored differs or is lost (--replace)")
            }
            Self::Wait(why) => write!(f, "wait: still being written: {why}"),
            Self::Skip(reason) => write!(f, "skip: {reason}"),
            Self::Refuse(reason) => write!(f, "refuse: {reason}"),
        }
    }
}

impl std::fmt::Display for SkipReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stored => write!(f, "already stored with the same content"),
            Self::StoredByCopy => write!(
                f,
                "already stored with the same content, by this host's copy of its record; the bucket was not asked, as these \
                 credentials may not read it"
            ),
            Self::StoredInPlain => write!(
                f,
                "already stored with the same content, and not encrypted: it was sent before `encrypt` was set"
            ),
        }
    }
}

impl std::fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OtherContent(how) => {
                write!(f, "a set of this name is stored with other content: {how}")
            }
            Self::Lost(what) => write!(f, "it is recorded as stored, and cannot be restored: {what}"),
            Self::StoredInPlain => {
                f.write_str("it is stored unencrypted and would be replaced so, and `encrypt` is set")
            }
            Self::Incomplete(why) | Self::Key(why) | Self::Unknown(why) => f.write_str(why),
            Self::CutShort(why) => write!(f, "cut short: {why}"),
            Self::BeingWritten(why) => write!(f, "still being written: {why}"),
        }
    }
}

impl RefuseReason {
    /// What to do next, for the operator.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::OtherContent(_) => {
                "look at both with `dbbackup show`; to store this one instead, on a versioned bucket, run with --replace"
            }
            Self::Lost(_) => {
                "bring the object back from a version of the bucket or a replica; or send it again: on a versioned bucket with \
                 --replace, on another one after removing its manifest (`_catalog/KEY/manifest.json` below the prefix) and what \
                 is left of its objects"
            }
            Self::StoredInPlain => {
                "remove its manifest and its objects from the bucket, and run it again without --replace; or take `encrypt` out \
                 for this run"
            }
            Self::Incomplete(_) => "mend the set on the disk, then run it again",
            Self::Key(_) => "rename the file or folder",
            Self::Unknown(_) => "see the cause above, then run it again",
            Self::CutShort(_) => {
                "look at the job that made it and back up again; to send it all the same, set on_cut_short = \"send\""
            }
            Self::BeingWritten(_) => {
                "run it again when it is finished, start dbbackup later, or raise settle_wait"
            }
        }
    }
}

/// The id a found set has in the bucket.
#[must_use]
pub fn identify(set: &BackupSet, rules: &CategoryRules) -> SetId {
    SetId {
        engine: set.engine,
        app: set.app.clone(),
        category: rules.category(set.date),
        name: set.name.clone(),
    }
}

/// Decides for one set. `known` is what the bucket has under its id, or why that is not known; `recipe` is what
/// its engine's section wants done to it.
#[must_use]
pub fn decide(
    set: BackupSet,
    id: SetId,
    known: Result<InBucket, String>,
    layout: &Layout,
    overwrite: Overwrite,
    recipe: &Recipe,
) -> Step {
    let (inspection, stored) = match &known {
        Ok(InBucket { known: Known::Stored(manifest) | Known::Copied(manifest), .. }) => {
            (manifest.inspection.clone(), manifest.files.clone())
        }
        Ok(InBucket { known: Known::Absent | Known::Unknown, .. }) | Err(_) => (None, Vec::new()),
    };
    let action = match action(&set, &id, known, layout, overwrite) {
        Action::Skip(SkipReason::Stored | SkipReason::StoredByCopy)
            if recipe.encrypts() && stored.iter().any(in_plain) =>
        {
            Action::Skip(SkipReason::StoredInPlain)
        }
        Action::Ship(ShipReason::Replace) if recipe.encrypts() && stored.iter().any(in_plain) => {
            Action::Refuse(RefuseReason::StoredInPlain)
        }
        action => action,
    };
    let stored = if matches!(action, Action::Ship(_)) { stored } else { Vec::new() };
    Step { id, set, action, inspection, stored }
}

/// What inspection makes of a step that would send: a set that is cut short is refused, unless the
/// operator wants it sent as what it is; one that is being written is waited for.
#[must_use]
pub fn inspected(step: Step, inspection: Judgement, on_cut_short: OnCutShort) -> Step {
    let action = match (&inspection.verdict, on_cut_short) {
        (Verdict::CutShort { why }, OnCutShort::Refuse) => {
            Action::Refuse(RefuseReason::CutShort(why.clone()))
        }
        (Verdict::StillBeingWritten { why }, _) => Action::Wait(why.clone()),
        (Verdict::CutShort { .. }, OnCutShort::Send)
        | (Verdict::Whole { .. } | Verdict::NotJudged { .. }, _) => step.action,
    };
    Step { action, inspection: Some(inspection), ..step }
}

fn action(
    set: &BackupSet,
    id: &SetId,
    known: Result<InBucket, String>,
    layout: &Layout,
    overwrite: Overwrite,
) -> Action {
    if let Some(trouble) = set.troubles.first() {
        return Action::Refuse(RefuseReason::Incomplete(trouble.clone()));
    }
    let keys = set.files.iter().map(|file| layout.data(id, &file.rel)).chain([layout.manifest(id)]);
    if let Some(error) = keys.into_iter().find_map(Result::err) {
        return Action::Refuse(RefuseReason::Key(error.to_string()));
    }
    let InBucket { known, lost } = match known {
        Ok(found) => found,
        Err(why) => return Action::Refuse(RefuseReason::Unknown(why)),
    };
    let stored = match &known {
        Known::Copied(_) => SkipReason::StoredByCopy,
        Known::Stored(_) | Known::Absent | Known::Unknown => SkipReason::Stored,
    };
    match known {
        Known::Absent | Known::Unknown => Action::Ship(ShipReason::New),
        Known::Stored(manifest) | Known::Copied(manifest) => match (compare(set, &manifest), overwrite, lost)
        {
            (_, Overwrite::Replace, Some(_)) | (Comparison::Differs(_), Overwrite::Replace, None) => {
                Action::Ship(ShipReason::Replace)
            }
            (Comparison::Differs(how), Overwrite::Never, _) => {
                Action::Refuse(RefuseReason::OtherContent(how))
            }
            (Comparison::Same | Comparison::OtherTimes, Overwrite::Never, Some(what)) => {
                Action::Refuse(RefuseReason::Lost(what))
            }
            (Comparison::Same, _, None) => Action::Skip(stored),
            (Comparison::OtherTimes, _, None) => Action::Ship(ShipReason::Compare),
        },
    }
}

fn in_plain(stored: &StoredFile) -> bool {
    stored.coding.as_ref().is_none_or(|coding| !coding.recipe.encrypts())
}

/// A set on the disk beside its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Comparison {
    Same,
    OtherTimes,
    Differs(String),
}

fn compare(set: &BackupSet, manifest: &Manifest) -> Comparison {
    let (ours, theirs) = (&set.files, manifest.contents());
    if ours.len() != theirs.len() {
        return Comparison::Differs(format!("{} files here, {} stored", ours.len(), theirs.len()));
    }
    let mut times_differ = false;
    for (file, stored) in ours.iter().zip(&theirs) {
        if file.rel != *stored.path {
            return Comparison::Differs(format!("{} is here, {} is stored", file.rel, stored.path));
        }
        if file.stamp.size != stored.size {
            let name = if file.rel.is_empty() { set.name.as_str() } else { file.rel.as_str() };
            return Comparison::Differs(format!(
                "{name} has {} bytes here, {} stored",
                file.stamp.size, stored.size
            ));
        }
        times_differ |= !same_time(file, stored);
    }
    if times_differ { Comparison::OtherTimes } else { Comparison::Same }
}

fn same_time(file: &SourceFile, stored: &Content<'_>) -> bool {
    chrono::DateTime::<chrono::Utc>::from(file.stamp.mtime) == stored.mtime
}
