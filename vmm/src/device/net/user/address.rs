//! The addresses of the user network, and what they stand for on the host.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// The network's prefix length.
pub const PREFIX: u8 = 24;

/// The network: 10.0.2.0/24.
pub const NETWORK: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 0);

/// The gateway, which stands for the host's 127.0.0.1.
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The name server, which stands for the host's.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

/// The address that DHCP gives to the guest, and where forwarded ports lead.
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// Whether the guest may send from this address: one of the network that nobody else has.
pub fn is_guest(address: Ipv4Addr) -> bool {
    let [.., host] = address.octets();
    in_network(address) && !matches!(host, 0 | 255) && !is_ours(address)
}

/// Whether it is one of the two that the VMM has.
pub fn is_ours(address: Ipv4Addr) -> bool {
    address == GATEWAY || address == NAME_SERVER
}

fn in_network(address: Ipv4Addr) -> bool {
    address.octets()[..3] == NETWORK.octets()[..3]
}

/// Where on the host, or beyond it, the guest's `address` and `port` are. `None`: nowhere.
/// `name_server` is asked only when the guest asks a name server.
pub fn on_host(
    address: Ipv4Addr,
    port: u16,
    name_server: impl FnOnce() -> Option<SocketAddr>,
) -> Option<SocketAddr> {
    if port == 0 {
        return None;
    }
    if address == GATEWAY {
        return Some((Ipv4Addr::LOCALHOST, port).into());
    }
    if address == NAME_SERVER {
        return (port == DNS_PORT).then(name_server).flatten();
    }
    let is_somewhere = !in_network(address)
        && !address.is_loopback()
        && !address.is_multicast()
        && !address.is_broadcast()
        && address.octets()[0] != 0;
    is_somewhere.then_some((address, port).into())
}

/// What says which the host's name servers are.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The host's first name server, by resolv.conf(5). It is read each time, since hosts move
/// between networks; without one it is this host, as the resolver has it.
pub fn name_server() -> SocketAddr {
    let text = fs::read_to_string(RESOLV_CONF).unwrap_or_default();
    first_name_server(&text).unwrap_or_else(|| (Ipv4Addr::LOCALHOST, DNS_PORT).into())
}

fn first_name_server(text: &str) -> Option<SocketAddr> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") {
            return None;
        }
        let word = words.next()?;
        // An IPv6 address may name its link: fe80::1%2.
        if let Some((address, scope)) = word.split_once('%') {
            let address: Ipv6Addr = address.parse().ok()?;
            let scope = scope.parse().ok()?;
            return Some(SocketAddrV6::new(address, DNS_PORT, 0, scope).into());
        }
        let address: IpAddr = word.parse().ok()?;
        Some((address, DNS_PORT).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Option<SocketAddr> {
        panic!("nobody asked for a name server")
    }

    #[test]
    fn the_gateway_is_the_host_and_the_rest_is_itself() {
        let there = |address: [u8; 4], port| on_host(address.into(), port, none);
        assert_eq!(there([10, 0, 2, 2], 80), Some(([127, 0, 0, 1], 80).into()));
        assert_eq!(there([192, 0, 2, 1], 80), Some(([192, 0, 2, 1], 80).into()));
        for nowhere in [
            [127, 0, 0, 1],
            [10, 0, 2, 15],
            [10, 0, 2, 4],
            [0, 0, 0, 0],
            [0, 1, 2, 3],
            [224, 0, 0, 1],
            [255, 255, 255, 255],
        ] {
            assert_eq!(there(nowhere, 80), None, "{nowhere:?}");
        }
        assert_eq!(there([10, 0, 2, 2], 0), None);
        let server = SocketAddr::from(([9, 9, 9, 9], 53));
        assert_eq!(on_host(NAME_SERVER, 53, || Some(server)), Some(server));
        assert_eq!(on_host(NAME_SERVER, 80, none), None);
    }

    #[test]
    fn the_first_name_server_is_found() {
        let find = |text| first_name_server(text).map(|address| address.to_string());
        let text = "# nameserver 1.1.1.1\nsearch x\nnameserver 9.9.9.9\nnameserver 8.8.8.8\n";
        assert_eq!(find(text).as_deref(), Some("9.9.9.9:53"));
        assert_eq!(find("nameserver ::1").as_deref(), Some("[::1]:53"));
        assert_eq!(
            find("nameserver fe80::1%2").as_deref(),
            Some("[fe80::1%2]:53")
        );
        assert_eq!(find("nameserver x\nnameserver"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn only_the_guest_sends_from_its_addresses() {
        assert!(is_guest(GUEST));
        for other in [GATEWAY, NAME_SERVER, NETWORK, Ipv4Addr::new(10, 0, 2, 255)] {
            assert!(!is_guest(other), "{other}");
        }
        assert!(!is_guest(Ipv4Addr::new(10, 0, 3, 15)));
    }
}
