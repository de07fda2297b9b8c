//! The network device (virtio 1.2, 5.1), with three networks behind it: a tap device of the host
//! ([`tap`]), a network of its own inside the VMM ([`user`]), and a switch between guests
//! ([`switch`]).

mod checksum;
mod config;
mod control;
mod device;
mod features;
mod header;
mod mac;
mod options;
mod packets;
mod receiver;
pub mod switch;
pub mod tap;
mod tasks;
#[cfg(test)]
mod tests;
pub mod user;

pub use device::NetDevice;
pub use mac::Mac;
pub use options::{NetError, NetOptions, Network};
