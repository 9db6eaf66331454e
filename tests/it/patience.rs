//! What a run waits for, and what it does not: a tunnel that is down, its share of the line, an upload that
//! is stuck, credentials that expired.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::tunnel::Tunnel;
use crate::support::world::{WEEKLY, World, assert_same};

const BAK: &str = "crm/crm_20250818.bak";
const KEY: &str = "mssql/crm/weekly/crm_20250818.bak";

/// A backup of 16 MiB and a bit: four parts; and a small one.
fn company() -> World {
    let world = World::new();
    world.dump("shop/shop_20250818.sql");
    world.bak(BAK, (16 << 20) + 5);
    world
}

/// The world's server behind a tunnel, with one attempt and this much patience.
fn behind(tunnel: &Tunnel, world: &World, patience: &str) {
    world.configure(|text| {
        let text = text.replace(&world.server.endpoint_url(), &format!("http://{}", tunnel.addr));
        text.replace("outage_patience = \"0s\"", &format!("outage_patience = \"{patience}\""))
            + "attempts = 1\nbandwidth = \"5MiB/s\"\n"
    });
}

fn restores(world: &World) {
    let out = world.path("out").display().to_string();
    world.run(&["restore", KEY, "--to", &out]).exits(0);
    assert_same(&world.path("mssql").join(BAK), &world.path("out/crm_20250818.bak"));
}

#[test]
fn tunnel_that_is_down_for_a_while_is_waited_for_and_uses_up_no_attempt() {
    let world = company();
    let tunnel = Tunnel::to(world.server.addr());
    behind(&tunnel, &world, "1m");
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for(Op::UploadPart, 2);
    tunnel.cut();
    // Longer than the pause between two questions whether it is back.
    std::thread::sleep(Duration::from_secs(6));
    tunnel.mend();
    run.finish().exits(0).says("[OUTAGE]").says("[BACK]");
    assert_eq!(world.whole_manifests().len(), 2);
    restores(&world);
}

#[test]
fn tunnel_that_stays_down_ends_the_run_and_the_next_one_goes_on_from_its_parts() {
    let world = company();
    let tunnel = Tunnel::to(world.server.addr());
    behind(&tunnel, &world, "1s");
    let run = world.begin(&["all", "--date", WEEKLY]);
    world.wait_for_a_part();
    tunnel.cut();
    run.finish().exits(1).says("given up");
    let held = world.held_parts();
    assert!(held > 0);
    tunnel.mend();
    let sent = world.server.count(Op::UploadPart);
    world.backup().exits(0);
    assert_eq!(world.server.count(Op::UploadPart) - sent, 4 - held);
    restores(&world);
}

#[test]
fn store_that_never_answered_is_not_waited_for() {
    let world = company();
    let tunnel = Tunnel::to(world.server.addr());
    behind(&tunnel, &world, "1h");
    tunnel.cut();
    let begun = Instant::now();
    world.backup().exits(5);
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn uploads_keep_to_the_bandwidth_and_a_wait_for_it_is_no_timeout() {
    let world = company();
    world.configure(|text| {
        text.replace(
            "[log]",
            "attempt_timeout = \"1s\"\nstall_timeout = \"1s\"\nmin_rate = \"100MiB/s\"\n[log]",
        ) + "bandwidth = \"00:00-23:59 4MiB/s, 4MiB/s\"\n"
    });
    let begun = Instant::now();
    let run = world.backup().exits(0);
    // 16 MiB, of which the first piece goes at once.
    assert!(begun.elapsed() > Duration::from_millis(3_700), "{:?}", begun.elapsed());
    assert!(!run.stderr.contains("[RETRY]"), "{}", run.stderr);
    restores(&world);
}

#[test]
fn upload_that_is_stuck_is_begun_anew_and_the_old_one_freed() {
    let world = company();
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::CompleteMultipartUpload));
    world.backup().exits(1);
    world.heal();
    // As many times as there are attempts: what an earlier run began cannot be completed any more.
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::CompleteMultipartUpload).times(3));
    world.backup().exits(0).says("begun anew");
    assert_eq!(world.open_uploads(), 0);
    restores(&world);
}

#[test]
fn old_unfinished_uploads_of_this_host_are_swept_and_no_others() {
    let world = company();
    world.faults().add(Rule::new(Fault::INTERNAL_ERROR).on(Op::CompleteMultipartUpload));
    world.backup().exits(1);
    world.heal();
    world.begin_upload("backup/mssql/crm/weekly/of_another_host.bak");
    // The file is gone, so that no run goes on with its upload.
    fs::remove_file(world.path("mssql").join(BAK)).unwrap();
    world.backup().exits(0);
    assert_eq!(world.open_uploads(), 2, "neither is old");
    let journal = world.path("state/uploads.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let year = text.find("\"at\":\"").unwrap() + 6;
    fs::write(&journal, format!("{}2025{}", &text[..year], &text[year + 4..])).unwrap();
    world.backup().exits(0);
    assert!(world.log().contains("[SWEPT]"), "{}", world.log());
    assert_eq!(world.open_keys(), ["backup/mssql/crm/weekly/of_another_host.bak"]);
    let lines = fs::read_to_string(&journal).unwrap();
    assert_eq!(lines.lines().filter(|line| !line.is_empty()).count(), 2, "begun, ended");
    world.backup().exits(0);
    assert_eq!(fs::read_to_string(&journal).unwrap(), "");
}

/// A profile whose keys come of a program that notes each call in the file it gives back; `before` is the shell's
/// word on the call under way, whose number is in `$n`.
fn keys_from_a_program(world: &World, before: &str) -> std::path::PathBuf {
    let asked = world.path("asked");
    let program = world.write(
        "program",
        format!(
            "#!/bin/sh\necho asked >>{0}\nn=$(wc -l <{0})\n{before}\n\
             echo '{{\"Version\":1,\"AccessKeyId\":\"test\",\"SecretAccessKey\":\"test\",\
             \"Expiration\":\"2099-01-01T00:00:00Z\"}}'\n",
            asked.display()
        ),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.write(".aws/config", format!("[profile helped]\ncredential_process = {}\n", program.display()));
    world.configure(|text| text.replace("[log]", "profile = \"helped\"\n[log]"));
    asked
}

fn calls(asked: &std::path::Path) -> usize {
    fs::read_to_string(asked).unwrap().lines().count()
}

#[test]
fn token_that_expires_in_mid_upload_is_asked_for_again() {
    let world = company();
    let asked = keys_from_a_program(&world, "");
    world.faults().add(Rule::new(Fault::EXPIRED_TOKEN).on(Op::UploadPart).after(1).times(2));
    world.run_by_profile(&["all", "--date", WEEKLY]).exits(0).says("ExpiredToken");
    let asked = calls(&asked);
    assert!((2..=3).contains(&asked), "asked {asked} times");
    restores(&world);
}

#[test]
fn source_of_credentials_that_fails_once_fails_no_file() {
    let world = company();
    let failing = "[ $n -ne 2 ] || { echo 'dial: i/o timeout' >&2; exit 1; }";
    let asked = keys_from_a_program(&world, failing);
    world.faults().add(Rule::new(Fault::EXPIRED_TOKEN).on(Op::UploadPart).after(1).times(1));
    world.run_by_profile(&["all", "--date", WEEKLY]).exits(0).says("ExpiredToken");
    let asked = calls(&asked);
    assert!(asked >= 3, "asked {asked} times");
    restores(&world);
}

#[test]
fn clock_that_is_off_is_told_with_what_to_do() {
    let world = company();
    world.faults().add(Rule::new(Fault::CLOCK_SKEW));
    world.backup().exits(5).says("this host's clock says").says("timedatectl");
    world.heal();
    assert_eq!(world.all_keys(), [""; 0]);
}
