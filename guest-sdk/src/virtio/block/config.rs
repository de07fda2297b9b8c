//! What a disk says of itself (virtio 1.2, 5.2.3 and 5.2.4).

use super::super::Device;
use super::SECTOR;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;
const MQ: u64 = 1 << 12;
const DISCARD: u64 = 1 << 13;
const WRITE_ZEROES: u64 = 1 << 14;

/// Those that this driver uses.
pub(super) const FEATURES: u64 = RO | BLK_SIZE | FLUSH | MQ | DISCARD | WRITE_ZEROES;

/// The configuration space.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub(super) struct Config {
    pub capacity: u64,
    size_max: u32,
    seg_max: u32,
    geometry: u32,
    blk_size: u32,
    topology: u64,
    writeback: u16,
    num_queues: u16,
    max_discard_sectors: u32,
    max_discard_seg: u32,
    discard_sector_alignment: u32,
    max_write_zeroes_sectors: u32,
    max_write_zeroes_seg: u32,
    write_zeroes_may_unmap: u32,
    behind: u32,
}

const _: () = assert!(size_of::<Config>() == 64);

/// What a disk takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub read_only: bool,
    pub flush: bool,
    pub queues: u32,
    /// In bytes.
    pub block_size: u32,
    /// Most sectors at once.
    pub discard: Option<u32>,
    /// Most sectors at once.
    pub write_zeroes: Option<u32>,
    /// Zeros may be a hole.
    pub may_unmap: bool,
}

impl Limits {
    pub fn new(device: &Device, config: &Config) -> Self {
        let with = |bit, value: u32| device.has(bit).then_some(value);
        // A device that has the request does take a sector.
        let most = |bit, value: u32| with(bit, value.max(1));
        Self {
            read_only: device.has(RO),
            flush: device.has(FLUSH),
            queues: with(MQ, config.num_queues.into()).unwrap_or(1).max(1),
            block_size: with(BLK_SIZE, config.blk_size).unwrap_or(SECTOR as u32),
            discard: most(DISCARD, config.max_discard_sectors),
            write_zeroes: most(WRITE_ZEROES, config.max_write_zeroes_sectors),
            may_unmap: config.write_zeroes_may_unmap as u8 != 0,
        }
    }
}
