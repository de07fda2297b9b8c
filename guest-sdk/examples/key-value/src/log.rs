//! The log on the disk.

use crate::area::Area;
use crate::batch::{HEAD, LARGEST, Writer};
use crate::commit::Store;
use crate::data::{Change, Data};
use crate::superblock::{BLOCK, Found, Superblock};
use core::fmt;
use paravane_sdk::virtio::block::{Disk, SECTOR};
use paravane_sdk::virtio::{Buffer, Error};

/// Least size of an area in bytes.
const AREA_MIN: u64 = 4 * LARGEST as u64;

/// Why a disk is not taken.
#[derive(Debug)]
pub enum OpenError {
    Device(Error),
    /// It has something else.
    Foreign,
    /// It is too small for what it says, or at all.
    TooSmall,
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(error) => write!(f, "the disk: {error}"),
            Self::Foreign => f.write_str("the disk has something else; it is to begin with zeros"),
            Self::TooSmall => f.write_str("the disk is too small; 9 MiB are enough to begin with"),
        }
    }
}

impl core::error::Error for OpenError {}

/// The log.
pub struct Log {
    disk: Disk,
    superblock: Superblock,
    area: Area,
    /// What a batch is built in; `None` while it is written, and when there was no memory.
    buffer: Option<Buffer>,
}

impl Log {
    /// The log of a disk, with what it says. An empty disk gets one.
    pub async fn open(disk: Disk) -> Result<(Self, Data), OpenError> {
        let blocks = (2 * BLOCK / SECTOR) as u64;
        let most = disk.capacity().saturating_sub(blocks) / 2;
        if most * (SECTOR as u64) < AREA_MIN {
            return Err(OpenError::TooSmall);
        }
        let superblock = match Superblock::read(&disk).await? {
            Found::Foreign => return Err(OpenError::Foreign),
            Found::Superblock(superblock) if superblock.area > most => {
                return Err(OpenError::TooSmall);
            }
            Found::Superblock(superblock) => superblock,
            Found::Nothing => {
                let nothing = Superblock {
                    generation: 0,
                    area: most,
                    salt: 0,
                };
                let first = nothing.next()?;
                first.write(&disk).await?;
                first
            }
        };
        let mut area = Area::new(superblock);
        let data = area.read(&disk).await?;
        let log = Self {
            disk,
            superblock,
            area,
            buffer: None,
        };
        Ok((log, data))
    }

    /// Most bytes that the data may have, so that compaction is worth its while.
    pub fn room(&self) -> usize {
        let area = self.superblock.area * SECTOR as u64;
        usize::try_from(area / 4 * 3).unwrap_or(usize::MAX) - LARGEST
    }

    /// Writes changes, for good. They fit into a batch. `store` has what the log says up to here.
    pub async fn commit(&mut self, changes: &[Change], store: &Store) -> Result<(), Error> {
        let size: usize = changes.iter().map(Change::size).sum();
        if !self.area.has_room(HEAD + size) {
            self.compact(store).await?;
        }
        let mut buffer = self.take_buffer()?;
        let mut writer = Writer::new(&mut buffer);
        for change in changes {
            let pushed = match change {
                Change::Set(key, value) => writer.push(key, Some(value)),
                Change::Delete(key) => writer.push(key, None),
            };
            if !pushed {
                return Err(Error::OutOfRange);
            }
        }
        let (salt, number) = self.area.next();
        let size = writer.finish(salt, number);
        self.area = self.append(self.area, buffer, size).await?;
        Ok(())
    }

    /// Writes what is not outdated to the other area, which counts from then on.
    async fn compact(&mut self, store: &Store) -> Result<(), Error> {
        let superblock = self.superblock.next()?;
        let mut area = Area::new(superblock);
        let mut behind = None;
        loop {
            let mut buffer = self.take_buffer()?;
            let mut writer = Writer::new(&mut buffer);
            let last = store.walk(behind, |key, value| writer.push(key, Some(value)));
            if writer.is_empty() {
                self.buffer = Some(buffer);
                break;
            }
            let (salt, number) = area.next();
            let size = writer.finish(salt, number);
            area = self.append(area, buffer, size).await?;
            // A million bytes of keys with one hash do not come by chance.
            behind = Some(last.ok_or(Error::OutOfRange)?);
        }
        superblock.write(&self.disk).await?;
        self.superblock = superblock;
        self.area = area;
        Ok(())
    }

    /// Writes a batch to an area, which is given back as it is then.
    async fn append(
        &mut self,
        mut area: Area,
        mut buffer: Buffer,
        size: usize,
    ) -> Result<Area, Error> {
        if !area.has_room(size) {
            self.buffer = Some(buffer);
            return Err(Error::OutOfRange);
        }
        buffer.resize(size);
        let (buffer, result) = area.append(&self.disk, buffer).await;
        self.buffer = Some(buffer);
        result.map(|()| area)
    }

    fn take_buffer(&mut self) -> Result<Buffer, Error> {
        let buffer = self.buffer.take().or_else(|| Buffer::new(LARGEST));
        let mut buffer = buffer.ok_or(Error::NoMemory)?;
        buffer.resize(LARGEST);
        Ok(buffer)
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, all) = self.area.usage();
        let kib = |sectors: u64| sectors * SECTOR as u64 / 1024;
        write!(f, "log of {} of {} KiB", kib(used), kib(all))
    }
}
