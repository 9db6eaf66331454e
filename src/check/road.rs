//! The way from here to the endpoint: name, addresses, route, TLS, time and rate.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Area, Line, bytes};
use crate::bucket::{BucketError, Destination, ErrorKind};
use crate::network::Networks;

const AREA: Area = Area::Network;

/// A certificate that ends sooner should have been renewed.
const RENEWAL_DAYS: i64 = 21;
/// IPv6's least MTU; a path below it breaks more than backups (RFC 8200, section 5).
const LEAST_MTU: u32 = 1280;
const SLOW: Duration = Duration::from_millis(500);

const PRIVATE_ADVICE: &str = "give this host's resolver the private address of the S3 interface endpoint, or set \
                              [s3] endpoint_url to that endpoint; a range of your own goes into [network] \
                              allowed_cidrs";

/// What the host's name resolves to. A single stranger decides: which address a connection takes is
/// chance.
#[must_use]
pub fn name(
    to: &Destination,
    resolved: &Result<Vec<IpAddr>, String>,
    allowed: &Networks,
    required: bool,
) -> Line {
    let what = "name";
    let addresses = match resolved {
        Err(why) => {
            let advice = "check endpoint_url and region in [s3], and this host's resolver (/etc/resolv.conf)";
            return Line::fail(AREA, what, format!("{} does not resolve: {why}", to.host), advice);
        }
        Ok(addresses) => addresses,
    };
    let listed = addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
    let strangers = allowed.strangers(addresses);
    let Some(first) = strangers.first() else {
        let seen = if to.host == listed { listed } else { format!("{} is {listed}", to.host) };
        return Line::ok(AREA, what, format!("{seen}: private"));
    };
    let seen = if strangers.len() == addresses.len() {
        format!("{} is {listed}: not private", to.host)
    } else {
        format!("{} is {listed}: of these, {first} is not private", to.host)
    };
    stranger(what, seen, required)
}

/// Where a connection really ended.
#[must_use]
pub fn peer(connected: &Result<Connected, String>, allowed: &Networks, required: bool) -> Line {
    let what = "connection";
    let connected = match connected {
        Err(why) => {
            let advice =
                "check the tunnel, the firewall and the endpoint's security group (TCP 443 from this host)";
            return Line::fail(AREA, what, why.clone(), advice);
        }
        Ok(connected) => connected,
    };
    let seen =
        format!("to {} from {} in {} ms", connected.peer, connected.local.ip(), connected.took.as_millis());
    if !allowed.contain(connected.peer.ip()) {
        return stranger(what, format!("{seen}: not private"), required);
    }
    match connected.refused.first() {
        None => Line::ok(AREA, what, seen),
        Some((address, why)) => Line::warn(
            AREA,
            what,
            format!("{seen}; {address} does not answer: {why}"),
            "one of the endpoint's addresses is down or filtered: check both tunnels and zones",
        ),
    }
}

fn stranger(what: &str, seen: String, required: bool) -> Line {
    if required {
        Line::fail(AREA, what, seen, format!("backups are refused on this way: {PRIVATE_ADVICE}"))
    } else {
        Line::warn(AREA, what, seen, format!("backups take the internet: {PRIVATE_ADVICE}"))
    }
}

/// A connection that was opened.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The other end.
    pub peer: SocketAddr,
    /// This end.
    pub local: SocketAddr,
    /// How long it took to open.
    pub took: Duration,
    /// Other addresses of the name, which did not answer.
    pub refused: Vec<(SocketAddr, String)>,
    /// The path's MTU as the kernel knows it.
    pub mtu: Option<u32>,
    /// The interface that this end's address belongs to.
    pub interface: Option<String>,
}

/// Variables that name a proxy. dbbackup takes none; what it starts may.
#[must_use]
pub fn proxy(variables: &[String]) -> Line {
    let what = "proxy";
    if variables.is_empty() {
        return Line::ok(AREA, what, "no proxy variable is set");
    }
    Line::warn(
        AREA,
        what,
        format!("{} set; dbbackup connects directly all the same", variables.join(", ")),
        "a credential_process or another S3 tool follows it around the private link: unset it for the backup's user, \
         or name the endpoint in NO_PROXY",
    )
}

/// The interface and the path's MTU.
#[must_use]
pub fn route(connected: &Connected) -> Line {
    let what = "route";
    let by = connected.interface.as_deref().unwrap_or("unknown");
    let Some(mtu) = connected.mtu else {
        return Line::unknown(
            AREA,
            what,
            format!("by interface {by}"),
            "ask with `ip route get` and `tracepath`",
        );
    };
    let seen = format!("by interface {by}, path MTU {mtu}");
    if mtu < LEAST_MTU {
        let advice = "something on the path takes only small packets: clamp the MSS on the tunnel's gateway";
        return Line::warn(AREA, what, seen, advice);
    }
    Line::ok(AREA, what, seen)
}

/// What a TLS handshake came to.
#[derive(Debug, Clone)]
pub enum Tls {
    /// The endpoint is plain http.
    None,
    /// It succeeded.
    Agreed {
        /// `TLS 1.3` …
        version: String,
        /// Certificates that were shown.
        certificates: usize,
        /// Whole days until the first of them ends; none where that could not be read.
        days_left: Option<i64>,
    },
    /// The certificate's time is over, or has not begun.
    Expired(String),
    /// The certificate is for another name.
    OtherName(String),
    /// Nobody whom this host trusts signed it.
    UnknownAuthority(String),
    /// Anything else.
    Failed(String),
}

/// TLS version, chain and time left.
#[must_use]
pub fn tls(to: &Destination, tls: &Tls, is_here: bool) -> Line {
    let what = "TLS";
    let fail = |why: &str, advice: &str| Line::fail(AREA, what, why, advice);
    match tls {
        Tls::None if is_here => Line::ok(AREA, what, "none; the endpoint is on this machine itself"),
        Tls::None => Line::warn(
            AREA,
            what,
            format!("none: {} is plain http", to.host),
            "backups can be read on the way, and AWS's bucket policy refuses them: use https in endpoint_url",
        ),
        Tls::Agreed { version, certificates, days_left: Some(days) } => {
            let seen = match certificates {
                1 => format!("{version}, 1 certificate, which ends in {days} days"),
                _ => {
                    format!("{version}, {certificates} certificates, of which the first ends in {days} days")
                }
            };
            if *days < RENEWAL_DAYS {
                Line::warn(
                    AREA,
                    what,
                    seen,
                    "renew the endpoint's certificate, or see why that has not happened",
                )
            } else {
                Line::ok(AREA, what, seen)
            }
        }
        Tls::Agreed { version, certificates, days_left: None } => Line::unknown(
            AREA,
            what,
            format!("{version}, {certificates} certificates, the end of one cannot be read"),
            "look at the certificate with openssl s_client",
        ),
        Tls::Expired(why) => {
            fail(why, "renew the endpoint's certificate; if it is AWS's own, this machine's clock is wrong")
        }
        Tls::OtherName(why) => fail(
            why,
            "set endpoint_url to a name in the certificate; with a dotted bucket name, path_style = true",
        ),
        Tls::UnknownAuthority(why) => fail(
            why,
            "name the authority's PEM file in [s3] ca_bundle, if you know who it is; else somebody sits between",
        ),
        Tls::Failed(why) => fail(
            why,
            "see that the endpoint speaks TLS 1.2 or 1.3 on this port; where it speaks none, endpoint_url begins with \
             http://",
        ),
    }
}

/// Whether there is no such bucket: of that, a call for its head says no more than 404.
#[must_use]
pub fn is_no_bucket(error: Option<&BucketError>) -> bool {
    error.is_some_and(|error| matches!(error.kind, ErrorKind::NotFound | ErrorKind::NoSuchBucket))
}

/// The SDK's words without those that name its own layers.
fn plain(mut detail: &str) -> &str {
    for layer in ["dispatch failure: ", "io error: ", "other: ", "client error (Connect): "] {
        detail = detail.strip_prefix(layer).unwrap_or(detail);
    }
    detail
}

/// One call there and back. `error` is what the server answered, or why it did not; a refusal is an
/// answer. `way` has the lines above, where what is broken is told best.
#[must_use]
pub fn answer(took: Option<Duration>, error: Option<&BucketError>, bucket: &str, way: &[Line]) -> Line {
    let what = "answer";
    let Some(took) = took else {
        return match error {
            Some(error) if matches!(error.kind, ErrorKind::Credentials | ErrorKind::CredentialsSource) => {
                Line::unknown(
                    AREA,
                    what,
                    "not asked: there are no credentials to ask with",
                    "see the line `credentials`",
                )
            }
            Some(error) => {
                let broken = way.iter().find(|line| line.area == AREA && line.is_failure());
                let advice = broken.map(|line| format!("see the line `{}`", line.what));
                Line::fail(AREA, what, plain(&error.detail), advice.unwrap_or(error.advice().to_owned()))
            }
            None => Line::fail(AREA, what, "no answer", "check the tunnel and the firewall"),
        };
    };
    if is_no_bucket(error) {
        let advice = "check `bucket`, `region` and `endpoint_url` in [s3], or create the bucket: deploy/aws/bucket.yaml";
        return Line::fail(AREA, what, format!("there is no bucket {bucket} there"), advice);
    }
    let seen = format!("the bucket answers in {} ms", took.as_millis());
    if took > SLOW {
        Line::warn(
            AREA,
            what,
            seen,
            "the way is slow: look at the tunnel's load; many small files gain by more [backup] concurrency",
        )
    } else {
        Line::ok(AREA, what, seen)
    }
}

/// Bytes and the time they took.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How many.
    pub bytes: u64,
    /// How long.
    pub took: Duration,
}

impl Rate {
    /// Bytes per second.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn per_second(&self) -> u64 {
        (self.bytes as f64 / self.took.as_secs_f64().max(0.000_001)) as u64
    }
}

/// A measured rate, one way: `upload` or `download`.
#[must_use]
pub fn speed(way: &str, measured: &Result<Rate, BucketError>, permission: &str) -> Line {
    let what = format!("{way} rate");
    match measured {
        Ok(rate) => {
            let seen = format!("{}/s over {}", bytes(rate.per_second()), bytes(rate.bytes));
            Line::ok(AREA, what, seen)
        }
        Err(error) if error.kind == ErrorKind::NotFound => {
            Line::unknown(AREA, what, error.detail.clone(), "run it again after the first backup")
        }
        Err(error) => Line::unseen(AREA, what, permission, error),
    }
}
