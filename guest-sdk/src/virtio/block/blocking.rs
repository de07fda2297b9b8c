//! A disk where there are no tasks.

use super::request::{Asked, Memory};
use super::{Buffer, Disk};
use crate::address;
use crate::exec;
use crate::virtio::Error;
use alloc::string::String;

/// The requests of a [`Disk`], each of which ends before its function does. So they take memory
/// that is borrowed, without a copy.
#[derive(Clone, Copy, Debug)]
pub struct Blocking<'a> {
    disk: &'a Disk,
}

impl<'a> Blocking<'a> {
    pub(super) fn new(disk: &'a Disk) -> Self {
        Self { disk }
    }

    /// As [`Disk::read`].
    ///
    /// # Errors
    ///
    /// As [`Disk::read`].
    pub fn read(self, sector: u64, bytes: &mut [u8]) -> Result<(), Error> {
        if let Some(gpa) = address::virt_to_phys(bytes.as_mut_ptr(), bytes.len()) {
            return self.borrow(Asked::read(sector, Memory::Borrowed(gpa, bytes.len())));
        }
        // It lies across two regions, such as a stack and what comes behind it.
        let buffer = Buffer::new(bytes.len()).ok_or(Error::NoMemory)?;
        let (buffer, result) = exec::block_on(self.disk.read(sector, buffer));
        bytes.copy_from_slice(&buffer);
        result
    }

    /// As [`Disk::write`].
    ///
    /// # Errors
    ///
    /// As [`Disk::write`].
    pub fn write(self, sector: u64, bytes: &[u8]) -> Result<(), Error> {
        if let Some(gpa) = address::virt_to_phys(bytes.as_ptr(), bytes.len()) {
            return self.borrow(Asked::write(sector, Memory::Borrowed(gpa, bytes.len())));
        }
        let buffer = Buffer::from_slice(bytes).ok_or(Error::NoMemory)?;
        exec::block_on(self.disk.write(sector, buffer)).1
    }

    /// Waits for a request whose memory the caller has borrowed. `block_on` comes back when the
    /// request is over, and not before.
    fn borrow(self, asked: Asked) -> Result<(), Error> {
        exec::block_on(self.disk.ask(asked)).result
    }

    /// As [`Disk::flush`].
    ///
    /// # Errors
    ///
    /// As [`Disk::flush`].
    pub fn flush(self) -> Result<(), Error> {
        exec::block_on(self.disk.flush())
    }

    /// As [`Disk::discard`].
    ///
    /// # Errors
    ///
    /// As [`Disk::discard`].
    pub fn discard(self, sector: u64, count: u64) -> Result<(), Error> {
        exec::block_on(self.disk.discard(sector, count))
    }

    /// As [`Disk::write_zeroes`].
    ///
    /// # Errors
    ///
    /// As [`Disk::write_zeroes`].
    pub fn write_zeroes(self, sector: u64, count: u64) -> Result<(), Error> {
        exec::block_on(self.disk.write_zeroes(sector, count))
    }

    /// As [`Disk::serial`].
    ///
    /// # Errors
    ///
    /// As [`Disk::serial`].
    pub fn serial(self) -> Result<String, Error> {
        exec::block_on(self.disk.serial())
    }
}
