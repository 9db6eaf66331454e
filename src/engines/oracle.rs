//! Oracle: a set is one RMAN folder with every file in it.

use std::fs;
use std::path::Path;

use super::folder;
use super::names::{Judged, NameKind, ends_with, sidecar};
use super::search::{Search, holds_sidecars_only, last_name};
use super::{Discovery, Why};
use crate::config::Source;
use crate::source::{Kind, LOST_AND_FOUND, Next, walk};

/// Levels below the source at which RMAN folders lie: `<app>/rman_…`.
const LEVEL: usize = 2;

/// How scripts name a backup of level 1, each a whole component of a name, in any letter case; with a `c` or a `d`
/// behind it, a cumulative or a differential one.
const LEVEL_1: [&str; 7] = ["lv1", "lvl1", "level1", "l1", "incr1", "inc1", "diff"];

/// Whether a folder or a piece says by its name that it is of level 1: it restores only on top of one of level 0.
#[must_use]
pub fn is_level_1(name: &str) -> bool {
    name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| {
        LEVEL_1.iter().any(|word| {
            let (head, tail) = part.split_at_checked(word.len()).unwrap_or((part, ""));
            head.eq_ignore_ascii_case(word) && ["", "c", "d"].iter().any(|end| tail.eq_ignore_ascii_case(end))
        })
    })
}

/// What a folder's name says, its date aside.
pub(super) fn kind(name: &str, source: &Source) -> NameKind {
    if name.starts_with("rman_") {
        match (source.include_level1, is_level_1(name)) {
            (false, true) => NameKind::Off(Why::Level1),
            (false, false) if name.contains("lv1") => NameKind::Near(
                "its name holds `lv1`, by which level-1 folders are told: write the level as a word of its own \
                 (`_lv1_`), or set include_level1"
                    .to_owned(),
            ),
            (true, _) | (false, false) => NameKind::Backup,
        }
    } else if sidecar(name) {
        NameKind::Other
    } else if starts_like_rman(name) {
        NameKind::Near("the name of an RMAN folder begins `rman_`, in small letters".to_owned())
    } else {
        NameKind::Foreign(format!(
            "an RMAN backup is taken as a folder whose name begins `rman_`, {LEVEL} levels below the source \
             (<app>/rman_...)"
        ))
    }
}

pub(super) fn discover(mut search: Search<'_>) -> Discovery {
    let source = search.source;
    walk(&source.dir, &source.dir, &source.exclude, |seen| {
        let (path, rel, depth) = (seen.path, seen.rel, seen.depth);
        match &seen.kind {
            Kind::Dir if last_name(rel) == LOST_AND_FOUND => search.pass(path, Why::NotABackup),
            Kind::Dir if depth == LEVEL => return rman_folder(&mut search, path, rel),
            Kind::Dir => return elsewhere(&mut search, path, rel, depth),
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
                    (LEVEL, Why::LinkedFolder | Why::DanglingLink) => Why::NotABackup,
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
    search.note_hollow("no RMAN folder is in this one");
    search.found
}

/// A folder at another level than that of RMAN folders.
fn elsewhere(search: &mut Search<'_>, path: &Path, rel: &Path, depth: usize) -> Next {
    if depth == LEVEL - 1 {
        search.app(rel);
    }
    match search.judge(rel) {
        Judged::Set(..) => search.pass(path, wrong_level(depth)),
        Judged::Pass(why @ Why::NearMiss(_)) => return near(search, path, why, depth),
        Judged::Pass(_) => {}
    }
    // One level more than needed, so that a folder which lies too deep is told.
    if depth < LEVEL { Next::Enter } else { Next::Pass }
}

/// A folder of a day asked for that is no RMAN folder. Of one that holds folders it is known once they were seen.
fn near(search: &mut Search<'_>, path: &Path, why: Why, depth: usize) -> Next {
    if holds_sidecars_only(path) {
        search.pass(path, Why::NotABackup);
        return Next::Pass;
    }
    if depth <= LEVEL && holds_folders(path) {
        search.dated.push(path.to_owned());
        return Next::Enter;
    }
    search.pass(path, why);
    Next::Pass
}

fn holds_folders(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
}

fn wrong_level(depth: usize) -> Why {
    Why::NearMiss(format!(
        "an RMAN folder is taken exactly {LEVEL} levels below the source (<app>/rman_...), not at level {depth}"
    ))
}

/// Why something that is no folder is passed over; `None` where it is not worth a word.
fn not_a_folder(search: &Search<'_>, rel: &Path, depth: usize, what: &str) -> Option<Why> {
    let name = last_name(rel);
    match search.judge(rel) {
        Judged::Set(..) | Judged::Pass(Why::NearMiss(_)) if ends_with(&name, ".dmp") => Some(Why::NearMiss(
            "it is a Data Pump export, and of Oracle RMAN folders alone are taken (<app>/rman_...)"
                .to_owned(),
        )),
        Judged::Set(..) | Judged::Pass(Why::NearMiss(_)) if !sidecar(&name) => {
            Some(Why::NearMiss(format!("it is {what}; an RMAN backup is taken as a folder (<app>/rman_...)")))
        }
        Judged::Set(..) | Judged::Pass(_) => (depth == LEVEL).then_some(Why::NotABackup),
    }
}

fn starts_like_rman(name: &str) -> bool {
    name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("rman"))
}

/// A folder at the level of RMAN folders.
fn rman_folder(search: &mut Search<'_>, path: &Path, rel: &Path) -> Next {
    let (date, notes) = match search.judge(rel) {
        Judged::Set(date, notes) => (date, notes),
        Judged::Pass(why) => {
            if matches!(why, Why::NearMiss(_)) && !starts_like_rman(&last_name(rel)) {
                return near(search, path, why, LEVEL);
            }
            let enter = why == Why::NotABackup;
            search.pass(path, why);
            return if enter { Next::Enter } else { Next::Pass };
        }
    };
    folder::take(search, path, rel, (date, notes));
    Next::Pass
}
