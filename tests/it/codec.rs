//! Compression on the way: standard tools read what is stored, restore gives the file back, and nothing
//! is compressed, sent or stored twice.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use dbbackup::embedded::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::support::noise;
use crate::support::world::{WEEKLY, World, assert_same};

const DUMP: &str = "mysql/shop/weekly/shop_20250818.sql";
const BAK: &str = "mssql/crm/weekly/crm_20250818.bak";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

/// The words of the configuration, the suffix, and the tool that reads it.
const FORMS: [(&str, &str, &str); 4] = [
    ("zstd", ".zst", "zstd"),
    ("zstd:12", ".zst", "zstd"),
    ("gzip", ".gz", "gzip"),
    ("bzip2", ".bz2", "bzip2"),
];

fn compress(world: &World, form: &str) {
    world.configure(|text| {
        text.replace("min_size = \"1B\"", &format!("min_size = \"1B\"\ncompress = \"{form}\""))
    });
}

/// Bytes that halve when they are compressed.
fn half(len: usize, seed: u64) -> Vec<u8> {
    noise(len, seed).into_iter().map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]).collect()
}

fn company(form: &str) -> World {
    let world = World::new();
    compress(&world, form);
    world.rman("erp/rman_erp_18-08-2025");
    world.dump("shop/shop_20250818.sql");
    world.write("mssql/crm/crm_20250818.bak", half(17_000_000, 3));
    world
}

/// What `zstd -d`, `gzip -d` or `bzip2 -d` makes of the object; where the tool is not installed, what its
/// library makes of it.
fn decoded(tool: &str, stored: Vec<u8>) -> Vec<u8> {
    let mut back = Vec::new();
    let started = Command::new(tool).args(["-d", "-c"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = started else {
        let stored = std::io::Cursor::new(stored);
        match tool {
            "zstd" => zstd::stream::read::Decoder::new(stored).unwrap().read_to_end(&mut back),
            "gzip" => flate2::read::GzDecoder::new(stored).read_to_end(&mut back),
            _ => bzip2::read::BzDecoder::new(stored).read_to_end(&mut back),
        }
        .unwrap();
        return back;
    };
    let mut stdin = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || stdin.write_all(&stored));
    child.stdout.take().unwrap().read_to_end(&mut back).unwrap();
    feeding.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    back
}

#[test]
fn every_form_is_read_by_its_standard_tool_and_comes_back_by_restore() {
    for (form, suffix, tool) in FORMS {
        let world = company(form);
        let source = world.path("mssql/crm/crm_20250818.bak");
        let old = SystemTime::UNIX_EPOCH + Duration::new(1_755_500_000, 123_456_789);
        fs::File::options().write(true).open(&source).unwrap().set_modified(old).unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o604)).unwrap();
        world.backup().exits(0);
        let mut keys = world.keys();
        assert!(keys.iter().all(|key| key.ends_with(suffix)) && keys.len() == 5, "{form}: {keys:?}");
        keys.retain(|key| key.contains("/crm/"));
        let stored = world.get(&keys[0]);
        assert!(stored.len() < 10_000_000, "{form}: {} bytes", stored.len());
        assert!(decoded(tool, stored) == fs::read(&source).unwrap(), "{form}");
        // The tool proves the folder's pieces as well.
        for piece in ["0a3v1k2m_1_1", "c-1234567890-20250818-00"] {
            let stored = world.get(&format!("backup/{FOLDER}/{piece}{suffix}"));
            let ours = fs::read(world.path("oracle/erp/rman_erp_18-08-2025").join(piece)).unwrap();
            assert!(decoded(tool, stored) == ours, "{form}: {piece}");
        }
        for manifest in world.whole_manifests() {
            assert_eq!(manifest["version"], 2, "{manifest}");
        }
        world.run(&["verify"]).exits(0);
        world.run(&["verify", "--reread", "--local"]).exits(0);
        for key in [DUMP, BAK, FOLDER] {
            world.run(&["restore", key]).exits(0);
        }
        assert_same(&source, &world.path("out/crm_20250818.bak"));
        assert_same(&world.path("mysql/shop/shop_20250818.sql"), &world.path("out/shop_20250818.sql"));
        assert_same(&world.path("oracle/erp/rman_erp_18-08-2025"), &world.path("out/rman_erp_18-08-2025"));
        let metadata = fs::metadata(world.path("out/crm_20250818.bak")).unwrap();
        assert_eq!(metadata.modified().unwrap(), old);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o604);
    }
}

#[test]
fn a_compressed_file_comes_back_by_its_object_s_name_and_into_a_pipe() {
    let world = company("zstd");
    world.backup().exits(0);
    let ours = fs::read(world.path("mssql/crm/crm_20250818.bak")).unwrap();
    let piped = world.run(&["restore", BAK, "--stdout"]).exits(0);
    assert!(piped.raw == ours);
    world.run(&["restore", &format!("s3://backups/backup/{BAK}.zst")]).exits(0);
    assert!(fs::read(world.path("out/crm_20250818.bak")).unwrap() == ours);
    world.run(&["restore", &format!("backup/{FOLDER}/0a3v1k2m_1_1.zst")]).exits(0);
    let piece = "0a3v1k2m_1_1";
    assert_same(&world.path("oracle/erp/rman_erp_18-08-2025").join(piece), &world.path("out").join(piece));
    let left = fs::read_dir(world.path("out")).unwrap().count();
    assert_eq!(left, 2, "nothing partial is left");
}

#[test]
fn a_second_run_sends_nothing_whatever_the_configuration_says_then() {
    let world = company("zstd");
    world.backup().exits(0);
    let keys = world.keys();
    for form in ["zstd", "zstd:9", "gzip", "none"] {
        compress(&world, form);
        let parts = world.server.count(Op::UploadPart);
        world.backup().exits(0).says("[SKIP]");
        // Other times, the same content: read and compared with what the manifest tells.
        for file in ["mysql/shop/shop_20250818.sql", "mssql/crm/crm_20250818.bak"] {
            let now = SystemTime::now();
            fs::File::options().write(true).open(world.path(file)).unwrap().set_modified(now).unwrap();
        }
        for engine in ["backup/mysql", "backup/mssql"] {
            let refused = Fault::Answer { status: 403, code: "AccessDenied" };
            world.faults().add(Rule::new(refused).on(Op::PutObject).key(engine));
        }
        world.backup().exits(0).says("[PRESENT]");
        world.heal();
        assert_eq!(world.server.count(Op::UploadPart), parts, "{form}");
        assert_eq!(world.keys(), keys, "{form}");
    }
    world.write("mssql/crm/crm_20250818.bak", half(17_000_000, 4));
    world.backup().exits(1).says("already holds other content");
    assert_eq!(world.keys(), keys);
}

#[test]
fn what_is_stored_as_it_is_is_not_sent_again_compressed() {
    let world = company("none");
    world.backup().exits(0);
    let keys = world.keys();
    compress(&world, "gzip");
    world.backup().exits(0).says("[SKIP]");
    assert_eq!(world.keys(), keys);
    for manifest in world.whole_manifests() {
        assert_eq!(manifest["version"], 1, "{manifest}");
        let record = manifest["files"][0].as_object().unwrap();
        assert!(!record.contains_key("coding"), "{manifest}");
    }
    // Also where nothing but the objects is left of that run.
    for key in world.all_keys().iter().filter(|key| key.contains("/_catalog/")) {
        world.delete(key);
    }
    fs::remove_dir_all(world.path("state")).unwrap();
    world.backup().exits(0);
    assert_eq!(world.keys(), keys);
    assert_eq!(world.whole_manifests().len(), 3);
}

#[test]
fn what_is_compressed_already_goes_as_it_is() {
    let world = World::new();
    compress(&world, "zstd");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&fs::read(world.dump("a_20250818.sql")).unwrap()).unwrap();
    let gzip = gzip.finish().unwrap();
    fs::remove_file(world.path("mysql/a_20250818.sql")).unwrap();
    world.write("mysql/shop/shop_20250818.sql.gz", &gzip);
    world.write("mssql/crm/crm_20250818.bak", [&b"MSSQLBAK\x02\0"[..], &noise(9_000, 1)].concat());
    world.backup().exits(0);
    assert_eq!(
        world.keys(),
        ["backup/mssql/crm/weekly/crm_20250818.bak", "backup/mysql/shop/weekly/shop_20250818.sql.gz"]
    );
    assert_eq!(world.get("backup/mysql/shop/weekly/shop_20250818.sql.gz"), gzip);
}

fn in_mid_upload(form: &str, end: Signal) -> World {
    let world = World::new();
    compress(&world, form);
    world.write("mssql/crm/crm_20250818.bak", half(45_000_000, 7));
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 100_000 }).on(Op::UploadPart).after(1));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 3);
    world.wait_for_a_part();
    run.signal(end);
    assert!(run.finish().code >= 128);
    world.heal();
    assert!(world.keys().is_empty() && world.whole_manifests().is_empty());
    world
}

#[test]
fn a_compressed_upload_that_was_killed_goes_on_with_the_parts_that_are_there() {
    for end in [Signal::KILL, Signal::TERM] {
        let world = in_mid_upload("zstd", end);
        let sent = world.server.count(Op::UploadPart);
        world.backup().exits(0).says("going on with an unfinished upload");
        let parts = world.whole_manifests()[0]["files"][0]["parts"].as_u64().unwrap();
        let again = world.server.count(Op::UploadPart) - sent;
        assert!(again < parts, "{again} of {parts} parts were sent again");
        assert_eq!(world.open_uploads(), 0);
        world.run(&["restore", BAK]).exits(0);
        assert_same(&world.path("mssql/crm"), &world.path("out"));
    }
}

#[test]
fn parts_that_are_there_give_their_place_back_before_the_next_is_made() {
    let world = in_mid_upload("zstd", Signal::KILL);
    // One slot: what a part that needs no sending still held would be waited for without end.
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    fs::write(world.path("config.toml"), config.replace("[backup]", "[backup]\nconcurrency = 1")).unwrap();
    world.backup().exits(0).says("going on with an unfinished upload");
    world.run(&["restore", BAK]).exits(0);
    assert_same(&world.path("mssql/crm"), &world.path("out"));
}

#[test]
fn parts_larger_than_the_memory_wait_on_the_disk_and_leave_nothing_there() {
    let world = World::new();
    compress(&world, "gzip");
    let config = fs::read_to_string(world.path("config.toml")).unwrap();
    fs::write(world.path("config.toml"), config.replace("part_size = \"5MiB\"", "part_size = \"20MiB\""))
        .unwrap();
    let source = world.write("mssql/crm/crm_20250818.bak", half(45_000_000, 7));
    // An attempt that fails is made again from what waits there.
    world.faults().add(Rule::new(Fault::ResetRequest { at: 1_000_000 }).on(Op::UploadPart).times(1));
    world.backup().exits(0).says("[RETRY]");
    let manifests = world.whole_manifests();
    assert_eq!(manifests[0]["files"][0]["parts"], 2, "{}", manifests[0]);
    let state = walkdir::WalkDir::new(world.path("state")).into_iter().map(|entry| entry.unwrap());
    assert!(
        state.filter(|entry| entry.file_type().is_file()).all(|file| file.metadata().unwrap().len() < 10_000)
    );
    world.run(&["restore", BAK]).exits(0);
    assert_same(&source, &world.path("out/crm_20250818.bak"));
}

#[test]
fn parts_of_another_level_are_not_used() {
    let world = in_mid_upload("zstd", Signal::KILL);
    compress(&world, "zstd:5");
    world.backup().exits(0);
    world.whole_manifests();
    assert_eq!(world.open_uploads(), 0);
    world.run(&["restore", BAK]).exits(0);
    assert_same(&world.path("mssql/crm"), &world.path("out"));
}

#[test]
fn an_object_without_a_manifest_is_recorded_where_it_decodes_to_the_file_and_refused_where_not() {
    let world = company("zstd");
    world.backup().exits(0);
    let keys = world.keys();
    let forget = || {
        for key in world.all_keys().iter().filter(|key| key.contains("/_catalog/")) {
            world.delete(key);
        }
        fs::remove_dir_all(world.path("state")).unwrap();
    };
    // Of the same level it is the same bytes, of another level other bytes of the same file.
    for form in ["zstd", "zstd:9"] {
        forget();
        compress(&world, form);
        world.backup().exits(0);
        assert_eq!(world.keys(), keys, "{form}");
        assert_eq!(world.whole_manifests().len(), 3);
        world.run(&["verify", "--reread"]).exits(0);
    }
    forget();
    world.write("mssql/crm/crm_20250818.bak", half(17_000_001, 3));
    world.backup().exits(1).says("already holds other content");
    assert_eq!(world.keys(), keys);
    // Without a manifest the object is what it is.
    world.run(&["restore", &format!("{BAK}.zst")]).exits(1).says("--unproven");
    world.run(&["restore", &format!("{BAK}.zst"), "--unproven"]).exits(1);
    assert!(
        fs::read(world.path("out/crm_20250818.bak.zst")).unwrap() == world.get(&format!("backup/{BAK}.zst"))
    );
}

/// The object again, with one bit of its middle turned over.
fn damage(world: &World, key: &str) {
    let mut bytes = world.get(key);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    world.put(key, bytes);
}

#[test]
fn a_damaged_object_is_told_and_never_gets_the_file_s_name() {
    for (form, suffix, _) in FORMS {
        let world = company(form);
        world.backup().exits(0);
        for (key, name) in [(DUMP, "shop_20250818.sql"), (BAK, "crm_20250818.bak")] {
            damage(&world, &format!("backup/{key}{suffix}"));
            world.run(&["restore", key]).exits(1).says("is damaged");
            assert!(!world.path("out").join(name).exists());
            world.run(&["restore", key, "--stdout"]).exits(1).says("is damaged");
        }
        damage(&world, &format!("backup/{FOLDER}/0a3v1k2m_1_1{suffix}"));
        world.run(&["restore", FOLDER]).exits(1).says("is damaged");
        assert!(!world.path("out/rman_erp_18-08-2025").exists());
        world.run(&["verify", "--reread"]).exits(1);
    }
}

#[test]
fn an_object_exchanged_together_with_its_size_is_still_refused_by_what_it_decodes_to() {
    let world = company("gzip");
    world.backup().exits(0);
    let key = format!("backup/{DUMP}.gz");
    let mut other = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    other.write_all(b"-- another dump\n").unwrap();
    let other = other.finish().unwrap();
    // Whoever can write the object and its record can make them agree; not with the file's own sum.
    let record = "backup/_catalog/mysql/shop/weekly/shop_20250818.sql/manifest.json";
    let mut manifest: serde_json::Value = serde_json::from_slice(&world.get(record)).unwrap();
    let mut digest = dbbackup::checksum::Digest::new(dbbackup::checksum::Algorithm::Crc64Nvme);
    digest.update(&other);
    manifest["files"][0]["size"] = other.len().into();
    manifest["files"][0]["checksum"]["value"] = digest.full_object().value.into();
    world.put(&key, other);
    world.put(record, serde_json::to_vec(&manifest).unwrap());
    fs::remove_dir_all(world.path("state")).unwrap();
    world.run(&["restore", DUMP]).exits(1).says("where the file had");
    assert!(!world.path("out/shop_20250818.sql").exists());
}

#[test]
fn a_restore_that_was_killed_goes_on() {
    let world = company("zstd");
    world.backup().exits(0);
    let drip = Fault::Drip { bytes_per_second: 100_000 };
    world.faults().add(Rule::new(drip).on(Op::GetObject).key(".bak.zst").after(1));
    let fetched = world.server.count(Op::GetObject);
    let run = world.begin(&["restore", BAK]);
    world.wait_for(Op::GetObject, fetched + 3);
    let journal = world.path("out/crm_20250818.bak.partial.ranges");
    let begun = std::time::Instant::now();
    while fs::metadata(&journal).map_or(0, |metadata| metadata.len()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no range arrived");
        std::thread::sleep(Duration::from_millis(5));
    }
    run.signal(Signal::KILL);
    run.finish().exits(137);
    world.heal();
    world.run(&["restore", BAK]).exits(0).says("[RESUMED]");
    assert_same(&world.path("mssql/crm"), &world.path("out"));
}

#[test]
fn a_file_that_grows_while_it_is_compressed_is_not_stored() {
    let world = World::new();
    compress(&world, "zstd");
    let path = world.write("mssql/crm/crm_20250818.bak", half(45_000_000, 7));
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 4_000_000 }).on(Op::UploadPart));
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 1);
    fs::File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
    run.finish().exits(1).says("still being written, or was replaced");
    assert!(world.keys().is_empty() && world.open_uploads() == 0);
}

/// Anonymous memory, and memory in all, of a process that is still there, in MiB.
fn peak(id: u32) -> Option<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let value = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
    };
    Some((value("RssAnon:")?, value("VmHWM:")?))
}

/// A debug build's code takes some 20 MiB more than a release build's, and its own data the same.
const DATA: u64 = 48;

/// The peak of a run that is looked at until it ends.
fn watched(world: &World, args: &[&str]) -> (u64, u64) {
    let run = world.begin(args);
    let mut most = (0, 0);
    while let Some((anon, all)) = peak(run.id()) {
        most = (most.0.max(anon), most.1.max(all));
        std::thread::sleep(Duration::from_millis(10));
    }
    run.finish().exits(0);
    most
}

#[test]
#[allow(clippy::print_stdout, reason = "the figure is told beside the bound")]
fn memory_stays_within_its_bound_in_every_form() {
    let world = World::new();
    let mut bytes = half(100_000_000, 5);
    bytes.extend_from_within(..);
    bytes.extend_from_within(..100_000_000);
    world.write("mssql/a/a_20250818.bak", &bytes);
    for number in 0..20 {
        let piece = format!("oracle/erp/rman_erp_18-08-2025/piece_{number}");
        world.write(&piece, half(3_000_000, number));
    }
    for (form, _, _) in FORMS {
        world.forget_everything();
        world.configure(|text| {
            let text = text.replace("part_size = \"5MiB\"\n", "");
            text.replace("min_size = \"1B\"", &format!("min_size = \"1B\"\ncompress = \"{form}\""))
        });
        // A slow form takes the folder alone.
        let (target, key) =
            if form == "zstd" { ("all", "mssql/a/weekly/a_20250818.bak") } else { ("ORACLE", FOLDER) };
        let sent = watched(&world, &[target, "--date", WEEKLY]);
        let restored = watched(&world, &["restore", key, "--force"]);
        println!("{form}: {sent:?} MiB sending, {restored:?} MiB restoring (data, and all)");
        assert!(sent.0 <= DATA && restored.0 <= DATA, "{form}: {sent:?} MiB sending, {restored:?} restoring");
    }
}
