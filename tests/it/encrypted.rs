//! Encrypted on the way: nothing readable reaches the bucket, only who holds a key gets it back, and nothing
//! is stored twice although no two passes give the same bytes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::support::noise;
use crate::support::program::Output;
use crate::support::world::{WEEKLY, World, assert_same};

const DUMP: &str = "mysql/shop/weekly/shop_20250818.sql";
const BAK: &str = "mssql/crm/weekly/crm_20250818.bak";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

/// A secret key in a file named `name`, outside what is backed up.
fn identity(world: &World, name: &str) -> (Identity, String) {
    let identity = Identity::generate();
    let path = world.path(name);
    let text = format!("# public key: {}\n{}\n", identity.to_public(), identity.to_string().expose_secret());
    fs::write(&path, text).unwrap();
    (identity, path.to_str().unwrap().to_owned())
}

fn encrypt(world: &World, to: &[&Identity], compress: &str) {
    let keys: Vec<String> = to.iter().map(|identity| format!("\"{}\"", identity.to_public())).collect();
    let lines = format!("min_size = \"1B\"\ncompress = \"{compress}\"\nencrypt = [{}]", keys.join(", "));
    world.configure(|text| text.replace("min_size = \"1B\"", &lines));
}

/// What `age -d` makes of an object; where it is not installed, what its library makes of it.
fn opened(object: &[u8], key: &str, identity: &Identity) -> Vec<u8> {
    let mut back = Vec::new();
    let started =
        Command::new("age").args(["-d", "-i", key]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = started else {
        let identities = std::iter::once(identity as &dyn age::Identity);
        age::Decryptor::new(object).unwrap().decrypt(identities).unwrap().read_to_end(&mut back).unwrap();
        return back;
    };
    let (mut stdin, object) = (child.stdin.take().unwrap(), object.to_vec());
    let feeding = std::thread::spawn(move || stdin.write_all(&object));
    child.stdout.take().unwrap().read_to_end(&mut back).unwrap();
    feeding.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    back
}

fn with_key(world: &World, args: &[&str], key: &str) -> Output {
    world.run(&[args, &["--identity", key]].concat())
}

fn company(compress: &str) -> (World, Identity, String) {
    let world = World::new();
    let (identity, key) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], compress);
    world.rman("erp/rman_erp_18-08-2025");
    world.dump("shop/shop_20250818.sql");
    world.write("mssql/crm/crm_20250818.bak", noise(17_000_000, 3));
    (world, identity, key)
}

#[test]
fn what_is_stored_is_opened_by_age_and_comes_back_with_the_key_alone() {
    for (compress, suffix) in [("none", ".age"), ("zstd", ".zst.age"), ("bzip2", ".bz2.age")] {
        let (world, identity, key) = company(compress);
        world.backup().exits(0);
        let keys = world.keys();
        assert!(keys.len() == 5 && keys.iter().all(|key| key.ends_with(suffix)), "{keys:?}");
        let stored = world.get(&format!("backup/{DUMP}{suffix}"));
        let source = world.path("mysql/shop/shop_20250818.sql");
        if compress == "none" {
            assert!(opened(&stored, &key, &identity) == fs::read(&source).unwrap());
        }
        assert!(stored.starts_with(b"age-encryption.org/v1\n"));
        assert!(!stored.windows(10).any(|window| window == b"MySQL dump"));
        for manifest in world.whole_manifests() {
            assert_eq!(manifest["version"], 3, "{manifest}");
            let coding = &manifest["files"][0]["coding"];
            assert_eq!(coding["recipients"][0], identity.to_public().to_string(), "{manifest}");
        }
        let shown = world.run(&["show", DUMP]).exits(0).stdout;
        assert!(shown.contains(&format!("encrypted to {}", identity.to_public())), "{shown}");
        // Without a key what is stored is compared, with it what is in it too.
        let told = world.run(&["verify", "--reread", "--local"]).exits(0).stdout;
        assert!(told.contains("5 objects are encrypted: each was compared as it is stored"), "{told}");
        let told = with_key(&world, &["verify", "--reread"], &key).exits(0).stdout;
        assert!(told.contains("every byte read") && !told.contains("are encrypted"), "{told}");
        for wanted in [DUMP, BAK, FOLDER] {
            world.run(&["restore", wanted]).exits(2).says("--identity FILE");
            with_key(&world, &["restore", wanted], &key).exits(0);
        }
        assert_same(&source, &world.path("out/shop_20250818.sql"));
        assert_same(&world.path("mssql/crm/crm_20250818.bak"), &world.path("out/crm_20250818.bak"));
        assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
        let piped = with_key(&world, &["restore", DUMP, "--stdout"], &key).exits(0);
        assert!(piped.raw == fs::read(&source).unwrap());
    }
}

#[test]
fn another_key_opens_nothing_and_each_of_several_opens_all() {
    let world = World::new();
    let ((first, one), (second, two)) = (identity(&world, "one.txt"), identity(&world, "two.txt"));
    let (_, other) = identity(&world, "other.txt");
    encrypt(&world, &[&first, &second], "gzip");
    let source = world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    with_key(&world, &["restore", DUMP], &other).exits(2).says("none of the identities");
    assert!(!world.path("out").exists() || fs::read_dir(world.path("out")).unwrap().next().is_none());
    for key in [&one, &two] {
        with_key(&world, &["restore", DUMP, "--force"], key).exits(0);
        assert_same(&source, &world.path("out/shop_20250818.sql"));
    }
    let run = world.command(&["restore", DUMP, "--stdout"]).env("DBBACKUP_IDENTITY", &two).output().unwrap();
    assert!(run.status.success() && run.stdout == fs::read(&source).unwrap());
    // What is no identity file is said before anything is asked of the bucket.
    with_key(&world, &["restore", DUMP], source.to_str().unwrap()).exits(2).says("line 1 is no secret key");
    with_key(&world, &["restore", DUMP], "/nonexistent/key.txt").exits(2).says("read the identity file");
}

#[test]
fn nothing_is_stored_twice_whatever_the_keys_are_then() {
    let (world, first, _) = company("none");
    world.backup().exits(0);
    let keys = world.keys();
    let (second, _) = identity(&world, "second.txt");
    for to in [&[&first][..], &[&second]] {
        encrypt(&world, to, "none");
        world.backup().exits(0).says("[SKIP]");
        touch(&world.path("mssql/crm/crm_20250818.bak"));
        world.backup().exits(0).says("[PRESENT]");
        assert_eq!(world.keys(), keys);
    }
    world.write("mssql/crm/crm_20250818.bak", noise(17_000_000, 4));
    world.backup().exits(1).says("already holds other content");
    assert_eq!(world.keys(), keys);
}

#[test]
fn what_was_stored_in_plain_before_stays_so_and_the_log_says_it() {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    let (identity, _) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], "none");
    world.dump("blog/blog_20250818.sql");
    world
        .backup()
        .exits(0)
        .says("mysql/shop/weekly/shop_20250818.sql: already stored with the same content, and not");
    assert_eq!(
        world.keys(),
        ["backup/mysql/blog/weekly/blog_20250818.sql.age", "backup/mysql/shop/weekly/shop_20250818.sql"]
    );
    let again = world.backup().exits(0);
    assert!(
        !again.stderr.contains("blog_20250818.sql: already stored with the same content, and"),
        "{}",
        again.stderr
    );
}

#[test]
fn a_key_that_opens_nothing_is_no_proof_that_the_backups_open() {
    let (world, _, key) = company("none");
    world.backup().exits(0);
    let (_, other) = identity(&world, "other.txt");
    let told = with_key(&world, &["verify", "--reread"], &other).exits(1);
    assert!(told.stdout.contains("none of the identities that were given opens it"), "{}", told.stdout);
    with_key(&world, &["verify", "--reread"], &key).exits(0);
    world.run(&["verify", "--reread"]).exits(0);
}

#[test]
fn what_is_to_be_encrypted_never_goes_out_as_it_is() {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(45_000_000, 7));
    world.backup().exits(0);
    world.delete("backup/_catalog/mssql/crm/weekly/crm_20250818.bak/manifest.json");
    fs::remove_dir_all(world.path("state")).unwrap();
    let (identity, _) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], "none");
    let sent =
        |world: &World| world.server.count(Op::UploadPart) + world.server.count(Op::CreateMultipartUpload);
    let before = sent(&world);
    // Listed, and not to be looked at.
    world.faults().deny(Op::HeadObject);
    world.backup().exits(1).says("present but not compared");
    world.heal();
    // Listed and compared.
    world.backup().exits(0).says("1 of its files lie in the bucket unencrypted").says("[PRESENT]");
    // Recorded, with another time, and gone.
    world.delete("backup/mssql/crm/weekly/crm_20250818.bak");
    touch(&world.path("mssql/crm/crm_20250818.bak"));
    world.backup().exits(1).says("is missing");
    // The same for who may not list.
    world.faults().deny(Op::ListObjectsV2);
    world.backup().exits(1).says("was not sent in its place");
    assert_eq!(sent(&world), before);
}

#[test]
fn what_was_stored_compressed_and_is_to_be_encrypted_now_never_goes_out_again_without() {
    let world = World::versioned();
    world.write("mssql/crm/crm_20250818.bak", noise(45_000_000, 7));
    world.configure(|text| text.replace("[s3]", "compress = \"zstd\"\n[s3]"));
    world.backup().exits(0);
    let (identity, _) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], "zstd");
    world.delete("backup/mssql/crm/weekly/crm_20250818.bak.zst");
    touch(&world.path("mssql/crm/crm_20250818.bak"));
    let sent =
        |world: &World| world.server.count(Op::UploadPart) + world.server.count(Op::CreateMultipartUpload);
    let before = sent(&world);
    world.faults().deny(Op::ListObjectsV2);
    world.backup().exits(1).says("was not sent in its place");
    world.run(&["all", "--date", WEEKLY, "--replace"]).exits(1).says("was not sent in its place");
    assert_eq!(sent(&world), before);
}

#[test]
fn replacing_a_set_that_lies_in_plain_is_refused_where_it_is_to_be_encrypted() {
    let world = World::versioned();
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    let (identity, _) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], "none");
    world.write(
        "mysql/shop/shop_20250818.sql",
        "-- MySQL dump 10.13\n-- Dump completed on 2025-08-18  2:00:00\n",
    );
    let before = world.versions();
    world
        .run(&["mysql", "--date", WEEKLY, "--replace"])
        .exits(1)
        .says("would be replaced so, and `encrypt` is set");
    let data = |versions: Vec<String>| versions.into_iter().filter(|key| !key.contains("/_")).count();
    assert_eq!(data(world.versions()), data(before));
}

#[test]
fn a_set_that_is_replaced_after_the_keys_changed_is_encrypted_to_those_of_now() {
    let world = World::versioned();
    let (first, _) = identity(&world, "first.txt");
    let (second, key) = identity(&world, "second.txt");
    encrypt(&world, &[&first], "none");
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    // Another compression too, so that the form that is stored is kept.
    encrypt(&world, &[&second], "gzip");
    let dump = "-- MySQL dump 10.13\n-- Dump completed on 2025-08-18  2:00:00\n";
    world.write("mysql/shop/shop_20250818.sql", dump);
    world.run(&["mysql", "--date", WEEKLY, "--replace"]).exits(0);
    with_key(&world, &["restore", DUMP], &key).exits(0);
    assert_eq!(fs::read_to_string(world.path("out/shop_20250818.sql")).unwrap(), dump);
}

#[test]
fn an_object_whose_answer_was_lost_is_known_by_its_own_note_and_not_by_the_last() {
    let world = World::new();
    let (identity, key) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], "none");
    world.dump("shop/shop_20250818.sql");
    world.backup().exits(0);
    forget_manifests(&world);
    // Not known to be there: it is encrypted once more, noted, and refused by If-None-Match.
    world.faults().deny(Op::ListObjectsV2);
    world.backup().exits(0).says("[PRESENT]");
    world.heal();
    with_key(&world, &["restore", DUMP], &key).exits(0);
    assert_same(&world.path("mysql/shop"), &world.path("out"));
}

fn touch(path: &Path) {
    fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::now()).unwrap();
}

/// Every manifest goes, as if the run had been killed between the objects and them.
fn forget_manifests(world: &World) {
    for key in world.all_keys().iter().filter(|key| key.contains("/_catalog/")) {
        world.delete(key);
    }
    let kept = fs::read(world.path("state/encrypted.jsonl")).unwrap();
    fs::remove_dir_all(world.path("state")).unwrap();
    fs::create_dir(world.path("state")).unwrap();
    fs::write(world.path("state/encrypted.jsonl"), kept).unwrap();
}

#[test]
fn a_run_killed_between_an_object_and_its_manifest_is_taken_up_by_the_note_of_it() {
    let (world, _, key) = company("zstd");
    world.backup().exits(0);
    let keys = world.keys();
    forget_manifests(&world);
    world.backup().exits(0).says("[PRESENT]");
    assert_eq!((world.keys(), world.whole_manifests().len()), (keys.clone(), 3));
    with_key(&world, &["verify", "--reread"], &key).exits(0);
    // A note vouches for the file it was made of, and for no other.
    forget_manifests(&world);
    world.write("mssql/crm/crm_20250818.bak", noise(17_000_000, 5));
    world.backup().exits(1).says("already holds other content");
    // Nor for another object.
    let mut bytes = world.get(&format!("backup/{DUMP}.zst.age"));
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    world.put(&format!("backup/{DUMP}.zst.age"), bytes);
    fs::remove_file(world.path("mssql/crm/crm_20250818.bak")).unwrap();
    for key in world.all_keys().iter().filter(|key| key.contains("/_catalog/")) {
        world.delete(key);
    }
    world.backup().exits(1).says("encrypted and without a manifest");
    // On a host without the note nobody can tell.
    fs::remove_dir_all(world.path("state")).unwrap();
    world.backup().exits(1).says("encrypted and without a manifest");
    assert_eq!(world.keys(), keys);
}

#[test]
fn an_upload_that_was_killed_begins_anew_and_leaves_nothing() {
    let world = World::new();
    let (identity, key) = identity(&world, "key.txt");
    encrypt(&world, &[&identity], "none");
    let source = world.write("mssql/crm/crm_20250818.bak", noise(45_000_000, 7));
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100_000 }).on(Op::UploadPart).after(1));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 3);
    world.wait_for_a_part();
    run.signal(Signal::KILL);
    run.finish();
    world.heal();
    assert_eq!(world.open_uploads(), 1);
    world.backup().exits(0).says("begins anew");
    assert_eq!(world.open_uploads(), 0);
    with_key(&world, &["restore", BAK], &key).exits(0);
    assert_same(&source, &world.path("out/crm_20250818.bak"));
}

#[test]
fn answers_that_are_lost_and_parts_that_fail_change_nothing() {
    let (world, _, key) = company("gzip");
    for op in [Op::PutObject, Op::UploadPart, Op::CompleteMultipartUpload] {
        world.faults().add(Rule::new(Fault::Answer { status: 500, code: "InternalError" }).on(op).times(1));
        world.faults().add(Rule::new(Fault::DropReply).on(op).times(1));
    }
    world.backup().exits(0).says("[RETRY]");
    assert_eq!(world.whole_manifests().len(), 3);
    with_key(&world, &["verify", "--reread"], &key).exits(0);
}

#[test]
fn a_damaged_object_is_told_and_never_gets_the_file_s_name() {
    let (world, _, key) = company("none");
    world.backup().exits(0);
    let name = format!("backup/{BAK}.age");
    let mut bytes = world.get(&name);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    world.put(&name, bytes);
    let told = world.run(&["verify", "--reread"]).exits(1).stdout;
    assert!(told.contains("DAMAGED"), "{told}");
    with_key(&world, &["restore", BAK], &key).exits(1);
    let file: PathBuf = world.path("out/crm_20250818.bak");
    assert!(!file.exists());
}
