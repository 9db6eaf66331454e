//! This machine: files, rights, space, the lock, the clock, the user.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::{Area, Line, bytes};
use crate::lock::Holder;
use crate::model::Engine;

const AREA: Area = Area::Local;

/// Less than this, and not even logs and records fit.
const LEAST_SPACE: u64 = 64 * 1024 * 1024;
/// Less than this is soon nothing.
const LITTLE_SPACE: u64 = 1024 * 1024 * 1024;

/// S3 refuses requests whose time is further off (S3 user guide, "Signature Version 4").
const SKEW_LIMIT_SECONDS: i64 = 15 * 60;
/// What a machine with a time service never reaches.
const SKEW_NOTABLE_SECONDS: i64 = 60;

/// The configuration file, by its permission bits.
#[must_use]
pub fn config_file(path: &Path, mode: u32, owner: u32, user: u32) -> Line {
    let what = "configuration file";
    let seen = format!("{} is valid, mode {:03o}", path.display(), mode & 0o777);
    if owner != 0 && owner != user {
        let seen = format!("{seen}, owned by user {owner}");
        let advice = format!("its owner decides where backups go: chown root {}", path.display());
        return Line::warn(AREA, what, seen, advice);
    }
    if mode & 0o022 != 0 {
        let seen = format!("{seen}, writable by others");
        let advice = format!("others may send backups elsewhere by it: chmod 640 {}", path.display());
        return Line::fail(AREA, what, seen, advice);
    }
    if mode & 0o004 != 0 {
        let seen = format!("{seen}, readable by everybody");
        let advice = format!(
            "every user of this machine may read where backups lie: chmod 640 {}, and give it the group of the \
             backup's user",
            path.display()
        );
        return Line::fail(AREA, what, seen, advice);
    }
    Line::ok(AREA, what, seen)
}

/// The shared credentials file, which holds secrets where it exists.
#[must_use]
pub fn credentials_file(path: &Path, mode: u32) -> Line {
    let what = "credentials file";
    let seen = format!("{}, mode {:03o}", path.display(), mode & 0o777);
    if mode & 0o077 != 0 {
        let advice = format!("it holds secrets that others may read: chmod 600 {}", path.display());
        return Line::fail(AREA, what, seen, advice);
    }
    Line::ok(AREA, what, seen)
}

/// What a walk over a source met.
#[derive(Debug, Clone, Default)]
pub struct SourceFacts {
    /// Why the directory cannot be listed, where it cannot.
    pub error: Option<String>,
    /// Files that this user can open.
    pub readable: u64,
    /// Files and directories that it cannot, the first few.
    pub unreadable: Vec<PathBuf>,
    /// How many there are of those.
    pub unreadable_count: u64,
    /// Bytes of the largest file.
    pub largest: u64,
    /// Whether the walk stopped before its end.
    pub partial: bool,
}

/// A source directory.
#[must_use]
pub fn source(engine: &str, dir: &Path, facts: &SourceFacts) -> Line {
    let what = format!("source {engine}");
    if let Some(error) = &facts.error {
        let seen = format!("{}: {error}", dir.display());
        return Line::fail(AREA, what, seen, "mount or create it, and let this user read it");
    }
    if let Some(first) = facts.unreadable.first() {
        let seen =
            format!("{} of its files cannot be read, such as {}", facts.unreadable_count, first.display());
        return Line::fail(
            AREA,
            what,
            seen,
            "let this user read them: by group, or by an ACL of the directory",
        );
    }
    let part = if facts.partial { ", the rest not looked at" } else { "" };
    if facts.readable == 0 {
        let seen = format!("{} has no file", dir.display());
        return Line::warn(AREA, what, seen, "see that the database's own backups run and write there");
    }
    let files =
        if facts.readable == 1 { "its one file".to_owned() } else { format!("all {} files", facts.readable) };
    Line::ok(AREA, what, format!("{}: {files} can be read{part}", dir.display()))
}

/// What `[[expect]]` says of the engines that are backed up; `unexpected` are those of which it says nothing.
#[must_use]
pub fn expected(engines: usize, unexpected: &[Engine]) -> Line {
    let what = "expectations";
    if unexpected.is_empty() {
        return Line::ok(AREA, what, "backups of every engine here are expected ([[expect]])");
    }
    let advice =
        "write an [[expect]] for each engine, as the example has it: a run ends with 1 where one is missing";
    let seen = if unexpected.len() == engines {
        "nothing is expected ([[expect]]): a backup that stops is not missed".to_owned()
    } else {
        let names: Vec<&str> = unexpected.iter().map(|engine| engine.as_str()).collect();
        format!("nothing is expected of {} ([[expect]]): a backup that stops is not missed", names.join(", "))
    };
    Line::warn(AREA, what, seen, advice)
}

/// A directory that is written to.
#[derive(Debug, Clone)]
pub struct Place {
    /// What it is for: `log directory` …
    pub what: &'static str,
    /// The directory.
    pub dir: PathBuf,
    /// Whether a file could be made in it, or in the directory that it would be made in.
    pub writable: Result<(), String>,
    /// Whether it is there.
    pub exists: bool,
    /// Bytes that this user may still write.
    pub free: u64,
    /// Bytes that are wanted there at once, where that is known.
    pub wanted: u64,
    /// Who else may write in it, where it is there and that matters.
    pub open_to: Option<String>,
}

/// Who besides root and the run's user may write in a directory of these permission bits: whoever can, can make a
/// run forget what it did not store, or write in another place.
#[must_use]
pub fn open_to(mode: u32, (owner, group): (u32, u32), user: u32) -> Option<String> {
    if owner != 0 && owner != user {
        return Some(format!("user {owner}, who owns it"));
    }
    if mode & 0o002 != 0 {
        return Some("everybody".to_owned());
    }
    (mode & 0o020 != 0 && group != 0).then(|| format!("group {group}"))
}

/// Space and rights.
#[must_use]
pub fn place(place: &Place) -> Line {
    let dir = place.dir.display();
    if let Err(why) = &place.writable {
        let advice =
            format!("make {dir} writable for this user, or name another directory in the configuration");
        return Line::fail(AREA, place.what, format!("{dir}: {why}"), advice);
    }
    if let Some(others) = &place.open_to {
        let seen = format!("{dir} may be written by {others}");
        let advice = format!(
            "others may remove what was told there, or lead a run astray: give it to the user of the runs, and chmod 750 \
             {dir}"
        );
        return Line::fail(AREA, place.what, seen, advice);
    }
    let made = if place.exists { "" } else { " (will be made)" };
    let seen = format!("{dir}{made}: writable, {} free", bytes(place.free));
    if place.free < LEAST_SPACE {
        return Line::fail(AREA, place.what, seen, "free some space there");
    }
    if place.free < place.wanted {
        let seen = format!("{seen}; the largest backup has {}", bytes(place.wanted));
        let advice = "a restore of it to this place fails: have another place ready, or free some space";
        return Line::warn(AREA, place.what, seen, advice);
    }
    let seen = match place.wanted {
        0 => seen,
        wanted => format!("{seen}, enough for the largest backup ({})", bytes(wanted)),
    };
    if place.free < LITTLE_SPACE {
        return Line::warn(AREA, place.what, seen, "free some space there soon");
    }
    Line::ok(AREA, place.what, seen)
}

/// Who holds the lock.
#[derive(Debug, Clone)]
pub enum LockState {
    /// Nobody.
    Free,
    /// A process, which may have told who it is.
    Held(Option<Holder>),
    /// It could not be seen.
    Unseen(String),
}

/// The lock. A check never takes it: a backup that begins at that moment would be turned away.
#[must_use]
pub fn lock(state: &LockState) -> Line {
    let what = "lock";
    match state {
        LockState::Free => Line::ok(AREA, what, "free: no run is under way"),
        LockState::Held(Some(holder)) => Line::warn(
            AREA,
            what,
            format!("held by process {}, target {}, since {}", holder.pid, holder.target, holder.started),
            "a run is under way; one that never ends has to be looked at",
        ),
        LockState::Held(None) => Line::warn(AREA, what, "held", "a run is under way"),
        LockState::Unseen(why) => Line::unknown(AREA, what, why.clone(), "make /proc readable"),
    }
}

/// This machine's clock against the server's `Date`.
#[must_use]
pub fn clock(ours: DateTime<Utc>, server: Option<&str>) -> Line {
    let what = "clock";
    let Some(server) = server else {
        return Line::unknown(AREA, what, "the server told no time", "compare with `timedatectl`");
    };
    let Ok(theirs) = DateTime::parse_from_rfc2822(server) else {
        let seen = format!("the server's time `{}` cannot be read", server.escape_debug());
        return Line::unknown(AREA, what, seen, "compare with `timedatectl`");
    };
    let ahead = (ours - theirs.with_timezone(&Utc)).num_seconds();
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let off = ahead.abs();
    let seen = match off {
        0..=1 => "agrees with the server's clock".to_owned(),
        2..=119 => format!("{off} s {side} the server's clock"),
        _ => format!("{} min {side} the server's clock", off / 60),
    };
    if off > SKEW_LIMIT_SECONDS {
        let advice = "S3 refuses requests that are more than 15 min off, and `yesterday` is by this clock: set it, and \
                      run a time service (chrony, systemd-timesyncd)";
        Line::fail(AREA, what, seen, advice)
    } else if off > SKEW_NOTABLE_SECONDS {
        let advice = "run a time service (chrony, systemd-timesyncd): S3 refuses requests from 15 min on, and \
                      `yesterday` is by this clock";
        Line::warn(AREA, what, seen, advice)
    } else {
        Line::ok(AREA, what, seen)
    }
}

/// The user that this runs as.
#[must_use]
pub fn user(name: Option<&str>, effective: u32, real: u32) -> Line {
    let name = name.unwrap_or("a user without a name");
    let seen = format!("{name} (uid {effective})");
    if effective == real {
        Line::ok(AREA, "user", seen)
    } else {
        let seen = format!("{seen}, started by uid {real}");
        Line::warn(AREA, "user", seen, "run the check as the user that cron or the timer uses")
    }
}

/// The variables that change what a run does: those of this shell that cron would not give.
#[must_use]
pub fn environment(variables: &[String]) -> Line {
    let what = "environment";
    if variables.is_empty() {
        return Line::ok(AREA, what, "nothing that cron would not give");
    }
    let seen = format!("set here, but not under cron: {}", variables.join(", "));
    let advice = "see that a run from cron does not need them: dbbackup check --as-cron";
    Line::warn(AREA, what, seen, advice)
}
