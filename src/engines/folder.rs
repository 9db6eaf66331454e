//! What sets that are folders have in common: every file in them, whatever its name.
//!
//! What must stay true: a folder of which any part could not be taken is known to be incomplete.

use std::path::Path;

use super::search::{Search, place, rel_path, source_file};
use super::why::printable;
use super::{BackupSet, Why};
use crate::model::{BackupDate, SetKind};
use crate::source::{Kind, Next, walk};

/// Takes the folder at `path` as a set of `date` with `notes` on its name.
pub(super) fn take(search: &mut Search<'_>, path: &Path, rel: &Path, named: (BackupDate, Vec<String>)) {
    let place = match place(rel) {
        Ok(place) => place,
        Err(why) => return search.pass(path, Why::BadName(why)),
    };
    let mut set = search.set(path, place, SetKind::Folder, named);
    fill(search, &mut set);
    if set.files.is_empty() && set.troubles.is_empty() {
        search.pass(path, Why::EmptyFolder);
    } else {
        search.take(set);
    }
}

/// Takes every file of the folder, and notes whatever could not be taken.
fn fill(search: &mut Search<'_>, set: &mut BackupSet) {
    let source = search.source;
    let mut left_out = 0_usize;
    let folder = set.path.clone();
    walk(&source.dir, &folder, &source.exclude, |seen| {
        let inner = seen.path.strip_prefix(&folder).unwrap_or(seen.path);
        let shown =
            || if seen.depth == 0 { "the folder".to_owned() } else { format!("`{}`", printable(inner)) };
        let trouble = match &seen.kind {
            Kind::Dir => None,
            Kind::File => file(set, seen.path, inner).err(),
            Kind::Symlink => Some("is a symbolic link; links are not followed".to_owned()),
            Kind::Special(what) => Some(format!("is {what}, not a regular file")),
            Kind::Unreadable(error) => Some(format!("cannot be read: {error}")),
            Kind::Excluded(pattern) => {
                left_out += 1;
                search.pass(seen.path, Why::Excluded((*pattern).to_owned()));
                None
            }
        };
        if let Some(trouble) = trouble {
            set.troubles.push(format!("{} {trouble}", shown()));
        }
        Next::Enter
    });
    if left_out > 0 {
        set.notes.push(format!("{left_out} of its entries are left out by exclusions"));
    }
    set.files.sort_unstable_by(|a, b| a.rel.cmp(&b.rel));
}

fn file(set: &mut BackupSet, path: &Path, inner: &Path) -> Result<(), String> {
    let rel = rel_path(inner).map_err(|why| format!("cannot be an object key: {why}"))?;
    let file = source_file(path, rel).map_err(|error| format!("cannot be read: {error}"))?;
    set.files.push(file);
    Ok(())
}
