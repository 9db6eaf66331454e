//! What is stored of one app, for comparing with what comes next.

use std::sync::atomic::AtomicU32;

use super::{Catalog, Known};
use crate::bucket::{BucketError, CatalogEntry, Listed, ObjectKey};
use crate::manifest::Manifest;
use crate::model::{Engine, RelPath, SetId};

/// The stored sets of one app, newest first.
#[derive(Debug, Clone, Default)]
pub struct History(Vec<(SetId, Listed)>);

impl Catalog {
    /// The names of the stored sets of one app, newest first, for [`Self::recent`].
    pub async fn history(&self, engine: Engine, app: &RelPath) -> Result<History, BucketError> {
        let mut prefix = self.bucket.layout().catalog_prefix();
        for part in [engine.as_str()].into_iter().chain(app.components()) {
            prefix.push_str(part);
            prefix.push('/');
        }
        let what = "list the catalog";
        let listed = self.policy.run(what, &AtomicU32::new(0), || self.bucket.list(&prefix)).await?;
        let mut found: Vec<(SetId, Listed)> = listed
            .into_iter()
            .filter_map(|object| match self.bucket.layout().catalog_entry(&object.key) {
                Some(CatalogEntry::Manifest(id)) if id.app == *app => Some((id, object)),
                Some(CatalogEntry::Manifest(_) | CatalogEntry::Proof(_)) | None => None,
            })
            .collect();
        found.sort_by_key(|(_, object)| std::cmp::Reverse(object.modified));
        Ok(History(found))
    }

    /// The newest `count` manifests of those that `alike` takes, from this host's copies where it has
    /// them; those that cannot be read are left out.
    pub async fn recent(
        &self,
        history: &History,
        alike: impl Fn(&SetId) -> bool,
        count: usize,
    ) -> Vec<Manifest> {
        let (mut manifests, mut wanted) = (Vec::new(), Vec::new());
        for (id, object) in history.0.iter().filter(|(id, _)| alike(id)).take(count) {
            let copy = ObjectKey::new(object.key.clone()).ok().map(|key| self.copy(&key, id));
            match copy {
                Some(Known::Stored(manifest) | Known::Copied(manifest)) => manifests.push(*manifest),
                Some(Known::Absent | Known::Unknown) | None => wanted.push((id.clone(), object.clone())),
            }
        }
        let fetched = self.fetch_manifests(wanted).await;
        manifests.extend(fetched.into_iter().filter_map(|(_, manifest)| manifest.ok()));
        manifests
    }
}
