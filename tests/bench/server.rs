//! The embedded S3 server as a process of its own, for measuring clients: it prints its endpoint and
//! serves until its standard input ends.
//!
//! `bench-server discard [BUCKET/KEY=SIZE…]` answers without hashing or storing; `bench-server tls PEM …`
//! does so over HTTPS, and writes its certificate to PEM. `bench-server link ADDRESS` is a line to such a
//! server: 40 ms there and back, 1 Gbit/s each way for all connections together. It delays and paces bytes in
//! this process, as the kernel of such a machine often has no netem; it has neither loss nor slow start.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dbbackup::embedded::{Mode, Options, serve};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// One way.
const DELAY: Duration = Duration::from_millis(20);
/// 1 Gbit/s.
const BYTES_PER_SECOND: u64 = 125_000_000;
/// Chunks of one connection that are on the line at once: 16 MiB, more than the line holds.
const WINDOW: usize = 256;
const CHUNK: usize = 64 << 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    if what == "link" {
        return link(args.next().unwrap_or_default().parse()?).await;
    }
    let tls = if what == "tls" { Some(certificate(&args.next().unwrap_or_default())?) } else { None };
    let scheme = if tls.is_some() { "https://localhost" } else { "http://127.0.0.1" };
    let mut objects = BTreeMap::new();
    for object in args {
        if let Some((key, size)) = object.rsplit_once('=') {
            objects.insert(key.to_owned(), size.parse()?);
        }
    }
    let options = Options {
        dir: std::env::temp_dir().join("dbbackup-bench"),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        buckets: vec!["vault".to_owned()],
        mode: Mode::Discard { objects, tls },
        ..Options::default()
    };
    let server = serve(options).await?;
    say(&format!("{scheme}:{}", server.addr().port()))?;
    wait_for_the_end().await?;
    server.shutdown().await;
    Ok(())
}

fn say(endpoint: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{endpoint}")?;
    out.flush()
}

async fn wait_for_the_end() -> Result<(), Box<dyn Error>> {
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}

/// A certificate for `localhost`, written to `path` for the clients to trust.
fn certificate(path: &str) -> Result<Arc<rustls::ServerConfig>, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    std::fs::write(path, made.cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok(Arc::new(config))
}

/// A direction of the line: when the next byte may enter it.
type Lane = Arc<Mutex<Instant>>;

async fn link(server: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    say(&format!("http://{}", listener.local_addr()?))?;
    let (up, down) = (Lane::new(Mutex::new(Instant::now())), Lane::new(Mutex::new(Instant::now())));
    let accepting = async {
        while let Ok((near, _)) = listener.accept().await {
            let (up, down) = (up.clone(), down.clone());
            tokio::spawn(async move {
                // What connecting costs over such a line.
                tokio::time::sleep(2 * DELAY).await;
                let Ok(far) = TcpStream::connect(server).await else { return };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let (near_out, near_in) = near.into_split();
                let (far_out, far_in) = far.into_split();
                tokio::join!(carry(near_out, far_in, up), carry(far_out, near_in, down));
            });
        }
    };
    tokio::select! {
        () = accepting => Ok(()),
        ended = wait_for_the_end() => ended,
    }
}

async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, lane: Lane) {
    let (inside, mut end) = tokio::sync::mpsc::channel::<(Instant, Vec<u8>)>(WINDOW);
    let enter = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let Ok(read @ 1..) = from.read(&mut chunk).await else { break };
            chunk.truncate(read);
            let time = Duration::from_nanos(read as u64 * 1_000_000_000 / BYTES_PER_SECOND);
            let passed = {
                let mut next = lane.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *next = Instant::now().max(*next) + time;
                *next
            };
            if inside.send((passed + DELAY, chunk)).await.is_err() {
                break;
            }
        }
    };
    let leave = async {
        while let Some((due, chunk)) = end.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(enter, leave);
}
