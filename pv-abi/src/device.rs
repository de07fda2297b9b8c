//! Devices: virtio 1.2 devices whose transport is this ABI.
//!
//! What virtio leaves to the transport (virtio 1.2, chapter 4) is done so:
//!
//! - Discovery: `devices` of the start-info page is a read-only array of [`DeviceInfo`].
//! - Status, features, configuration space and queues: the `io_device`, `io_config` and `io_queue`
//!   calls. Each is complete when it returns, so there is nothing to poll for.
//! - Available buffer notifications: a doorbell. The guest writes any byte to the port
//!   `doorbell_port + doorbell + queue` by OUT, which reaches the device without the VMM. Where
//!   `doorbell_count` of the start-info page is 0, it calls `io_queue_notify`.
//! - Used buffer notifications: an event of the source `EVENT_SOURCE_QUEUE + doorbell + queue`.
//! - Configuration change notifications, and a device that needs a reset: an event of the source
//!   `EVENT_SOURCE_DEVICE + device`.
//!
//! Queues are split virtqueues (virtio 1.2, 2.7) in RAM. Every device offers
//! VIRTIO_F_VERSION_1, which the driver must accept, VIRTIO_F_RING_EVENT_IDX and
//! VIRTIO_F_RING_INDIRECT_DESC. As long as a queue is set up, and as long as a device writes to a
//! buffer, the pages of the used ring and of the buffer cannot be sealed.
//!
//! A driver that breaks a rule of virtio, by a descriptor that leads out of RAM or to a sealed page,
//! by a chain without an end or otherwise, finds its device stopped, with DEVICE_NEEDS_RESET in its
//! status. Nothing else happens to the guest.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most devices of a VM.
pub const DEVICES: usize = 32;

/// Most queues of all devices of a VM together.
pub const DOORBELLS: usize = 256;

/// Longest name of a device, in bytes.
pub const DEVICE_ID_MAX: usize = 32;

/// ACKNOWLEDGE of the device status (virtio 1.2, 2.1): the guest has noticed the device.
pub const DEVICE_ACKNOWLEDGE: u32 = 1;
/// DRIVER: the guest knows how to drive the device.
pub const DEVICE_DRIVER: u32 = 2;
/// DRIVER_OK: the driver is set up, and the device serves its queues from then on.
pub const DEVICE_DRIVER_OK: u32 = 4;
/// FEATURES_OK: the driver has said which features it uses.
pub const DEVICE_FEATURES_OK: u32 = 8;
/// DEVICE_NEEDS_RESET: the device has stopped until it is reset; only the VMM sets it.
pub const DEVICE_NEEDS_RESET: u32 = 64;
/// FAILED: the guest has given the device up.
pub const DEVICE_FAILED: u32 = 128;

/// A device.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct DeviceInfo {
    /// The device ID: what it is (virtio 1.2, chapter 5).
    pub device_type: u32,
    /// Number of queues, at least 1.
    pub queues: u32,
    /// The feature bits that it offers.
    pub features: u64,
    /// Size of its configuration space in bytes.
    pub config_size: u32,
    /// The doorbell of its queue 0; those of its other queues follow.
    pub doorbell: u32,
    /// The largest number of descriptors that every queue of it takes, a power of two.
    pub queue_size_max: u32,
    /// Zero.
    pub reserved: u32,
    /// The operator's name for it, UTF-8, the rest zero.
    pub id: [u8; DEVICE_ID_MAX],
}

/// Where a queue is: what `io_queue_setup` reads.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct QueueSetup {
    /// Number of descriptors, a power of two.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// Guest-physical address of the descriptor table, 16-byte aligned.
    pub descriptors: u64,
    /// Guest-physical address of the driver area, the available ring, 2-byte aligned.
    pub driver: u64,
    /// Guest-physical address of the device area, the used ring, 4-byte aligned.
    pub device: u64,
}

pin_layout!(DeviceInfo, size 64 {
    device_type @ 0,
    queues @ 4,
    features @ 8,
    config_size @ 16,
    doorbell @ 20,
    queue_size_max @ 24,
    reserved @ 28,
    id @ 32,
});
pin_layout!(QueueSetup, size 32 {
    size @ 0,
    reserved @ 4,
    descriptors @ 8,
    driver @ 16,
    device @ 24,
});
