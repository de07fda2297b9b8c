//! The configuration space (virtio 1.2, 5.1.4).

use super::features::LINK_UP;
use super::mac::Mac;
use crate::device::config::Config;
use std::mem::offset_of;
use zerocopy::little_endian::U16;
use zerocopy::{Immutable, IntoBytes};

/// `struct virtio_net_config`, as far as there is something to say.
#[derive(Clone, Copy, Debug, Immutable, IntoBytes)]
#[repr(C)]
pub struct ConfigSpace {
    mac: [u8; 6],
    status: U16,
    max_virtqueue_pairs: U16,
    mtu: U16,
}

/// Where the status is in it.
const STATUS_AT: usize = offset_of!(ConfigSpace, status);

impl ConfigSpace {
    /// Of a device whose link is up.
    pub fn new(mac: Mac, pairs: u16, mtu: u16) -> Self {
        Self {
            mac: mac.0,
            status: LINK_UP.into(),
            max_virtqueue_pairs: pairs.into(),
            mtu: mtu.into(),
        }
    }
}

/// Says whether there is a link, if that is new.
pub fn set_link(config: &Config, is_up: bool) {
    let status = if is_up { LINK_UP } else { 0 };
    let mut now = [0; 2];
    let is_read = config.read(STATUS_AT as u32, &mut now).is_some();
    if is_read && u16::from_le_bytes(now) == status {
        return;
    }
    config.update(|bytes| {
        if let Some(place) = bytes.get_mut(STATUS_AT..STATUS_AT + 2) {
            place.copy_from_slice(&status.to_le_bytes());
        }
    });
}
