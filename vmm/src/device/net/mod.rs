//! The network device (virtio 1.2, 5.1).

pub mod user;
