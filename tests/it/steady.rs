//! A server that drips or falls silent: every attempt ends, the run goes on, and nothing hangs.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use dbbackup::embedded::{Fault, Op, Rule};

use crate::support::noise;
use crate::support::world::{WEEKLY, World, assert_same};

const LARGE: &str = "mssql/crm/weekly/crm_20250818.bak";

/// A host with one file of four parts, and these lines added to [s3].
fn world(s3: &str) -> World {
    let world = World::new();
    world.write("mssql/crm/crm_20250818.bak", noise(20_000_000, 9));
    world.configure(|text| text.replace("path_style = true", &format!("path_style = true\n{s3}")));
    world
}

/// Where a test stops although the program did not.
const LONG: Duration = Duration::from_mins(1);

#[test]
fn part_that_drips_ends_at_its_deadline_and_is_sent_again() {
    let world = world("attempt_timeout = \"1s\"\nmin_rate = \"80MB/s\"");
    world.faults().add(Rule::new(Fault::Drip { bytes_per_second: 50 }).on(Op::UploadPart).times(2));
    world.backup().exits(0).says("[RETRY]").says("slower than min_rate");
    assert_eq!(world.whole_manifests().len(), 1);
}

#[test]
fn part_that_stalls_ends_at_the_stall_timeout_and_is_sent_again() {
    let world = world("stall_timeout = \"1s\"");
    world.faults().add(Rule::new(Fault::StallRequest { at: 100_000 }).on(Op::UploadPart).times(1));
    world.backup().exits(0).says("[RETRY]").says("no byte moved for 1s (stall_timeout)");
    assert_eq!(world.whole_manifests().len(), 1);
}

#[test]
fn download_that_stalls_or_drips_is_asked_for_again() {
    let world = world("stall_timeout = \"1s\"\nattempt_timeout = \"2s\"");
    world.backup().exits(0);
    let data = |fault| Rule::new(fault).on(Op::GetObject).key(format!("backup/{LARGE}")).times(1);
    for fault in [Fault::StallResponse { at: 100_000 }, Fault::Drip { bytes_per_second: 200 }] {
        world.faults().add(data(fault));
        world.run(&["restore", LARGE, "--force"]).exits(0).says("[RETRY]");
        assert_same(&world.path("mssql/crm/crm_20250818.bak"), &world.path("out/crm_20250818.bak"));
    }
    world.faults().add(data(Fault::StallResponse { at: 100_000 }));
    let piped = world.run(&["restore", LARGE, "--stdout"]).exits(0).says("from byte 1");
    assert!(piped.raw == noise(20_000_000, 9));
}

#[test]
fn server_that_stays_silent_ends_the_run_with_5() {
    // Connections are taken by the kernel; nobody ever reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    for (scheme, key) in [("http", "attempt_timeout"), ("https", "connect_timeout")] {
        let world = world(&format!("{key} = \"1s\""));
        world.configure(|text| {
            let lines = text.lines().map(|line| match line.split_once(" = ") {
                Some(("endpoint_url", _)) => {
                    format!("endpoint_url = \"{scheme}://127.0.0.1:{port}\"\n{key} = \"1s\"")
                }
                _ => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n")
        });
        let begun = Instant::now();
        world.run(&["all", "--date", WEEKLY]).exits(5).says("[RETRY]");
        assert!(begun.elapsed() < LONG, "{scheme}: {:?}", begun.elapsed());
    }
}
