//! The vsock device (virtio 1.2, 5.10).

pub mod connection;
pub mod credit;
pub mod handshake;
pub mod muxer;
pub mod outgoing;
pub mod packet;
#[cfg(test)]
mod tests;
