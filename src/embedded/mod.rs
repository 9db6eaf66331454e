//! An S3 server inside the process, for the demo and the tests.
//!
//! Protocol and signatures are those of the `s3s` crate; the store, the strictness and the faults are
//! ours. It is strict where AWS is: a double that is kinder than the service proves nothing. Every
//! checksum sent is verified, completion folds and compares the whole, `If-None-Match` holds, parts
//! have their least size and their order. It listens where it is told, in plain HTTP, and is no server
//! for the open network.

mod api;
mod discard;
mod faults;
mod op;
mod store;
mod sums;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use s3s::service::S3ServiceBuilder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use api::ACCOUNT;
pub use faults::{Fault, Faults, Rule};
pub use op::Op;

use store::{Store, Versioning};
use wire::{Counts, Wire};

/// What the server does with what it is sent.
#[derive(Debug, Clone, Default)]
pub enum Mode {
    /// Keeps and verifies everything.
    #[default]
    Store,
    /// Verifies nothing, not even signatures, and keeps only the sizes of objects (and the content of
    /// keys that end in `.json`): GET answers zeros. For measuring clients. Faults do not apply.
    Discard {
        /// Objects to begin with: size by `bucket/key`.
        objects: BTreeMap<String, u64>,
        /// HTTPS in place of plain HTTP.
        tls: Option<Arc<rustls::ServerConfig>>,
    },
}

/// How to run the server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept; what a former server left there is served again.
    pub dir: PathBuf,
    /// The address to listen on; port 0 is any free one.
    pub bind: SocketAddr,
    /// The one access key that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Buckets made at the start, unless they are there.
    pub buckets: Vec<String>,
    /// Whether buckets made at the start keep versions.
    pub versioned: bool,
    /// The faults in force; keep a clone, or use [`Server::faults`].
    pub faults: Faults,
    /// Store or discard.
    pub mode: Mode,
}

impl Default for Options {
    /// On a free loopback port, keys `test`/`test`, no buckets. `dir` must be set.
    fn default() -> Self {
        Self {
            dir: PathBuf::new(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            access_key: "test".to_owned(),
            secret_key: "test".to_owned(),
            buckets: Vec::new(),
            versioned: false,
            faults: Faults::default(),
            mode: Mode::Store,
        }
    }
}

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    faults: Faults,
    counts: Arc<Counts>,
    cancel: CancellationToken,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://ADDRESS:PORT`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The faults, to be changed while it runs.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many requests came so far, by operation; those that met a fault count as well.
    pub fn requests(&self) -> BTreeMap<Op, u64> {
        self.counts.all()
    }

    /// How many requests of one operation came so far.
    pub fn count(&self, op: Op) -> u64 {
        self.requests().get(&op).copied().unwrap_or_default()
    }

    /// Stops listening and cuts the connections.
    pub async fn shutdown(mut self) {
        self.cancel.cancel();
        if let Some(accepting) = self.accepting.take() {
            // It fails only where it panicked, and then it is over as well.
            let _ = accepting.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Starts the server on the current runtime.
///
/// # Errors
/// Where the directory cannot be read or written, a record in it is damaged, or the address is taken.
pub async fn serve(options: Options) -> io::Result<Server> {
    let counts = Arc::new(Counts::default());
    let handler = handler(&options, &counts)?;
    let listener = TcpListener::bind(options.bind).await?;
    let addr = listener.local_addr()?;
    let cancel = CancellationToken::new();
    let accepting = tokio::spawn(accept(listener, handler, cancel.clone()));
    Ok(Server { addr, faults: options.faults, counts, cancel, accepting: Some(accepting) })
}

#[derive(Clone)]
enum Handler {
    Store(Arc<Wire>),
    Discard(Arc<discard::Discard>, Option<TlsAcceptor>),
}

fn handler(options: &Options, counts: &Arc<Counts>) -> io::Result<Handler> {
    if let Mode::Discard { objects, tls } = &options.mode {
        let acceptor = tls.clone().map(TlsAcceptor::from);
        return Ok(Handler::Discard(Arc::new(discard::Discard::new(objects, Arc::clone(counts))), acceptor));
    }
    let store = Arc::new(Store::open(&options.dir)?);
    let there = store.each(|bucket| bucket.name().to_owned());
    let versioning = if options.versioned { Versioning::Enabled } else { Versioning::Never };
    for bucket in options.buckets.iter().filter(|bucket| !there.contains(bucket)) {
        store.create_bucket(bucket, versioning).map_err(io::Error::other)?;
    }
    let mut builder = S3ServiceBuilder::new(api::Api { store });
    let (access_key, secret_key) = (options.access_key.clone(), options.secret_key.clone());
    builder.set_auth(api::OneKey { access_key, secret_key });
    builder.set_access(api::Policy);
    Ok(Handler::Store(Arc::new(Wire {
        service: builder.build(),
        faults: options.faults.clone(),
        counts: Arc::clone(counts),
        replies: AtomicU64::new(1),
    })))
}

async fn accept(listener: TcpListener, handler: Handler, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                // A failed accept is the client's loss; the next may do.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(handler.clone(), stream));
                }
            }
        }
    }
    connections.shutdown().await;
}

async fn connection(handler: Handler, stream: TcpStream) {
    // Replies are small and awaited; without this each may wait for the client's delayed ACK.
    let _ = stream.set_nodelay(true);
    match handler {
        Handler::Store(wire) => wire::serve(wire, stream).await,
        Handler::Discard(discard, None) => discard::serve(discard, stream).await,
        // A client that does not trust the certificate goes away.
        Handler::Discard(discard, Some(acceptor)) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                discard::serve(discard, stream).await;
            }
        }
    }
}
