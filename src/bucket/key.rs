//! Object keys and where things lie in the bucket (design: "The bucket").

use std::fmt;

use crate::model::{RelPath, SetId, SetKind};

/// S3's limit for a key, in bytes of UTF-8 (S3 user guide, "Object key naming guidelines").
pub const MAX_KEY_BYTES: usize = 1024;

/// A full object key, checked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(String);

/// Why a text is no object key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Longer than S3 takes.
    #[error("object key of {0} bytes is over S3's limit of {MAX_KEY_BYTES}: shorten the file or folder name")]
    TooLong(usize),
    /// Nothing.
    #[error("an object key cannot be empty")]
    Empty,
}

impl ObjectKey {
    /// A checked key.
    ///
    /// # Errors
    /// [`KeyError`] where S3 would refuse it.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        match text.len() {
            0 => Err(KeyError::Empty),
            len if len > MAX_KEY_BYTES => Err(KeyError::TooLong(len)),
            _ => Ok(Self(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Where things lie: pure names under one prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Empty, or ending in `/`: two prefixes that begin alike are never mixed up.
    prefix: String,
}

/// What a key under the catalog's prefix is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogEntry {
    /// `…/manifest.json`.
    Manifest(SetId),
    /// `…/proof-<UTC time>-<kind>.json`.
    Proof(SetId),
}

impl Layout {
    /// With the configured prefix (no slash at either end; may be empty).
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { prefix }
    }

    /// The prefix, empty or ending in `/`.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Key of one file of a set. `rel` is empty for the file of a single-file set.
    pub fn data(&self, set: &SetId, rel: &RelPath) -> Result<ObjectKey, KeyError> {
        let slash = if rel.is_empty() { "" } else { "/" };
        ObjectKey::new(format!("{}{}{slash}{rel}", self.prefix, set.key()))
    }

    /// Prefix under which all of the set's objects lie: the key itself for a file.
    #[must_use]
    pub fn data_prefix(&self, set: &SetId, kind: SetKind) -> String {
        let slash = match kind {
            SetKind::File => "",
            SetKind::Folder => "/",
        };
        format!("{}{}{slash}", self.prefix, set.key())
    }

    /// Where manifests and proofs lie.
    #[must_use]
    pub fn catalog_prefix(&self) -> String {
        format!("{}_catalog/", self.prefix)
    }

    /// Key of a set's manifest.
    pub fn manifest(&self, set: &SetId) -> Result<ObjectKey, KeyError> {
        ObjectKey::new(format!("{}_catalog/{}/manifest.json", self.prefix, set.key()))
    }

    /// Key of a proof beside a set's manifest. `stamp` is the time in UTC, `kind` what was proven.
    pub fn proof(&self, set: &SetId, stamp: &str, kind: &str) -> Result<ObjectKey, KeyError> {
        ObjectKey::new(format!("{}_catalog/{}/proof-{stamp}-{kind}.json", self.prefix, set.key()))
    }

    /// Where run records lie.
    #[must_use]
    pub fn runs_prefix(&self) -> String {
        format!("{}_runs/", self.prefix)
    }

    /// Key of a run's record. `date` is `YYYY-MM-DD`, `stamp` the start in UTC.
    pub fn run(&self, host: &str, date: &str, stamp: &str, target: &str) -> Result<ObjectKey, KeyError> {
        ObjectKey::new(format!("{}_runs/host={host}/date={date}/{stamp}-{target}.json", self.prefix))
    }

    /// The part of a full key after the prefix, or `None` for a key elsewhere in the bucket.
    #[must_use]
    pub fn strip<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(self.prefix.as_str())
    }

    /// What a full key in the catalog is; `None` for anything that is neither manifest nor proof.
    #[must_use]
    pub fn catalog_entry(&self, key: &str) -> Option<CatalogEntry> {
        let inside = self.strip(key)?.strip_prefix("_catalog/")?;
        let (set, file) = inside.rsplit_once('/')?;
        let set = SetId::parse_key(set).ok()?;
        match file {
            "manifest.json" => Some(CatalogEntry::Manifest(set)),
            _ if file.strip_prefix("proof-").is_some_and(|rest| rest.strip_suffix(".json").is_some()) => {
                Some(CatalogEntry::Proof(set))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str) -> SetId {
        SetId::parse_key(key).unwrap()
    }

    #[test]
    fn keys_are_those_of_the_design() {
        let layout = Layout::new("backup");
        let dump = set("mysql/shop/weekly/shop_20250818.sql");
        let folder = set("oracle/erp/monthly/rman_erp_25-08-2025");
        assert_eq!(
            layout.data(&dump, &RelPath::empty()).unwrap().as_str(),
            "backup/mysql/shop/weekly/shop_20250818.sql"
        );
        assert_eq!(
            layout.data(&folder, &"logs/run.log".parse().unwrap()).unwrap().as_str(),
            "backup/oracle/erp/monthly/rman_erp_25-08-2025/logs/run.log"
        );
        assert_eq!(
            layout.manifest(&folder).unwrap().as_str(),
            "backup/_catalog/oracle/erp/monthly/rman_erp_25-08-2025/manifest.json"
        );
    }

    #[test]
    fn manifest_key_names_its_set_again() {
        for prefix in ["", "backup", "a/b"] {
            let layout = Layout::new(prefix);
            let id = set("mysql/weekly/weekly/shop_20250818.sql");
            let key = layout.manifest(&id).unwrap();
            assert_eq!(layout.catalog_entry(key.as_str()), Some(CatalogEntry::Manifest(id)));
        }
    }

    #[test]
    fn a_neighbour_that_begins_with_the_same_letters_is_outside_the_prefix() {
        let layout = Layout::new("backup");
        assert_eq!(layout.strip("backup2/mysql/shop/weekly/a.sql"), None);
    }

    #[test]
    fn key_over_the_limit_is_refused() {
        assert_eq!(ObjectKey::new("ä".repeat(513)), Err(KeyError::TooLong(1026)));
    }
}
