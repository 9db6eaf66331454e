//! The time zone, of `TZ` or of the system: of one that cannot be read UTC would be made without a word, and yesterday
//! might be another day.

use std::path::Path;

use regex::Regex;

use super::setup::Failure;

/// Where zones lie by name.
const DIRS: [&str; 3] = ["/usr/share/zoneinfo", "/share/zoneinfo", "/etc/zoneinfo"];

/// The zone of the system; where it is not there at all, UTC is meant.
const SYSTEM: &str = "/etc/localtime";

/// Refuses to tell which day it is by a zone that is none.
pub(super) fn refuse_unknown() -> Result<(), Failure> {
    match std::env::var_os("TZ") {
        Some(zone) if !zone.to_str().is_some_and(is_known) => Err(Failure::usage(anyhow::anyhow!(
            "TZ is `{}`, which is no time zone that can be read here, so it is not known which day it is; use a name such \
             as Europe/Berlin, and see that tzdata is installed",
            zone.display()
        ))),
        None if is_lost(Path::new(SYSTEM)) => Err(Failure::usage(anyhow::anyhow!(
            "{SYSTEM} is no time zone that can be read, so it is not known which day it is; set it with `timedatectl \
             set-timezone Europe/Berlin` or the like, and see that tzdata is installed"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Whether something is there and no zone can be read from it: a link that leads nowhere, mostly. The form of a zone's
/// file: RFC 9636.
fn is_lost(path: &Path) -> bool {
    let is_there = path.symlink_metadata().is_ok();
    is_there && !std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"TZif"))
}

/// A file, or a rule as POSIX writes it ("TZ Variable"), with the days of daylight saving time where there is any.
fn is_known(zone: &str) -> bool {
    const NAME: &str = "(<[-+0-9A-Za-z]+>|[A-Za-z]{3,})";
    const OFFSET: &str = r"[-+]?\d{1,3}(:\d{2}){0,2}";
    let zone = zone.strip_prefix(':').unwrap_or(zone);
    // Of which UTC is made, and rightly so, also without any file.
    let universal = ["", "UTC", "UCT", "GMT", "Universal", "Zulu", "Greenwich"];
    if universal.contains(&zone.strip_prefix("Etc/").unwrap_or(zone)) || zone == "localtime" {
        return true;
    }
    if DIRS.iter().any(|dir| Path::new(dir).join(zone).is_file()) {
        return true;
    }
    let rule = format!("^{NAME}{OFFSET}({NAME}({OFFSET})?,.+)?$");
    Regex::new(&rule).is_ok_and(|rule| rule.is_match(zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_zone_is_lost_where_its_link_leads_nowhere_and_not_where_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (zone, link) = (dir.path().join("zone"), dir.path().join("localtime"));
        assert!(!is_lost(&link));
        std::os::unix::fs::symlink(&zone, &link).unwrap();
        assert!(is_lost(&link));
        std::fs::write(&zone, b"").unwrap();
        assert!(is_lost(&link));
        std::fs::write(&zone, b"TZif2").unwrap();
        assert!(!is_lost(&link));
    }

    #[test]
    fn zone_without_its_rule_is_none() {
        for zone in
            ["", "UTC", ":UTC", "Etc/UTC", "UTC0", "CET-1", "<+0330>-3:30", "CET-1CEST,M3.5.0,M10.5.0/3"]
        {
            assert!(is_known(zone), "{zone}");
        }
        for zone in ["CET-1CEST", "Europe/Atlantis", "nonsense", "/nowhere/zone"] {
            assert!(!is_known(zone), "{zone}");
        }
    }
}
