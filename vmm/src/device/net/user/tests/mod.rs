//! The engine with a second TCP/IP stack as the guest, against real sockets of the host.

mod dhcp;
mod guest;
pub(in crate::device::net) mod hostile;
mod idle;
mod tcp;
mod udp;
