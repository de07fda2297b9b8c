//! Guest memory for system calls: what the kernel reads and writes without a copy in between.
#![allow(unsafe_code)]

use super::DeviceError;
use super::chain::Buffer;
use crate::memory::Ram;
use crate::memory::dma::DeviceWrite;
use libc::{c_void, iovec};
use pv_abi::Gpa;
use std::ptr::with_exposed_provenance_mut;
use std::sync::Arc;

/// Pieces of guest memory. They stay mapped for as long as this lives; the guest may change what
/// they hold at any time.
#[derive(Debug)]
pub struct Dma {
    iovecs: Vec<iovec>,
    size: usize,
    // The pages that are written cannot be sealed meanwhile.
    writes: Vec<DeviceWrite>,
    ram: Arc<Ram>,
}

// SAFETY: the pointers are addresses of RAM's mapping, which belongs to no thread; nothing here
// follows them.
unsafe impl Send for Dma {}
// SAFETY: as above.
unsafe impl Sync for Dma {}

impl Dma {
    pub(super) fn new(ram: &Arc<Ram>) -> Self {
        Self {
            iovecs: Vec::with_capacity(1),
            size: 0,
            writes: Vec::new(),
            ram: Arc::clone(ram),
        }
    }

    fn push(&mut self, piece: Buffer) -> Result<(), DeviceError> {
        self.ram
            .check_range(Gpa(piece.gpa), piece.size.into())
            .map_err(|_| piece.unusable())?;
        let address = self.ram.host_address() + piece.gpa;
        let length = piece.size as usize;
        self.size += length;
        self.iovecs.push(iovec {
            iov_base: with_exposed_provenance_mut::<c_void>(address as usize),
            iov_len: length,
        });
        Ok(())
    }

    /// Adds a piece that is only read.
    pub(super) fn push_source(&mut self, piece: Buffer) -> Result<(), DeviceError> {
        self.push(piece)
    }

    /// Adds a piece that is written.
    pub(super) fn push_target(&mut self, piece: Buffer) -> Result<(), DeviceError> {
        let write = self
            .ram
            .begin_device_write(Gpa(piece.gpa), piece.size.into())
            .map_err(|_| piece.unusable())?;
        self.push(piece)?;
        self.writes.push(write);
        Ok(())
    }

    /// The pieces, as readv(2) and others take them.
    pub fn iovecs(&self) -> &[iovec] {
        &self.iovecs
    }

    /// Size of all of them in bytes.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }
}
