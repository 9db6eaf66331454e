//! The kernel's routing tables as `/proc/net` prints them. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The interface by which packets to `to` leave: of the most special route.
#[must_use]
pub fn interface_to(to: IpAddr, v4: &str, v6: &str) -> Option<String> {
    if to.is_loopback() {
        return Some("lo".to_owned());
    }
    let best = match to.to_canonical() {
        IpAddr::V4(to) => {
            v4.lines().skip(1).filter_map(|line| v4_route(line, to)).max_by_key(|route| route.0)
        }
        IpAddr::V6(to) => v6.lines().filter_map(|line| v6_route(line, to)).max_by_key(|route| route.0),
    };
    best.map(|(_, interface)| interface.to_owned())
}

/// Columns: interface, destination, gateway, flags, …, mask (seventh after it); addresses as hex of the
/// bytes in the machine's order.
fn v4_route(line: &str, to: Ipv4Addr) -> Option<(u32, &str)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let (interface, destination, mask) = (columns.first()?, columns.get(1)?, columns.get(7)?);
    let number =
        |text: &str| u32::from_str_radix(text, 16).ok().map(|raw| u32::from_be_bytes(raw.to_ne_bytes()));
    let (destination, mask) = (number(destination)?, number(mask)?);
    (to.to_bits() & mask == destination).then_some((mask.count_ones(), interface))
}

/// Columns: destination, its length in hex, …; the interface is last. Routes of the kernel's own that
/// lead nowhere have `lo`.
fn v6_route(line: &str, to: Ipv6Addr) -> Option<(u32, &str)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let destination = u128::from_str_radix(columns.first()?, 16).ok()?;
    let length = u32::from_str_radix(columns.get(1)?, 16).ok()?;
    let interface = columns.get(9)?;
    let same = (to.to_bits() ^ destination).leading_zeros() >= length;
    (same && *interface != "lo").then_some((length, interface))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_most_special_route_decides() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                  eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                  ipsec0\t0000140A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        let by = |to: &str| interface_to(to.parse().unwrap(), v4, "");
        assert_eq!(by("10.20.3.4").as_deref(), Some("ipsec0"));
        assert_eq!(by("10.21.3.4").as_deref(), Some("eth0"));
        assert_eq!(by("127.0.0.1").as_deref(), Some("lo"));
        let v6 = "fd000000000000000000000000000000 10 0 00 0 0 0 0 0 tun1\n\
                  00000000000000000000000000000000 00 0 00 0 0 0 0 0 lo\n";
        assert_eq!(interface_to("fd00::1".parse().unwrap(), "", v6).as_deref(), Some("tun1"));
        assert_eq!(interface_to("2600::1".parse().unwrap(), "", v6), None);
    }
}
