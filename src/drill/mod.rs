//! A throwaway `MariaDB` or `MySQL` server: made in a directory of its own, loaded, checked, stopped.
//!
//! What must stay true: it has no network, no configuration of the host, and no right to files outside
//! its directory; the client takes no commands from the dump; nothing of it is left running.

mod words;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

use crate::formats::compressed;
use words::{is_of_the_server, last_words, sound, tail};

/// Where programs lie, whatever PATH says: cron's has no sbin.
const PATHS: [&str; 8] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/libexec",
    "/usr/local/mysql/bin",
];
/// Longest time for a server to come up, and to go down; recovery of a large load takes a while.
const PATIENCE: Duration = Duration::from_mins(5);
/// Longest path of a Unix socket (`sun_path` has 108 bytes with its final zero).
const SOCKET_MAX: usize = 107;
/// The database that a dump which names none is loaded into.
const DATABASE: &str = "drill";
/// Directory for what the servers and clients keep for a while, below the throwaway's.
const TEMPORARY: &str = "tmp";

/// What a drill has against the backup itself, and not against the machine or the way to it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoGood(pub String);

/// What the loaded tables gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Tables, each checked.
    pub tables: u64,
    /// Rows of all of them.
    pub rows: u64,
}

/// The server's programs and directory.
#[derive(Debug)]
pub struct Throwaway {
    server: PathBuf,
    client: PathBuf,
    dir: PathBuf,
    socket: PathBuf,
    mariadb: bool,
    /// Version as the server tells it.
    pub version: String,
}

impl Throwaway {
    /// Makes an empty database below `dir` with the configured server, or the first that is found.
    ///
    /// # Errors
    /// Where a program is not there or fails; with its last words.
    pub async fn create(dir: &Path, server: Option<&Path>) -> anyhow::Result<Self> {
        let server = match server {
            Some(path) => path.to_owned(),
            None => find(&["mariadbd", "mysqld"], &[]).context(
                "find mariadbd or mysqld: neither is on this host; install one, or set [drill] server",
            )?,
        };
        let beside: Vec<PathBuf> =
            server.parent().into_iter().flat_map(|dir| [dir.to_owned(), dir.join("../bin")]).collect();
        let client = find(&["mariadb", "mysql"], &beside)
            .context("find the client mariadb or mysql: it is not on this host; install it")?;
        let output = command(&server, dir).args(["--no-defaults", "--version"]).output().await;
        let output = output.with_context(|| format!("run {}", server.display()))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let mariadb = version.contains("MariaDB");
        let socket = dir.join("s");
        if socket.as_os_str().len() > SOCKET_MAX {
            bail!("use {}: its path is too long for a socket; set a shorter [drill] scratch", dir.display());
        }
        for sub in [TEMPORARY, "files"] {
            std::fs::create_dir(dir.join(sub)).with_context(|| format!("make {}/{sub}", dir.display()))?;
        }
        let this = Self { server, client, dir: dir.to_owned(), socket, mariadb, version };
        this.initialize(&beside).await?;
        Ok(this)
    }

    async fn initialize(&self, beside: &[PathBuf]) -> anyhow::Result<()> {
        let data = format!("--datadir={}", self.data().display());
        let program = if self.mariadb {
            find(&["mariadb-install-db", "mysql_install_db"], beside)
                .context("find mariadb-install-db: it is not on this host; install the server's package")?
        } else {
            self.server.clone()
        };
        let mut command = command(&program, &self.dir);
        // A server that starts removes what is left of temporary tables in its directory for them, also while
        // another works with them: never the one of the host's own server, which is /tmp for both by default.
        command.arg("--no-defaults").arg(data).arg(self.temporary()).args(user());
        if self.mariadb {
            command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        } else {
            command.arg("--initialize-insecure");
        }
        let output = command.output().await.with_context(|| format!("run {}", program.display()))?;
        if !output.status.success() {
            bail!("make an empty database with {}: {}", program.display(), last_words(&output));
        }
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn temporary(&self) -> String {
        format!("--tmpdir={}", self.dir.join(TEMPORARY).display())
    }

    /// Loads a dump, stops at its first error, then checks and counts every table.
    ///
    /// # Errors
    /// The client's words on the statement that failed, or the table that is not sound.
    pub async fn load(&self, dump: &Path, kind: Option<compressed::Kind>) -> anyhow::Result<()> {
        let running = Running::start(self, &[]).await?;
        let made = self.ask(&format!("CREATE DATABASE {DATABASE}")).await?;
        if !made.status.success() {
            bail!("make a database: {}", last_words(&made));
        }
        self.feed(dump, kind).await?;
        running.stop().await
    }

    async fn feed(&self, dump: &Path, kind: Option<compressed::Kind>) -> anyhow::Result<()> {
        let mut client = self
            .client_command()
            // The dump is data: no shell commands, no other files by it.
            .args(["--binary-mode", "--local-infile=0", DATABASE])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {}", self.client.display()))?;
        let stdin = client.stdin.take().context("open a pipe to the client")?;
        let mut pipe = File::from(stdin.into_owned_fd().context("open a pipe to the client")?);
        let mut dump = open(dump, kind).with_context(|| format!("read {}", dump.display()))?;
        let feeding = tokio::task::spawn_blocking(move || io::copy(&mut dump, &mut pipe));
        let output = client.wait_with_output().await.context("wait for the client")?;
        let fed = feeding.await.context("internal: a feeding thread ended")?;
        if !output.status.success() {
            let words = last_words(&output);
            let what = format!("the dump does not load: {words}");
            return Err(if is_of_the_server(&words) {
                anyhow::Error::msg(what)
            } else {
                NoGood(what).into()
            });
        }
        fed.context("decode the dump")?;
        Ok(())
    }

    /// CHECK TABLE on every table, and its rows counted. The server is started once more, without
    /// accounts: a dump of all databases brings those of the original.
    pub async fn check(&self) -> anyhow::Result<Counted> {
        let running = Running::start(self, &["--skip-grant-tables"]).await?;
        let names = "CONCAT('`', REPLACE(table_schema, '`', '``'), '`.`', REPLACE(table_name, '`', '``'), '`') \
             FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN \
             ('mysql', 'sys', 'performance_schema', 'information_schema') ORDER BY 1";
        let tables = text(&self.ask(&format!("SELECT {names}")).await?)?;
        let tables: Vec<&str> = tables.lines().collect();
        let mut rows = 0_u64;
        for table in &tables {
            let checked =
                text(&self.ask(&format!("CHECK TABLE {table}; SELECT COUNT(*) FROM {table}")).await?)
                    .with_context(|| format!("check table {table}"))?;
            rows += sound(&checked).map_err(|why| NoGood(format!("table {table} is not sound: {why}")))?;
        }
        running.stop().await?;
        if tables.is_empty() {
            bail!("the dump loads, and there is no table after it: nothing is proven");
        }
        Ok(Counted { tables: tables.len() as u64, rows })
    }

    fn client_command(&self) -> Command {
        let mut command = command(&self.client, &self.dir);
        command.arg("--no-defaults").arg(format!("--socket={}", self.socket.display())).args([
            "--user=root",
            "--batch",
            "--raw",
            "--skip-column-names",
            "--max-allowed-packet=1G",
        ]);
        command
    }

    async fn ask(&self, sql: &str) -> anyhow::Result<Output> {
        let mut command = self.client_command();
        command.arg(format!("--execute={sql}"));
        command.output().await.with_context(|| format!("run {}", self.client.display()))
    }
}

/// A server under way; killed where it is dropped without [`Self::stop`].
struct Running {
    child: Child,
}

impl Running {
    async fn start(of: &Throwaway, more: &[&str]) -> anyhow::Result<Self> {
        let (dir, log) = (&of.dir, of.dir.join("error.log"));
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut child = command(&of.server, dir)
            .arg("--no-defaults")
            .args(user())
            .arg(option("datadir", &of.data()))
            .arg(option("socket", &of.socket))
            .arg(option("pid-file", &dir.join("pid")))
            .arg(option("log-error", &log))
            .arg(of.temporary())
            .arg(option("secure-file-priv", &dir.join("files")))
            .args(["--skip-networking", "--skip-log-bin", "--local-infile=0", "--max-allowed-packet=1G"])
            // MySQL's second protocol has a socket of its own, at a path that the host's server may have.
            .args((!of.mariadb).then_some("--loose-mysqlx=OFF"))
            // Nothing here outlives the drill.
            .arg("--innodb-flush-log-at-trx-commit=0")
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("run {}", of.server.display()))?;
        let begun = std::time::Instant::now();
        while tokio::net::UnixStream::connect(&of.socket).await.is_err() {
            if let Some(status) = child.try_wait().context("look at the server")? {
                bail!("the throwaway server ended ({status}): {}", tail(&log));
            }
            if begun.elapsed() > PATIENCE {
                bail!("the throwaway server did not come up within {} s: {}", PATIENCE.as_secs(), tail(&log));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { child })
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        let pid = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("stop the server")?;
        }
        if let Ok(ended) = tokio::time::timeout(PATIENCE, self.child.wait()).await {
            let status = ended.context("wait for the server")?;
            if !status.success() {
                bail!("the throwaway server ended badly: {status}");
            }
            return Ok(());
        }
        self.child.kill().await.context("kill the server")?;
        bail!("the throwaway server did not stop and was killed");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its directory goes next, so it has to be gone: killed here, and reaped, which takes no time.
        if self.child.start_kill().is_ok() {
            for _ in 0..100 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A dump's bytes, decoded.
fn open(path: &Path, kind: Option<compressed::Kind>) -> io::Result<Box<dyn Read + Send>> {
    let file = File::open(path)?;
    Ok(match kind {
        None => Box::new(file),
        Some(compressed::Kind::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some(compressed::Kind::Zstd) => {
            let mut decoder = zstd::stream::read::Decoder::new(file)?;
            decoder.window_log_max(31)?;
            Box::new(decoder)
        }
        Some(compressed::Kind::Xz) => Box::new(liblzma::read::XzDecoder::new_multi_decoder(file)),
        Some(compressed::Kind::Bzip2) => Box::new(bzip2::read::MultiBzDecoder::new(file)),
    })
}

/// A program in an environment of its own: cron's, systemd's and a shell's give the same result.
fn command(program: impl AsRef<OsStr>, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", PATHS.join(":"))
        .env("HOME", home)
        .env("LC_ALL", "C")
        .env("TMPDIR", home.join(TEMPORARY))
        .current_dir(home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// The servers refuse to run as root unless told.
fn user() -> Option<&'static str> {
    rustix::process::geteuid().is_root().then_some("--user=root")
}

fn find(names: &[&str], first: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = first
        .iter()
        .cloned()
        .chain(std::env::split_paths(&path).filter(|dir| dir.is_absolute()))
        .chain(PATHS.iter().map(PathBuf::from))
        .collect();
    names.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|path| path.is_file()))
}

fn text(output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        bail!("{}", last_words(output));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
