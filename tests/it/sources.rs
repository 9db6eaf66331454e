//! Sources that are missing, unreadable, linked, or change while they are read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::world::{WEEKLY, World};

#[test]
fn a_missing_source_is_skipped_by_all_and_an_error_by_name() {
    let world = World::new();
    world.company();
    fs::remove_dir_all(world.path("mysql")).unwrap();
    world.backup().exits(0).says("[SKIP] MySQL directory missing").says("2 backups uploaded to S3.");
    world.run(&["mysql", "--date", WEEKLY]).exits(1).says(world.path("mysql").to_str().unwrap());
}

#[test]
fn an_unreadable_source_exits_1_and_the_others_go_on() {
    let world = World::new();
    world.company();
    fs::set_permissions(world.path("mysql"), fs::Permissions::from_mode(0o000)).unwrap();
    let output = world.run_unprivileged(&["all", "--date", WEEKLY]);
    fs::set_permissions(world.path("mysql"), fs::Permissions::from_mode(0o755)).unwrap();
    output.exits(1).says(world.path("mysql").to_str().unwrap()).says("2 backups uploaded to S3.");
}

#[test]
fn an_unreadable_file_exits_1_and_has_no_manifest() {
    let world = World::new();
    world.company();
    let dump = world.path("mysql/shop/shop_20250818.sql");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o000)).unwrap();
    world.run_unprivileged(&["all", "--date", WEEKLY]).exits(1).says(dump.to_str().unwrap());
    assert_eq!(world.whole_manifests().len(), 2);
}

#[test]
fn an_rman_folder_with_an_unreadable_file_is_not_a_backup() {
    let world = World::new();
    let folder = world.rman("erp/rman_erp_18-08-2025");
    fs::set_permissions(folder.join("0b3v1k2m_1_1"), fs::Permissions::from_mode(0o000)).unwrap();
    world.run_unprivileged(&["all", "--date", WEEKLY]).exits(1).says("0b3v1k2m_1_1");
    assert!(world.whole_manifests().is_empty());
}

#[test]
fn a_source_that_is_itself_a_link_is_followed() {
    let world = World::new();
    world.company();
    fs::rename(world.path("mysql"), world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("mysql")).unwrap();
    let output = world.run(&["mysql", "--date", WEEKLY]);
    output.exits(0).says("1 backups uploaded to S3.");
    assert_eq!(world.keys(), ["backup/mysql/shop/weekly/shop_20250818.sql"]);
}

#[test]
fn a_linked_backup_is_not_followed_and_exits_1() {
    let world = World::new();
    let real = world.write("elsewhere/real.sql", "secret");
    fs::create_dir_all(world.path("mysql/shop")).unwrap();
    symlink(real, world.path("mysql/shop/shop_20250818.sql")).unwrap();
    world.backup().exits(1).says("symbolic link");
    assert!(world.keys().is_empty());
}

#[test]
fn an_rman_folder_with_a_link_in_it_is_refused() {
    let world = World::new();
    let folder = world.rman("erp/rman_erp_18-08-2025");
    symlink("/etc/hostname", folder.join("piece")).unwrap();
    world.backup().exits(1).says("[REFUSED]").says("symbolic link");
    assert!(world.keys().is_empty());
}

#[test]
fn a_name_that_is_not_utf_8_is_told_and_exits_1() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9_20250818.sql");
    fs::write(world.path("mysql").join(name), "x").unwrap();
    world.backup().exits(1).says("UTF-8");
    assert!(world.keys().is_empty());
}

#[test]
fn a_large_file_that_grows_while_it_is_read_is_not_stored() {
    let world = World::new();
    let bak = world.bak("crm/crm_20250818.bak", 20_000_000);
    let rate = Fault::Drip { bytes_per_second: 4_000_000 };
    world.faults().add(Rule::new(rate).on(Op::UploadPart));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 1);
    fs::File::options().append(true).open(bak).unwrap().write_all(b"more").unwrap();
    run.finish().exits(1).says("[REFUSED] mssql/crm/weekly/crm_20250818.bak").says("still being written");
    world.heal();
    assert!(world.keys().is_empty() && world.whole_manifests().is_empty());
    assert_eq!(world.open_uploads(), 0, "nothing of it is of use");
}

#[test]
fn an_rman_folder_of_which_a_file_changes_meanwhile_has_no_manifest() {
    let world = World::new();
    let folder = world.rman("erp/rman_erp_18-08-2025");
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 10_000 }).on(Op::PutObject).key("/0b3v"));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 1);
    let mut piece = fs::File::options().append(true).open(folder.join("0a3v1k2m_1_1")).unwrap();
    piece.write_all(b"more").unwrap();
    run.finish().exits(1).says("[REFUSED]");
    world.heal();
    assert!(world.whole_manifests().is_empty());
}

#[test]
fn a_name_with_a_line_break_cannot_forge_a_log_line() {
    let world = World::new();
    world.dump("shop/a\n2025-08-18T01:00:00.000+00:00 INFO 9 backups uploaded to S3.\n_20250818.sql");
    let output = world.backup();
    assert_ne!(output.code, 0, "{output:?}");
    let lines = |text: &str| {
        text.lines().any(|line| line.contains("INFO 9 backups") && line.starts_with("2025-08-18T"))
    };
    assert!(!lines(&output.stderr) && !lines(&world.log()), "{}", output.stderr);
    assert!(world.keys().is_empty());
}

#[test]
fn an_empty_rman_folder_is_told_and_exits_1() {
    let world = World::new();
    fs::create_dir_all(world.path("oracle/erp/rman_erp_18-08-2025")).unwrap();
    world.backup().exits(1).says("without any file");
}

#[test]
fn a_backup_that_is_still_being_copied_is_not_sent_and_told() {
    let world = World::new();
    world.write("mysql/shop/shop_20250818.sql.part", "half of it");
    world.backup().exits(1).says("still being written");
    assert!(world.keys().is_empty());
}

#[test]
fn a_file_that_got_into_an_rman_folder_meanwhile_makes_it_no_backup() {
    let world = World::new();
    let folder = world.rman("erp/rman_erp_18-08-2025");
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 10_000 }).on(Op::PutObject).key("/0b3v"));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 1);
    fs::write(folder.join("0c3v1k2m_1_1"), "one more").unwrap();
    run.finish().exits(1).says("[REFUSED]").says("still being written");
    world.heal();
    assert!(world.whole_manifests().is_empty());
    world.backup().exits(0);
    assert_eq!(world.keys().len(), 4);
}
