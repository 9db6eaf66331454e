//! Restore gives back exactly the bytes, and overwrites nothing without being told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, SystemTime};

use dbbackup::embedded::{Fault, Op, Rule};
use serde_json::Value;

use crate::support::world::{MONTHLY, World, assert_same};

const DUMP: &str = "mysql/shop/weekly/shop_20250818.sql";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

fn stored() -> World {
    let world = World::new();
    world.company();
    world.backup().exits(0);
    world
}

fn source(world: &World) -> Vec<u8> {
    fs::read(world.path("mysql/shop/shop_20250818.sql")).unwrap()
}

#[test]
fn a_file_comes_back_by_key_full_key_and_uri() {
    let world = stored();
    let keys = [DUMP.to_owned(), format!("backup/{DUMP}"), format!("s3://backups/backup/{DUMP}")];
    for (number, key) in keys.iter().enumerate() {
        let to = world.path(&format!("to{number}"));
        world.run(&["restore", key, "--to", to.to_str().unwrap()]).exits(0);
        assert_eq!(fs::read(to.join("shop_20250818.sql")).unwrap(), source(&world), "{key}");
        assert_eq!(fs::read_dir(to).unwrap().count(), 1, "nothing else is left");
    }
}

#[test]
fn a_folder_comes_back_by_its_key() {
    let world = stored();
    world.run(&["restore", FOLDER]).exits(0);
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
    world
        .run(&[
            "restore",
            &format!("s3://backups/backup/{FOLDER}/"),
            "--to",
            world.path("to").to_str().unwrap(),
        ])
        .exits(0);
}

#[test]
fn one_file_of_a_folder_comes_back() {
    let world = stored();
    world.run(&["restore", &format!("{FOLDER}/0b3v1k2m_1_1")]).exits(0);
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025/0b3v1k2m_1_1"), &world.path("out/0b3v1k2m_1_1"));
}

#[test]
fn latest_takes_the_newest_and_a_date_that_day() {
    let world = stored();
    world.dump("shop/shop_20250825.sql");
    world.run(&["mysql", "--date", MONTHLY]).exits(0);
    world.run(&["restore", "--latest", "mysql/shop"]).exits(0);
    assert!(world.path("out/shop_20250825.sql").exists() && !world.path("out/shop_20250818.sql").exists());
    world.run(&["restore", "--latest", "mysql/shop", "--date", "2025-08-18"]).exits(0);
    assert!(world.path("out/shop_20250818.sql").exists());
    world
        .run(&["restore", "--latest", "mysql/shop", "--date", "2025-08-11"])
        .exits(1)
        .says("no stored set fits");
}

#[test]
fn latest_does_not_guess_between_two_sets_of_a_day() {
    let world = World::new();
    world.dump("shop/a_20250818.sql");
    world.dump("shop/b_20250818.sql");
    world.backup().exits(0);
    let output = world.run(&["restore", "--latest", "mysql/shop"]);
    assert_ne!(output.code, 0);
    assert!(output.stderr.contains("a_20250818.sql") && output.stderr.contains("b_20250818.sql"));
}

#[test]
fn stdout_is_the_file_and_nothing_else() {
    let world = stored();
    let output = world.run(&["restore", DUMP, "--stdout"]).exits(0);
    assert_eq!(output.raw, source(&world));
    let output = world.run(&["restore", FOLDER, "--stdout"]).exits(2).says("--stdout takes one");
    assert!(output.raw.is_empty());
}

#[test]
fn nothing_is_overwritten_without_force() {
    let world = stored();
    world.write("out/shop_20250818.sql", "mine");
    world.write("out/rman_erp_18-08-2025/0a3v1k2m_1_1", "mine");
    world.run(&["restore", DUMP]).exits(1).says("--force");
    world.run(&["restore", FOLDER]).exits(1).says("--force");
    assert_eq!(fs::read(world.path("out/shop_20250818.sql")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(world.path("out/rman_erp_18-08-2025")).unwrap().count(), 1);
    world.run(&["restore", DUMP, "--force"]).exits(0);
    world.run(&["restore", FOLDER, "--force"]).exits(0);
    assert_eq!(fs::read(world.path("out/shop_20250818.sql")).unwrap(), source(&world));
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
}

#[test]
fn time_and_permissions_come_back() {
    let world = World::new();
    let dump = world.dump("shop/shop_20250818.sql");
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_755_478_803, 123_456_789);
    let file = fs::File::options().write(true).open(&dump).unwrap();
    file.set_modified(then).unwrap();
    drop(file);
    fs::set_permissions(&dump, fs::Permissions::from_mode(0o640)).unwrap();
    world.backup().exits(0);
    world.run(&["restore", DUMP]).exits(0);
    let metadata = fs::metadata(world.path("out/shop_20250818.sql")).unwrap();
    assert_eq!(metadata.modified().unwrap(), then);
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640);
}

#[test]
fn too_little_room_is_told_before_anything_is_fetched() {
    let world = stored();
    let key = format!("backup/_catalog/{DUMP}/manifest.json");
    let mut manifest: Value = serde_json::from_slice(&world.get(&key)).unwrap();
    manifest["files"][0]["size"] = (1_u64 << 60).into();
    world.put(&key, manifest.to_string());
    let fetched = world.server.count(Op::GetObject);
    world.run(&["restore", DUMP]).exits(1).says("restoring needs").says("--to");
    assert_eq!(world.server.count(Op::GetObject) - fetched, 1, "the manifest alone");
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
}

#[test]
fn what_is_not_there_exits_1_and_another_bucket_2() {
    let world = stored();
    world.run(&["restore", "mysql/shop/weekly/none_20250818.sql"]).exits(1).says("nothing is stored under");
    world
        .run(&["restore", "s3://another/backup/mysql/shop/weekly/shop_20250818.sql"])
        .exits(2)
        .says("another");
    world.run(&["restore"]).exits(2);
}

#[test]
fn a_damaged_object_never_gets_its_name() {
    let world = stored();
    let mut bytes = source(&world);
    bytes[20] ^= 1;
    world.put(&format!("backup/{DUMP}"), bytes);
    world.run(&["restore", DUMP]).exits(1);
    assert!(!world.path("out/shop_20250818.sql").exists());
}

#[test]
fn an_object_without_manifest_comes_back_only_with_unproven_and_is_not_called_good() {
    let world = World::new();
    world.put("backup/mysql/shop/weekly/by_hand_20250811.sql", "sent by hand");
    let key = "mysql/shop/weekly/by_hand_20250811.sql";
    world.run(&["restore", key]).exits(1).says("--unproven");
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
    world.run(&["restore", key, "--unproven"]).exits(1).says("not called good");
    assert_eq!(fs::read(world.path("out/by_hand_20250811.sql")).unwrap(), b"sent by hand");
}

#[test]
fn a_folder_above_proven_sets_names_the_newest_of_them() {
    let world = stored();
    world.dump("shop/shop_20250825.sql");
    world.run(&["mysql", "--date", MONTHLY]).exits(0);
    let newest = "mysql/shop is no backup; stored under it: 2, of which mysql/shop/monthly/shop_20250825.sql of 2025-08-25 \
                  is the newest";
    world.run(&["restore", "mysql/shop"]).exits(2).says(newest).says("restore --latest mysql/shop`");
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
    world.run(&["show", "mysql/shop/"]).exits(2).says("mysql/shop/ is no backup");
    world
        .run(&["restore", "mysql/shop/weekly"])
        .exits(2)
        .says("mysql/shop/weekly is no backup; stored under it: 1");
}

#[test]
fn a_download_cut_off_is_tried_again() {
    let world = stored();
    world.faults().add(
        Rule::new(Fault::ResetResponse { at: 10 })
            .on(Op::GetObject)
            .key("weekly/shop_20250818.sql")
            .after(1)
            .times(1),
    );
    world.run(&["restore", DUMP]).exits(0);
    assert_eq!(fs::read(world.path("out/shop_20250818.sql")).unwrap(), source(&world));
    assert_eq!(world.faults().fired(), 1);
}

#[test]
fn restore_follows_the_version_that_was_stored() {
    let world = World::versioned();
    world.company();
    world.backup().exits(0);
    world.put(&format!("backup/{DUMP}"), "written over by somebody");
    world.run(&["restore", DUMP]).exits(0);
    assert_eq!(fs::read(world.path("out/shop_20250818.sql")).unwrap(), source(&world));
}

#[test]
fn a_partial_folder_that_is_a_link_or_open_to_others_is_refused_and_what_is_behind_it_stays() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let world = stored();
    let precious = world.write("victim/shadow", "precious");
    let partial = world.path("out/rman_erp_18-08-2025.partial");
    symlink(world.path("victim"), &partial).unwrap();
    world.run(&["restore", FOLDER]).exits(1).says("rman_erp_18-08-2025.partial");
    assert_eq!(fs::read(&precious).unwrap(), b"precious");
    assert_eq!(fs::read_dir(world.path("victim")).unwrap().count(), 1);
    fs::remove_file(&partial).unwrap();
    world.write("out/rman_erp_18-08-2025.partial.ranges", "");
    fs::create_dir(&partial).unwrap();
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o777)).unwrap();
    world.run(&["restore", FOLDER]).exits(1).says("others may write to it");
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o755)).unwrap();
    // A file that was complete already, with the mode of a source that is read only.
    let piece = world.write("out/rman_erp_18-08-2025.partial/0a3v1k2m_1_1", "not whole");
    fs::set_permissions(&piece, fs::Permissions::from_mode(0o440)).unwrap();
    world.run(&["restore", FOLDER]).exits(0);
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
}

#[test]
fn what_an_interrupted_restore_left_is_written_over() {
    let world = stored();
    world.write("out/shop_20250818.sql.partial", "a longer leftover of something else. ".repeat(100));
    world.write("out/shop_20250818.sql.partial.ranges", "");
    world.write("out/rman_erp_18-08-2025.partial/stranger", "of another restore");
    world.write("out/rman_erp_18-08-2025.partial.ranges", "");
    world.run(&["restore", DUMP]).exits(0);
    assert_eq!(fs::read(world.path("out/shop_20250818.sql")).unwrap(), source(&world));
    world.run(&["restore", FOLDER]).exits(0);
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
}

#[test]
fn a_partial_name_that_no_restore_began_is_kept() {
    let world = stored();
    let file = world.write("out/shop_20250818.sql.partial", "somebody's");
    let inside = world.write("out/rman_erp_18-08-2025.partial/notes", "somebody's");
    world
        .run(&["restore", DUMP])
        .exits(1)
        .says("shop_20250818.sql.partial is there, and no restore began it");
    world.run(&["restore", FOLDER]).exits(1).says("rman_erp_18-08-2025.partial is there, and no restore");
    assert_eq!(fs::read(&file).unwrap(), b"somebody's");
    assert_eq!(fs::read(&inside).unwrap(), b"somebody's");
    world.run(&["restore", DUMP, "--force"]).exits(1).says("no restore began it");
    world.run(&["restore", FOLDER, "--force"]).exits(1).says("no restore began it");
    assert_eq!(fs::read(&file).unwrap(), b"somebody's");
    assert_eq!(fs::read(&inside).unwrap(), b"somebody's");
}

#[test]
fn pieces_that_arrived_stay_though_no_journal_knows_them() {
    let world = World::new();
    for piece in ["0a3v1k2m_1_1", "0b3v1k2m_1_1", "0c3v1k2m_1_1"] {
        world.put_with_sha256(&format!("backup/oracle/erp/weekly/rman_old/{piece}"), &[b'x'; 5000]);
    }
    world
        .faults()
        .add(Rule::new(Fault::Answer { status: 403, code: "AccessDenied" }).on(Op::GetObject).key("0c3v"));
    let restore = ["restore", "oracle/erp/weekly/rman_old", "--unproven"];
    world.run(&restore).exits(5);
    world.run(&restore).exits(5);
    assert_eq!(fs::read(world.path("out/rman_old.partial.ranges")).unwrap(), b"");
    assert_eq!(
        fs::read(world.path("out/rman_old.partial/0a3v1k2m_1_1")).unwrap(),
        "x".repeat(5000).as_bytes()
    );
}

#[test]
fn a_file_that_came_into_the_folder_during_the_restore_stays() {
    let world = stored();
    world.run(&["restore", FOLDER]).exits(0);
    world.faults().add(Rule::new(Fault::DelayReply(Duration::from_secs(2))).on(Op::GetObject).key("0b3v"));
    let run = world.begin(&["restore", FOLDER, "--force", "--to", world.path("out").to_str().unwrap()]);
    world.wait_for_a_fault();
    let since = world.write("out/rman_erp_18-08-2025/archivelog_since.arc", "newer");
    run.finish().exits(1).says("such as archivelog_since.arc");
    assert_eq!(fs::read(&since).unwrap(), b"newer");
}

#[test]
fn force_replaces_no_directory_by_a_file_and_removes_no_file_that_is_not_in_the_backup() {
    let world = stored();
    let precious = world.write("out/shop_20250818.sql/important/f", "data");
    world.run(&["restore", DUMP, "--force"]).exits(1).says("is a directory, and what is restored is a file");
    assert_eq!(fs::read(&precious).unwrap(), b"data");

    world.run(&["restore", FOLDER]).exits(0);
    let since = world.write("out/rman_erp_18-08-2025/sub/archivelog_since.arc", "newer");
    world.run(&["restore", FOLDER, "--force"]).exits(1).says("such as sub/archivelog_since.arc, and --force");
    assert_eq!(fs::read(&since).unwrap(), b"newer");
    fs::remove_dir_all(since.parent().unwrap()).unwrap();
    world.write("out/rman_erp_18-08-2025/0a3v1k2m_1_1", "damaged");
    world.run(&["restore", FOLDER, "--force"]).exits(0);
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
    fs::remove_dir_all(world.path("out/rman_erp_18-08-2025")).unwrap();
    world.write("out/rman_erp_18-08-2025", "a file");
    world
        .run(&["restore", FOLDER, "--force"])
        .exits(1)
        .says("is no directory, and what is restored is a folder");
}

#[test]
fn the_longest_names_come_back_too() {
    let world = World::new();
    for length in [231, 240, 255] {
        let name = format!("{}_20250818.sql", "n".repeat(length - "_20250818.sql".len()));
        let dump = world.dump(&format!("shop/{name}"));
        world.backup().exits(0);
        world.run(&["restore", &format!("mysql/shop/weekly/{name}")]).exits(0);
        assert_same(&dump, &world.path(&format!("out/{name}")));
        fs::remove_file(dump).unwrap();
    }
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 3);
}

#[test]
fn where_nothing_arrived_nothing_is_left_and_nothing_is_said_to_be_there() {
    let world = stored();
    world.delete(&format!("backup/{DUMP}"));
    let lost = world.run(&["restore", DUMP]).exits(1);
    assert!(!lost.stderr.contains("what arrived"), "{}", lost.stderr);
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
}

#[test]
fn the_bucket_is_all_that_a_restore_needs_to_be_told() {
    let world = stored();
    world.configure(|text| text.split_once("[s3]").unwrap().1.replacen('\n', "[s3]\n", 1));
    world.run(&["restore", DUMP]).exits(0);
    world.run(&["list"]).exits(0);
    world.run(&["verify"]).exits(0);
    world.run(&["all"]).exits(2).says("so there is nothing to back up");
}

#[test]
fn a_link_in_the_place_of_the_partial_file_is_not_followed() {
    let world = stored();
    let victim = world.write("victim", "precious");
    std::os::unix::fs::symlink(&victim, world.path("out/shop_20250818.sql.partial")).unwrap();
    world.run(&["restore", DUMP]).exits(1);
    assert_eq!(fs::read(victim).unwrap(), b"precious");
}

#[test]
fn a_destination_that_cannot_be_made_exits_1_and_names_it() {
    let world = stored();
    world.write("file", "x");
    let to = world.path("file/below");
    world.run(&["restore", DUMP, "--to", to.to_str().unwrap()]).exits(1).says(to.to_str().unwrap());
}

#[test]
fn bytes_that_go_to_a_closed_pipe_are_no_success() {
    let world = World::new();
    world.bak("crm/crm_20250818.bak", 3_000_000);
    world.backup().exits(0);
    let mut command = world.command(&["restore", "mssql/crm/weekly/crm_20250818.bak", "--stdout"]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
}

#[test]
fn two_restores_do_not_write_the_same_file() {
    let world = stored();
    let drip = Fault::Drip { bytes_per_second: 100 };
    world.faults().add(Rule::new(drip).on(Op::GetObject).key("crm/weekly/crm_20250818.bak").after(1));
    let key = "mssql/crm/weekly/crm_20250818.bak";
    let fetched = world.server.count(Op::GetObject);
    let first = world.begin(&["restore", key]);
    world.wait_for(Op::GetObject, fetched + 2);
    world.run(&["restore", key]).exits(4).says("another restore is writing");
    drop(first);
    assert!(!world.path("out/crm_20250818.bak").exists());
}

#[test]
fn latest_takes_no_older_set_while_a_record_cannot_be_read() {
    let world = stored();
    world.put("backup/_catalog/mysql/shop/weekly/shop_20250819.sql/manifest.json", "{");
    world.run(&["restore", "--latest", "mysql/shop"]).exits(1).says("shop_20250819.sql").says("by its key");
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 0);
    world.run(&["restore", DUMP]).exits(0);
}
