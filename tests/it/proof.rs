//! What can go wrong with a stored backup, and who notices.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::support::{BUCKET, Fixture};

const KEY: &str = "mysql/shop/weekly/shop_20250818.sql";
const DUMP: &str = "\
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB, for debian-linux-gnu (x86_64)
CREATE TABLE `orders` (`id` int NOT NULL PRIMARY KEY);
INSERT INTO `orders` VALUES (1),(2),(3);
-- Dump completed on 2025-08-18  1:00:03
";

/// A bucket with one backup, and the program that is asked about it.
struct World {
    fixture: Fixture,
    dir: PathBuf,
}

impl World {
    async fn new(more: &str) -> Self {
        let fixture = Fixture::new().await;
        let dir = fixture.dir.path().to_owned();
        let world = Self { fixture, dir };
        std::fs::create_dir_all(world.dir.join("mysql/shop")).unwrap();
        std::fs::write(world.source(), DUMP).unwrap();
        let config = format!(
            "[mysql]\nsource = \"{dir}/mysql\"\n[s3]\nbucket = \"{BUCKET}\"\nprefix = \"b\"\nregion = \"us-east-1\"\n\
             endpoint_url = \"{url}\"\npath_style = true\n[log]\ndir = \"{dir}/log\"\n[state]\ndir = \"{dir}/state\"\n\
             [backup]\nattempts = 1\nsettle_time = \"0s\"\n{more}",
            dir = world.dir.display(),
            url = world.fixture.server.endpoint_url(),
        );
        std::fs::write(world.dir.join("config.toml"), config).unwrap();
        world
    }

    async fn with_backup() -> Self {
        let world = Self::new("").await;
        let sent = world.run(&["all", "--date", "2025-08-18"]).await;
        assert!(sent.status.success(), "{}", said(&sent));
        world
    }

    fn source(&self) -> PathBuf {
        self.dir.join("mysql/shop/shop_20250818.sql")
    }

    async fn run(&self, words: &[&str]) -> Output {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_dbbackup"));
        command
            .args(words)
            .env_clear()
            .env("DBBACKUP_CONFIG", self.dir.join("config.toml"))
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .current_dir(&self.dir);
        command.output().await.unwrap()
    }

    async fn delete(&self, key: &str) {
        self.fixture.client.delete_object().bucket(BUCKET).key(key).send().await.unwrap();
    }

    /// One bit of the object's bytes where the store keeps them; S3's records of it stay.
    async fn flip(&self, key: &str, at: usize) {
        let bytes = self.fixture.get(key).await;
        let file = files(&self.dir.join("s3"))
            .into_iter()
            .find(|path| std::fs::read(path).unwrap() == bytes)
            .expect("the store keeps the object in one file");
        let mut bytes = bytes;
        bytes[at] ^= 1;
        std::fs::write(file, bytes).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[derive(Debug, Clone, Copy)]
enum Damage {
    Missing,
    Truncated,
    Flipped,
    Replaced,
    Renamed,
}

/// Every damage to the object and to the manifest, and whether each command notices. The README lists
/// those that do not.
#[tokio::test(flavor = "multi_thread")]
async fn each_damage_is_noticed_by_the_commands_that_can() {
    use Damage::{Flipped, Missing, Renamed, Replaced, Truncated};
    let object = format!("b/{KEY}");
    let manifest = format!("b/_catalog/{KEY}/manifest.json");
    //   what, damage, then: verify, verify --reread, restore, status
    let cases = [
        (&object, Missing, [true, true, true, true]),
        (&object, Truncated, [true, true, true, true]),
        (&object, Flipped, [false, true, true, false]),
        (&object, Replaced, [true, true, true, true]),
        (&object, Renamed, [true, true, true, true]),
        (&manifest, Missing, [true, true, true, true]),
        (&manifest, Truncated, [true, true, true, true]),
        (&manifest, Flipped, [true, true, true, false]),
        (&manifest, Replaced, [true, true, true, true]),
        (&manifest, Renamed, [true, true, true, true]),
    ];
    let mut wrong = Vec::new();
    for (key, damage, noticed) in cases {
        let world = World::with_backup().await;
        let bytes = world.fixture.get(key).await;
        match damage {
            Missing => world.delete(key).await,
            Truncated => world.fixture.put(key, bytes[..bytes.len() - 7].to_vec()).await,
            Flipped => {
                // In the manifest: in the value of its checksum, so that it is still JSON.
                let text = String::from_utf8_lossy(&bytes);
                let at = text.find("\"value\": \"").map_or(40, |at| at + 12);
                world.flip(key, at).await;
            }
            Replaced => {
                let other =
                    String::from_utf8(bytes).unwrap().replace("shop", "shoq").replace("orders", "orderz");
                world.fixture.put(key, other).await;
            }
            Renamed => {
                world.fixture.put(&key.replace("20250818", "20250811"), bytes).await;
                world.delete(key).await;
            }
        }
        let back = world.dir.join("back").display().to_string();
        let commands: [&[&str]; 4] =
            [&["verify"], &["verify", "--reread"], &["restore", KEY, "--to", &back], &["status"]];
        for (words, noticed) in commands.into_iter().zip(noticed) {
            let output = world.run(words).await;
            // Status also looks at the age, and this backup is an old one: only what it says of damage counts.
            let seen = match words {
                ["status"] => {
                    let text = said(&output);
                    assert_eq!(output.status.code(), Some(1), "it is old: {text}");
                    ["damaged", "there is no good backup", "speaks of", "The bucket has no backup"]
                        .iter()
                        .any(|word| text.contains(word))
                }
                _ => output.status.code() != Some(0),
            };
            if seen != noticed {
                wrong.push(format!("{key} {damage:?} {words:?}: noticed {seen}\n{}", said(&output)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_records_what_it_proved_and_show_tells_it() {
    let world = World::with_backup().await;
    let verified = world.run(&["verify", "--reread", "--local"]).await;
    assert!(verified.status.success(), "{}", said(&verified));
    let shown = said(&world.run(&["show", KEY]).await);
    assert!(
        shown.contains("reread: downloaded again and compared") && shown.contains(" min, on "),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn file_that_changed_on_the_disk_is_noticed_with_local_only() {
    let world = World::with_backup().await;
    std::fs::write(world.source(), DUMP.replace("(3)", "(4)")).unwrap();
    assert!(world.run(&["verify"]).await.status.success());
    let output = world.run(&["verify", "--local"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("OTHER ON DISK"), "{}", said(&output));
    // Neither waited for nor followed.
    std::fs::remove_file(world.source()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, world.source(), rustix::fs::Mode::RWXU).unwrap();
    let output = world.run(&["verify", "--local"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("it cannot be read"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_objects_and_unfinished_uploads_are_told_and_harmless() {
    let world = World::with_backup().await;
    world.fixture.put("b/readme.txt", "x").await;
    let upload = world
        .fixture
        .client
        .create_multipart_upload()
        .bucket(BUCKET)
        .key("b/mysql/shop/weekly/x_20250811.sql");
    upload.send().await.unwrap();
    let output = world.run(&["verify"]).await;
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("foreign  b/readme.txt") && text.contains("unfinished  b/mysql/shop"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_expected_backup_fails_the_run_and_says_whose_fault_it_is() {
    let expect = "[[expect]]\nengine = \"mysql\"\napp = \"shop\"\nschedule = \"daily\"\n\
                  [[expect]]\nengine = \"mysql\"\napp = \"crm\"\nschedule = \"daily\"\n";
    let world = World::new(expect).await;
    let output = world.run(&["all", "--date", "2025-08-18"]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("mysql/crm: the source never produced its backup of 2025-08-18"), "{text}");
    assert!(!text.contains("mysql/shop: "), "{text}");
    // Another content under the same key is refused: produced, and not stored.
    world.delete(&format!("b/_catalog/{KEY}/manifest.json")).await;
    std::fs::write(world.source(), DUMP.replace("(3)", "(4)")).unwrap();
    let text = said(&world.run(&["all", "--date", "2025-08-18"]).await);
    assert!(
        text.contains("mysql/shop: its backup of 2025-08-18 is on this host and was not stored"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn old_backup_turns_status_red_in_every_form() {
    let world = World::with_backup().await;
    let output = world.run(&["status"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let output = world.run(&["status", "--nagios"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said(&output).starts_with("DBBACKUP CRITICAL - mysql/shop: the newest good backup is"),
        "{}",
        said(&output)
    );
    let output = world.run(&["status", "--metrics", "dbbackup.prom"]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = std::fs::read_to_string(world.dir.join("dbbackup.prom")).unwrap();
    assert!(text.contains("dbbackup_ok{engine=\"mysql\",app=\"shop\"} 0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_a_bucket_that_cannot_be_asked_do_not_go_on_saying_that_all_is_well() {
    let world = World::with_backup().await;
    let config = world.dir.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let file = world.dir.join("dbbackup.prom");
    std::fs::write(&file, "dbbackup_all_ok 1\n").unwrap();
    std::fs::write(&config, text.replace("bucket = \"", "bucket = \"no-")).unwrap();
    let output = world.run(&["status", "--metrics", "dbbackup.prom"]).await;
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    assert!(std::fs::read_to_string(&file).unwrap().contains("dbbackup_all_ok 0\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_objects_are_known_but_unproven_until_they_are_verified() {
    let world = World::new("").await;
    world.fixture.put(&format!("b/{KEY}"), DUMP).await;
    world.fixture.put("b/oracle/erp/weekly/full_1.bkp", "x").await;
    assert_eq!(world.run(&["verify"]).await.status.code(), Some(1));
    let planned = world.run(&["adopt", "--dry-run"]).await;
    assert!(said(&planned).contains(&format!("would read and adopt {KEY}")), "{}", said(&planned));
    assert!(said(&world.run(&["list"]).await).contains("No stored backups"));
    let adopted = world.run(&["adopt"]).await;
    let text = said(&adopted);
    assert_eq!(adopted.status.code(), Some(1), "{text}");
    assert!(
        text.contains("oracle/erp/weekly/full_1.bkp: it lies in the old script's flattened Oracle layout"),
        "{text}"
    );
    assert!(said(&world.run(&["show", KEY]).await).contains("unproven: nobody has compared it"));
    assert!(world.run(&["verify", "mysql", "--reread"]).await.status.success());
    assert!(said(&world.run(&["show", KEY]).await).contains("reread: downloaded again"));
    let again = world.run(&["adopt", "mysql"]).await;
    assert_eq!(again.status.code(), Some(3), "{}", said(&again));
}

#[tokio::test(flavor = "multi_thread")]
async fn adopted_dump_that_is_cut_short_is_marked_and_never_counted() {
    let world = World::new("").await;
    let cut = DUMP.split_once("-- Dump completed").unwrap().0;
    world.fixture.put(&format!("b/{KEY}"), cut).await;
    let output = world.run(&["adopt"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&format!("[CUT SHORT] {KEY}")), "{}", said(&output));
    let verified = said(&world.run(&["verify", "--reread"]).await);
    assert!(verified.contains("0 of 1 sets are good"), "{verified}");
    let status = said(&world.run(&["status"]).await);
    assert!(status.contains("there is no good backup"), "{status}");
}
