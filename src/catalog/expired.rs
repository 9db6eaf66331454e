//! Sets that the bucket's own rule removed at their age (`[s3] expires`): neither lost nor damaged.
//!
//! What must stay true: what is gone before its age is lost, and so is a part of a set whose rest stays for good.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::AtomicU32;

use chrono::NaiveDate;

use super::proof::ProofMark;
use super::{Catalog, Entry};
use crate::bucket::{BucketError, ErrorKind, Layout};
use crate::manifest::Manifest;
use crate::model::{Age, BackupDate, Engine, Expires, SetId};
use crate::{codec, engines};

/// Sets that the rule removed, or is removing.
#[derive(Debug, Default)]
pub struct Expired {
    /// Those whose manifests are still there.
    pub entries: BTreeMap<SetId, Entry>,
    /// Those of which only proofs are left, which are younger.
    pub proofs: BTreeMap<SetId, Vec<ProofMark>>,
}

/// What is recorded: sets, and proofs of sets without a manifest.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    pub(super) entries: BTreeMap<SetId, Entry>,
    pub(super) orphans: BTreeMap<SetId, Vec<ProofMark>>,
}

/// Whether the rule may be removing a set right now of which nothing but its name is known: its manifest may go
/// before its objects.
#[must_use]
pub fn is_going(id: &SetId, expires: &Expires, today: NaiveDate) -> bool {
    engines::date_in_name(id.engine, id.name.as_str())
        .is_some_and(|date| expires.age(id.category, date, None, today) == Age::Going)
}

fn age(manifest: &Manifest, expires: &Expires, today: NaiveDate) -> Age {
    // Another program stored what was adopted, nobody knows when.
    let stored = (!manifest.is_adopted()).then(|| manifest.created.date_naive());
    expires.age(manifest.id.category, manifest.date, stored, today)
}

fn age_of_orphan(id: &SetId, marks: &[ProofMark], expires: &Expires, today: NaiveDate) -> Age {
    let proven = || marks.iter().map(|mark| BackupDate::from(mark.at.date_naive())).min();
    match engines::date_in_name(id.engine, id.name.as_str()).or_else(proven) {
        Some(date) => expires.age(id.category, date, None, today),
        None => Age::Kept,
    }
}

/// Whether what is missing of a set of that age was removed by the rule. `sizes` are those of the bucket's objects.
fn has_gone(manifest: &Manifest, age: Age, sizes: &HashMap<&str, u64>) -> bool {
    let left: Vec<bool> = manifest
        .files
        .iter()
        .filter_map(|file| sizes.get(file.key.as_str()).map(|size| *size == file.size))
        .collect();
    let (whole, missing) = (left.iter().all(|same| *same), manifest.files.len() - left.len());
    match age {
        Age::Kept => false,
        Age::Going => missing > 0 && whole,
        Age::Over => missing > 0 && left.is_empty(),
    }
}

/// The keys, without the prefix, of every set that one of these objects may be of: stored in whatever form, or in a
/// folder.
fn places<'k>(objects: impl Iterator<Item = &'k str>, layout: &Layout) -> HashSet<&'k str> {
    objects
        .filter_map(|object| layout.strip(object))
        .flat_map(|inside| {
            let folders = inside.match_indices('/').filter_map(|(at, _)| inside.get(..at));
            folders.chain(codec::without_suffix(inside)).chain([inside])
        })
        .collect()
}

/// Takes those that the rule removed out of what is recorded. Without `sizes`, those whose objects have to be looked
/// for stay.
fn take(
    recorded: &mut Recorded,
    sizes: Option<&HashMap<&str, u64>>,
    layout: &Layout,
    expires: &Expires,
    today: NaiveDate,
) -> Expired {
    let gone = |entry: &Entry| {
        sizes.is_some_and(|sizes| has_gone(&entry.manifest, age(&entry.manifest, expires, today), sizes))
    };
    let files = recorded.entries.values().flat_map(|entry| &entry.manifest.files);
    let named: HashSet<&str> = files.map(|file| file.key.as_str()).collect();
    let places = sizes.map(|sizes| places(sizes.keys().copied().filter(|key| !named.contains(key)), layout));
    let without_trace = |id: &SetId, marks: &[ProofMark]| match age_of_orphan(id, marks, expires, today) {
        Age::Kept => false,
        Age::Going => true,
        Age::Over => places.as_ref().is_some_and(|places| !places.contains(id.key().as_str())),
    };
    Expired {
        proofs: recorded.orphans.extract_if(.., |id, marks| without_trace(id, marks)).collect(),
        entries: recorded.entries.extract_if(.., |_, entry| gone(entry)).collect(),
    }
}

impl Catalog {
    /// Takes the sets that the bucket's rule removed out of what is recorded below `scope`. The bucket is listed only
    /// where a set is old enough; who may not list it cannot tell, and goes on with the records.
    pub(super) async fn take_expired(
        &self,
        recorded: &mut Recorded,
        scope: &str,
    ) -> Result<Expired, BucketError> {
        let (expires, today) = (&self.expires, crate::calendar::today().day());
        let layout = self.bucket.layout();
        let old = recorded.entries.values().any(|entry| age(&entry.manifest, expires, today) != Age::Kept)
            || recorded
                .orphans
                .iter()
                .any(|(id, marks)| age_of_orphan(id, marks, expires, today) == Age::Over);
        if !old {
            return Ok(take(recorded, None, layout, expires, today));
        }
        let scopes = match scope.trim_end_matches('/') {
            "" => Engine::ALL.map(|engine| format!("{engine}/")).to_vec(),
            // The key of a file has no slash at its end.
            below => vec![below.to_owned()],
        };
        let mut objects = Vec::new();
        for scope in scopes {
            let prefix = format!("{}{scope}", layout.prefix());
            let listed =
                self.policy.run("list the bucket", &AtomicU32::new(0), || self.bucket.list(&prefix)).await;
            match listed {
                Ok(listed) => objects.extend(listed),
                Err(error) if error.kind == ErrorKind::Denied => {
                    tracing::debug!("which sets have expired cannot be told: {error}");
                    return Ok(take(recorded, None, layout, expires, today));
                }
                Err(error) => return Err(error),
            }
        }
        let sizes: HashMap<&str, u64> =
            objects.iter().map(|object| (object.key.as_str(), object.size)).collect();
        Ok(take(recorded, Some(&sizes), layout, expires, today))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::catalog::Shown;

    const PREFIX: &str = "b";

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> DateTime<Utc> {
        day(text).and_hms_opt(1, 30, 0).unwrap().and_utc()
    }

    /// A folder of two files, of 2025-08-18 and stored in the night after it.
    fn folder() -> Entry {
        let id = SetId::parse_key("oracle/erp/daily/rman_18-08-2025").unwrap();
        let file = |path: &str| {
            serde_json::json!({
                "path": path, "key": format!("{PREFIX}/{}/{path}", id.key()), "size": 9, "mtime": at("2025-08-18"),
                "mode": 0o640, "checksum": { "algorithm": "CRC64NVME", "type": "FULL_OBJECT", "value": "AAAAAAAAAAA=" },
                "s3_checksum": null, "confirmed": "checksum", "etag": null, "version_id": null, "parts": 1, "retries": 0,
            })
        };
        let json = serde_json::json!({
            "version": 1, "engine": id.engine, "app": id.app, "category": id.category, "name": id.name,
            "date": "2025-08-18", "kind": "folder", "why": "", "files": [file("a"), file("b")], "bucket": "x", "run": "r",
            "host": "h", "source": "/x", "dbbackup": "1", "created": at("2025-08-19"), "seconds": 1.0,
        });
        Entry { manifest: serde_json::from_value(json).unwrap(), proofs: Vec::new() }
    }

    fn proof(when: &str) -> ProofMark {
        ProofMark { at: at(when), shown: Shown::Reread, key: String::new() }
    }

    fn taken(mut recorded: Recorded, objects: &[(&str, u64)], days: u32, today: &str) -> [usize; 4] {
        let expires = Expires::new(BTreeMap::from([(crate::model::Category::Daily, days)]));
        let sizes: HashMap<&str, u64> = objects.iter().copied().collect();
        let gone = take(&mut recorded, Some(&sizes), &Layout::new(PREFIX), &expires, day(today));
        [gone.entries.len(), gone.proofs.len(), recorded.entries.len(), recorded.orphans.len()]
    }

    #[test]
    fn what_is_missing_before_its_age_is_lost_and_a_part_that_stays_is_damage() {
        let (a, b) = ("b/oracle/erp/daily/rman_18-08-2025/a", "b/oracle/erp/daily/rman_18-08-2025/b");
        let stays = |objects: &[(&str, u64)], today: &str| {
            let entry = folder();
            let entries = BTreeMap::from([(entry.manifest.id.clone(), entry)]);
            let [expired, _, stays, _] =
                taken(Recorded { entries, ..Recorded::default() }, objects, 7, today);
            assert_eq!(expired + stays, 1);
            stays == 1
        };
        let (young, going, over) = ("2025-08-24", "2025-08-25", "2025-09-04");
        for today in [young, going, over] {
            assert!(stays(&[(a, 9), (b, 9)], today), "all is there: {today}");
            assert!(stays(&[(a, 9), (b, 8)], today), "it was written again: {today}");
            assert!(stays(&[(a, 8)], today), "a part, and that was written again: {today}");
        }
        assert!(stays(&[], young) && stays(&[(a, 9)], young));
        assert!(!stays(&[], going) && !stays(&[(a, 9)], going));
        assert!(!stays(&[], over) && stays(&[(a, 9)], over));
    }

    #[test]
    fn proofs_that_outlive_their_set_are_no_loss_unless_something_of_it_is_there() {
        let expired = |key: &str, objects: &[(&str, u64)], today: &str| {
            let orphans = BTreeMap::from([(SetId::parse_key(key).unwrap(), vec![proof("2025-08-21")])]);
            let [_, expired, _, lost] = taken(Recorded { orphans, ..Recorded::default() }, objects, 7, today);
            assert_eq!(expired + lost, 1);
            expired == 1
        };
        let key = "mysql/shop/daily/shop_20250818.sql";
        assert!(!expired(key, &[], "2025-08-24"));
        assert!(expired(key, &[], "2025-08-25"));
        // S3 may take the manifest first, and then the object.
        assert!(expired(key, &[("b/mysql/shop/daily/shop_20250818.sql", 9)], "2025-08-25"));
        assert!(expired(key, &[], "2025-10-01"));
        for object in ["shop_20250818.sql", "shop_20250818.sql.zst.age", "shop_20250818.sql/a"] {
            assert!(!expired(key, &[(&format!("b/mysql/shop/daily/{object}"), 9)], "2025-10-01"), "{object}");
        }
        // The name has no date: it was stored before it was proven.
        assert!(!expired("mysql/shop/daily/shop.sql", &[], "2025-08-27"));
        assert!(expired("mysql/shop/daily/shop.sql", &[], "2025-08-28"));
        assert!(!expired("mysql/shop/weekly/shop_20250818.sql", &[], "2030-01-01"));
    }

    #[test]
    fn only_days_in_which_the_rule_works_excuse_objects_without_a_record() {
        let expires = Expires::new(BTreeMap::from([(crate::model::Category::Daily, 7)]));
        let id = SetId::parse_key("oracle/erp/daily/rman_18-08-2025").unwrap();
        let going = |today: &str| is_going(&id, &expires, day(today));
        assert_eq!(
            ["2025-08-24", "2025-08-25", "2025-09-02", "2025-09-03"].map(going),
            [false, true, true, false]
        );
    }
}
