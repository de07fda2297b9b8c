//! An area of the disk, with batches one behind the other.

use crate::batch::{self, LARGEST};
use crate::data::Data;
use crate::superblock::{BLOCK, Superblock};
use paravane_sdk::virtio::block::{Disk, SECTOR};
use paravane_sdk::virtio::{Buffer, Error};

/// Bytes that are read at once: the largest batch and as much again.
const CHUNK: usize = 2 * LARGEST;

/// An area, and where its next batch goes.
#[derive(Clone, Copy, Debug)]
pub struct Area {
    salt: u64,
    first: u64,
    sectors: u64,
    /// Sectors that are in use.
    used: u64,
    /// Number of the next batch.
    number: u64,
}

impl Area {
    /// The area of a superblock, as if it were empty.
    pub fn new(superblock: Superblock) -> Self {
        let blocks = (2 * BLOCK / SECTOR) as u64;
        Self {
            salt: superblock.salt,
            first: blocks + (superblock.generation % 2) * superblock.area,
            sectors: superblock.area,
            used: 0,
            number: 0,
        }
    }

    /// Reads all batches. The log ends before the first one that is not whole: nobody had an answer
    /// to what it has.
    pub async fn read(&mut self, disk: &Disk) -> Result<Data, Error> {
        let mut data = Data::default();
        let mut buffer = Buffer::new(CHUNK).ok_or(Error::NoMemory)?;
        loop {
            let here = (self.sectors - self.used).min((CHUNK / SECTOR) as u64);
            if here == 0 {
                return Ok(data);
            }
            buffer.resize(here as usize * SECTOR);
            let (back, read) = disk.read(self.first + self.used, buffer).await;
            buffer = back;
            read?;
            let before = self.used;
            let mut rest = &buffer[..];
            while let Some(size) = batch::size(rest, self.salt, self.number) {
                let Some(bytes) = rest.get(..size) else {
                    break;
                };
                let Some(changes) = batch::changes(bytes) else {
                    break;
                };
                for change in changes {
                    data.apply(change);
                }
                self.advance(size);
                rest = &rest[size..];
            }
            if self.used == before {
                return Ok(data);
            }
        }
    }

    fn advance(&mut self, size: usize) {
        self.used += (size / SECTOR) as u64;
        self.number += 1;
    }

    /// Whether a batch of that size fits.
    pub fn has_room(&self, size: usize) -> bool {
        (self.sectors - self.used) * SECTOR as u64 >= size as u64
    }

    /// Salt and number of the next batch.
    pub fn next(&self) -> (u64, u64) {
        (self.salt, self.number)
    }

    /// Writes a batch that fits, for good. In case of an error the next one takes its place.
    pub async fn append(&mut self, disk: &Disk, batch: Buffer) -> (Buffer, Result<(), Error>) {
        let size = batch.len();
        let (batch, mut result) = disk.write(self.first + self.used, batch).await;
        if result.is_ok() {
            result = disk.flush().await;
        }
        if result.is_ok() {
            self.advance(size);
        }
        (batch, result)
    }

    /// Sectors in use, and all.
    pub fn usage(&self) -> (u64, u64) {
        (self.used, self.sectors)
    }
}
