//! How a network is configured.

use alloc::vec;
use alloc::vec::Vec;
use smoltcp::wire::{Ipv4Address, Ipv4Cidr};

/// Where the address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// From a DHCP server.
    Dhcp,
    /// From here.
    Static(Lease),
}

/// An address, and what came along with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address, and the size of its network.
    pub address: Ipv4Cidr,
    /// The router by which other networks are reached.
    pub gateway: Option<Ipv4Address>,
    /// Servers that know the addresses of names. At most one is asked.
    pub dns: Vec<Ipv4Address>,
}

impl Lease {
    /// What the VMM's user-mode network (`--net user`) has for its guest: 10.0.2.15/24, the gateway
    /// 10.0.2.2 and the name server 10.0.2.3.
    pub fn of_user_mode() -> Self {
        Self {
            address: Ipv4Cidr::new(Ipv4Address::new(10, 0, 2, 15), 24),
            gateway: Some(Ipv4Address::new(10, 0, 2, 2)),
            dns: vec![Ipv4Address::new(10, 0, 2, 3)],
        }
    }
}

/// Configuration of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the address comes from. The default is [`Lease::of_user_mode`].
    pub addressing: Addressing,
}

impl Config {
    /// An address from a DHCP server.
    pub fn dhcp() -> Self {
        Self {
            addressing: Addressing::Dhcp,
        }
    }

    /// An address, its network and its gateway as the guest's command line has them:
    /// `ip=ADDRESS/PREFIX,GATEWAY` or `ip=dhcp`, among other words; the default without.
    ///
    /// # Errors
    ///
    /// The word, when it is not understood.
    pub fn from_command_line(command_line: &str) -> Result<Self, &str> {
        let mut words = command_line.split_ascii_whitespace();
        let Some((word, value)) = words.find_map(|word| Some((word, word.strip_prefix("ip=")?)))
        else {
            return Ok(Self::default());
        };
        if value == "dhcp" {
            return Ok(Self::dhcp());
        }
        let (address, gateway) = match value.split_once(',') {
            Some((address, gateway)) => (address, Some(gateway.parse().map_err(|_| word)?)),
            None => (value, None),
        };
        Ok(Self {
            addressing: Addressing::Static(Lease {
                address: address.parse().map_err(|()| word)?,
                gateway,
                dns: gateway.into_iter().collect(),
            }),
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addressing: Addressing::Static(Lease::of_user_mode()),
        }
    }
}
