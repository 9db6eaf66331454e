//! Whether the objects that a manifest names are there, by a listing: it asks for no checksums, and tells
//! what was deleted or cut short.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Catalog;
use crate::bucket::{BucketError, ErrorKind, Listed};
use crate::manifest::Manifest;
use crate::model::SetKind;

/// What is wrong with a set's objects by the bucket's listing; `None` where each is there with its size.
#[must_use]
pub fn lost<S: BuildHasher>(manifest: &Manifest, listed: &HashMap<&str, &Listed, S>) -> Option<String> {
    manifest.files.iter().find_map(|file| match listed.get(file.key.as_str()) {
        None => Some(format!("object {} is missing", file.key)),
        Some(object) if object.size != file.size => {
            Some(format!("object {} has {} of {} bytes", file.key, object.size, file.size))
        }
        Some(_) => None,
    })
}

impl Catalog {
    /// What of the set is lost. Who may not list cannot tell, and goes on with the record.
    pub(super) async fn look_for_objects(&self, manifest: &Manifest) -> Result<Option<String>, BucketError> {
        if self.may_not_list.load(Ordering::Relaxed) {
            return Ok(None);
        }
        // As for a file: the key of a packed folder's archive begins with the folder's name.
        let prefix = self.bucket.layout().data_prefix(&manifest.id, SetKind::File);
        let what = format!("look for objects of {}", manifest.id);
        match self.policy.run(&what, &AtomicU32::new(0), || self.bucket.list(&prefix)).await {
            Ok(listed) => {
                let listed: HashMap<_, _> =
                    listed.iter().map(|object| (object.key.as_str(), object)).collect();
                Ok(lost(manifest, &listed))
            }
            Err(error) if error.kind == ErrorKind::Denied => {
                self.may_not_list.store(true, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}
