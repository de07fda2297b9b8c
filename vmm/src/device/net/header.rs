//! What stands before each packet (virtio 1.2, 5.1.6): `struct virtio_net_hdr`.

use zerocopy::little_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Its size in bytes.
pub const HEADER_SIZE: usize = size_of::<NetHeader>();

/// VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum is to be completed.
pub const NEEDS_CSUM: u8 = 1;
/// VIRTIO_NET_HDR_GSO_NONE: the packet is not to be cut.
pub const GSO_NONE: u8 = 0;

/// The header.
#[derive(
    Clone, Copy, Debug, Default, FromBytes, Immutable, IntoBytes, KnownLayout, PartialEq, Eq,
)]
#[repr(C)]
pub struct NetHeader {
    /// [`NEEDS_CSUM`] and others.
    pub flags: u8,
    /// How it is to be cut.
    pub gso_type: u8,
    /// The size of all headers.
    pub hdr_len: U16,
    /// The size of the pieces.
    pub gso_size: U16,
    /// From where on the checksum is computed.
    pub csum_start: U16,
    /// Where it stands, from there.
    pub csum_offset: U16,
    /// Over how many buffers the packet is spread; of one to the guest only.
    pub num_buffers: U16,
}

impl NetHeader {
    /// Of a packet whose checksum is to be completed.
    pub fn with_checksum(start: u16, offset: u16) -> Self {
        Self {
            flags: NEEDS_CSUM,
            csum_start: start.into(),
            csum_offset: offset.into(),
            ..Self::default()
        }
    }

    /// Where the checksum is to be computed from and where it stands, if it is not complete.
    pub fn checksum(&self) -> Option<(u16, u16)> {
        (self.flags & NEEDS_CSUM != 0).then(|| (self.csum_start.get(), self.csum_offset.get()))
    }

    /// The same with nothing but what is to be done with the checksum.
    pub fn checksum_only(&self) -> Self {
        self.checksum()
            .map_or_else(Self::default, |(start, offset)| {
                Self::with_checksum(start, offset)
            })
    }
}
