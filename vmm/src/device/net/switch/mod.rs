//! A network between the guests of one host: a process that is a learning switch, and a Unix
//! socket by which each guest is connected to it.
//!
//! A message (SOCK_SEQPACKET) is a frame with a [`virtio_net_hdr`](super) before it, so a sender
//! may leave a checksum to the receiver; nothing else of the header is used. The switch itself
//! looks at the two addresses only.

mod serve;
mod socket;
mod table;
#[cfg(test)]
mod tests;

pub use serve::serve;
pub use socket::{SwitchError, connect, listen};
