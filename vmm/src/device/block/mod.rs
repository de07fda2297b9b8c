//! The block device (virtio 1.2, 5.2).

mod disk;
pub mod engine;
pub mod image;
mod request;
