//! Oracle: a set is one RMAN folder with every file in it.

use std::path::Path;

use super::folder;
use super::names::{Judged, NameKind, sidecar};
use super::search::{Search, last_name};
use super::{Discovery, Why};
use crate::config::Source;
use crate::source::{Kind, LOST_AND_FOUND, Next, walk};

/// Levels below the source at which RMAN folders lie: `<app>/rman_…`.
const LEVEL: usize = 2;

/// What a folder's name says, its date aside.
pub(super) fn kind(name: &str, source: &Source) -> NameKind {
    if name.starts_with("rman_") {
        if name.contains("lv1") && !source.include_level1 {
            NameKind::Other(Why::Level1)
        } else {
            NameKind::Backup
        }
    } else if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("rman")) {
        NameKind::Near("the name of an RMAN folder begins `rman_`, in small letters".to_owned())
    } else {
        NameKind::Other(Why::NotABackup)
    }
}

pub(super) fn discover(mut search: Search<'_>) -> Discovery {
    let source = search.source;
    walk(&source.dir, &source.dir, &source.exclude, |seen| {
        let (path, rel, depth) = (seen.path, seen.rel, seen.depth);
        match &seen.kind {
            Kind::Dir if last_name(rel) == LOST_AND_FOUND => search.pass(path, Why::NotABackup),
            Kind::Dir if depth == LEVEL => return rman_folder(&mut search, path, rel),
            Kind::Dir => {
                if matches!(search.judge(rel), Judged::Set(..)) {
                    search.pass(path, wrong_level(depth));
                }
                if depth == LEVEL - 1 {
                    search.app(rel);
                }
                // One level more than needed, so that a folder which lies too deep is told.
                return if depth < LEVEL { Next::Enter } else { Next::Pass };
            }
            Kind::File => {
                if let Some(why) = not_a_folder(&search, rel, depth, "a file") {
                    search.pass(path, why);
                }
            }
            Kind::Special(what) => {
                if let Some(why) = not_a_folder(&search, rel, depth, what) {
                    search.pass(path, why);
                }
            }
            Kind::Symlink => {
                let why = search.judge_link(path, rel);
                let why = match (depth, &why) {
                    (1, Why::Symlink) => wrong_level(depth),
                    (LEVEL, Why::LinkedFolder) => Why::NotABackup,
                    (1, Why::LinkedFolder) => {
                        if search.has_backups(path) {
                            search.app(rel);
                        }
                        why
                    }
                    (1 | LEVEL, _) => why,
                    (_, Why::Symlink) => wrong_level(depth),
                    _ => return Next::Pass,
                };
                search.pass(path, why);
            }
            Kind::Excluded(pattern) => search.pass(path, Why::Excluded((*pattern).to_owned())),
            Kind::Unreadable(error) => {
                // What lies deeper than RMAN folders was only looked at for the sake of a warning.
                if depth < LEVEL || matches!(search.judge(rel), Judged::Set(..)) {
                    search.pass(path, Why::Unreadable(error.to_string()));
                }
            }
        }
        Next::Pass
    });
    search.found
}

fn wrong_level(depth: usize) -> Why {
    Why::NearMiss(format!(
        "an RMAN folder is taken exactly {LEVEL} levels below the source (<app>/rman_...), not at level {depth}"
    ))
}

/// Why something that is no folder is passed over; `None` where it is not worth a word.
fn not_a_folder(search: &Search<'_>, rel: &Path, depth: usize, what: &str) -> Option<Why> {
    match search.judge(rel) {
        Judged::Set(..) if !sidecar(&last_name(rel)) => {
            Some(Why::NearMiss(format!("it is {what}; an RMAN backup is taken as a folder")))
        }
        Judged::Set(..) | Judged::Pass(_) => (depth == LEVEL).then_some(Why::NotABackup),
    }
}

/// A folder at the level of RMAN folders.
fn rman_folder(search: &mut Search<'_>, path: &Path, rel: &Path) -> Next {
    let (date, notes) = match search.judge(rel) {
        Judged::Set(date, notes) => (date, notes),
        Judged::Pass(why) => {
            let enter = why == Why::NotABackup;
            search.pass(path, why);
            return if enter { Next::Enter } else { Next::Pass };
        }
    };
    folder::take(search, path, rel, (date, notes));
    Next::Pass
}
