//! MySQL and MariaDB: a set is one dump file.

use super::Why;
use super::names::{NameKind, ends_with, sidecar};

/// Endings of dumps, in any letter case.
const ENDINGS: [&str; 5] = [".sql", ".sql.gz", ".sql.zst", ".sql.xz", ".sql.bz2"];

/// What a file's name says, its date aside.
pub(super) fn kind(name: &str) -> NameKind {
    if ENDINGS.iter().any(|ending| ends_with(name, ending)) {
        NameKind::Backup
    } else if name.to_ascii_lowercase().contains(".sql.") && !sidecar(name) {
        NameKind::Near(format!("only files ending {} are sent", ENDINGS.join(" ")))
    } else {
        NameKind::Other(Why::NotABackup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dumps_are_backups_and_unknown_compression_is_a_near_miss() {
        for name in ["a.sql", "a.SQL", "a.sql.gz", "a.sql.zst", "a.sql.xz", "a.Sql.Bz2"] {
            assert!(matches!(kind(name), NameKind::Backup), "{name}");
        }
        for name in ["a.sql.zip", "a.sql.gpg", "a.sql.001"] {
            assert!(matches!(kind(name), NameKind::Near(_)), "{name}");
        }
        for name in ["a.txt", "a.gz", "asql", "a.sql.gz.sha256", "a.sql.log", "sql", "a.sqlite"] {
            assert!(matches!(kind(name), NameKind::Other(Why::NotABackup)), "{name}");
        }
    }
}
