//! The block device (virtio 1.2, 5.2): an image of the host is a disk of the guest.
//!
//! [`BlockOptions`] says which [`image`]; a [`BlockDevice`] takes the guest's requests, has them
//! checked by [`Disk`](disk::Disk), and does them by an [`engine::Engine`].

mod begin;
mod device;
mod disk;
pub mod engine;
pub mod image;
mod in_flight;
mod options;
mod polling;
mod request;
mod server;
#[cfg(test)]
mod tests;

pub use device::BlockDevice;
pub use options::{BlockOptions, KNOWN};
