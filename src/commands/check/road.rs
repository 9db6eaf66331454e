//! Walking the way: resolve, connect, shake hands.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls;
use crate::bucket::Destination;
use crate::check::Line;
use crate::check::road::{self, Connected};
use crate::check::routes::interface_to;
use crate::config::Config;

/// Variables that S3 tools take a proxy from.
const PROXIES: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// The lines of the way, but for what the bucket answers.
pub(super) async fn lines(config: &Config, to: &Destination) -> Vec<Line> {
    let (allowed, required) = (&config.network.allowed, config.network.require_private);
    let wait = config.s3.connect_timeout;
    let resolved = resolve(to, wait).await;
    let mut lines = vec![road::name(to, &resolved, allowed, required)];
    let set = |name: &&&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let proxies: Vec<String> = PROXIES.iter().filter(set).map(|name| (*name).to_owned()).collect();
    lines.push(road::proxy(&proxies));
    let Ok(addresses) = resolved else { return lines };
    let connected = connect(&addresses, to.port, wait).await;
    lines.push(road::peer(
        &connected.as_ref().map(|one| one.0.clone()).map_err(Clone::clone),
        allowed,
        required,
    ));
    let Ok((connected, stream)) = connected else { return lines };
    lines.push(road::route(&connected));
    let is_here = connected.peer.ip().is_loopback();
    let tls = if to.tls {
        tls::handshake(&to.host, stream, config.s3.ca_bundle.as_deref(), wait).await
    } else {
        road::Tls::None
    };
    lines.push(road::tls(to, &tls, is_here));
    lines
}

async fn resolve(to: &Destination, wait: Duration) -> Result<Vec<IpAddr>, String> {
    let host = to.host.trim_start_matches('[').trim_end_matches(']');
    match timeout(wait, tokio::net::lookup_host((host, to.port))).await {
        Err(_) => Err(format!("no answer within {} s", wait.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = Vec::new();
            for address in found.map(|address| address.ip()) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
        }
    }
}

/// Connects to the first that answers, and tries the others too.
async fn connect(addresses: &[IpAddr], port: u16, wait: Duration) -> Result<(Connected, TcpStream), String> {
    let mut open: Option<(TcpStream, Duration)> = None;
    let mut refused: Vec<(SocketAddr, String)> = Vec::new();
    for address in addresses {
        let address = SocketAddr::new(*address, port);
        let begun = Instant::now();
        match timeout(wait, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let took = begun.elapsed();
                open = open.or(Some((stream, took)));
            }
            Ok(Err(error)) => refused.push((address, error.to_string())),
            Err(_) => refused.push((address, format!("no answer within {} s", wait.as_secs()))),
        }
    }
    let all = |refused: &[(SocketAddr, String)]| {
        refused.iter().map(|(address, why)| format!("{address}: {why}")).collect::<Vec<_>>().join("; ")
    };
    let Some((stream, took)) = open else { return Err(all(&refused)) };
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
        return Err("the connection ended at once".to_owned());
    };
    // One address of IPv6 may be unreachable by plan where the host has IPv4 alone.
    refused.retain(|(address, _)| address.is_ipv4() || peer.is_ipv6());
    let mtu = match peer {
        SocketAddr::V4(_) => rustix::net::sockopt::ip_mtu(&stream).ok(),
        SocketAddr::V6(_) => rustix::net::sockopt::ipv6_mtu(&stream).ok(),
    };
    let interface = interface_to(
        peer.ip(),
        &std::fs::read_to_string("/proc/net/route").unwrap_or_default(),
        &std::fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default(),
    );
    Ok((Connected { peer, local, took, refused, mtu, interface }, stream))
}
