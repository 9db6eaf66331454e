//! SQL Server: a set is one backup file, as SQL Server wrote it.

use super::Why;
use super::names::{NameKind, ends_with, sidecar};
use crate::config::Source;

/// What a file's name says, its date aside.
pub(super) fn kind(name: &str, source: &Source) -> NameKind {
    if ends_with(name, ".bak") {
        return NameKind::Backup;
    }
    if sidecar(name) {
        return NameKind::Other;
    }
    let name_in_small = name.to_ascii_lowercase();
    let optional = [
        (".dif", source.include_differential, "include_differential"),
        (".trn", source.include_log, "include_log"),
    ];
    for (ending, taken, option) in optional {
        let is_it = ends_with(name, ending);
        if taken && is_it {
            return NameKind::Backup;
        }
        if !taken && (is_it || name_in_small.contains(&format!("{ending}."))) {
            return NameKind::Off(Why::SwitchedOff(option));
        }
    }
    let what = "only files that end .bak are sent, as SQL Server wrote them".to_owned();
    if name_in_small.contains(".bak.") { NameKind::Near(what) } else { NameKind::Foreign(what) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Check;
    use crate::engines::Excludes;

    #[test]
    fn differentials_and_logs_are_backups_only_where_switched_on() {
        let mut source = Source {
            dir: "/srv/mssql".into(),
            exclude: Excludes::default(),
            include_level1: false,
            include_differential: false,
            include_log: false,
            priority: 0,
            min_size: Source::MIN_SIZE,
            check: Check { command: Vec::new(), timeout: Check::TIMEOUT },
            recipe: crate::codec::Recipe::default(),
        };
        for name in ["a.bak", "a.BAK", "a.Bak"] {
            assert!(matches!(kind(name, &source), NameKind::Backup), "{name}");
        }
        for name in ["a.dif", "a.trn", "a.TRN.gz"] {
            assert!(matches!(kind(name, &source), NameKind::Off(Why::SwitchedOff(_))), "{name}");
        }
        for name in ["a.txt", "a.bak.md5"] {
            assert!(matches!(kind(name, &source), NameKind::Other), "{name}");
        }
        for name in ["bak", "a.zip", "a.7z", "a.bkp", "a.sqb", "a.backup", "a.bacpac"] {
            assert!(matches!(kind(name, &source), NameKind::Foreign(_)), "{name}");
        }
        assert!(matches!(kind("a.bak.gz", &source), NameKind::Near(_)));
        source.include_differential = true;
        assert!(matches!(kind("a.DIF", &source), NameKind::Backup));
        assert!(matches!(kind("a.trn", &source), NameKind::Off(_)));
        source.include_log = true;
        assert!(matches!(kind("a.trn", &source), NameKind::Backup));
    }
}
