//! What is not as it should be: links, odd names, pipes, sources that cannot be read.

use super::*;

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
    let tree = Tree::new(&["x/a.txt"]);
    tree.link("/nowhere/crm", "crm");
    tree.link("/nowhere/readme.txt", "x/readme.txt");
    for engine in [Engine::Mysql, Engine::Oracle] {
        let passed = tree.passed(engine);
        assert_eq!(why(&passed, "crm"), &Why::DanglingLink);
        assert_eq!(why(&passed, "x/readme.txt"), &Why::NotABackup);
    }
}

#[test]
fn folder_of_a_dump_program_that_is_still_being_copied_is_awaited_as_a_file_is() {
    let tree = Tree::new(&[]);
    for dir in ["shop_20250818.partial", ".shop_20250818.tmp"] {
        tree.file(format!("shop/{dir}/metadata"));
        tree.file(format!("shop/{dir}/shop.orders-schema.sql"));
    }
    tree.file("crm/crm_20250818.sql.gz.1f3d2a9c.partial");
    assert!(tree.keys(Engine::Mysql).is_empty());
    let passed = tree.passed(Engine::Mysql);
    for path in
        ["shop/shop_20250818.partial", "shop/.shop_20250818.tmp", "crm/crm_20250818.sql.gz.1f3d2a9c.partial"]
    {
        assert_eq!(why(&passed, path), &Why::InProgress, "{path}");
    }
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
    let amiss = |name: &str| {
        let of_name = oracle.passed.iter().filter(|passed| passed.path == tree.path(name));
        of_name.filter_map(Passed::finding).count()
    };
    assert_eq!(amiss("lost+found"), 0, "{oracle:?}");
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
