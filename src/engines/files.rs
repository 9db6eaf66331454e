//! The search of engines whose set is one file, or one folder that a dump program made, at any depth.

use std::fs;
use std::path::Path;

use super::folder;
use super::names::Judged;
use super::search::{Search, last_name, place, source_file};
use super::{Discovery, Why};
use crate::model::{RelPath, SetKind};
use crate::source::LOST_AND_FOUND;
use crate::source::{Kind, Next, walk};

/// `is_set` tells of a directory, by its path and whether its name has a date, that it is one set.
pub(super) fn discover(mut search: Search<'_>, is_set: impl Fn(&Path, bool) -> bool) -> Discovery {
    let source = search.source;
    walk(&source.dir, &source.dir, &source.exclude, |seen| {
        let (path, rel) = (seen.path, seen.rel);
        match &seen.kind {
            Kind::Dir if path.file_name().is_some_and(|name| name == LOST_AND_FOUND) => {
                search.pass(path, Why::NotABackup);
                return Next::Pass;
            }
            Kind::Dir => {
                let named = search.rules.judge_dated(&last_name(rel));
                if named == Judged::Pass(Why::InProgress) {
                    search.pass(path, Why::InProgress);
                    search.app(rel.parent().unwrap_or(Path::new("")));
                    return Next::Pass;
                }
                let dated = matches!(named, Judged::Set(..) | Judged::Pass(Why::OtherDate(_)));
                if !rel.as_os_str().is_empty() && is_set(path, dated) {
                    match named {
                        Judged::Set(date, notes) => folder::take(&mut search, path, rel, (date, notes)),
                        Judged::Pass(why) => search.pass(path, why),
                    }
                    search.app(rel.parent().unwrap_or(Path::new("")));
                    return Next::Pass;
                }
                if search.rules.is_asked_for(&last_name(rel)) {
                    search.dated.push(path.to_owned());
                }
                if fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
                    search.app(rel);
                }
            }
            Kind::File => {
                // The source itself is an app only where backups lie in it.
                if let Some(dir) = rel.parent().filter(|dir| !dir.as_os_str().is_empty()) {
                    search.app(dir);
                }
                file(&mut search, path, rel);
            }
            Kind::Symlink => {
                let why = search.judge_link(path, rel);
                // Whoever put it there has backups behind it: they are expected, and not found.
                if why == Why::LinkedFolder && search.has_backups(path) {
                    search.app(rel);
                }
                search.pass(path, why);
            }
            Kind::Special(what) => {
                let why = match search.judge(rel) {
                    Judged::Set(..) => Why::NearMiss(format!("it is {what}, not a regular file")),
                    Judged::Pass(why) => why,
                };
                search.pass(path, why);
            }
            Kind::Excluded(pattern) => search.pass(path, Why::Excluded((*pattern).to_owned())),
            Kind::Unreadable(error) => search.pass(path, Why::Unreadable(error.to_string())),
        }
        Next::Enter
    });
    search.note_hollow(
        "nothing in this directory is a backup by its name, nor is it one that a known dump program made",
    );
    search.found
}

fn file(search: &mut Search<'_>, path: &Path, rel: &Path) {
    let (date, notes) = match search.judge(rel) {
        Judged::Set(date, notes) => (date, notes),
        Judged::Pass(why) => {
            if matches!(why, Why::OtherDate(_)) {
                search.app(rel.parent().unwrap_or(Path::new("")));
            }
            return search.pass(path, why);
        }
    };
    let place = match place(rel) {
        Ok(place) => place,
        Err(why) => return search.pass(path, Why::BadName(why)),
    };
    match source_file(path, RelPath::empty()) {
        Ok(file) => {
            let mut set = search.set(path, place, SetKind::File, (date, notes));
            set.files.push(file);
            search.take(set);
        }
        Err(error) => search.pass(path, Why::Unreadable(error.to_string())),
    }
}
