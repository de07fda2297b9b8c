//! The user network: an unprivileged network inside the VMM, as libslirp and passt have it.
//!
//! The guest is alone in 10.0.2.0/24, with 10.0.2.15 by DHCP. Its TCP connections end in a
//! TCP/IP stack in the VMM and go on by sockets of the host, so they are the VMM's own
//! connections; UDP goes datagram by datagram. 10.0.2.2 is the gateway and stands for the host's
//! 127.0.0.1; 10.0.2.3 is the host's name server. There is no IPv6, no fragment is taken, and
//! of ICMP there is the echo of the two addresses.

mod address;
mod arp;
mod classify;
mod datagram;
mod dhcp;
mod engine;
mod forward;
mod frame;
mod link;
mod ready;
mod serve;
mod stack;
mod tcp;
#[cfg(test)]
pub(super) mod tests;
mod udp;

pub use address::RESOLV_CONF;
pub use engine::{Engine, Settings};
pub use forward::{Forward, ForwardListener, ListenError};
pub use frame::{FRAME_CAPACITY, Frame};
pub use link::Checks;
pub use serve::UserPort;
