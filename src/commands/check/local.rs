//! What this machine shows of itself.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::check::Line;
use crate::check::local::{self, LockState, Place, SourceFacts};
use crate::config::{Config, Source};
use crate::lock;
use crate::source::LOST_AND_FOUND;

/// Files of a source that are looked at: a check is no run.
const MOST_FILES: u64 = 50_000;
/// Of those that cannot be read, so many are named.
const NAMED: usize = 3;

/// The lines of this machine, but for the clock.
pub(super) async fn lines(config: &Config) -> Vec<Line> {
    let config = config.clone();
    // A dead network file system blocks where it stands.
    let looked = tokio::task::spawn_blocking(move || look(&config)).await;
    looked.unwrap_or_default()
}

fn look(config: &Config) -> Vec<Line> {
    let mut lines = Vec::new();
    let (effective, real) = (rustix::process::geteuid().as_raw(), rustix::process::getuid().as_raw());
    lines.push(local::user(user_name(effective).as_deref(), effective, real));
    lines.push(local::environment(&variables()));
    lines.extend(config_file(&config.path, effective));
    lines.extend(credentials_file());
    let mut largest = 0;
    for (engine, source) in &config.sources {
        let facts = source_facts(source);
        largest = largest.max(facts.largest);
        lines.push(local::source(engine.as_str(), &source.dir, &facts));
    }
    if !config.sources.is_empty() {
        lines.push(local::expected(config.sources.len(), &config.unexpected()));
    }
    let restore = config.drill.scratch.as_ref().unwrap_or(&config.state.dir);
    for (what, dir) in [("log directory", &config.log.dir), ("state directory", &config.state.dir)] {
        let open_to = open_to(dir, effective);
        lines.push(local::place(&Place { open_to, ..place(what, dir, 0) }));
    }
    lines.push(local::place(&place("restore directory", restore, largest)));
    let held = match lock::look(&config.state.dir) {
        Ok(lock::Seen::Free) => LockState::Free,
        Ok(lock::Seen::Held(holder)) => LockState::Held(holder),
        Err(error) => LockState::Unseen(error.to_string()),
    };
    lines.push(local::lock(&held));
    lines
}

fn config_file(path: &Path, user: u32) -> Option<Line> {
    let about = fs::metadata(path).ok()?;
    Some(local::config_file(path, about.mode(), about.uid(), user))
}

/// Only where there is one: most hosts do without.
fn credentials_file() -> Option<Line> {
    let named = std::env::var_os("AWS_SHARED_CREDENTIALS_FILE").map(PathBuf::from);
    let path = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".aws/credentials")))?;
    let about = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    Some(local::credentials_file(&path, about.mode()))
}

/// Those that change what a run does and that cron would not give; names only.
fn variables() -> Vec<String> {
    let counts = |name: &str| {
        name.starts_with("AWS_") || name.starts_with("DBBACKUP_") || name.starts_with("SSL_CERT_")
    };
    let mut names: Vec<String> = std::env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| counts(name))
        .collect();
    names.sort();
    names
}

fn source_facts(source: &Source) -> SourceFacts {
    let mut facts = SourceFacts::default();
    if let Err(error) = fs::read_dir(&source.dir) {
        facts.error = Some(error.to_string());
        return facts;
    }
    let excluded = |path: &Path| {
        path.file_name().is_some_and(|name| name == LOST_AND_FOUND)
            || path.strip_prefix(&source.dir).is_ok_and(|rel| source.exclude.matched(rel).is_some())
    };
    let unreadable = |facts: &mut SourceFacts, path: &Path| {
        facts.unreadable_count += 1;
        if facts.unreadable.len() < NAMED {
            facts.unreadable.push(path.to_owned());
        }
    };
    let walk = walkdir::WalkDir::new(&source.dir).into_iter().filter_entry(|entry| !excluded(entry.path()));
    for entry in walk {
        match entry {
            Err(error) => unreadable(&mut facts, error.path().unwrap_or(&source.dir)),
            Ok(entry) if entry.file_type().is_file() => {
                match open(entry.path()).and_then(|file| file.metadata()) {
                    Ok(about) => {
                        facts.readable += 1;
                        facts.largest = facts.largest.max(about.len());
                    }
                    // Gone since it was listed.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => unreadable(&mut facts, entry.path()),
                }
            }
            Ok(_) => {}
        }
        if facts.readable + facts.unreadable_count >= MOST_FILES {
            facts.partial = true;
            break;
        }
    }
    facts
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

fn place(what: &'static str, dir: &Path, wanted: u64) -> Place {
    // A file in its place, or above it, is there too: in that nothing can be made.
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    // A file without a name: nothing of it is left, however this ends.
    let writable = tempfile::tempfile_in(there).map(|_| ()).map_err(|error| error.to_string());
    let free = rustix::fs::statvfs(there).map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize));
    Place { what, dir: dir.to_owned(), writable, exists: there == dir, free, wanted, open_to: None }
}

fn open_to(dir: &Path, user: u32) -> Option<String> {
    let about = fs::metadata(dir).ok()?;
    local::open_to(about.mode(), (about.uid(), about.gid()), user)
}

fn user_name(uid: u32) -> Option<String> {
    passwd(uid).map(|fields| fields.0)
}

/// Name, home and shell of a user of this machine's own list.
pub(super) fn passwd(uid: u32) -> Option<(String, String, String)> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        match fields.as_slice() {
            [name, _, id, _, _, home, shell, ..] if id.parse() == Ok(uid) => {
                Some(((*name).to_owned(), (*home).to_owned(), (*shell).to_owned()))
            }
            _ => None,
        }
    })
}

/// The distribution's own name for itself.
pub(super) fn system_name() -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}
