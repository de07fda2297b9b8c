//! Which area counts.
//!
//! The first two blocks of the disk are superblocks. That with the higher generation counts, and
//! the next one is written over the other one, so that there is always one that is whole.

use paravane_sdk::entropy;
use paravane_sdk::virtio::block::{Disk, SECTOR};
use paravane_sdk::virtio::{Buffer, Error};

/// Size of a block in bytes: what a disk does not write in part.
pub const BLOCK: usize = 4096;
/// Bytes that are checked by the checksum behind them.
const CHECKED: usize = 32;

const MAGIC: [u8; 8] = *b"pvkv0001";

/// What a superblock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// One higher with each compaction. The area is 0 or 1, the generation modulo 2.
    pub generation: u64,
    /// Size of each area in sectors.
    pub area: u64,
    /// What the batches of the area are known by.
    pub salt: u64,
}

/// What there is on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Superblock(Superblock),
    /// Nothing: zeros.
    Nothing,
    /// Something that is not ours.
    Foreign,
}

impl Superblock {
    /// Reads the one that counts.
    pub async fn read(disk: &Disk) -> Result<Found, Error> {
        let buffer = Buffer::new(2 * BLOCK).ok_or(Error::NoMemory)?;
        let (buffer, read) = disk.read(0, buffer).await;
        read?;
        let (first, second) = buffer.split_at(BLOCK);
        let newest = [first, second]
            .into_iter()
            .filter_map(Self::parse)
            .max_by_key(|superblock| superblock.generation);
        Ok(match newest {
            Some(superblock) => Found::Superblock(superblock),
            None if buffer.iter().all(|&byte| byte == 0) => Found::Nothing,
            None => Found::Foreign,
        })
    }

    /// The one behind it, with a salt of its own.
    pub fn next(self) -> Result<Self, Error> {
        let mut salt = [0; 8];
        entropy::fill(&mut salt)?;
        Ok(Self {
            generation: self.generation + 1,
            salt: u64::from_le_bytes(salt),
            ..self
        })
    }

    /// Writes it, for good.
    pub async fn write(self, disk: &Disk) -> Result<(), Error> {
        let mut buffer = Buffer::new(BLOCK).ok_or(Error::NoMemory)?;
        buffer[0..8].copy_from_slice(&MAGIC);
        buffer[8..16].copy_from_slice(&self.generation.to_le_bytes());
        buffer[16..24].copy_from_slice(&self.area.to_le_bytes());
        buffer[24..32].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&buffer[..CHECKED]);
        buffer[CHECKED..CHECKED + 4].copy_from_slice(&crc.to_le_bytes());
        let place = (self.generation % 2) * (BLOCK / SECTOR) as u64;
        let (_, written) = disk.write(place, buffer).await;
        written?;
        disk.flush().await
    }

    fn parse(block: &[u8]) -> Option<Self> {
        let checked = block.first_chunk::<CHECKED>()?;
        let crc = u32::from_le_bytes(*block[CHECKED..].first_chunk()?);
        if checked[0..8] != MAGIC || crc32fast::hash(checked) != crc {
            return None;
        }
        Some(Self {
            generation: u64::from_le_bytes(*checked[8..].first_chunk()?),
            area: u64::from_le_bytes(*checked[16..].first_chunk()?),
            salt: u64::from_le_bytes(*checked[24..].first_chunk()?),
        })
    }
}
