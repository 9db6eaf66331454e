//! The embedded S3 server as a process of its own, for measuring clients: it prints its endpoint and
//! serves until its standard input ends.
//!
//! `bench-server discard` answers without hashing or storing; `bench-server DIR` keeps and verifies.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use dbbackup::embedded::{Mode, Options, serve};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let what = std::env::args().nth(1).unwrap_or_default();
    let discard = what == "discard";
    let mut objects = BTreeMap::new();
    for object in std::env::args().skip(2) {
        if let Some((key, size)) = object.rsplit_once('=') {
            objects.insert(key.to_owned(), size.parse().unwrap_or(0));
        }
    }
    let options = Options {
        dir: if discard { std::env::temp_dir().join("dbbackup-bench") } else { what.into() },
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        access_key: "bench".to_owned(),
        secret_key: "bench-secret".to_owned(),
        buckets: vec!["vault".to_owned()],
        mode: if discard { Mode::Discard { objects } } else { Mode::Store },
        ..Options::default()
    };
    let server = serve(options).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.endpoint_url())?;
    out.flush()?;
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    server.shutdown().await;
    Ok(())
}
