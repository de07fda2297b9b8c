//! A request: the buffers that a chain of descriptors names, read once and checked.

use super::DeviceError;
use super::dma::Dma;
use crate::memory::Ram;
use pv_abi::Gpa;
use std::sync::Arc;
use virtio_queue::desc::split::Descriptor;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The most buffers of a request. Drivers use as many as a queue has descriptors, or fewer.
pub const SEGMENTS_MAX: usize = 1024;

/// A range of guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Guest-physical address.
    pub gpa: u64,
    /// Size in bytes.
    pub size: u32,
}

/// Buffers that are read or written one after the other.
#[derive(Debug, Default)]
struct Part {
    buffers: Vec<Buffer>,
    /// The buffer where it goes on, and how much of that has been used.
    at: usize,
    offset: u32,
    left: u32,
}

impl Part {
    fn clear(&mut self) {
        self.buffers.clear();
        self.at = 0;
        self.offset = 0;
        self.left = 0;
    }

    /// Takes the next piece, of at most `most` bytes, that lies in one buffer.
    fn take(&mut self, most: u32) -> Option<Buffer> {
        if most == 0 {
            return None;
        }
        // Buffers may be empty.
        loop {
            let buffer = self.buffers.get(self.at)?;
            let size = (buffer.size - self.offset).min(most);
            let gpa = buffer.gpa + u64::from(self.offset);
            self.offset += size;
            if self.offset == buffer.size {
                self.at += 1;
                self.offset = 0;
            }
            if size > 0 {
                self.left -= size;
                return Some(Buffer { gpa, size });
            }
        }
    }
}

/// A request that was taken from a queue. Its buffers are in RAM; what they hold is the guest's to
/// change at any time.
#[derive(Debug)]
pub struct Chain {
    ram: Arc<Ram>,
    head: u16,
    readable: Part,
    writable: Part,
    /// The TSC when it was taken.
    pub(super) taken: u64,
    /// How many bytes the driver gave.
    pub(super) given: u32,
}

impl Chain {
    /// One without buffers, to be filled by [`Chain::read_descriptors`].
    pub(super) fn empty(ram: Arc<Ram>) -> Self {
        Self {
            ram,
            head: 0,
            readable: Part::default(),
            writable: Part::default(),
            taken: 0,
            given: 0,
        }
    }

    /// The number of its first descriptor.
    pub fn head(&self) -> u16 {
        self.head
    }

    /// Reads the descriptors of a chain, each of them once. What is wrong with it, if something
    /// is.
    pub(super) fn read_descriptors(
        &mut self,
        head: u16,
        descriptors: impl Iterator<Item = Descriptor>,
    ) -> Result<(), &'static str> {
        self.head = head;
        self.readable.clear();
        self.writable.clear();
        // The iterator just ends where a chain is broken.
        let mut complete = false;
        for descriptor in descriptors {
            let (gpa, size) = (descriptor.addr().0, descriptor.len());
            complete = !descriptor.has_next();
            if self.readable.buffers.len() + self.writable.buffers.len() == SEGMENTS_MAX {
                return Err("has more than 1024 buffers");
            }
            let part = if descriptor.is_write_only() {
                &mut self.writable
            } else if self.writable.buffers.is_empty() {
                &mut self.readable
            } else {
                // virtio 1.2, 2.7.4.2.
                return Err("has a readable buffer behind a writable one");
            };
            part.left = part
                .left
                .checked_add(size)
                .ok_or("is longer than 2^32 bytes")?;
            part.buffers.push(Buffer { gpa, size });
            let checked = if descriptor.is_write_only() {
                self.ram.check_writable(Gpa(gpa), size.into())
            } else {
                self.ram.check_range(Gpa(gpa), size.into())
            };
            checked.map_err(|_| "has a buffer that is not in RAM, or is sealed")?;
        }
        self.given = self.readable.left;
        if complete {
            Ok(())
        } else {
            Err("has no end, or a descriptor that makes no sense")
        }
    }

    /// How many bytes are left to be read.
    pub fn readable(&self) -> u32 {
        self.readable.left
    }

    /// How many bytes can still be written.
    pub fn writable(&self) -> u32 {
        self.writable.left
    }

    /// How many bytes are left on the side that has more of them.
    pub fn bytes(&self) -> u64 {
        self.readable().max(self.writable()).into()
    }

    /// Reads on, as much as there is and `bytes` has room for.
    ///
    /// # Errors
    ///
    /// A buffer is not in RAM any more.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, DeviceError> {
        let mut done = 0;
        while let Some(piece) = self.readable.take(most(bytes.len() - done)) {
            let end = done + piece.size as usize;
            self.ram
                .read(Gpa(piece.gpa), &mut bytes[done..end])
                .map_err(|_| piece.unusable())?;
            done = end;
        }
        Ok(done)
    }

    /// Reads on until `bytes` is full.
    ///
    /// # Errors
    ///
    /// There is less left.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), DeviceError> {
        check_size(bytes.len(), self.readable.left)?;
        self.read(bytes).map(drop)
    }

    /// Reads a structure.
    ///
    /// # Errors
    ///
    /// There is less left.
    pub fn read_struct<T: FromBytes + IntoBytes>(&mut self) -> Result<T, DeviceError> {
        let mut value = T::new_zeroed();
        self.read_exact(value.as_mut_bytes())?;
        Ok(value)
    }

    /// Writes on, as much as there is room for.
    ///
    /// # Errors
    ///
    /// A buffer has been sealed meanwhile.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, DeviceError> {
        let mut done = 0;
        while let Some(piece) = self.writable.take(most(bytes.len() - done)) {
            let end = done + piece.size as usize;
            self.ram
                .write(Gpa(piece.gpa), &bytes[done..end])
                .map_err(|_| piece.unusable())?;
            done = end;
        }
        Ok(done)
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// There is less room; then nothing is written.
    pub fn write_all(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        check_size(bytes.len(), self.writable.left)?;
        self.write(bytes).map(drop)
    }

    /// Writes a structure.
    ///
    /// # Errors
    ///
    /// As [`Chain::write_all`].
    pub fn write_struct<T: IntoBytes + Immutable>(&mut self, value: &T) -> Result<(), DeviceError> {
        self.write_all(value.as_bytes())
    }

    /// Writes to the last bytes of the writable part, and takes them from it.
    ///
    /// # Errors
    ///
    /// As [`Chain::write_all`].
    pub fn write_at_end(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        check_size(bytes.len(), self.writable.left)?;
        let mut left = bytes;
        while !left.is_empty() {
            let used = if self.writable.buffers.len() == self.writable.at + 1 {
                self.writable.offset
            } else {
                0
            };
            let Some(last) = self.writable.buffers.last_mut() else {
                break;
            };
            let size = (last.size - used).min(most(left.len()));
            let (rest, tail) = left.split_at(left.len() - size as usize);
            last.size -= size;
            self.writable.left -= size;
            let piece = Buffer {
                gpa: last.gpa + u64::from(last.size),
                size,
            };
            if last.size == used {
                self.writable.buffers.pop();
            }
            self.ram
                .write(Gpa(piece.gpa), tail)
                .map_err(|_| piece.unusable())?;
            left = rest;
        }
        Ok(())
    }

    /// The next `size` readable bytes, for a system call that reads them.
    ///
    /// # Errors
    ///
    /// There are fewer.
    pub fn dma_from_guest(&mut self, size: u32) -> Result<Dma, DeviceError> {
        check_size(size as usize, self.readable.left)?;
        let mut dma = Dma::new(&self.ram);
        let mut left = size;
        while let Some(piece) = self.readable.take(left) {
            dma.push_source(piece)?;
            left -= piece.size;
        }
        Ok(dma)
    }

    /// The next `size` writable bytes, for a system call that writes them. No page of theirs can
    /// be sealed until it is dropped.
    ///
    /// # Errors
    ///
    /// There are fewer, or one has been sealed meanwhile.
    pub fn dma_to_guest(&mut self, size: u32) -> Result<Dma, DeviceError> {
        check_size(size as usize, self.writable.left)?;
        let mut dma = Dma::new(&self.ram);
        let mut left = size;
        while let Some(piece) = self.writable.take(left) {
            dma.push_target(piece)?;
            left -= piece.size;
        }
        Ok(dma)
    }
}

impl Buffer {
    /// The error for one that cannot be used.
    pub(super) fn unusable(self) -> DeviceError {
        DeviceError::Buffer {
            gpa: self.gpa,
            size: self.size.into(),
        }
    }
}

fn most(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn check_size(wanted: usize, found: u32) -> Result<(), DeviceError> {
    if wanted <= found as usize {
        return Ok(());
    }
    Err(DeviceError::Short {
        wanted,
        found: found as usize,
    })
}
