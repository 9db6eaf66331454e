//! SQL Server: a set is one backup file, as SQL Server wrote it.

use super::Why;
use super::names::{NameKind, ends_with, sidecar};
use crate::config::Source;

/// What a file's name says, its date aside.
pub(super) fn kind(name: &str, source: &Source) -> NameKind {
    let taken = [(".bak", true), (".dif", source.include_differential), (".trn", source.include_log)];
    if taken.iter().any(|(ending, taken)| *taken && ends_with(name, ending)) {
        NameKind::Backup
    } else if name.to_ascii_lowercase().contains(".bak.") && !sidecar(name) {
        NameKind::Near("only files that end .bak are sent, as SQL Server wrote them".to_owned())
    } else {
        NameKind::Other(Why::NotABackup)
    }
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
        for name in ["a.dif", "a.trn", "a.txt", "bak", "a.bak.md5"] {
            assert!(matches!(kind(name, &source), NameKind::Other(Why::NotABackup)), "{name}");
        }
        assert!(matches!(kind("a.bak.gz", &source), NameKind::Near(_)));
        source.include_differential = true;
        assert!(matches!(kind("a.DIF", &source), NameKind::Backup));
        assert!(matches!(kind("a.trn", &source), NameKind::Other(_)));
        source.include_log = true;
        assert!(matches!(kind("a.trn", &source), NameKind::Backup));
    }
}
