//! MySQL and MariaDB: a set is one dump file, or one directory of mydumper or MySQL Shell.

use std::fs;
use std::path::Path;

use super::names::{NameKind, ends_with, sidecar};

/// Endings of dumps, in any letter case.
const ENDINGS: [&str; 5] = [".sql", ".sql.gz", ".sql.zst", ".sql.xz", ".sql.bz2"];

/// What a file's name says, its date aside.
pub(super) fn kind(name: &str) -> NameKind {
    if ENDINGS.iter().any(|ending| ends_with(name, ending)) {
        NameKind::Backup
    } else if sidecar(name) {
        NameKind::Other
    } else {
        let what = format!("only files ending {} are sent", ENDINGS.join(" "));
        if name.to_ascii_lowercase().contains(".sql.") {
            NameKind::Near(what)
        } else {
            NameKind::Foreign(what)
        }
    }
}

/// Whether the directory at `path` was made by mydumper (`metadata`, `….sql` files of schemas) or by
/// MySQL Shell (`@.json`). One whose dump was stopped has no marker of its own: then its files' names
/// count where its own name has a date.
pub(super) fn is_dump_folder(path: &Path, dated: bool) -> bool {
    // What cannot be read is told by the walk, which goes in.
    let Ok(entries) = fs::read_dir(path) else { return false };
    let (mut shell, mut marker, mut schema, mut create) = (false, false, false, false);
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        shell |= matches!(&*name, "@.json" | "@.done.json");
        marker |= matches!(&*name, "metadata" | "metadata.partial");
        schema |= SCHEMAS.iter().any(|ending| name.ends_with(ending));
        // mydumper writes it before any other; a dump's own name may end in `-schema` too.
        create |= name.contains("-schema-create.sql");
    }
    shell || (schema && marker) || (create && dated)
}

/// Endings of mydumper's files of schemas.
const SCHEMAS: [&str; 6] = [
    "-schema-create.sql",
    "-schema-create.sql.gz",
    "-schema-create.sql.zst",
    "-schema.sql",
    "-schema.sql.gz",
    "-schema.sql.zst",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_of_a_dump_program_is_told_by_its_files_and_a_flat_one_is_none() {
        let folder = |names: &[&str], dated| {
            let dir = tempfile::tempdir().unwrap();
            for name in names {
                std::fs::write(dir.path().join(name), "x").unwrap();
            }
            is_dump_folder(dir.path(), dated)
        };
        assert!(folder(&["metadata", "shop-schema-create.sql.zst", "shop.orders.00000.sql.zst"], false));
        assert!(folder(&["metadata.partial", "shop.orders-schema.sql"], true));
        assert!(
            folder(&["shop-schema-create.sql", "shop.orders-schema.sql"], true),
            "stopped before its end"
        );
        assert!(!folder(&["shop_20250818-schema.sql", "shop_20250818.sql"], true), "two dumps");
        assert!(folder(&["@.json", "shop@orders@@0.tsv.zst"], false));
        assert!(!folder(&["shop-schema.sql", "shop_20250818.sql"], false), "an app's own names");
        assert!(!folder(&["metadata", "shop_20250818.sql"], true));
    }

    #[test]
    fn only_dumps_are_backups_and_unknown_compression_is_a_near_miss() {
        for name in ["a.sql", "a.SQL", "a.sql.gz", "a.sql.zst", "a.sql.xz", "a.Sql.Bz2"] {
            assert!(matches!(kind(name), NameKind::Backup), "{name}");
        }
        for name in ["a.sql.zip", "a.sql.gpg", "a.sql.001"] {
            assert!(matches!(kind(name), NameKind::Near(_)), "{name}");
        }
        for name in ["a.gz", "a.dump", "a.tgz", "a.xbstream", "asql", "sql", "a.sqlite", "a.sql\r"] {
            assert!(matches!(kind(name), NameKind::Foreign(_)), "{name}");
        }
        for name in ["a.txt", "a.sql.gz.sha256", "a.sql.log"] {
            assert!(matches!(kind(name), NameKind::Other), "{name}");
        }
    }
}
