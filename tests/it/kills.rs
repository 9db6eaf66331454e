//! Killed with -9 at random moments, until fifty fell into the run, each way: nothing half-done counts, what lies around
//! is told, and the next run ends with exactly the bytes of the source.
//!
//! The moments come from a seed that is printed; `DBBACKUP_KILL_SEED` gives it again. No outcome depends
//! on where a kill falls: what is asserted holds for all of them.
#![allow(clippy::print_stdout, reason = "what was sent twice is told, not judged")]

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use dbbackup::embedded::Op;
use rustix::process::Signal;

use crate::support::noise;
use crate::support::world::{WEEKLY, World, assert_same};

const KILLS: usize = 50;
/// The large file goes and comes in parts of 5 MiB, the smallest that S3 takes.
const LARGE: usize = 17_000_000;
const PARTS: u64 = 4;
const LARGE_SET: &str = "mssql/crm/weekly/crm_20250818.bak";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

/// A sequence of numbers that the seed decides.
struct Dice(u64);

impl Dice {
    fn new(what: &str) -> Self {
        let seed = std::env::var("DBBACKUP_KILL_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            u64::from(now.subsec_nanos()) ^ now.as_secs()
        });
        println!("{what}: DBBACKUP_KILL_SEED={seed}");
        Self(seed)
    }

    /// A moment within `span`.
    fn moment(&mut self, span: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        span.mul_f64(f64::from(u32::try_from(mixed >> 32).unwrap()) / f64::from(u32::MAX))
    }
}

fn company() -> World {
    let world = World::new();
    world.rman("erp/rman_erp_18-08-2025");
    world.dump("shop/shop_20250818.sql");
    world.write("mssql/crm/crm_20250818.bak", noise(LARGE, 9));
    world
}

/// Begins `args`, kills it at a moment within `span`, and says whether it was still running.
fn killed(world: &World, args: &[&str], moment: Duration) -> bool {
    let run = world.begin(args);
    std::thread::sleep(moment);
    run.signal(Signal::KILL);
    run.finish().code == 137
}

/// No manifest names an object that is not there with its size; every object without a manifest and
/// every unfinished upload is named by `verify`. How many of those there are.
fn what_lies_around_is_told(world: &World) -> usize {
    let sizes = world.sizes();
    let mut orphans: BTreeSet<&String> = sizes.keys().filter(|key| !is_record(key)).collect();
    for key in sizes.keys().filter(|key| key.ends_with("/manifest.json")) {
        let manifest: serde_json::Value = serde_json::from_slice(&world.get(key)).unwrap();
        for file in manifest["files"].as_array().unwrap() {
            let key = file["key"].as_str().unwrap().to_owned();
            assert_eq!(sizes.get(&key).copied(), file["size"].as_u64(), "{key}");
            orphans.remove(&key);
        }
    }
    let open = world.open_keys();
    if orphans.is_empty() && open.is_empty() {
        return 0;
    }
    let verified = world.run(&["verify"]);
    // Without any set yet it ends with 3.
    assert_eq!(verified.code == 1, !orphans.is_empty(), "{verified:?}");
    for key in orphans.iter().copied().chain(&open) {
        // An RMAN folder's objects are told as one.
        let told = key.strip_prefix("backup/").unwrap();
        let told = if told.starts_with("oracle/") { FOLDER } else { told };
        assert!(verified.stdout.contains(told), "{key} is not told: {verified:?}");
    }
    orphans.len() + open.len()
}

fn is_record(key: &str) -> bool {
    key.contains("/_catalog/") || key.contains("/_runs/")
}

#[test]
fn an_upload_killed_at_any_moment_is_completed_by_the_next_run() {
    let world = company();
    let begun = Instant::now();
    world.backup().exits(0);
    let span = begun.elapsed();
    let mut dice = Dice::new("upload");
    let (mut in_the_middle, mut around, mut twice) = (0, 0, 0);
    let mut runs = 0;
    while in_the_middle < KILLS {
        runs += 1;
        assert!(runs <= 6 * KILLS, "{in_the_middle} of {runs} kills fell into the run");
        world.forget_everything();
        let before = world.server.count(Op::UploadPart);
        in_the_middle += usize::from(killed(&world, &["all", "--date", WEEKLY], dice.moment(span)));
        let held = world.held_parts();
        around += what_lies_around_is_told(&world);
        let sent = world.server.count(Op::UploadPart);
        world.backup().exits(0);
        let again = world.server.count(Op::UploadPart) - sent;
        assert!(again + held <= PARTS, "{held} parts were there, and {again} were sent again");
        twice += (sent - before) + again - PARTS;
        assert_eq!(what_lies_around_is_told(&world), 0);
        // Every restored byte is compared with the manifest, and here with the source.
        for (key, name, ours) in
            [(LARGE_SET, "crm_20250818.bak", "mssql/crm"), (FOLDER, "rman_erp_18-08-2025", "oracle/erp")]
        {
            world.run(&["restore", key, "--force"]).exits(0);
            assert_same(&world.path(ours).join(name), &world.path("out").join(name));
        }
    }
    assert_eq!(world.whole_manifests().len(), 3);
    println!(
        "upload: {in_the_middle} of {runs} kills fell into the run; {around} objects and uploads lay around and were told; \
         {twice} of {} parts were begun twice ({} MiB at most)",
        PARTS * runs as u64,
        twice * 5
    );
}

#[test]
fn a_restore_killed_at_any_moment_is_completed_by_the_next() {
    let world = company();
    world.backup().exits(0);
    let source = fs::read(world.path("mssql/crm/crm_20250818.bak")).unwrap();
    let target = world.path("out/crm_20250818.bak");
    let begun = Instant::now();
    world.run(&["restore", LARGE_SET]).exits(0);
    let span = begun.elapsed();
    let mut dice = Dice::new("restore");
    let (mut in_the_middle, mut twice) = (0, 0);
    let mut runs = 0;
    while in_the_middle < KILLS {
        runs += 1;
        assert!(runs <= 6 * KILLS, "{in_the_middle} of {runs} kills fell into the run");
        let _before = fs::remove_file(&target);
        // Every fifth is the folder, so that both ways of writing are hit.
        let folder = runs % 5 == 0;
        let (key, out, ours) = if folder {
            (FOLDER, "out/rman_erp_18-08-2025", "oracle/erp/rman_erp_18-08-2025")
        } else {
            (LARGE_SET, "out/crm_20250818.bak", "mssql/crm/crm_20250818.bak")
        };
        let before = world.server.count(Op::GetObject);
        in_the_middle += usize::from(killed(&world, &["restore", key], dice.moment(span)));
        let named = world.path(out).exists();
        if named {
            // It has its name only when all of it is there.
            assert_same(&world.path(ours), &world.path(out));
        } else {
            world.run(&["restore", key]).exits(0);
            assert_same(&world.path(ours), &world.path(out));
            if !folder {
                // The manifest is fetched by each of the two.
                twice += (world.server.count(Op::GetObject) - before).saturating_sub(PARTS + 2);
            }
        }
        if folder {
            fs::remove_dir_all(world.path(out)).unwrap();
        } else {
            assert!(fs::read(&target).unwrap() == source);
            fs::remove_file(&target).unwrap();
        }
        let left: Vec<_> =
            fs::read_dir(world.path("out")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let journal = |path: &std::path::PathBuf| path.to_str().unwrap().ends_with(".partial.ranges");
        assert!(left.iter().all(|path| named && journal(path)), "{left:?}");
        // The next round's own is looked for there.
        for path in left {
            fs::remove_file(path).unwrap();
        }
    }
    println!(
        "restore: {in_the_middle} of {runs} kills fell into the run; {twice} ranges were begun twice ({} MiB at most)",
        twice * 5
    );
}
