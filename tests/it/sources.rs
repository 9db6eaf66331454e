//! Sources that are missing, unreadable, linked, or change while they are read.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use dbbackup::embedded::{Fault, Op, Rule};

use rustix::thread::CapabilitySet;

use crate::support::world::{WEEKLY, World};

const EVERY_MYSQL: &str = "[[expect]]\nengine = \"mysql\"\napp = \"*\"\nschedule = \"daily\"\n";

#[test]
fn a_missing_source_is_skipped_by_all_and_an_error_by_name() {
    let world = World::new();
    world.company();
    fs::remove_dir_all(world.path("mysql")).unwrap();
    world.backup().exits(0).says("[SKIP] MySQL directory missing").says("2 backups uploaded to S3.");
    world.run(&["mysql", "--date", WEEKLY]).exits(1).says(world.path("mysql").to_str().unwrap());
}

#[test]
fn a_missing_source_of_an_engine_that_is_expected_is_an_error() {
    let world = World::new();
    world.company();
    fs::remove_dir_all(world.path("mysql")).unwrap();
    world.configure(|text| format!("{text}{EVERY_MYSQL}"));
    world.backup().exits(1).says(world.path("mysql").to_str().unwrap()).says("2 backups uploaded to S3.");
}

#[test]
fn an_empty_source_of_an_engine_that_is_expected_is_an_error_for_whoever_may_only_write() {
    let world = World::new();
    world.company();
    fs::remove_dir_all(world.path("mysql")).unwrap();
    fs::create_dir(world.path("mysql")).unwrap();
    world.configure(|text| format!("{text}{EVERY_MYSQL}"));
    world.faults().write_only();
    let run = world.backup().exits(1).says("2 backups uploaded to S3.");
    assert!(run.stderr.contains("mysql: backups of it are expected daily, and neither"), "{}", run.stderr);
}

#[test]
fn an_app_whose_directory_vanished_is_missed_by_whoever_may_only_write() {
    let world = World::new();
    world.company();
    world.configure(|text| format!("{text}{EVERY_MYSQL}"));
    world.faults().write_only();
    world.backup().exits(0);
    fs::remove_dir_all(world.path("mysql/shop")).unwrap();
    world.dump("blog/blog_20250819.sql");
    let run = world.run(&["all", "--date", "2025-08-19"]).exits(1);
    let what = "mysql/shop: the source never produced its backup of 2025-08-19";
    assert!(run.stderr.contains(what), "{}", run.stderr);
}

#[test]
fn what_a_catch_up_finds_stored_is_not_missed_by_whoever_may_only_write() {
    let world = World::new();
    for back in 1..=3 {
        let day = chrono::Utc::now().date_naive() - chrono::Days::new(back);
        world.dump(&format!("shop/shop_{}.sql", day.format("%Y%m%d")));
    }
    world.configure(|text| format!("{text}catch_up_days = 3\n{EVERY_MYSQL}"));
    world.faults().write_only();
    world.run(&["all"]).exits(0).says("3 backups uploaded to S3.");
    world.run(&["all"]).exits(0);
}

#[test]
fn a_catch_up_does_not_miss_the_days_before_an_apps_first_backup_and_misses_those_after_it() {
    let days_back = |back| chrono::Utc::now().date_naive() - chrono::Days::new(back);
    let name = |back| format!("shop_{}.sql", days_back(back).format("%Y%m%d"));
    let world = World::new();
    world.dump(&format!("shop/{}", name(1)));
    world.configure(|text| format!("{text}catch_up_days = 5\n{EVERY_MYSQL}"));
    world.run(&["all"]).exits(0).says("1 backups uploaded to S3.");
    world.run(&["all", "--dry-run"]).exits(0);
    // A day that was asked for is missed whether or not the app is new.
    let asked = format!("{}", days_back(2));
    world.run(&["all", "--date", &asked]).exits(1).says("the source never produced its backup of");
    world.dump(&format!("shop/{}", name(4)));
    let run = world.run(&["all"]).exits(1);
    let missed = |back| run.stderr.contains(&format!("produced its backup of {} ", days_back(back)));
    assert_eq!([1, 2, 3, 4, 5].map(missed), [false, true, true, false, false], "{}", run.stderr);
    // What is stored tells it too, where the source has removed its dumps.
    std::fs::remove_dir_all(world.path("mysql/shop")).unwrap();
    let run = world.run(&["all"]).exits(1);
    let missed = |back| run.stderr.contains(&format!("produced its backup of {} ", days_back(back)));
    assert_eq!([1, 2, 3, 4, 5].map(missed), [false, true, true, false, false], "{}", run.stderr);
}

#[test]
fn an_app_whose_directory_is_a_link_elsewhere_is_missed_where_every_app_is_expected() {
    let world = World::new();
    world.company();
    world.write("elsewhere/erp/erp_20250818.sql", "x");
    symlink(world.path("elsewhere/erp"), world.path("mysql/erp")).unwrap();
    world.backup().exits(0).says("a symbolic link to a folder elsewhere").says("warnings: 1, see above");
    world.configure(|text| format!("{text}{EVERY_MYSQL}"));
    let run = world.backup().exits(1);
    assert!(run.stderr.contains("mysql/erp: the source never produced its backup"), "{}", run.stderr);
    let planned = world.run(&["all", "--date", WEEKLY, "--dry-run"]).exits(1);
    assert!(planned.stdout.contains("mysql/erp: the source never produced"), "{}", planned.stdout);
}

#[test]
fn whoever_cannot_see_writers_says_so_once() {
    let world = World::new();
    world.company();
    for file in ["mysql/shop/shop_20250818.sql", "mssql/crm/crm_20250818.bak"] {
        let stranger = std::os::unix::fs::chown(world.path(file), Some(12_345), None);
        if stranger.is_err() {
            eprintln!("not tested: only root gives files to others");
            return;
        }
    }
    // Neither owner nor with the right to ask the kernel for a lease, nor to look into other processes.
    let blind = CapabilitySet::LEASE | CapabilitySet::SYS_PTRACE;
    let run = world.begin_without(blind, &["all", "--date", WEEKLY]).finish().exits(0);
    let told = run.stderr.matches("whether another process has it open for writing cannot be seen").count();
    assert_eq!(told, 1, "{}", run.stderr);
    let world = World::new();
    world.company();
    assert!(!world.backup().exits(0).stderr.contains("cannot be seen"));
}

#[test]
fn a_dry_run_says_what_is_wrong_with_a_source() {
    let world = World::new();
    world.company();
    fs::set_permissions(world.path("mysql"), fs::Permissions::from_mode(0o000)).unwrap();
    let output = world.run_unprivileged(&["all", "--date", WEEKLY, "--dry-run"]);
    fs::set_permissions(world.path("mysql"), fs::Permissions::from_mode(0o755)).unwrap();
    let output = output.exits(1);
    let line = format!("  error: {}: ", world.path("mysql").display());
    assert!(output.stdout.contains(&line), "{}", output.stdout);
    assert!(output.stdout.contains("check `source` in [mysql] and its permissions"), "{}", output.stdout);
}

#[test]
fn a_dry_run_says_which_file_it_cannot_read() {
    let world = World::new();
    world.company();
    let dump = world.path("mysql/shop/shop_20250818.sql");
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o000)).unwrap();
    let output = world.run_unprivileged(&["all", "--date", WEEKLY, "--dry-run"]);
    let output = output.exits(1);
    let line = format!("  error: {}: this user cannot read it: Permission denied", dump.display());
    assert!(output.stdout.contains(&line), "{}", output.stdout);
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

/// Between the plan and the first read of the sets that lie in the bucket under `mysql`, this much time
/// passes; the deed is done in it.
const MEANWHILE: std::time::Duration = std::time::Duration::from_millis(2500);

#[test]
fn what_is_no_longer_a_readable_file_when_it_is_read_is_named_and_the_others_go() {
    let world = World::new();
    let (gone, locked, folder, pipe) = ("gone", "locked", "folder", "pipe");
    let path = |app: &str| world.path(&format!("mysql/{app}/{app}_20250818.sql"));
    for app in [gone, locked, folder, pipe, "whole"] {
        world.dump(&format!("{app}/{app}_20250818.sql"));
    }
    world.faults().add(Rule::new(Fault::DelayReply(MEANWHILE)).on(Op::ListObjectsV2).key("backup/mysql/"));
    let run = world.begin_unprivileged(&["mysql", "--date", WEEKLY]);
    // With the first of them asked for, all are planned.
    world.wait_for_a_fault();
    fs::set_permissions(path(locked), fs::Permissions::from_mode(0o000)).unwrap();
    for app in [gone, folder, pipe] {
        fs::remove_file(path(app)).unwrap();
    }
    fs::create_dir(path(folder)).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        path(pipe),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    let run = run.finish().exits(1);
    for (app, why) in [
        (gone, "it is no longer there"),
        (locked, "Permission denied"),
        (folder, "it is a folder, not a regular file"),
        (pipe, "it is a named pipe, not a regular file"),
    ] {
        let line =
            run.stderr.lines().find(|line| line.contains("ERROR") && line.contains(&format!("{app}_2025")));
        assert!(line.is_some_and(|line| line.contains(why)), "{app}: {}", run.stderr);
    }
    world.heal();
    let stored: Vec<_> = world.whole_manifests().iter().map(|set| set["app"].clone()).collect();
    assert_eq!((stored, world.keys().len()), (vec!["whole".into()], 1));
}

#[test]
fn a_large_file_that_is_cut_or_removed_while_it_is_read_is_not_stored() {
    // One part is read at a time, so that most of the file is unread when the first is on its way.
    let world = World::new();
    world.configure(|text| {
        text.replace("part_size =", "concurrency = 1\nmax_memory = \"40MiB\"\npart_size =")
    });
    for (deed, why) in [(true, "it shrank from 20000000 to"), (false, "it was removed or renamed")] {
        let bak = world.bak("crm/crm_20250818.bak", 20_000_000);
        let parts = world.server.count(Op::UploadPart);
        let rate = Fault::Drip { bytes_per_second: 6_000_000 };
        world.faults().add(Rule::new(rate).on(Op::UploadPart));
        let run = world.begin(&["all", "--date", WEEKLY]);
        world.wait_for(Op::UploadPart, parts + 1);
        if deed {
            fs::File::options().write(true).open(&bak).unwrap().set_len(6_000_000).unwrap();
        } else {
            fs::remove_file(&bak).unwrap();
        }
        run.finish().exits(1).says(why);
        world.heal();
        assert!(world.keys().is_empty() && world.whole_manifests().is_empty());
        assert_eq!(world.open_uploads(), 0, "nothing of it is of use");
    }
}

#[test]
fn an_rman_folder_of_which_a_file_is_removed_meanwhile_has_no_manifest() {
    let world = World::new();
    let folder = world.rman("erp/rman_erp_18-08-2025");
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 10_000 }).on(Op::PutObject).key("/0b3v"));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::PutObject, 1);
    fs::remove_file(folder.join("0a3v1k2m_1_1")).unwrap();
    run.finish().exits(1).says("0a3v1k2m_1_1");
    world.heal();
    assert!(world.whole_manifests().is_empty());
}

#[test]
fn a_file_that_is_cut_while_a_part_goes_in_pieces_says_so() {
    let world = World::new();
    world.configure(|text| {
        text.replace("part_size =", "concurrency = 1\nmax_memory = \"40MiB\"\npart_size =")
    });
    let bak = world.bak("crm/crm_20250818.bak", 4096);
    // Nothing of it is on the disk; its parts are of 27 MB, and go in pieces.
    fs::File::options().write(true).open(&bak).unwrap().set_len(1 << 38).unwrap();
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 2_000_000 }).on(Op::UploadPart));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 1);
    fs::File::options().write(true).open(&bak).unwrap().set_len(1 << 20).unwrap();
    let run = run.finish().exits(1).says("it shrank from 274877906944 to");
    assert!(!run.stderr.contains("[RETRY]"), "it would only fail again: {}", run.stderr);
    world.heal();
    assert!(world.keys().is_empty() && world.whole_manifests().is_empty());
    assert_eq!(world.open_uploads(), 0, "nothing of it is of use");
}
