//! RMAN folders.

use super::*;

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
