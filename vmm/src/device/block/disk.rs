//! What a driver is told of a disk: features and configuration (virtio 1.2, 5.2.3 and 5.2.4).

use super::image::{Image, SECTOR};
use virtio_bindings::virtio_blk as spec;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

/// Size of a serial number (virtio 1.2, 5.2.6).
pub const SERIAL_SIZE: usize = spec::VIRTIO_BLK_ID_BYTES as usize;

/// Descriptors of a queue.
pub const QUEUE_SIZE: u16 = 256;

/// The most ranges of one discard.
pub const MAX_DISCARD_SEGMENTS: u32 = 16;

/// The most sectors of a range to discard: 1 GiB.
pub const MAX_DISCARD_SECTORS: u32 = 1 << 21;

/// The most sectors of a range to fill with zeros: 128 MiB. Where the file system cannot do it by
/// itself, they are written, which must not take long.
pub const MAX_ZEROES_SECTORS: u32 = 1 << 18;

/// A disk as its driver sees it.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Size in sectors.
    pub sectors: u64,
    /// It cannot be written to.
    pub read_only: bool,
    /// Space can be given back.
    pub discard: bool,
    /// Number of queues.
    pub queues: u16,
    /// The answer to GET_ID, padded with zeros.
    pub serial: [u8; SERIAL_SIZE],
    /// Sizes of a block, and of a block of the medium, in bytes; powers of two.
    pub block_sizes: (u32, u32),
}

/// `struct virtio_blk_config`, as far as it is used.
#[derive(Debug, IntoBytes, Immutable)]
#[repr(C)]
struct Config {
    capacity: U64,
    size_max: U32,
    seg_max: U32,
    geometry: [u8; 4],
    blk_size: U32,
    physical_block_exp: u8,
    alignment_offset: u8,
    min_io_size: U16,
    opt_io_size: U32,
    writeback: u8,
    unused0: u8,
    num_queues: U16,
    max_discard_sectors: U32,
    max_discard_seg: U32,
    discard_sector_alignment: U32,
    max_write_zeroes_sectors: U32,
    max_write_zeroes_seg: U32,
    write_zeroes_may_unmap: u8,
    unused1: [u8; 3],
}

impl Disk {
    /// The disk that an image makes.
    pub fn new(image: &Image, read_only: bool, discard: bool, queues: u16, serial: &str) -> Self {
        let mut padded = [0; SERIAL_SIZE];
        for (to, from) in padded.iter_mut().zip(serial.bytes()) {
            *to = from;
        }
        Self {
            sectors: image.size() / SECTOR,
            read_only,
            discard: discard && !read_only,
            queues,
            serial: padded,
            block_sizes: image.block_sizes(),
        }
    }

    /// The feature bits.
    pub fn features(&self) -> u64 {
        let mut bits = vec![
            spec::VIRTIO_BLK_F_SEG_MAX,
            spec::VIRTIO_BLK_F_BLK_SIZE,
            spec::VIRTIO_BLK_F_TOPOLOGY,
            spec::VIRTIO_BLK_F_FLUSH,
        ];
        if self.queues > 1 {
            bits.push(spec::VIRTIO_BLK_F_MQ);
        }
        if self.read_only {
            bits.push(spec::VIRTIO_BLK_F_RO);
        } else {
            bits.push(spec::VIRTIO_BLK_F_WRITE_ZEROES);
        }
        if self.discard {
            bits.push(spec::VIRTIO_BLK_F_DISCARD);
        }
        bits.into_iter().fold(0, |all, bit| all | 1 << bit)
    }

    /// The configuration space.
    pub fn config(&self) -> Vec<u8> {
        let (logical, physical) = self.block_sizes;
        let per_block = (physical / logical.max(1)).max(1);
        let config = Config {
            capacity: self.sectors.into(),
            size_max: 0.into(),
            // Each request has two descriptors besides its data.
            seg_max: (u32::from(QUEUE_SIZE) - 2).into(),
            geometry: [0; 4],
            blk_size: logical.into(),
            physical_block_exp: per_block.ilog2() as u8,
            alignment_offset: 0,
            min_io_size: u16::try_from(per_block).unwrap_or(1).into(),
            opt_io_size: 0.into(),
            writeback: 0,
            unused0: 0,
            num_queues: self.queues.into(),
            max_discard_sectors: MAX_DISCARD_SECTORS.into(),
            max_discard_seg: MAX_DISCARD_SEGMENTS.into(),
            discard_sector_alignment: (physical / SECTOR as u32).into(),
            max_write_zeroes_sectors: MAX_ZEROES_SECTORS.into(),
            max_write_zeroes_seg: 1.into(),
            write_zeroes_may_unmap: self.discard.into(),
            unused1: [0; 3],
        };
        config.as_bytes().to_vec()
    }
}
