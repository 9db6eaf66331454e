//! A disk that is full: known before anything is fetched where that can be known, told with what is
//! missing where it fills meanwhile, and no end of the restore.

use std::fs;
use std::process::{Command, Stdio};

use dbbackup::embedded::Op;

use crate::support::noise;
use crate::support::world::{WEEKLY, World, assert_same};

const FILE: &str = "mssql/crm/weekly/crm_20250818.bak";
const FOLDER: &str = "oracle/erp/weekly/rman_erp_18-08-2025";

/// Runs `script` where `small` is a disk of its own with 2 MiB, and `grow` makes it 64 MiB. The disk is
/// gone when the script ends, so what it is to leave goes elsewhere. `None` where this system lets nobody
/// have such a disk.
#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
fn on_a_small_disk(world: &World, script: &str) -> Option<Vec<String>> {
    let allowed = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        eprintln!("ignored: neither root nor a user namespace can mount a small disk here");
        return None;
    }
    fs::create_dir_all(world.path("small")).unwrap();
    let text = format!(
        "set -u; mount -t tmpfs -o size=2m tmpfs small; grow() {{ mount -o remount,size=64m small; }}\n{script}"
    );
    let mut command = world.command(&[]);
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh", "-c", &text, "sh", env!("CARGO_BIN_EXE_dbbackup")]);
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(world.path(".")).stdin(Stdio::null());
    command.stdin(Stdio::null());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

#[test]
fn a_file_that_does_not_fit_is_not_begun_and_the_next_run_with_room_restores_it() {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(6_000_000, 3));
    world.run(&["all", "--date", WEEKLY]).exits(0);
    let script = format!(
        "\"$1\" restore {FILE} --to small >said 2>&1; echo $?; ls -A small | wc -l; grow
        \"$1\" restore {FILE} --to small >&2; echo $?; cp -a small/. out/"
    );
    let Some(lines) = on_a_small_disk(&world, &script) else { return };
    assert_eq!(lines, ["1", "0", "0"]);
    let said = fs::read_to_string(world.path("said")).unwrap();
    let missing = 6_000_000 - (2 << 20);
    for words in ["restoring needs 6000000 bytes for small/crm_20250818.bak", &format!("{missing} too few")] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_same(&world.path("mssql/crm"), &world.path("out"));
}

#[test]
fn a_disk_that_fills_in_the_middle_of_a_folder_is_told_and_the_next_run_goes_on() {
    let world = World::new();
    // 840 kB in all, which seem to fit; but each file takes a block of the disk, and those are 2.4 MB.
    for number in 0..600 {
        world.write(&format!("oracle/erp/rman_erp_18-08-2025/p{number:04}_1_1"), noise(1400, number));
    }
    world.run(&["oracle", "--date", WEEKLY]).exits(0);
    let before = world.server.count(Op::GetObject);
    let script = format!(
        "\"$1\" restore {FOLDER} --to small >said 2>&1; echo $?; ls small; grow
        \"$1\" restore {FOLDER} --to small >again 2>&1; echo $?; ls small; cp -a small/. out/"
    );
    let Some(lines) = on_a_small_disk(&world, &script) else { return };
    let (partial, whole) = ("rman_erp_18-08-2025.partial", "rman_erp_18-08-2025");
    assert_eq!(lines, ["1", partial, &format!("{partial}.ranges"), "0", whole]);
    let said = fs::read_to_string(world.path("said")).unwrap();
    for words in
        ["write small/rman_erp_18-08-2025.partial/p", "it needs 1400 bytes more", "too few; make room"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_same(&world.path("oracle/erp"), &world.path("out"));
    let again = fs::read_to_string(world.path("again")).unwrap();
    assert!(again.contains("[RESUMED]"), "{again}");
    let fetched = world.server.count(Op::GetObject) - before;
    assert!(fetched < 600 + 400, "{fetched} objects were fetched, those of the first run again");
}

#[test]
fn a_state_directory_that_is_full_is_blamed_and_not_the_backup() {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(30_000_000, 3));
    world.configure(|text| {
        let text = text.replace("[mssql]", "[mssql]\ncompress = \"gzip\"");
        let state = world.path("small").display().to_string();
        let text = text.replace("[state]\ndir = ", &format!("[state]\ndir = \"{state}\"\n# "));
        let text: Vec<_> = text.lines().filter(|line| !line.starts_with("part_size")).collect();
        format!("{}\npart_size = \"24MiB\"\nmax_memory = \"40MiB\"\n", text.join("\n"))
    });
    let script = format!("\"$1\" all --date {WEEKLY} >said 2>&1; echo $?");
    let Some(lines) = on_a_small_disk(&world, &script) else { return };
    let said = fs::read_to_string(world.path("said")).unwrap();
    assert_eq!(lines, ["1"], "{said}");
    let small = world.path("small").display().to_string();
    assert!(
        said.contains(&format!("bytes in {small}: No space left")) && said.contains("make room there"),
        "{said}"
    );
    assert!(!said.contains("its permissions"), "{said}");
}
