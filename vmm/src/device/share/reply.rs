//! An answer on its way to the guest.

use super::abi::OutHeader;
use rustix::io::Errno;
use zerocopy::{Immutable, IntoBytes};

/// The most bytes that one request reads.
pub const DATA_MAX: usize = 1 << 20;

const HEADER_SIZE: usize = size_of::<OutHeader>();

/// The one buffer in which all answers of a device are made.
#[derive(Debug)]
pub struct Reply {
    buffer: Vec<u8>,
    /// How much of it the guest has room for.
    room: usize,
    used: usize,
}

impl Default for Reply {
    fn default() -> Self {
        Self {
            // Zero pages that are not touched before something is read.
            buffer: vec![0; HEADER_SIZE + DATA_MAX],
            room: 0,
            used: 0,
        }
    }
}

impl Reply {
    /// Begins an answer that the guest has so much room for.
    pub fn begin(&mut self, room: usize) {
        self.room = room.min(self.buffer.len());
        self.used = HEADER_SIZE;
    }

    /// How many bytes there is room for now.
    pub fn room(&self) -> usize {
        self.room.saturating_sub(self.used)
    }

    /// Adds bytes.
    ///
    /// # Errors
    ///
    /// The guest has no room for them.
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.fill(bytes.len(), |space| {
            space.copy_from_slice(bytes);
            Ok(bytes.len())
        })
    }

    /// Adds a structure.
    ///
    /// # Errors
    ///
    /// The guest has no room for it.
    pub fn push(&mut self, value: &(impl IntoBytes + Immutable)) -> Result<(), Errno> {
        self.push_bytes(value.as_bytes())
    }

    /// Adds what `write` writes into `size` bytes, and says how many they were.
    ///
    /// # Errors
    ///
    /// The guest has no room for so many, or `write` failed.
    pub fn fill(
        &mut self,
        size: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        if size > self.room() {
            return Err(Errno::INVAL);
        }
        let end = self.used + size;
        let space = self.buffer.get_mut(self.used..end).ok_or(Errno::INVAL)?;
        self.used += write(space)?.min(size);
        Ok(())
    }

    /// How many bytes the answer has, its header included.
    pub fn size(&self) -> usize {
        self.used
    }

    /// Ends an answer: its bytes, none if there is not even room for an error.
    pub fn finish(&mut self, unique: u64, result: Result<(), Errno>) -> &[u8] {
        if self.room < HEADER_SIZE {
            return &[];
        }
        if result.is_err() {
            self.used = HEADER_SIZE;
        }
        let header = OutHeader {
            // At most the size of the buffer.
            len: self.used as u32,
            error: result.err().map_or(0, |error| -error.raw_os_error()),
            unique,
        };
        if let Some(place) = self.buffer.get_mut(..HEADER_SIZE) {
            place.copy_from_slice(header.as_bytes());
        }
        self.buffer.get(..self.used).unwrap_or_default()
    }
}
