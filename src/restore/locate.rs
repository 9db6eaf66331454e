//! From what an operator types to the objects that are meant.

use chrono::NaiveDate;

use crate::bucket::{Bucket, BucketError, ErrorKind, Layout, ObjectKey};
use crate::catalog::{Catalog, Entry, Known};
use crate::codec;
use crate::manifest::{Manifest, StoredFile};
use crate::model::{BackupDate, ModelError, Selector, SetId};
use crate::retry::Policy;

/// What is to be restored.
#[derive(Debug, Clone)]
pub enum Located {
    /// A whole set.
    Set(Box<Manifest>),
    /// One file out of a set.
    FileOfSet(Box<Manifest>, Box<StoredFile>),
    /// Objects without a manifest: sent by the old script or by hand.
    Loose {
        /// The last component of what was asked for.
        name: String,
        /// Full keys with the path below the destination; an empty path for a single object.
        objects: Vec<(ObjectKey, String, u64)>,
        /// Where it is a folder of sets, such as an app's: why none of them is meant.
        above: Option<Above>,
    },
}

/// A folder above sets that have manifests: whoever names it means one of them.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "{text} is no backup; stored under it: {sets}, of which {newest} of {date} is the newest; name one of them"
)]
pub struct Above {
    text: String,
    sets: usize,
    newest: SetId,
    date: BackupDate,
}

impl Above {
    /// What `--latest` would be told.
    #[must_use]
    pub fn selector(&self) -> String {
        let SetId { engine, app, .. } = &self.newest;
        if app.is_empty() { engine.to_string() } else { format!("{engine}/{app}") }
    }
}

/// Why nothing was located.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// A URI of another bucket.
    #[error("{uri} is in bucket {theirs}, and the configuration is for {ours}: use another --config")]
    OtherBucket {
        /// As typed.
        uri: String,
        /// The URI's bucket.
        theirs: String,
        /// The configuration's.
        ours: String,
    },
    /// Nothing there.
    #[error("nothing is stored under {0}; `dbbackup list --all` shows what there is")]
    Nothing(String),
    /// No stored set fits `--latest`.
    #[error("no stored set fits {0}; `dbbackup list` shows what there is")]
    NoSet(String),
    /// Those that fit `--latest` are no whole backups.
    #[error("what is stored of {asked} is cut short; to have it all the same, name it by its key:\n  {keys}")]
    CutShort {
        /// What was asked for.
        asked: String,
        /// Keys, a line each.
        keys: String,
    },
    /// Several fit equally well.
    #[error("{date} has several sets of {selector}; name one of them:\n  {keys}")]
    Several {
        /// What was asked for.
        selector: String,
        /// The date they share.
        date: BackupDate,
        /// Their keys, a line each.
        keys: String,
    },
    /// It went in with the others.
    #[error(
        "{file} is packed with the rest of {set}: restore that, or write its archive to `tar x` with --stdout"
    )]
    Packed {
        /// Path inside the folder.
        file: String,
        /// Key of the set.
        set: String,
    },
    /// The bucket did not answer, or its record cannot be used.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// What was typed cannot be a key.
    #[error(transparent)]
    Text(#[from] ModelError),
}

/// The part of what was typed below the prefix, without slashes at its ends.
fn inside<'t>(text: &'t str, layout: &Layout, bucket: &str) -> Result<&'t str, LocateError> {
    let key = match text.strip_prefix("s3://") {
        None => text,
        Some(rest) => {
            let (theirs, key) = rest.split_once('/').unwrap_or((rest, ""));
            if theirs != bucket {
                return Err(LocateError::OtherBucket {
                    uri: text.to_owned(),
                    theirs: theirs.to_owned(),
                    ours: bucket.to_owned(),
                });
            }
            key
        }
    };
    let key = key.trim_matches('/');
    Ok(layout.strip(key).unwrap_or(key))
}

/// The sets that the text may name, with the path inside each; the longest set first.
fn candidates(inside: &str) -> Vec<(SetId, String)> {
    let mut found = Vec::new();
    let mut set = inside;
    let mut rest = String::new();
    loop {
        if let Ok(id) = SetId::parse_key(set) {
            found.push((id, rest.clone()));
        }
        let Some((head, tail)) = set.rsplit_once('/') else {
            return found;
        };
        rest = if rest.is_empty() { tail.to_owned() } else { format!("{tail}/{rest}") };
        set = head;
    }
}

/// Locates what `text` names: a key as `list` prints it, a full object key, or an `s3://` URI.
pub async fn locate(
    text: &str,
    catalog: &Catalog,
    (bucket, policy): (&Bucket, &Policy),
) -> Result<Located, LocateError> {
    let layout = bucket.layout();
    let inside = inside(text, layout, bucket.name())?;
    let full = format!("{}{inside}", layout.prefix());
    for (id, rest) in candidates(inside) {
        let manifest = match catalog.lookup(&id).await? {
            Known::Stored(manifest) | Known::Copied(manifest) => manifest,
            Known::Absent | Known::Unknown => continue,
        };
        if rest.is_empty() {
            return Ok(Located::Set(manifest));
        }
        if let Some(file) = manifest.files.iter().find(|file| file.path.as_str() == rest || file.key == full)
        {
            let file = Box::new(file.clone());
            // A packed folder by its object's name.
            let whole = file.path.is_empty();
            return Ok(if whole { Located::Set(manifest) } else { Located::FileOfSet(manifest, file) });
        }
        if manifest.contents().iter().any(|content| content.path.as_str() == rest) {
            return Err(LocateError::Packed { file: rest, set: id.key() });
        }
    }
    // The object of a compressed or encrypted file, by its own name.
    for id in codec::without_suffix(inside).filter_map(|bare| SetId::parse_key(bare).ok()) {
        if let Known::Stored(manifest) | Known::Copied(manifest) = catalog.lookup(&id).await?
            && manifest.files.iter().any(|file| file.key == full)
        {
            return Ok(Located::Set(manifest));
        }
    }
    loose(text, inside, catalog, (bucket, policy)).await
}

/// Locates what `text` names without asking what is recorded of it.
///
/// # Errors
/// [`LocateError`].
pub async fn locate_unrecorded(
    text: &str,
    catalog: &Catalog,
    (bucket, policy): (&Bucket, &Policy),
) -> Result<Located, LocateError> {
    let inside = inside(text, bucket.layout(), bucket.name())?;
    loose(text, inside, catalog, (bucket, policy)).await
}

async fn loose(
    text: &str,
    inside: &str,
    catalog: &Catalog,
    (bucket, policy): (&Bucket, &Policy),
) -> Result<Located, LocateError> {
    let nothing = || LocateError::Nothing(text.to_owned());
    let full = format!("{}{inside}", bucket.layout().prefix());
    let key = ObjectKey::new(full.clone()).map_err(|_| nothing())?;
    let name = inside.rsplit('/').next().unwrap_or(inside).to_owned();
    match policy.ask(&format!("look at {key}"), || bucket.head(&key)).await {
        Ok(Some(info)) => {
            return Ok(Located::Loose { name, objects: vec![(key, String::new(), info.size)], above: None });
        }
        Ok(None) => {}
        // Without the right to list, S3 answers 403 for what is not there.
        Err(error) if error.kind == ErrorKind::Denied => {}
        Err(error) => return Err(error.into()),
    }
    let folder = format!("{full}/");
    let listed = policy.ask(&format!("list {folder}"), || bucket.list(&folder)).await?;
    let mut objects = Vec::new();
    for object in listed {
        let path = object.key.strip_prefix(&folder).unwrap_or(&object.key).to_owned();
        // A folder marker of a console has no bytes and no name.
        if path.is_empty() || path.ends_with('/') {
            continue;
        }
        let key = ObjectKey::new(object.key).map_err(|_| nothing())?;
        objects.push((key, path, object.size));
    }
    let above = above(text, inside, catalog).await?;
    if objects.is_empty() { Err(nothing()) } else { Ok(Located::Loose { name, objects, above }) }
}

/// What is recorded of the sets below a folder.
async fn above(text: &str, inside: &str, catalog: &Catalog) -> Result<Option<Above>, LocateError> {
    let sets = catalog.load(&format!("{inside}/")).await?.entries;
    let newest = sets.values().map(|entry| &entry.manifest).max_by_key(|manifest| manifest.date);
    Ok(newest.map(|manifest| Above {
        text: text.to_owned(),
        sets: sets.len(),
        newest: manifest.id.clone(),
        date: manifest.date,
    }))
}

/// The newest stored set of an engine or app, or that of a date. One that is dated after `today` comes back by
/// its key or date only.
pub fn locate_latest<'e>(
    entries: impl Iterator<Item = &'e Entry>,
    selector: &Selector,
    date: Option<BackupDate>,
    today: NaiveDate,
) -> Result<&'e Entry, LocateError> {
    // One that was sent although it is cut short comes back by its key only.
    let (cut_short, fitting): (Vec<&Entry>, Vec<&Entry>) = entries
        .filter(|entry| selector.matches(&entry.manifest.id))
        .filter(|entry| match date {
            Some(date) => entry.manifest.date == date,
            None => !entry.manifest.date.lies_ahead(today),
        })
        .partition(|entry| entry.manifest.is_cut_short());
    let asked = || match date {
        Some(date) => format!("{selector} of {date}"),
        None => selector.to_string(),
    };
    let keys = |entries: &[&Entry]| {
        entries.iter().map(|entry| entry.manifest.id.key()).collect::<Vec<_>>().join("\n  ")
    };
    if fitting.is_empty() && !cut_short.is_empty() {
        return Err(LocateError::CutShort { asked: asked(), keys: keys(&cut_short) });
    }
    let newest =
        fitting.iter().map(|entry| entry.manifest.date).max().ok_or_else(|| LocateError::NoSet(asked()))?;
    let of_that_day: Vec<&Entry> =
        fitting.into_iter().filter(|entry| entry.manifest.date == newest).collect();
    match of_that_day.as_slice() {
        [one] => Ok(one),
        several => {
            Err(LocateError::Several { selector: selector.to_string(), date: newest, keys: keys(several) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_key_means_the_same() {
        let layout = Layout::new("backup");
        for text in [
            "mysql/shop/weekly/a.sql",
            "backup/mysql/shop/weekly/a.sql",
            "s3://vault/backup/mysql/shop/weekly/a.sql",
            "s3://vault/backup/mysql/shop/weekly/a.sql/",
        ] {
            assert_eq!(inside(text, &layout, "vault").unwrap(), "mysql/shop/weekly/a.sql", "{text}");
        }
        assert!(matches!(inside("s3://other/x", &layout, "vault"), Err(LocateError::OtherBucket { .. })));
    }

    #[test]
    fn a_file_inside_a_folder_leads_to_its_set() {
        let found = candidates("oracle/erp/monthly/rman_25-08-2025/logs/weekly/a.log");
        let keys: Vec<_> = found.iter().map(|(id, rest)| (id.key(), rest.as_str())).collect();
        assert!(keys.contains(&("oracle/erp/monthly/rman_25-08-2025".to_owned(), "logs/weekly/a.log")));
    }
}
