//! Whole trees on a real disk: what is found, and that nothing else goes unsaid.

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
            compress: None,
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

#[test]
fn rman_folder_is_a_set_with_all_its_files_and_its_own_name() {
    let tree = Tree::new(&[
        "erp/rman_full_18-08-2025/c-1234567890-20250818-00",
        "erp/rman_full_18-08-2025/sub/piece_1_1",
        "erp/rman_full_18-08-2025/piece 1+%.bkp",
        "erp/rman_17-08-2025/piece",
        "erp/rman_lv1_18-08-2025/piece",
        "erp/other_18-08-2025/piece",
        "hr/rman_20250818/piece_1_1",
    ]);
    assert_eq!(tree.keys(Engine::Oracle), ["erp/rman_full_18-08-2025", "hr/rman_20250818"]);
    let found = tree.find(Engine::Oracle);
    let set = &found.sets[0];
    assert_eq!(set.kind, SetKind::Folder);
    let rels: Vec<_> = set.files.iter().map(|file| file.rel.as_str()).collect();
    assert_eq!(rels, ["c-1234567890-20250818-00", "piece 1+%.bkp", "sub/piece_1_1"]);
    assert!(set.troubles.is_empty() && set.notes.is_empty(), "{set:?}");
    let passed = tree.passed(Engine::Oracle);
    assert_eq!(passed.len(), 3, "{passed:?}");
    assert_eq!(why(&passed, "erp/rman_17-08-2025"), &Why::OtherDate(day("2025-08-17")));
    assert_eq!(why(&passed, "erp/rman_lv1_18-08-2025"), &Why::Level1);
    assert_eq!(why(&passed, "erp/other_18-08-2025"), &Why::NotABackup);
}

#[test]
fn two_rman_folders_with_equal_file_names_stay_two_sets() {
    let tree = Tree::new(&["erp/rman_a_18-08-2025/piece", "erp/rman_b_18-08-2025/piece"]);
    let found = tree.find(Engine::Oracle);
    assert_eq!(keys(&found), ["erp/rman_a_18-08-2025", "erp/rman_b_18-08-2025"]);
    assert_ne!(found.sets[0].files[0].path, found.sets[1].files[0].path);
}

#[test]
fn level_1_folder_is_taken_where_switched_on() {
    let mut tree = Tree::new(&["erp/rman_lv1_18-08-2025/piece"]);
    assert!(tree.keys(Engine::Oracle).is_empty());
    tree.source.include_level1 = true;
    assert_eq!(tree.keys(Engine::Oracle), ["erp/rman_lv1_18-08-2025"]);
}

#[test]
fn rman_backup_at_another_level_or_as_a_file_or_misspelt_is_warned_of() {
    let tree = Tree::new(&[
        "rman_18-08-2025/piece",
        "a/b/rman_18-08-2025/piece",
        "a/rman_18-08-2025.tar",
        "a/rman_18-08-2025.log",
        "a/RMAN_18-08-2025/piece",
        "a/RMAN_17-08-2025/piece",
    ]);
    assert!(tree.keys(Engine::Oracle).is_empty());
    let passed = tree.passed(Engine::Oracle);
    for path in ["rman_18-08-2025", "a/b/rman_18-08-2025", "a/rman_18-08-2025.tar", "a/RMAN_18-08-2025"] {
        assert!(matches!(why(&passed, path), Why::NearMiss(_)), "{path}: {passed:?}");
    }
    for path in ["a/rman_18-08-2025.log", "a/RMAN_17-08-2025"] {
        assert_eq!(why(&passed, path), &Why::NotABackup);
    }
}

#[test]
fn empty_rman_folder_of_the_day_is_an_error_and_of_another_day_is_not() {
    let tree = Tree::new(&[]);
    tree.folder("erp/rman_18-08-2025/sub");
    tree.folder("erp/rman_17-08-2025");
    assert!(tree.keys(Engine::Oracle).is_empty());
    let passed = tree.passed(Engine::Oracle);
    assert_eq!(why(&passed, "erp/rman_18-08-2025").severity(), Some(Severity::Error));
    assert_eq!(why(&passed, "erp/rman_17-08-2025"), &Why::OtherDate(day("2025-08-17")));
}

#[test]
fn rman_folder_with_a_link_or_a_broken_name_in_it_is_known_to_be_incomplete() {
    let tree = Tree::new(&["erp/rman_18-08-2025/piece", "elsewhere"]);
    assert!(tree.find(Engine::Oracle).sets[0].troubles.is_empty());
    tree.link(tree.path("elsewhere"), "erp/rman_18-08-2025/link\u{1b}");
    tree.file(Path::new("erp/rman_18-08-2025").join(OsStr::from_bytes(b"piece\xff")));
    let found = tree.find(Engine::Oracle);
    assert_eq!(
        found.sets[0].troubles,
        [
            "`link\\u{1b}` is a symbolic link; links are not followed",
            "`piece\u{fffd}` cannot be an object key: it is not UTF-8",
        ]
    );
}

#[test]
fn exclusion_inside_an_rman_folder_is_noted_and_is_no_trouble() {
    let tree = Tree::new(&["erp/rman_18-08-2025/piece", "erp/rman_18-08-2025/rman.log"])
        .exclude(&["**/rman_*/*.log"]);
    let set = &tree.find(Engine::Oracle).sets[0];
    assert_eq!(set.files.len(), 1);
    assert_eq!(set.notes, ["1 of its entries are left out by exclusions"]);
    assert!(set.troubles.is_empty());
}

#[test]
fn links_are_never_followed_and_never_silently_missed() {
    let tree = Tree::new(&["shop/a_20250818.sql"]);
    let outside = tree.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("b_20250818.sql"), "dump").unwrap();
    tree.link(outside.join("b_20250818.sql"), "shop/b_20250818.sql");
    tree.link(outside.join("b_20250818.sql"), "shop/b_20250817.sql");
    tree.link("nowhere", "shop/c_20250818.sql");
    tree.link(&outside, "more");
    tree.link("a_20250818.sql", "shop/latest.sql");
    tree.link("shop/a_20250818.sql", "again_20250818.sql");
    tree.link("shop", "alias");
    tree.link("/etc/hostname", "shop/readme.txt");
    tree.link("..", "shop/loop");
    assert_eq!(tree.keys(Engine::Mysql), ["shop/a_20250818.sql"]);
    let passed = tree.passed(Engine::Mysql);
    assert_eq!(why(&passed, "shop/b_20250818.sql"), &Why::Symlink);
    assert_eq!(why(&passed, "shop/c_20250818.sql"), &Why::Symlink);
    assert_eq!(why(&passed, "shop/b_20250817.sql"), &Why::OtherDate(day("2025-08-17")));
    assert_eq!(why(&passed, "more"), &Why::LinkedFolder);
    for path in ["shop/latest.sql", "again_20250818.sql", "alias", "shop/loop"] {
        assert_eq!(why(&passed, path), &Why::LinkInside, "{path}");
    }
    assert_eq!(why(&passed, "shop/readme.txt"), &Why::NotABackup);
}

#[test]
fn link_that_hides_last_nights_backup_behind_an_exclusion_or_an_old_file_is_an_error() {
    let tree = Tree::new(&["old/a_20250818.sql", "shop/a_20250817.sql"]).exclude(&["old"]);
    tree.link("../old/a_20250818.sql", "shop/a_20250818.sql");
    tree.link("a_20250817.sql", "shop/b_20250818.sql");
    let passed = tree.passed(Engine::Mysql);
    assert_eq!(why(&passed, "shop/a_20250818.sql"), &Why::Symlink);
    assert_eq!(why(&passed, "shop/b_20250818.sql"), &Why::Symlink);
}

#[test]
fn linked_rman_folder_is_an_error() {
    let tree = Tree::new(&[]);
    tree.link("/nowhere", "erp/rman_18-08-2025");
    assert_eq!(why(&tree.passed(Engine::Oracle), "erp/rman_18-08-2025"), &Why::Symlink);
}

#[test]
fn source_may_itself_be_a_link() {
    let mut tree = Tree::new(&["shop/a_20250818.sql", "erp/rman_18-08-2025/piece"]);
    tree.link("a_20250818.sql", "shop/latest.sql");
    let link = tree.dir.path().join("link");
    symlink(&tree.source.dir, &link).unwrap();
    tree.source.dir = link;
    assert_eq!(tree.keys(Engine::Mysql), ["shop/a_20250818.sql"]);
    assert_eq!(tree.keys(Engine::Oracle), ["erp/rman_18-08-2025"]);
    assert_eq!(why(&tree.passed(Engine::Mysql), "shop/latest.sql"), &Why::LinkInside);
}

#[test]
fn name_that_cannot_be_a_key_is_an_error_where_it_may_be_a_backup_of_the_day() {
    let tree = Tree::new(&["new\nline/a_20250818.sql", "shop/b\u{7f}_20250818.sql"]);
    for name in
        [&b"shop/\xff_20250818.sql"[..], b"shop/\xff.sql", b"shop/\xff_20250817.sql", b"shop/\xff.txt"]
    {
        tree.file(OsStr::from_bytes(name));
    }
    assert!(tree.keys(Engine::Mysql).is_empty());
    let passed = tree.passed(Engine::Mysql);
    let control = Why::BadName("it holds a control character".to_owned());
    let no_utf8 = Why::BadName("it is not UTF-8".to_owned());
    assert_eq!(why(&passed, "new\nline/a_20250818.sql"), &control);
    assert_eq!(why(&passed, "shop/b\u{7f}_20250818.sql"), &control);
    assert_eq!(why(&passed, "shop/\u{fffd}_20250818.sql"), &no_utf8);
    assert_eq!(why(&passed, "shop/\u{fffd}.sql"), &no_utf8);
    assert_eq!(why(&passed, "shop/\u{fffd}_20250817.sql"), &Why::OtherDate(day("2025-08-17")));
    assert_eq!(why(&passed, "shop/\u{fffd}.txt"), &Why::NotABackup);
    let tree = Tree::new(&[]);
    tree.file(OsStr::from_bytes(b"erp/rman_\xff_18-08-2025/piece"));
    assert_eq!(why(&tree.passed(Engine::Oracle), "erp/rman_\u{fffd}_18-08-2025"), &no_utf8);
}

#[test]
fn names_with_spaces_unicode_and_url_letters_are_taken_as_they_are() {
    let names = [
        "my shop/a b_20250818.sql",
        "店/データ_20250818.sql",
        "x+y/100%_20250818.sql",
        "q?&=#/a_20250818.sql",
    ];
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(Tree::new(&names).keys(Engine::Mysql), expected);
}

#[test]
fn unfinished_files_and_unknown_kinds_of_the_day_are_warned_of() {
    let tree = Tree::new(&["shop/a_20250818.sql.part", "shop/a_20250818.sql.zip", "shop/a_20250818.sql.md5"]);
    let passed = tree.passed(Engine::Mysql);
    assert_eq!(why(&passed, "shop/a_20250818.sql.part"), &Why::InProgress);
    assert_eq!(why(&passed, "shop/a_20250818.sql.zip").severity(), Some(Severity::Warning));
    assert_eq!(why(&passed, "shop/a_20250818.sql.md5"), &Why::NotABackup);
}

#[test]
fn pipe_with_the_name_of_a_backup_is_warned_of_and_not_opened() {
    let tree = Tree::new(&["shop/x.txt"]);
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let path = tree.path("shop/a_20250818.sql");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(tree.keys(Engine::Mysql).is_empty());
    let passed = tree.passed(Engine::Mysql);
    assert!(matches!(why(&passed, "shop/a_20250818.sql"), Why::NearMiss(_)), "{passed:?}");
}

#[test]
fn range_of_days_takes_each_of_them_in_order() {
    let tree = Tree::new(&["s/b_20250819.sql", "s/a_20250820.sql", "s/a_20250818.sql", "s/a_20250821.sql"]);
    let wanted = DateRange::new(day("2025-08-18"), day("2025-08-20")).unwrap();
    let found = discover(Engine::Mysql, &tree.source, wanted).unwrap();
    assert_eq!(keys(&found), ["s/a_20250818.sql", "s/b_20250819.sql", "s/a_20250820.sql"]);
}

#[test]
fn thousand_files_in_one_rman_folder_and_a_thousand_dumps_are_all_found() {
    let tree = Tree::new(&[]);
    for n in 0..1000 {
        tree.file(format!("erp/rman_18-08-2025/piece_{n}"));
        tree.file(format!("app{n}/a_20250818.sql"));
    }
    assert_eq!(tree.find(Engine::Oracle).sets[0].files.len(), 1000);
    let found = tree.find(Engine::Mysql);
    assert_eq!(found.sets.len(), 1000);
    assert!(found.sets.is_sorted_by(|a, b| (&a.app, a.date, &a.name) < (&b.app, b.date, &b.name)));
}

#[test]
fn source_that_is_missing_or_a_file_or_a_dangling_link_is_told_apart() {
    let tree = Tree::new(&["file"]);
    tree.link("nowhere", "dangling");
    let search = |rel: &str| {
        let source = Source { dir: tree.path(rel), ..tree.source.clone() };
        discover(Engine::Mysql, &source, DateRange::one(day("2025-08-18"))).unwrap_err()
    };
    assert!(matches!(search("missing"), SourceError::Missing(_)));
    assert!(matches!(search("dangling"), SourceError::Missing(_)));
    assert!(matches!(search("file"), SourceError::NotADirectory(_)));
    assert!(matches!(search("file/below"), SourceError::NotADirectory(_)));
}

#[test]
fn empty_source_has_nothing_and_is_no_error() {
    let found = Tree::new(&[]).find(Engine::Mssql);
    assert!(found.sets.is_empty() && found.passed.is_empty());
}

/// Does `work` as one whom permission bits stop. They do not stop root, so a thread gives up the
/// capabilities that are the reason; Linux keeps them by thread.
fn bound_by_permissions<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, sets).unwrap();
            work()
        });
        thread.join().unwrap()
    })
}

#[test]
fn folder_that_cannot_be_read_is_an_error_and_the_rest_goes_on() {
    let tree = Tree::new(&[
        "a/x_20250818.sql",
        "locked/x_20250818.sql",
        "z/x_20250818.sql",
        "lost+found/x",
        "erp/rman_18-08-2025/piece",
        "erp/rman_18-08-2025/sub/piece",
    ]);
    let lock =
        |rel: &str, mode| fs::set_permissions(tree.path(rel), fs::Permissions::from_mode(mode)).unwrap();
    let locked = ["locked", "lost+found", "erp/rman_18-08-2025/sub"];
    for rel in locked {
        lock(rel, 0o000);
    }
    let (mysql, oracle) = bound_by_permissions(|| (tree.find(Engine::Mysql), tree.find(Engine::Oracle)));
    for rel in locked {
        lock(rel, 0o755);
    }
    assert_eq!(keys(&mysql), ["a/x_20250818.sql", "z/x_20250818.sql"]);
    let errors: Vec<_> = mysql.passed.iter().filter_map(Passed::finding).collect();
    let subjects: Vec<_> = errors.iter().map(|error| Path::new(&error.subject)).collect();
    assert_eq!(subjects, [tree.path("erp/rman_18-08-2025/sub"), tree.path("locked")]);
    assert!(errors.iter().all(|error| error.severity == Severity::Error), "{errors:?}");
    let [trouble] = oracle.sets[0].troubles.as_slice() else { panic!("{oracle:?}") };
    assert!(trouble.starts_with("`sub` cannot be read"), "{trouble}");
    let locked = oracle.passed.iter().any(|passed| passed.path == tree.path("locked"));
    assert!(locked, "{oracle:?}");
}

#[test]
fn source_that_cannot_be_read_is_an_error_of_its_own() {
    let tree = Tree::new(&["a/x_20250818.sql"]);
    fs::set_permissions(&tree.source.dir, fs::Permissions::from_mode(0o000)).unwrap();
    let wanted = DateRange::one(day("2025-08-18"));
    let error = bound_by_permissions(|| discover(Engine::Mysql, &tree.source, wanted).unwrap_err());
    fs::set_permissions(&tree.source.dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(error, SourceError::Unreadable { .. }), "{error}");
}
