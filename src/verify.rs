//! What `verify` makes of what it saw: catalog against bucket. Pure.
//!
//! What must stay true: an object counts as good only where something of its bytes was compared with
//! the manifest; what could not be compared is said, and is not called good.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::bucket::{Layout, Listed, ObjectInfo, OpenUpload};
use crate::manifest::{Manifest, StoredFile};
use crate::model::{Engine, Finding, SetId, Severity};

/// What is wrong, as a word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The manifest names an object that is not there.
    Missing,
    /// An object is not what its manifest says.
    Damaged,
    /// Nothing of its bytes could be compared.
    NotCompared,
    /// A manifest or proof cannot be read or contradicts itself.
    Record,
    /// A backup without a manifest.
    Orphaned,
    /// An object that is no part of any backup.
    Foreign,
    /// An upload that was begun and not ended.
    Unfinished,
    /// The file on the disk is not what was stored.
    OtherOnDisk,
    /// What is stored was cut short before it was sent; every byte of it may be there.
    CutShort,
}

/// One thing that is wrong, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The word.
    pub kind: Kind,
    /// Severity, subject, sentence, advice.
    #[serde(flatten)]
    pub finding: Finding,
}

impl Fault {
    /// A fault that makes the exit code 1.
    #[must_use]
    pub fn error(kind: Kind, subject: &str, what: impl Into<String>, advice: &str) -> Self {
        Self::new(kind, Severity::Error, subject, what, advice)
    }

    /// A fault that is told and no more.
    #[must_use]
    pub fn warning(kind: Kind, subject: &str, what: impl Into<String>, advice: &str) -> Self {
        Self::new(kind, Severity::Warning, subject, what, advice)
    }

    fn new(kind: Kind, severity: Severity, subject: &str, what: impl Into<String>, advice: &str) -> Self {
        let finding =
            Finding { severity, subject: subject.to_owned(), what: what.into(), advice: advice.to_owned() };
        Self { kind, finding }
    }
}

/// What to do about an object that is lost or damaged.
pub const LOST: &str = "bring it back from a version of the bucket or a replica; while the source still has \
     the file, remove the backup's manifest (`_catalog/KEY/manifest.json` below the prefix) and what is left of the object, \
     and run the backup of its day again";

/// What to do about a manifest that names what it ought not.
pub const ALTERED: &str =
    "if the bucket was copied to another prefix, use the old one; else find out who changed the manifest";

/// A set that inspection found incomplete: the bucket has what was sent, and that is no backup.
#[must_use]
pub fn cut_short(manifest: &Manifest) -> Option<Fault> {
    manifest.is_cut_short().then(|| {
        let how = manifest.inspection.as_ref().map(|inspection| inspection.verdict.to_string());
        Fault::warning(
            Kind::CutShort,
            &manifest.id.key(),
            format!("it was stored although it is no whole backup: {}", how.unwrap_or_default()),
            "count on another one; no command takes it for a good backup",
        )
    })
}

/// What S3 says of one object, against its manifest. `None` where both agree on every byte.
#[must_use]
pub fn object(file: &StoredFile, info: Option<&ObjectInfo>) -> Option<Fault> {
    let Some(info) = info else {
        return Some(Fault::error(
            Kind::Missing,
            &file.key,
            "the manifest names this object, and it is not there",
            LOST,
        ));
    };
    let damaged = |what: String| Some(Fault::error(Kind::Damaged, &file.key, what, LOST));
    if info.size != file.size {
        return damaged(format!("it has {} bytes where {} were stored", info.size, file.size));
    }
    let ours = [file.s3_checksum.as_ref(), Some(&file.checksum)];
    let compared = info
        .checksum
        .as_ref()
        .and_then(|theirs| ours.into_iter().flatten().find_map(|ours| ours.agrees(theirs)));
    match compared {
        Some(true) => None,
        Some(false) => damaged(format!(
            "S3 says {}, and the manifest {}",
            info.checksum.as_ref().map_or_else(String::new, ToString::to_string),
            file.s3_checksum.as_ref().unwrap_or(&file.checksum)
        )),
        None if info.etag != file.etag => {
            damaged("it was written again since it was stored: its entity tag is another one".to_owned())
        }
        None => Some(Fault::warning(
            Kind::NotCompared,
            &file.key,
            "S3 keeps no checksum of it, so only its size and entity tag were compared",
            "`dbbackup verify --reread` compares its bytes",
        )),
    }
}

/// Objects that no manifest names. `known` are the keys that manifests do name, `sets` the sets.
#[must_use]
pub fn strangers(
    listed: &[Listed],
    known: &BTreeSet<&str>,
    sets: &BTreeSet<&SetId>,
    layout: &Layout,
) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut folders = BTreeSet::new();
    for object in listed {
        let Some(inside) = layout.strip(&object.key) else { continue };
        if known.contains(object.key.as_str())
            || inside.starts_with("_catalog/")
            || inside.starts_with("_runs/")
            || inside.starts_with("_check/")
        {
            continue;
        }
        match place(inside, sets) {
            Place::InsideSet(id) => faults.push(Fault::warning(
                Kind::Foreign,
                &object.key,
                format!("it lies in the folder of {id}, whose manifest does not name it"),
                "find out who wrote it; restore leaves it out",
            )),
            Place::Orphan(set) => {
                if folders.insert(set.clone()) {
                    faults.push(Fault::error(
                        Kind::Orphaned,
                        &set,
                        "there are objects of this backup and no manifest: nothing vouches for it, and it is not counted",
                        "run the backup of its day again, which compares it with the source and records it; `dbbackup adopt` takes a \
                         single file that nobody encrypted or compressed on its way; else look at it with `restore --unproven`",
                    ));
                }
            }
            Place::Elsewhere => faults.push(Fault::warning(
                Kind::Foreign,
                &object.key,
                "it is no part of any backup",
                "find out who wrote it; dbbackup leaves it alone",
            )),
        }
    }
    faults
}

enum Place<'s> {
    InsideSet(&'s SetId),
    Orphan(String),
    Elsewhere,
}

/// Where a key without the prefix lies: in a known set's folder, where a set could lie, or elsewhere.
fn place<'s>(inside: &str, sets: &BTreeSet<&'s SetId>) -> Place<'s> {
    let mut orphan = None;
    for (at, _) in inside.match_indices('/').chain([(inside.len(), "")]) {
        let Some(id) = inside.get(..at).and_then(|head| SetId::parse_key(head).ok()) else { continue };
        if let Some(known) = sets.get(&id) {
            return Place::InsideSet(known);
        }
        // A folder's file: RMAN's, or that of a MySQL dump program, whose folders have dates.
        let folder = match id.engine {
            Engine::Oracle => true,
            Engine::Mysql => crate::engines::date_in_name(id.engine, id.name.as_str()).is_some(),
            Engine::Mssql => false,
        };
        if orphan.is_none() && (at == inside.len() || folder) {
            orphan = Some(id.key());
        }
    }
    orphan.map_or(Place::Elsewhere, Place::Orphan)
}

/// Uploads that nobody ended: their parts are paid for and cannot be seen in a listing.
#[must_use]
pub fn unfinished(uploads: &[OpenUpload]) -> Vec<Fault> {
    uploads
        .iter()
        .map(|upload| {
            let since = upload.initiated.map_or_else(String::new, |time| {
                format!(" since {}", chrono::DateTime::<chrono::Utc>::from(time).format("%Y-%m-%d %H:%M UTC"))
            });
            Fault::warning(
                Kind::Unfinished,
                &upload.key,
                format!("an upload of it is unfinished{since}"),
                "the next run of that backup goes on with it; else a lifecycle rule (AbortIncompleteMultipartUpload) frees \
                 its parts",
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::checksum::{Algorithm, Checksum, Digest};
    use crate::manifest::Confirmation;
    use crate::model::RelPath;

    fn sum(bytes: &[u8]) -> Checksum {
        let mut digest = Digest::new(Algorithm::Crc64Nvme);
        digest.update(bytes);
        digest.full_object()
    }

    fn stored(bytes: &[u8]) -> StoredFile {
        StoredFile {
            path: RelPath::empty(),
            key: "b/mysql/shop/weekly/shop_20250818.sql".to_owned(),
            size: bytes.len() as u64,
            mtime: Utc::now(),
            mode: 0o640,
            checksum: sum(bytes),
            s3_checksum: Some(sum(bytes)),
            confirmed: Confirmation::Checksum,
            etag: Some("one".to_owned()),
            version_id: None,
            parts: 1,
            retries: 0,
            coding: None,
        }
    }

    fn info(bytes: &[u8], checksum: bool, etag: &str) -> ObjectInfo {
        ObjectInfo {
            size: bytes.len() as u64,
            etag: Some(etag.to_owned()),
            version: None,
            checksum: checksum.then(|| sum(bytes)),
            storage_class: None,
            modified: None,
        }
    }

    #[test]
    fn object_is_good_only_where_its_checksum_equals_the_manifests() {
        let file = stored(b"dump");
        let kind = |info: Option<ObjectInfo>| object(&file, info.as_ref()).map(|fault| fault.kind);
        assert_eq!(kind(Some(info(b"dump", true, "one"))), None);
        assert_eq!(kind(None), Some(Kind::Missing));
        assert_eq!(kind(Some(info(b"dum", true, "one"))), Some(Kind::Damaged));
        assert_eq!(kind(Some(info(b"dumb", true, "one"))), Some(Kind::Damaged));
        assert_eq!(kind(Some(info(b"dumb", false, "two"))), Some(Kind::Damaged));
        assert_eq!(kind(Some(info(b"dump", false, "one"))), Some(Kind::NotCompared));
    }

    #[test]
    fn stranger_is_an_orphan_where_a_backup_could_lie_and_foreign_elsewhere() {
        let layout = Layout::new("b");
        let set = SetId::parse_key("oracle/erp/weekly/rman_18-08-2025").unwrap();
        let key = |key: &str| Listed { key: key.to_owned(), size: 1, etag: None, modified: None };
        let kinds = |name: &str| {
            let sets = BTreeSet::from([&set]);
            let known = BTreeSet::from(["b/oracle/erp/weekly/rman_18-08-2025/a.bkp"]);
            strangers(&[key(name)], &known, &sets, &layout)
                .into_iter()
                .map(|fault| (fault.kind, fault.finding.subject))
                .collect::<Vec<_>>()
        };
        assert_eq!(kinds("b/oracle/erp/weekly/rman_18-08-2025/a.bkp"), []);
        assert_eq!(kinds("b/_runs/host=h/x.json"), []);
        assert_eq!(kinds("b/_check/h"), []);
        assert_eq!(kinds("b2/mysql/shop/weekly/a.sql"), []);
        assert_eq!(kinds("b/oracle/erp/weekly/rman_18-08-2025/new.bkp")[0].0, Kind::Foreign);
        assert_eq!(
            kinds("b/oracle/erp/weekly/rman_25-08-2025/weekly/a.bkp"),
            [(Kind::Orphaned, "oracle/erp/weekly/rman_25-08-2025".to_owned())]
        );
        assert_eq!(kinds("b/mysql/shop/weekly/a.sql")[0].0, Kind::Orphaned);
        assert_eq!(kinds("b/readme.txt")[0].0, Kind::Foreign);
    }
}
