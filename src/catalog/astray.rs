//! A manifest as it was read, and whether it points where objects of its set lie.

use crate::bucket::Layout;
use crate::manifest::{Manifest, StoredFile};
use crate::model::SetId;

/// Reads a record that is filed under `id`. One whose objects lie elsewhere than the layout puts them says nothing
/// of this set: it could pass old bytes for last night's.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn read(bytes: &[u8], id: &SetId, layout: &Layout) -> Result<Manifest, String> {
    let manifest = Manifest::from_json(bytes, id)?;
    match astray(&manifest, layout) {
        None => Ok(manifest),
        Some(file) => Err(format!(
            "it names {}, which is not where objects of this set lie: somebody altered or made it, or the bucket was \
             copied to another prefix than the one in [s3]",
            file.key
        )),
    }
}

fn astray<'m>(manifest: &'m Manifest, layout: &Layout) -> Option<&'m StoredFile> {
    manifest.files.iter().find(|file| {
        let place = layout.data(&manifest.id, &file.path);
        place.map_or(true, |key| format!("{key}{}", file.suffix()) != file.key)
    })
}
