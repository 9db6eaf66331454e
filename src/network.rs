//! Which addresses are of the private network: the ranges of `[network] allowed_cidrs`, or those that
//! no router of the internet forwards. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Whether the address lies in it. IPv4 addresses mapped into IPv6 count as what they map.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                same_start(u128::from(base.to_bits()) << 96, u128::from(address.to_bits()) << 96, self.bits)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                same_start(base.to_bits(), address.to_bits(), self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether the first `bits` bits are the same.
fn same_start(a: u128, b: u128, bits: u8) -> bool {
    (a ^ b).leading_zeros() >= u32::from(bits)
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| Err(format!("`{}` {why}", text.escape_debug()));
        let Some((base, bits)) = text.split_once('/') else {
            return bad("has no /LENGTH");
        };
        let Ok(base) = base.parse::<IpAddr>() else {
            return bad("does not begin with an address");
        };
        let most = if base.is_ipv4() { 32 } else { 128 };
        match bits.parse::<u8>() {
            Ok(bits) if bits <= most && bits > 0 => Ok(Self { base, bits }),
            _ => bad(&format!("has a length that is none of 1 to {most}")),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// The ranges that count as private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<Cidr>);

impl Networks {
    /// RFC 1918, RFC 4193 (unique local) and loopback, as they are written in the configuration.
    pub const DEFAULT: [&str; 6] =
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "127.0.0.0/8", "::1/128"];

    /// Those ranges and no others.
    #[must_use]
    pub const fn new(ranges: Vec<Cidr>) -> Self {
        Self(ranges)
    }

    /// Whether the address lies in one of them.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// The addresses that lie in none of them, in their order.
    #[must_use]
    pub fn strangers(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        addresses.iter().copied().filter(|address| !self.contain(*address)).collect()
    }

    /// The ranges, for the configuration.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(Cidr::to_string).collect()
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self(Self::DEFAULT.iter().filter_map(|text| text.parse().ok()).collect())
    }
}

/// A host that would lead out of the private network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} has the address {address}, which is not private, and [network] require_private = true forbids it; give \
     this host's resolver the private address of the S3 interface endpoint, set endpoint_url to that endpoint, or add \
     the range to [network] allowed_cidrs"
)]
pub struct NotPrivate {
    /// The name, or the address where the endpoint is written as one.
    pub host: String,
    /// The address that lies in no range.
    pub address: IpAddr,
}

impl Networks {
    /// Refuses a host any of whose addresses is not private: which of them a connection takes is
    /// chance.
    ///
    /// # Errors
    /// [`NotPrivate`], with the first such address.
    pub fn admit(&self, host: &str, addresses: &[IpAddr]) -> Result<(), NotPrivate> {
        match self.strangers(addresses).first() {
            None => Ok(()),
            Some(address) => Err(NotPrivate { host: host.to_owned(), address: *address }),
        }
    }
}

/// The address that a URL's host is, where it is one and no name: nothing resolves those.
#[must_use]
pub fn literal_host(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn private_is_what_no_router_forwards() {
        let networks = Networks::default();
        for private in
            ["10.0.0.1", "172.31.255.255", "192.168.1.1", "127.0.0.1", "::1", "fd00::1", "::ffff:10.1.2.3"]
        {
            assert!(networks.contain(private.parse().unwrap()), "{private}");
        }
        for public in ["172.32.0.0", "11.0.0.0", "52.218.0.1", "2600::1", "::ffff:52.218.0.1", "169.254.1.1"]
        {
            assert!(!networks.contain(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn one_public_address_among_private_ones_is_refused_and_named() {
        let mixed = ips(&["10.0.0.5", "52.218.0.1"]);
        let error = Networks::default().admit("s3.example.com", &mixed).unwrap_err();
        assert_eq!(error, NotPrivate { host: "s3.example.com".to_owned(), address: mixed[1] });
        for part in ["s3.example.com", "52.218.0.1", "allowed_cidrs"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let own = Networks::new(vec!["10.0.0.0/16".parse().unwrap(), "52.218.0.0/17".parse().unwrap()]);
        assert_eq!(own.admit("s3.example.com", &mixed), Ok(()));
    }

    #[test]
    fn ranges_are_read_strictly() {
        for bad in ["10.0.0.0", "10.0.0.0/33", "0.0.0.0/0", "ten/8", "::/129", "10.0.0.0/-1"] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
        assert_eq!("fd00:1::/32".parse::<Cidr>().unwrap().to_string(), "fd00:1::/32");
        assert_eq!(Networks::default().texts(), Networks::DEFAULT);
    }

    #[test]
    fn address_in_a_url_is_told_from_a_name() {
        assert_eq!(literal_host("[fd00::1]"), Some("fd00::1".parse().unwrap()));
        assert_eq!(literal_host("10.0.0.1"), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(literal_host("s3.example.com"), None);
    }
}
