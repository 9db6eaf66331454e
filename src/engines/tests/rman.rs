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
    assert_eq!(why(&passed, "erp/other_18-08-2025").severity(), Some(Severity::Warning));
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
fn level_1_is_told_by_a_word_of_its_own_in_any_letter_case() {
    for name in [
        "rman_LV1_x",
        "rman_lvl1_x",
        "rman_x_L1",
        "rman_incr_level1",
        "rman_incr1",
        "rman_inc1-x",
        "rman_DIFF_x",
        "rman_lv1c",
    ] {
        assert!(is_level_1(name), "{name}");
    }
    for name in ["rman_mlv1prod", "rman_lv10_x", "rman_full", "rman_lv0", "rman_sales1", "rman_different"] {
        assert!(!is_level_1(name), "{name}");
    }
    let tree = Tree::new(&["erp/rman_LV1_18-08-2025/piece", "erp/rman_mlv1prod_18-08-2025/piece"]);
    assert!(tree.keys(Engine::Oracle).is_empty());
    let passed = tree.passed(Engine::Oracle);
    assert_eq!(why(&passed, "erp/rman_LV1_18-08-2025"), &Why::Level1);
    assert_eq!(why(&passed, "erp/rman_mlv1prod_18-08-2025").severity(), Some(Severity::Warning));
}

#[test]
fn oracle_backup_of_the_day_in_another_layout_is_warned_of_once() {
    let tree = Tree::new(&[
        "ORCL/backupset/2025_08_18/o1_mf_nnnd0_TAG20250818T010203_abc_.bkp",
        "crm/c-1234567-20250818-00",
        "hr/expdp_hr_20250818.dmp",
        "erp/full_rman_18-08-2025/0a3k_1_1",
        "erp/full_rman_18-08-2025/c-1234567-20250818-00",
        "2025-08-18/other/piece",
        "logs/2025-08-18/rman.log",
        "fin/2025-08-18/rman_full_18-08-2025/piece",
        "sun/backup_17-08-2025/piece",
    ]);
    assert!(tree.keys(Engine::Oracle).is_empty());
    let passed = tree.passed(Engine::Oracle);
    let told: Vec<_> =
        passed.iter().filter(|(_, why)| why.severity().is_some()).map(|(path, _)| path.as_str()).collect();
    let expected = [
        "ORCL/backupset/2025_08_18",
        "crm/c-1234567-20250818-00",
        "erp/full_rman_18-08-2025",
        "fin/2025-08-18/rman_full_18-08-2025",
        "hr/expdp_hr_20250818.dmp",
        "2025-08-18",
    ];
    assert_eq!(told, expected);
    // A directory of a day with RMAN folders in it holds backups.
    let tree = Tree::new(&["2025-08-18/rman_full_18-08-2025/piece"]);
    assert_eq!(tree.keys(Engine::Oracle), ["2025-08-18/rman_full_18-08-2025"]);
    assert!(tree.passed(Engine::Oracle).iter().all(|(_, why)| why.severity().is_none()));
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
