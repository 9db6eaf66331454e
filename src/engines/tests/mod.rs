//! Whole trees on a real disk: what is found, and that nothing else goes unsaid.

mod odd;
mod rman;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::*;
use crate::calendar::CategoryRules;
use crate::config::Check;
use crate::model::{Category, Severity};

/// A source on disk.
struct Tree {
    dir: tempfile::TempDir,
    source: Source,
}

impl Tree {
    fn new(files: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = Source {
            dir: dir.path().join("source"),
            exclude: Excludes::default(),
            include_level1: false,
            include_differential: false,
            include_log: false,
            priority: 0,
            min_size: Source::MIN_SIZE,
            check: Check { command: Vec::new(), timeout: Check::TIMEOUT },
            recipe: crate::codec::Recipe::default(),
        };
        fs::create_dir(&source.dir).unwrap();
        let tree = Self { dir, source };
        for file in files {
            tree.file(file);
        }
        tree
    }

    fn path(&self, rel: impl AsRef<Path>) -> PathBuf {
        self.source.dir.join(rel)
    }

    fn file(&self, rel: impl AsRef<Path>) {
        let path = self.path(&rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, rel.as_ref().as_os_str().as_bytes()).unwrap();
    }

    fn folder(&self, rel: &str) {
        fs::create_dir_all(self.path(rel)).unwrap();
    }

    /// A link in the source at `rel` to `target`.
    fn link(&self, target: impl AsRef<Path>, rel: &str) {
        let path = self.path(rel);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn exclude(mut self, patterns: &[&str]) -> Self {
        let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        self.source.exclude = Excludes::new(&patterns).unwrap();
        self
    }

    /// What was found for Monday 18 August 2025.
    fn find(&self, engine: Engine) -> Discovery {
        discover(engine, &self.source, DateRange::one(day("2025-08-18"))).unwrap()
    }

    /// The found sets as `app/name`.
    fn keys(&self, engine: Engine) -> Vec<String> {
        keys(&self.find(engine))
    }

    /// Why each path was passed over, paths relative to the source.
    fn passed(&self, engine: Engine) -> Vec<(String, Why)> {
        let rel = |path: &Path| path.strip_prefix(&self.source.dir).unwrap().to_string_lossy().into_owned();
        self.find(engine).passed.into_iter().map(|passed| (rel(&passed.path), passed.why)).collect()
    }
}

fn day(text: &str) -> BackupDate {
    text.parse().unwrap()
}

fn keys(found: &Discovery) -> Vec<String> {
    let key = |set: &BackupSet| format!("{}/{}", set.app, set.name);
    found.sets.iter().map(key).collect()
}

fn why<'a>(passed: &'a [(String, Why)], path: &str) -> &'a Why {
    &passed.iter().find(|(of, _)| of == path).unwrap_or_else(|| panic!("{path} is not in {passed:?}")).1
}

#[test]
fn dumps_are_found_at_any_depth_with_their_parent_as_app_and_sorted() {
    let tree = Tree::new(&[
        "shop/b_20250818.sql",
        "shop/a_20250818.sql.gz",
        "api1/test/x_2025-08-18.sql.zst",
        "top_20250818.sql",
        "shop/a_20250817.sql",
        "shop/notes_20250818.txt",
        "shop/schema.sql",
        "shop/bad_20250230.sql",
    ]);
    assert_eq!(
        tree.keys(Engine::Mysql),
        [
            "/top_20250818.sql",
            "api1/test/x_2025-08-18.sql.zst",
            "shop/a_20250818.sql.gz",
            "shop/b_20250818.sql"
        ]
    );
    let passed = tree.passed(Engine::Mysql);
    assert_eq!(passed.len(), 4, "{passed:?}");
    assert_eq!(why(&passed, "shop/a_20250817.sql"), &Why::OtherDate(day("2025-08-17")));
    assert_eq!(why(&passed, "shop/notes_20250818.txt"), &Why::NotABackup);
    assert_eq!(why(&passed, "shop/schema.sql"), &Why::NoDate);
    assert_eq!(why(&passed, "shop/bad_20250230.sql"), &Why::InvalidDate("20250230".to_owned()));
}

#[test]
fn set_of_one_file_carries_its_stamp() {
    let tree = Tree::new(&["shop/a_20250818.sql"]);
    let found = tree.find(Engine::Mysql);
    let [set] = found.sets.as_slice() else { panic!("{found:?}") };
    let [file] = set.files.as_slice() else { panic!("{set:?}") };
    assert_eq!((set.kind, set.date), (SetKind::File, day("2025-08-18")));
    assert!(file.rel.is_empty());
    assert_eq!(file.path, tree.path("shop/a_20250818.sql"));
    assert_eq!(set.bytes(), 19);
    assert_eq!(file.stamp, Stamp::of(&fs::metadata(&file.path).unwrap()));
}

#[test]
fn exclusion_of_a_name_leaves_longer_names_in() {
    let tree = Tree::new(&[
        "skip/a_20250818.sql",
        "skip2/a_20250818.sql",
        "skip/deep/a_20250818.sql",
        "api1/test/a_20250818.sql",
        "api1/test2/a_20250818.sql",
    ])
    .exclude(&["skip", "api1/test"]);
    assert_eq!(tree.keys(Engine::Mysql), ["api1/test2/a_20250818.sql", "skip2/a_20250818.sql"]);
    let passed = tree.passed(Engine::Mysql);
    assert_eq!(passed.len(), 2, "an excluded folder is one entry: {passed:?}");
    assert_eq!(why(&passed, "skip"), &Why::Excluded("skip".to_owned()));
}

#[test]
fn exclusion_of_one_folder_does_not_exclude_every_bak() {
    let tree = Tree::new(&["api1/test/x_20250818.bak", "api1/prod/x_20250818.bak"]).exclude(&["api1/test"]);
    assert_eq!(tree.keys(Engine::Mssql), ["api1/prod/x_20250818.bak"]);
}

#[test]
fn only_dumps_are_sent_as_mysql_and_only_bak_files_as_sql_server() {
    let tree = Tree::new(&[
        "a_20250818.sql",
        "a_20250818.txt",
        "a_20250818.bak",
        "a_20250818.log",
        "a_20250818.zip",
    ]);
    assert_eq!(tree.keys(Engine::Mysql), ["/a_20250818.sql"]);
    assert_eq!(tree.keys(Engine::Mssql), ["/a_20250818.bak"]);
}

#[test]
fn backup_of_the_day_in_a_form_that_is_not_taken_is_warned_of() {
    let tree = Tree::new(&[]);
    let near = [
        "shop/a_20250818.gz",
        "dump/a_20250818.dump.gz",
        "tgz/a_20250818.tgz",
        "xb/a_20250818.xbstream",
        "cr/a_20250818.sql\r",
        "lz4/a_20250818.sql.lz4",
        "2025-08-18/shop.sql.gz.gpg",
    ];
    for file in
        near.into_iter().chain(["old/a_20250817.gz", "logs/2025-08-18/run.log", "side/a_20250818.md5"])
    {
        tree.file(file);
    }
    // What xtrabackup and mariadb-backup make, and a directory that its job left empty.
    tree.file("phys/2025-08-18_01-00-00/ibdata1");
    tree.file("phys/2025-08-18_01-00-00/shop/orders.ibd");
    tree.folder("empty/2025-08-18");
    assert!(tree.keys(Engine::Mysql).is_empty());
    let passed = tree.passed(Engine::Mysql);
    for path in near.into_iter().chain(["phys/2025-08-18_01-00-00", "empty/2025-08-18"]) {
        assert!(matches!(why(&passed, path), Why::NearMiss(_)), "{path}: {passed:?}");
    }
    let told: Vec<_> = passed.iter().filter(|(_, why)| why.severity().is_some()).collect();
    assert_eq!(told.len(), near.len() + 2, "{told:?}");
    assert!(why(&passed, "cr/a_20250818.sql\r").to_string().contains("control character"));

    let names = ["zip", "7z", "bkp", "sqb", "backup", "bacpac", "bak.gz"];
    let files: Vec<String> = names.iter().map(|end| format!("{end}/crm_20250818.{end}")).collect();
    let mut tree = Tree::new(&files.iter().map(String::as_str).collect::<Vec<_>>());
    tree.file("crm/crm_20250818.trn");
    tree.file("crm/crm_20250817.dif");
    let passed = tree.passed(Engine::Mssql);
    for file in &files {
        assert!(matches!(why(&passed, file), Why::NearMiss(_)), "{file}: {passed:?}");
    }
    assert_eq!(why(&passed, "crm/crm_20250818.trn"), &Why::SwitchedOff("include_log"));
    assert_eq!(why(&passed, "crm/crm_20250817.dif"), &Why::OtherDate(day("2025-08-17")));
    tree.source.include_log = true;
    assert_eq!(tree.keys(Engine::Mssql), ["crm/crm_20250818.trn"]);
}

#[test]
fn many_near_misses_of_one_directory_are_one_warning_with_their_count() {
    let names: Vec<String> = (0..200).map(|n| format!("shop/t{n:03}_20250818.sql.gpg")).collect();
    let tree = Tree::new(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let found = tree.find(Engine::Mysql);
    let findings: Vec<_> = found.passed.iter().filter_map(Passed::finding).collect();
    let [one] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(one.subject.ends_with("shop/t000_20250818.sql.gpg"), "{one:?}");
    assert!(one.what.contains("so it is with 199 more"), "{one:?}");
    assert_eq!(found.passed.len(), 200, "each is there for --dry-run");
}

#[test]
fn directory_of_a_day_that_holds_backups_is_not_warned_of() {
    let tree =
        Tree::new(&["2025-08-18/shop_20250818.sql", "2025-08-18/info", "2025-08-17/shop_20250817.sql"]);
    assert_eq!(tree.keys(Engine::Mysql), ["2025-08-18/shop_20250818.sql"]);
    assert!(tree.passed(Engine::Mysql).iter().all(|(_, why)| why.severity().is_none()));
}

#[test]
fn date_in_a_databases_name_does_not_hide_that_of_its_backup() {
    let name = "SRV/Archive20240101/FULL/SRV_Archive20240101_FULL_20250818_010203.bak";
    assert_eq!(Tree::new(&[name]).keys(Engine::Mssql), [name]);
}

#[test]
fn mysql_dump_of_the_fourth_monday_is_monthly() {
    let tree = Tree::new(&["shop/a_20250825.sql"]);
    let wanted = DateRange::one(day("2025-08-25"));
    let found = discover(Engine::Mysql, &tree.source, wanted).unwrap();
    let categories: Vec<_> =
        found.sets.iter().map(|set| CategoryRules::default().category(set.date)).collect();
    assert_eq!(categories, [Category::Monthly]);
}

#[test]
fn names_of_maintenance_plans_and_of_the_common_script_work_untouched() {
    let names = [
        "DB01/Sales/FULL/DB01_Sales_FULL_20250818_010003.bak",
        "Sales/Sales_backup_2025_08_18_010003_1234567.bak",
        "Sales/Sales_backup_2025_08_18_010003_1234567.BAK",
    ];
    let mut tree = Tree::new(&names);
    tree.file("Sales/Sales_20250818.dif");
    tree.file("Sales/Sales_20250818.trn");
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(tree.keys(Engine::Mssql), expected);
    tree.source.include_differential = true;
    tree.source.include_log = true;
    assert_eq!(tree.keys(Engine::Mssql).len(), 5);
}
