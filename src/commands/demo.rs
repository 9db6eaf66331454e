//! `dbbackup demo`: a small company, an S3 server inside this process, and the real commands run
//! against it as a person would type them.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

use super::company::Company;
use super::setup::Failure;
use crate::embedded::{self, Options, Server};
use crate::model::ExitCode;
use crate::ui;

/// The demo's keys: they open nothing but this server, which listens on loopback only.
const ACCESS_KEY: &str = "demo";
const SECRET_KEY: &str = "demo-secret";
const BUCKET: &str = "ict-backup";

/// Runs the whole story and removes what it made.
pub(super) async fn demo() -> Result<ExitCode, Failure> {
    let dir =
        tempfile::Builder::new().prefix("dbbackup-demo-").tempdir().context("make a temporary directory")?;
    let server = start(&dir.path().join("s3")).await?;
    let stage = Stage::new(dir.path(), &server)?;
    let company = Company::build(&dir.path().join("sources"), crate::calendar::today())?;
    let story = tell(&stage, &company).await;
    server.shutdown().await;
    story?;
    Ok(ExitCode::Done)
}

/// Keeps the server running on a directory until it is interrupted, for trying configurations by hand.
pub(super) async fn serve(
    dir: &Path,
    until: tokio_util::sync::CancellationToken,
) -> Result<ExitCode, Failure> {
    fs::create_dir_all(dir).with_context(|| format!("make directory {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("find directory {}", dir.display()))?;
    let server = start(&dir.join("s3")).await?;
    let stage = Stage::new(&dir, &server)?;
    let sources = dir.join("sources");
    if !sources.exists() {
        Company::build(&sources, crate::calendar::today())?;
    }
    say(&format!(
        "S3 on {} with bucket {BUCKET}, kept in {}. Ctrl-C ends it.\n\nIn another terminal:\n\n  \
         export AWS_ACCESS_KEY_ID={ACCESS_KEY} AWS_SECRET_ACCESS_KEY={SECRET_KEY}\n  \
         export DBBACKUP_CONFIG='{}'\n  dbbackup all\n  dbbackup list\n",
        server.endpoint_url(),
        dir.display(),
        stage.config.display(),
    ))?;
    until.cancelled().await;
    server.shutdown().await;
    Ok(ExitCode::Done)
}

async fn start(dir: &Path) -> anyhow::Result<Server> {
    let options = Options {
        dir: dir.to_owned(),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        buckets: vec![BUCKET.to_owned()],
        ..Options::default()
    };
    embedded::serve(options).await.context("start the embedded S3 server")
}

fn say(text: &str) -> anyhow::Result<()> {
    ui::result(text).context("write to standard output")
}

/// Where the story plays: a directory with a configuration, and this program.
struct Stage {
    dir: PathBuf,
    config: PathBuf,
    program: PathBuf,
}

impl Stage {
    fn new(dir: &Path, server: &Server) -> anyhow::Result<Self> {
        let config = dir.join("config.toml");
        let show = |path: PathBuf| toml::Value::String(path.display().to_string()).to_string();
        let sources = dir.join("sources");
        let text = format!(
            "[oracle]\nsource = {}\nexclude = [\"skiptothisfolder\"]\n\n\
             [mysql]\nsource = {}\nexclude = [\"excluded-db\"]\n\n\
             [mssql]\nsource = {}\nexclude = [\"api1/test\"]\n\n\
             [s3]\nbucket = \"{BUCKET}\"\nprefix = \"backup\"\nregion = \"us-east-1\"\n\
             endpoint_url = \"{}\"\npath_style = true\n\n\
             [log]\ndir = {}\n\n[state]\ndir = {}\n",
            show(sources.join("oracle")),
            show(sources.join("mysql")),
            show(sources.join("mssql")),
            server.endpoint_url(),
            show(dir.join("log")),
            show(dir.join("state")),
        );
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        // As it is installed; `check` looks at that.
        fs::set_permissions(&config, fs::Permissions::from_mode(0o640))
            .with_context(|| format!("close {} to others", config.display()))?;
        let program = std::env::current_exe().context("find this program's own file")?;
        Ok(Self { dir: dir.to_owned(), config, program })
    }

    /// Runs one command as typed, its output on this terminal, and insists on the exit code.
    async fn run(&self, args: &[&str], expected: ExitCode) -> anyhow::Result<()> {
        say(&format!("\n$ dbbackup {}\n", args.join(" ")))?;
        let status = self.command(args).status().await.context("run dbbackup")?;
        let code = status.code().unwrap_or(-1);
        ensure!(
            code == i32::from(expected.number()),
            "dbbackup {} ended with {code} and not with {}",
            args.join(" "),
            expected.number()
        );
        Ok(())
    }

    async fn json(&self, args: &[&str]) -> anyhow::Result<serde_json::Value> {
        let output = self.command(args).stdout(Stdio::piped()).output().await.context("run dbbackup")?;
        ensure!(output.status.success(), "dbbackup {} failed", args.join(" "));
        serde_json::from_slice(&output.stdout).context("read the JSON it printed")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let clean =
            ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"];
        for name in clean {
            command.env_remove(name);
        }
        command
            .args(args.iter().map(OsString::from))
            .current_dir(&self.dir)
            .env("DBBACKUP_CONFIG", &self.config)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }
}

async fn tell(stage: &Stage, company: &Company) -> anyhow::Result<()> {
    say(&format!(
        "A small company's backups are in {}:\n{}\nThe S3 server runs inside this process; every command below is the real one, over HTTP.",
        stage.dir.join("sources").display(),
        company.tree(),
    ))?;
    stage.run(&["config", "check"], ExitCode::Done).await?;
    say("\n# What would happen tonight, and why:")?;
    stage.run(&["all", "--dry-run"], ExitCode::Done).await?;
    say("\n# The nightly run, as cron starts it:")?;
    stage.run(&["all"], ExitCode::Done).await?;
    say("\n# The last fourth Monday of a month, kept as monthly:")?;
    stage.run(&["all", "--date", &company.fourth_monday().to_string()], ExitCode::Done).await?;
    say("\n# What the bucket has, by its own catalog:")?;
    stage.run(&["list"], ExitCode::Done).await?;
    say("\n# A second run sends nothing again:")?;
    stage.run(&["all"], ExitCode::Done).await?;
    let listed = stage.json(&["list", "--json"]).await?;
    let keys: Vec<String> = listed
        .get("sets")
        .and_then(serde_json::Value::as_array)
        .context("`list --json` printed no sets")?
        .iter()
        .filter_map(|set| set.get("key")?.as_str().map(str::to_owned))
        .collect();
    ensure!(
        keys.len() == company.expected().len(),
        "{} sets are listed, not {}",
        keys.len(),
        company.expected().len()
    );
    say("\n# The bad day: everything comes back.")?;
    for key in &keys {
        stage.run(&["restore", key, "--to", "restored"], ExitCode::Done).await?;
    }
    compare(stage, company)?;
    say(&format!(
        "\nEvery byte of {} sets came back from S3 as it was.\n\nNext:\n  \
         1. copy config.example.toml to /etc/dbbackup/config.toml, set your sources and bucket\n  \
         2. dbbackup config check, then dbbackup all --dry-run\n  \
         3. install deploy/cron/dbbackup or deploy/systemd/\n  \
         Or try a configuration by hand first: dbbackup demo --serve DIR",
        keys.len(),
    ))
}

/// Compares what was restored with the sources, byte for byte, and nothing may be missing or new.
fn compare(stage: &Stage, company: &Company) -> anyhow::Result<()> {
    let restored = stage.dir.join("restored");
    let mut bytes = 0;
    for source in company.expected() {
        let name = source.file_name().context("a set without a name")?;
        bytes += same(source, &restored.join(name))?;
    }
    let names = fs::read_dir(&restored).context("read the restored directory")?.count();
    ensure!(
        names == company.expected().len(),
        "{names} names were restored, not {}",
        company.expected().len()
    );
    say(&format!("\n# Compared {bytes} bytes with the sources: no difference."))
}

fn same(source: &Path, restored: &Path) -> anyhow::Result<u64> {
    if source.is_dir() {
        let list = |dir: &Path| -> anyhow::Result<Vec<OsString>> {
            let entries = fs::read_dir(dir).with_context(|| format!("read directory {}", dir.display()))?;
            let mut names: Vec<OsString> =
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?;
            names.sort();
            Ok(names)
        };
        let names = list(source)?;
        ensure!(names == list(restored)?, "{} and {} hold other files", source.display(), restored.display());
        return names.iter().map(|name| same(&source.join(name), &restored.join(name))).sum();
    }
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    let (ours, theirs) = (read(source)?, read(restored)?);
    if ours != theirs {
        bail!("{} and {} differ", source.display(), restored.display());
    }
    Ok(ours.len() as u64)
}
