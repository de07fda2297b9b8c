//! Virtio devices (virtio 1.2), whose transport is the ABI ([`pv_abi::device`]).
//!
//! The way of a request: the guest rings a doorbell, which KVM turns into an eventfd without an
//! exit; the device's thread ([`worker`]) takes the request from its queue ([`queue`]) as a
//! [`chain::Chain`] of checked buffers; the back end ([`backend::Backend`]) carries it out and puts it back;
//! and the guest gets an event, unless it has said that it does not want one.
//!
//! A device without a driver has no thread, and one without work sleeps.

pub mod backend;
pub mod block;
pub mod chain;
pub mod config;
pub mod console;
pub mod dma;
pub mod doorbell;
pub mod entropy;
mod error;
pub mod gate;
pub mod list;
pub mod net;
pub mod options;
pub mod queue;
pub mod rate;
pub mod registry;
pub mod saved;
pub mod share;
pub mod spec;
pub mod stats;
pub mod transport;
pub mod unix_socket;
pub mod vsock;
pub mod watched;
mod worker;

pub use error::DeviceError;

#[cfg(test)]
pub(crate) mod tests;

/// Feature bits of the transport, which every device has (virtio 1.2, chapter 6).
pub mod features {
    /// VIRTIO_F_RING_INDIRECT_DESC.
    pub const RING_INDIRECT_DESC: u64 = 1 << 28;
    /// VIRTIO_F_RING_EVENT_IDX.
    pub const RING_EVENT_IDX: u64 = 1 << 29;
    /// VIRTIO_F_VERSION_1.
    pub const VERSION_1: u64 = 1 << 32;
    /// What the transport offers for every device.
    pub const TRANSPORT: u64 = RING_INDIRECT_DESC | RING_EVENT_IDX | VERSION_1;
}
