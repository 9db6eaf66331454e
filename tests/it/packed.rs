//! Folders packed on their way: one object that `tar x` reads, every file of it proven, and nothing sent or
//! stored twice.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use age::secrecy::ExposeSecret as _;
use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::support::noise;
use crate::support::world::{WEEKLY, World, assert_same};

const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";
const SOURCE: &str = "oracle/erp/rman_erp_18-08-2025";

fn pack(world: &World, lines: &str) {
    world.configure(|text| text.replacen("min_size = \"1B\"", &format!("min_size = \"1B\"\n{lines}"), 1));
}

/// A folder with subfolders, an empty file and a name longer than a header's field.
fn company(lines: &str) -> World {
    let world = World::new();
    pack(&world, lines);
    world.rman("erp/rman_erp_18-08-2025");
    world.write(&format!("{SOURCE}/logs/weekly/{}.log", "a_long_name_".repeat(12)), noise(70_001, 2));
    world.write(&format!("{SOURCE}/logs/empty.log"), b"");
    world.write(&format!("{SOURCE}/0b3v1k2m_1_1"), noise(9_000_000, 3));
    world.dump("shop/shop_20250818.sql");
    world
}

/// As if the run had been killed before it wrote them.
fn forget_manifests(world: &World) {
    for key in world.all_keys().iter().filter(|key| key.contains("/_catalog/")) {
        world.delete(key);
    }
    fs::remove_dir_all(world.path("state")).unwrap();
}

fn tar_x(archive: &[u8], into: &Path) {
    fs::create_dir_all(into).unwrap();
    let mut tar = Command::new("tar").arg("x").current_dir(into).stdin(Stdio::piped()).spawn().unwrap();
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    assert!(tar.wait().unwrap().success());
}

#[test]
fn a_folder_is_one_object_that_tar_reads_and_comes_back_as_it_was() {
    let world = company("pack = \"tar\"");
    let piece = world.path(SOURCE).join("0b3v1k2m_1_1");
    let old = SystemTime::UNIX_EPOCH + Duration::new(1_755_500_000, 123_456_789);
    fs::File::options().write(true).open(&piece).unwrap().set_modified(old).unwrap();
    fs::set_permissions(&piece, fs::Permissions::from_mode(0o604)).unwrap();
    world.backup().exits(0);
    let object = format!("backup/{FOLDER}.tar");
    assert_eq!(world.keys(), ["backup/mysql/shop/weekly/shop_20250818.sql", &object]);
    tar_x(&world.get(&object), &world.path("by-hand"));
    assert_same(&world.path(SOURCE), &world.path("by-hand/rman_erp_18-08-2025"));
    let manifests = world.whole_manifests();
    let manifest = manifests.iter().find(|manifest| manifest["engine"] == "oracle").unwrap();
    assert_eq!((&manifest["version"], &manifest["kind"]), (&3.into(), &"folder".into()), "{manifest}");
    let files = 5;
    assert_eq!(manifest["files"][0]["coding"]["members"].as_array().unwrap().len(), files);
    let shown = world.run(&["show", FOLDER]).exits(0).stdout;
    assert!(shown.contains(&format!("in {files} files")), "{shown}");
    let verified = world.run(&["verify", "--local"]).exits(0);
    assert!(
        verified.stdout.contains(" files on this host were read and compared; 0 are no longer"),
        "{}",
        verified.stdout
    );
    world.run(&["verify", "--reread"]).exits(0);
    world.run(&["drill", "oracle/erp"]).exits(0);
    world.run(&["restore", FOLDER]).exits(0);
    let back = world.path("out/rman_erp_18-08-2025");
    assert_same(&world.path(SOURCE), &back);
    let metadata = fs::metadata(back.join("0b3v1k2m_1_1")).unwrap();
    assert_eq!(metadata.modified().unwrap(), old);
    assert_eq!(metadata.permissions().mode() & 0o777, 0o604);
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 1, "nothing partial is left");
    // By its object's name, and as the archive that it is.
    world.run(&["restore", &format!("s3://backups/{object}"), "--force"]).exits(0);
    assert_same(&world.path(SOURCE), &back);
    let piped = world.run(&["restore", FOLDER, "--stdout"]).exits(0);
    assert!(piped.raw == world.get(&object));
    world.run(&["restore", &format!("{FOLDER}/0b3v1k2m_1_1")]).exits(2).says("is packed with the rest of");
}

#[test]
fn it_is_packed_then_compressed_then_encrypted() {
    let identity = age::x25519::Identity::generate();
    let lines = format!("pack = \"tar\"\ncompress = \"zstd\"\nencrypt = [\"{}\"]", identity.to_public());
    let world = company(&lines);
    let key = world.path("key.txt");
    fs::write(&key, identity.to_string().expose_secret()).unwrap();
    world.backup().exits(0);
    assert!(world.keys().contains(&format!("backup/{FOLDER}.tar.zst.age")), "{:?}", world.keys());
    world.run(&["restore", FOLDER]).exits(2).says("--identity FILE");
    world.run(&["restore", FOLDER, "--identity", key.to_str().unwrap()]).exits(0);
    assert_same(&world.path(SOURCE), &world.path("out/rman_erp_18-08-2025"));
    world.run(&["drill", "oracle/erp", "--identity", key.to_str().unwrap()]).exits(0);
}

#[test]
fn nothing_is_sent_twice_whatever_the_configuration_says_then() {
    let world = company("pack = \"tar\"\ncompress = \"gzip\"");
    world.backup().exits(0);
    let keys = world.keys();
    for lines in
        ["pack = \"tar\"", "pack = \"none\"\ncompress = \"zstd\"", "pack = \"tar\"\ncompress = \"gzip\""]
    {
        pack(&world, lines);
        world.backup().exits(0).says("[SKIP]");
        touch(&world.path(SOURCE).join("0b3v1k2m_1_1"));
        world.backup().exits(0).says("[PRESENT]");
        assert_eq!(world.keys(), keys, "{lines}");
    }
    let mut bytes = noise(9_000_000, 3);
    bytes[5_000_000] ^= 1;
    world.write(&format!("{SOURCE}/0b3v1k2m_1_1"), bytes);
    world.backup().exits(1).says("0b3v1k2m_1_1 with 9000000 bytes");
    world.write(&format!("{SOURCE}/one_more"), b"new");
    world.backup().exits(1).says("files here");
    assert_eq!(world.keys(), keys);
}

fn touch(path: &Path) {
    fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::now()).unwrap();
}

#[test]
fn what_lies_there_file_by_file_is_gone_on_with_so() {
    let world = company("pack = \"none\"");
    world.backup().exits(0);
    let keys = world.keys();
    pack(&world, "pack = \"tar\"");
    world.backup().exits(0).says("[SKIP]");
    // The run was killed before the manifest, and half of the objects are not there.
    forget_manifests(&world);
    world.delete(&format!("backup/{FOLDER}/logs/empty.log"));
    world.backup().exits(0);
    assert_eq!(world.keys(), keys);
    assert_eq!(world.whole_manifests().len(), 2);
}

#[test]
fn an_archive_without_a_manifest_is_recorded_where_it_is_the_same_and_refused_where_not() {
    let world = company("pack = \"tar\"\ncompress = \"zstd\"");
    world.backup().exits(0);
    let keys = world.keys();
    forget_manifests(&world);
    world.backup().exits(0).says("[PRESENT]");
    assert_eq!((world.keys(), world.whole_manifests().len()), (keys.clone(), 2));
    world.run(&["verify", "--reread"]).exits(0);
    forget_manifests(&world);
    world.write(&format!("{SOURCE}/0b3v1k2m_1_1"), noise(9_000_000, 4));
    world.backup().exits(1).says("already holds other content");
    assert_eq!(world.keys(), keys);
}

#[test]
fn an_upload_and_a_restore_that_were_killed_go_on_where_they_stopped() {
    let world = World::new();
    pack(&world, "pack = \"tar\"");
    world.rman("erp/rman_erp_18-08-2025");
    for piece in 0..6 {
        world.write(&format!("{SOURCE}/piece{piece}_1_1"), noise(8_000_000, 10 + piece));
    }
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100_000 }).on(Op::UploadPart).after(1));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 3);
    world.wait_for_a_part();
    run.signal(Signal::KILL);
    run.finish();
    world.heal();
    let sent = world.server.count(Op::UploadPart);
    world.backup().exits(0).says("going on with an unfinished upload");
    let parts = world.whole_manifests()[0]["files"][0]["parts"].as_u64().unwrap();
    assert!(world.server.count(Op::UploadPart) - sent < parts);
    assert_eq!(world.open_uploads(), 0);

    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100_000 }).on(Op::GetObject).after(3));
    let run = world.begin(&["restore", FOLDER]);
    let journal = world.path("out/rman_erp_18-08-2025.partial.ranges");
    let begun = std::time::Instant::now();
    while fs::metadata(&journal).map_or(0, |journal| journal.len()) < 50 {
        assert!(begun.elapsed() < Duration::from_mins(1), "no range arrived");
        std::thread::sleep(Duration::from_millis(20));
    }
    run.signal(Signal::KILL);
    run.finish();
    world.heal();
    world.run(&["restore", FOLDER]).exits(0).says("[RESUMED]");
    assert_same(&world.path(SOURCE), &world.path("out/rman_erp_18-08-2025"));
    assert_eq!(fs::read_dir(world.path("out")).unwrap().count(), 1);
}

#[test]
fn a_damaged_archive_is_told_and_no_folder_gets_its_name() {
    let world = company("pack = \"tar\"\ncompress = \"bzip2\"");
    world.backup().exits(0);
    let object = format!("backup/{FOLDER}.tar.bz2");
    let mut bytes = world.get(&object);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    world.put(&object, bytes);
    let told = world.run(&["verify", "--reread"]).exits(1).stdout;
    assert!(told.contains("DAMAGED"), "{told}");
    world.run(&["restore", FOLDER]).exits(1);
    assert!(!world.path("out/rman_erp_18-08-2025").exists());
}
