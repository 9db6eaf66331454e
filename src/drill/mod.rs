//! A throwaway `MariaDB` or `MySQL` server: made in a directory of its own, loaded, checked, stopped.
//!
//! What must stay true, since a dump is what somebody else wrote: the server has no network, no configuration of the
//! host, no plugins, and no right to files outside its directory; where this process is root, its programs are nobody
//! (`confine`); the client takes no commands from the dump; nothing of it is left running, however this process
//! ends; and a disk that others write to does not fill up ([`room`]).

mod confine;
pub mod room;
pub mod scratch;
mod starter;
mod words;

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;
use tokio::process::Command;

use crate::children::Group;
use crate::formats::compressed;
use confine::{Confined, Network, Rights};
use starter::Starter;
use words::{is_of_the_server, last_words, sound, tail};

/// `MySQL` did without them from 8.0 on, and knows the second since.
const MYSQL_NO_LINKS: [&str; 2] = ["--loose-skip-symbolic-links", "--loose-innodb-directories="];
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
/// The server's directory below the throwaway's.
const HOME: &str = "db";
/// Directory for what the servers and clients keep for a while, below the server's.
const TEMPORARY: &str = "tmp";
/// Directory that plugins are taken from: it is empty, and the server may not write to it. What a server knows by
/// itself is in its program.
const PLUGINS: &str = "plugins";

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
    /// All of it, which its programs may look at and not write to but for what is in `dir`.
    place: PathBuf,
    dir: PathBuf,
    socket: PathBuf,
    mariadb: bool,
    confined: Confined,
    starter: Starter,
    /// Version as the server tells it.
    pub version: String,
}

impl Throwaway {
    /// Makes an empty database below `place`, an absolute path without links, with the configured server, or the first
    /// that is found.
    ///
    /// # Errors
    /// Where a program is not there or fails; with its last words.
    pub async fn create(place: &Path, server: Option<&Path>) -> anyhow::Result<Self> {
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
        let dir = place.join(HOME);
        let socket = dir.join("s");
        if socket.as_os_str().len() > SOCKET_MAX {
            bail!("use {}: its path is too long for a socket; set a shorter [drill] scratch", dir.display());
        }
        let confined = Confined::to(place, &dir).with_context(|| format!("look at {}", place.display()))?;
        for (sub, mode) in [(HOME, 0o700), (TEMPORARY, 0o700), ("files", 0o700), (PLUGINS, 0o555)] {
            let path = if matches!(sub, HOME | PLUGINS) { place.join(sub) } else { dir.join(sub) };
            std::fs::create_dir(&path)
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode)))
                .and_then(
                    |()| if sub == PLUGINS { Ok(()) } else { confine::hand_over(&path, confined.rights()) },
                )
                .with_context(|| format!("make {}", path.display()))?;
        }
        let starter = Starter::new().context("start a thread for the throwaway's programs")?;
        let (place, version) = (place.to_owned(), String::new());
        let mut this =
            Self { server, client, place, dir, socket, mariadb: false, confined, starter, version };
        this.ask_version().await?;
        this.initialize(&beside).await?;
        Ok(this)
    }

    /// The first program that is run, so that it shows what confinement can be had here.
    async fn ask_version(&mut self) -> anyhow::Result<()> {
        let run = format!("run {}", self.server.display());
        let version = |this: &Self| this.command(&this.server, Network::Empty, &["--version"]);
        let started = self.starter.spawn(version(self)).await;
        let child = match (started, self.confined.less()) {
            (Ok(child), _) => child,
            (Err(why), Some(less)) => {
                self.confined = less;
                tracing::info!("the throwaway server gets no network namespace of its own: {why}");
                self.starter.spawn(version(self)).await.with_context(|| run.clone())?
            }
            (Err(why), None) => {
                return Err(why).with_context(|| match self.confined.rights() {
                    Rights::Own => run,
                    Rights::Nobody => format!(
                        "{run} as nobody, who may not pass through to {}; set [drill] scratch to a directory that \
                         everybody may pass through",
                        self.dir.display()
                    ),
                });
            }
        };
        if self.confined.network() == Network::Hosts {
            tracing::debug!("the throwaway server shares the host's network");
        }
        let output = Group::of(child, Duration::ZERO).output().await.with_context(|| run.clone())?;
        String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut self.version);
        if self.version.is_empty() {
            bail!("{run}: it does not tell its version: {}", last_words(&output));
        }
        self.mariadb = self.version.contains("MariaDB");
        Ok(())
    }

    async fn initialize(&self, beside: &[PathBuf]) -> anyhow::Result<()> {
        let program = if self.mariadb {
            find(&["mariadb-install-db", "mysql_install_db"], beside)
                .context("find mariadb-install-db: it is not on this host; install the server's package")?
        } else {
            self.server.clone()
        };
        // Never with a user: for that one the script takes the helper of the host's own PAM logins over.
        let mut command = self.command(&program, Network::Empty, &[]);
        command.args(self.places());
        if self.mariadb {
            // The host's name cannot be looked up without a network, and is not needed.
            command.args(["--auth-root-authentication-method=normal", "--skip-test-db", "--force"]);
        } else {
            command.arg("--initialize-insecure");
        }
        let output = self.run(command).await.with_context(|| format!("run {}", program.display()))?;
        if !output.status.success() {
            bail!("make an empty database with {}: {}", program.display(), last_words(&output));
        }
        Ok(())
    }

    /// Directories that every start of the server is told. A server that starts removes what is left of temporary
    /// tables in its directory for them, also while another works with them: never the one of the host's own server,
    /// which is /tmp for both by default.
    fn places(&self) -> [String; 3] {
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        [
            option("datadir", &self.dir.join("data")),
            option("tmpdir", &self.dir.join(TEMPORARY)),
            option("plugin-dir", &self.place.join(PLUGINS)),
        ]
    }

    /// A program in an environment of its own: cron's, systemd's and a shell's give the same result.
    fn command(&self, program: impl AsRef<OsStr>, network: Network, more: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", PATHS.join(":"))
            .env("HOME", &self.dir)
            .env("LC_ALL", "C")
            .env("TMPDIR", self.dir.join(TEMPORARY))
            .arg("--no-defaults")
            .args(more)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Group::lead(&mut command);
        self.confined.apply(&mut command, network);
        command
    }

    async fn start(&self, command: Command) -> io::Result<Group> {
        Ok(Group::of(self.starter.spawn(command).await?, Duration::ZERO))
    }

    async fn run(&self, command: Command) -> io::Result<Output> {
        self.start(command).await?.output().await
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
        let mut command = self.client_command(Network::Empty);
        // The dump is data: no shell commands, no other files by it, and no rows of it held here.
        command.args(["--binary-mode", "--local-infile=0", "--quick", DATABASE]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let started = self.start(command).await;
        let mut client = started.with_context(|| format!("run {}", self.client.display()))?;
        let stdin = client.child().stdin.take().context("open a pipe to the client")?;
        let mut pipe = File::from(stdin.into_owned_fd().context("open a pipe to the client")?);
        let mut dump = open(dump, kind).with_context(|| format!("read {}", dump.display()))?;
        let feeding = tokio::task::spawn_blocking(move || io::copy(&mut dump, &mut pipe));
        let output = client.output().await.context("wait for the client")?;
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

    fn client_command(&self, network: Network) -> Command {
        let mut command = self.command(&self.client, network, &[]);
        command.arg(format!("--socket={}", self.socket.display())).args([
            "--user=root",
            "--batch",
            "--raw",
            "--skip-column-names",
            "--max-allowed-packet=1G",
        ]);
        command
    }

    /// A question of ours, of which there are as many as tables: too many for a network of its own each.
    async fn ask(&self, sql: &str) -> anyhow::Result<Output> {
        let mut command = self.client_command(Network::Hosts);
        command.arg(format!("--execute={sql}"));
        self.run(command).await.with_context(|| format!("run {}", self.client.display()))
    }
}

/// A server under way; killed where it is dropped without [`Self::stop`].
struct Running {
    server: Group,
}

impl Running {
    async fn start(of: &Throwaway, more: &[&str]) -> anyhow::Result<Self> {
        let (dir, log) = (&of.dir, of.dir.join("error.log"));
        let option = |name: &str, path: &Path| format!("--{name}={}", path.display());
        let mut command = of.command(&of.server, Network::Empty, &[]);
        command
            .args(of.places())
            .arg(option("socket", &of.socket))
            .arg(option("pid-file", &dir.join("pid")))
            .arg(option("log-error", &log))
            .arg(option("secure-file-priv", &dir.join("files")))
            .args(["--skip-networking", "--skip-log-bin", "--local-infile=0", "--max-allowed-packet=1G"])
            // Other servers: none is asked, none is followed. Events of the dump are kept, and do not begin.
            .args(["--loose-federated=OFF", "--loose-skip-slave-start", "--event-scheduler=OFF"])
            // Tables that a dump places elsewhere (DATA DIRECTORY) come here all the same.
            .args(if of.mariadb { ["--symbolic-links=0"].as_slice() } else { &MYSQL_NO_LINKS })
            // MySQL's second protocol has a socket of its own, at a path that the host's server may have.
            .args((!of.mariadb).then_some("--loose-mysqlx=OFF"))
            // Nothing here outlives the drill.
            .arg("--innodb-flush-log-at-trx-commit=0")
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = of.start(command).await;
        let mut server = started.with_context(|| format!("run {}", of.server.display()))?;
        let begun = std::time::Instant::now();
        while tokio::net::UnixStream::connect(&of.socket).await.is_err() {
            if let Some(status) = server.try_wait().context("look at the server")? {
                bail!("the throwaway server ended ({status}): {}", tail(&log));
            }
            if begun.elapsed() > PATIENCE {
                bail!("the throwaway server did not come up within {} s: {}", PATIENCE.as_secs(), tail(&log));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(Self { server })
    }

    async fn stop(mut self) -> anyhow::Result<()> {
        self.server.signal(Signal::TERM).context("stop the server")?;
        let Ok(ended) = tokio::time::timeout(PATIENCE, self.server.wait()).await else {
            self.server.end().await;
            bail!("the throwaway server did not stop and was killed");
        };
        let status = ended.context("wait for the server")?;
        if !status.success() {
            bail!("the throwaway server ended badly: {status}");
        }
        Ok(())
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
