//! A batch of changes, as it is on the disk.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..16 | salt of the area |
//! | 16..24 | number of the batch in the area, from 0 on |
//! | 24..28 | size of the changes in bytes |
//! | 28..32 | CRC-32 of bytes 0..28 and of the changes |
//!
//! Each change has its kind and the size of the key in 4 bytes, the size of the value in 4 bytes,
//! key and value. Numbers are little-endian. The salt is a random number that nobody else knows, so
//! that what a client has written, and what is left of it on the disk, is not taken for a batch. The
//! next batch begins with the next sector: none is ever written again in part.

use crate::data::{Change, ENTRY_HEAD};
use paravane_sdk::virtio::block::SECTOR;

/// Bytes before the changes.
pub const HEAD: usize = 32;
/// Most bytes of a batch.
pub const LARGEST: usize = 1 << 20;
/// Longest key.
pub const KEY_MAX: usize = 64 << 10;
/// Longest value.
pub const VALUE_MAX: usize = 512 << 10;

const MAGIC: [u8; 8] = *b"pvkvlog1";
/// Bit of a key's size that says that the key is deleted.
const DELETE: u32 = 1 << 31;

/// Writes a batch into a buffer.
pub struct Writer<'a> {
    buffer: &'a mut [u8],
    size: usize,
}

impl<'a> Writer<'a> {
    /// A batch without changes. The buffer has room for [`LARGEST`] bytes.
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self { buffer, size: HEAD }
    }

    /// Adds a key with its value, or a key that is deleted: whether there was room for it.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let flag = if value.is_none() { DELETE } else { 0 };
        let value = value.unwrap_or_default();
        let end = self.size + ENTRY_HEAD + key.len() + value.len();
        let Some(place) = self.buffer.get_mut(self.size..end) else {
            return false;
        };
        let (head, rest) = place.split_at_mut(ENTRY_HEAD);
        let (key_place, value_place) = rest.split_at_mut(key.len());
        head[..4].copy_from_slice(&(key.len() as u32 | flag).to_le_bytes());
        head[4..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        key_place.copy_from_slice(key);
        value_place.copy_from_slice(value);
        self.size = end;
        true
    }

    /// Whether it has no changes.
    pub fn is_empty(&self) -> bool {
        self.size == HEAD
    }

    /// Completes it: its size in whole sectors, in bytes.
    pub fn finish(self, salt: u64, number: u64) -> usize {
        let changes = (self.size - HEAD) as u32;
        self.buffer[0..8].copy_from_slice(&MAGIC);
        self.buffer[8..16].copy_from_slice(&salt.to_le_bytes());
        self.buffer[16..24].copy_from_slice(&number.to_le_bytes());
        self.buffer[24..28].copy_from_slice(&changes.to_le_bytes());
        let crc = crc(&self.buffer[..self.size]);
        self.buffer[28..32].copy_from_slice(&crc.to_le_bytes());
        let end = self.size.next_multiple_of(SECTOR);
        self.buffer[self.size..end].fill(0);
        end
    }
}

/// The size in whole sectors of the batch that begins here, if it is the one that is expected; its
/// checksum is not looked at. `None` for anything else.
pub fn size(head: &[u8], salt: u64, number: u64) -> Option<usize> {
    let head = head.first_chunk::<HEAD>()?;
    let known = head[0..8] == MAGIC
        && head[8..16] == salt.to_le_bytes()
        && head[16..24] == number.to_le_bytes();
    let size = HEAD + u32_at(head, 24)? as usize;
    (known && size <= LARGEST).then(|| size.next_multiple_of(SECTOR))
}

/// The changes of a batch, of which [`size`] was found; `None` when the checksum is wrong.
pub fn changes(batch: &[u8]) -> Option<Changes<'_>> {
    let size = HEAD + u32_at(batch, 24)? as usize;
    let batch = batch.get(..size)?;
    (u32_at(batch, 28)? == crc(batch)).then(|| Changes(&batch[HEAD..]))
}

/// The changes of a batch.
pub struct Changes<'a>(&'a [u8]);

impl Iterator for Changes<'_> {
    type Item = Change;

    fn next(&mut self) -> Option<Change> {
        let key = u32_at(self.0, 0)?;
        let value = u32_at(self.0, 4)? as usize;
        let rest = self.0.get(ENTRY_HEAD..)?;
        let (key_bytes, rest) = rest.split_at_checked((key & !DELETE) as usize)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some(match key & DELETE {
            0 => Change::Set(key_bytes.into(), value.into()),
            _ => Change::Delete(key_bytes.into()),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

fn crc(batch: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&batch[..28]);
    hasher.update(&batch[HEAD..]);
    hasher.finalize()
}
