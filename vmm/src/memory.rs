//! Guest-physical memory: RAM, which the guest owns, and the VMM's private pages behind it.
//!
//! Both are reached only by copying, through `vm-memory` or [`words`]: there is never a Rust
//! reference into memory that a running guest can change.
#![allow(unsafe_code)]

pub(crate) mod balloon;
pub mod dma;
pub mod saved;
mod seals;
pub mod usage;
mod words;
mod writers;

use dma::Writes;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::{Errno, Gpa};
use seals::Seals;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;
use vm_memory::{
    Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestRegionMmap,
    MmapRegion, VolatileSlice,
};
use words::{Words, fits};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Why guest memory could not be set up.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// The host refused to reserve the address space.
    #[error("cannot reserve {size} bytes of guest memory: {reason}; use a smaller --mem")]
    Reserve {
        /// How much was asked for.
        size: u64,
        /// What the host said.
        reason: String,
    },
    /// The VMM's own estimate of its pages was too small: a defect of the VMM.
    #[error("the VMM's private region of {size} bytes is used up (a defect of the VMM)")]
    PrivateExhausted {
        /// Size of the region.
        size: u64,
    },
    /// An access of the VMM's own went wrong: a defect of the VMM.
    #[error("the VMM's access to its private page {gpa:#x} failed (a defect of the VMM)")]
    PrivateAccess {
        /// The address.
        gpa: u64,
    },
}

fn reserve(start: u64, size: u64) -> Result<GuestMemoryMmap, MemoryError> {
    let failed = |reason: String| MemoryError::Reserve { size, reason };
    let length = usize::try_from(size).map_err(|error| failed(error.to_string()))?;
    GuestMemoryMmap::from_ranges(&[(GuestAddress(start), length)])
        .map_err(|error| failed(error.to_string()))
}

/// Maps a part of a file copy-on-write: what is written is this process's alone.
fn map_file(
    start: u64,
    size: u64,
    file: &File,
    offset: u64,
) -> Result<GuestMemoryMmap, MemoryError> {
    let failed = |reason: String| MemoryError::Reserve { size, reason };
    let length = usize::try_from(size).map_err(|error| failed(error.to_string()))?;
    let file = file
        .try_clone()
        .map_err(|error| failed(error.to_string()))?;
    let region = MmapRegion::build(
        Some(FileOffset::new(file, offset)),
        length,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_NORESERVE,
    )
    .map_err(|error| failed(error.to_string()))?;
    let region = GuestRegionMmap::new(region, GuestAddress(start))
        .ok_or_else(|| failed("the range has no end".into()))?;
    GuestMemoryMmap::from_regions(vec![region]).map_err(|error| failed(error.to_string()))
}

fn host_address(memory: &GuestMemoryMmap, start: u64) -> u64 {
    memory
        .get_host_address(GuestAddress(start))
        .map_or(0, |pointer| pointer as u64)
}

fn file_of(memory: &GuestMemoryMmap) -> Option<&FileOffset> {
    memory.iter().next()?.file_offset()
}

/// A VM's RAM: one range from guest-physical address 0.
///
/// Every access is checked against its size; what does not fit is [`Errno::EFAULT`].
#[derive(Debug)]
pub struct Ram {
    // It goes first, as it refers to the memory.
    words: Words,
    memory: GuestMemoryMmap,
    size: u64,
    seals: Seals,
    writes: Writes,
    /// How often a part of a snapshot's file was mapped away; `None` for memory of its own.
    pieces: Option<AtomicU64>,
}

impl Ram {
    /// Reserves `size` bytes, all zero. Host memory is taken when it is touched.
    pub fn new(size: u64) -> Result<Self, MemoryError> {
        Self::of(reserve(0, size)?, size, false)
    }

    /// Maps the first `size` bytes of a snapshot's memory, copy-on-write.
    pub fn from_file(file: &File, size: u64) -> Result<Self, MemoryError> {
        Self::of(map_file(0, size, file, 0)?, size, true)
    }

    fn of(memory: GuestMemoryMmap, size: u64, is_file: bool) -> Result<Self, MemoryError> {
        let base = host_address(&memory, 0) as *mut u8;
        // SAFETY: the mapping is `memory`'s, which lives as long in the same struct.
        let words = unsafe { Words::new(base, size) }.ok_or_else(|| MemoryError::Reserve {
            size,
            reason: "the mapping is not aligned".into(),
        })?;
        Ok(Self {
            words,
            memory,
            size,
            seals: Seals::default(),
            writes: Writes::default(),
            pieces: is_file.then(AtomicU64::default),
        })
    }

    /// The snapshot's file that it is mapped from, in which there may be bytes that are not in
    /// memory.
    pub fn file(&self) -> Option<&FileOffset> {
        file_of(&self.memory)
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// When this returns, nobody writes to what was sealed before.
    pub fn wait_for_writers(&self) {
        writers::wait();
    }

    /// Whether a page that a range lies in is sealed.
    pub fn is_sealed(&self, gpa: Gpa, size: u64) -> bool {
        self.seals.covers(gpa.0, size)
    }

    /// Where the VMM's process has RAM mapped.
    pub fn host_address(&self) -> u64 {
        host_address(&self.memory, 0)
    }

    /// RAM for the code that handles virtqueues, whose used rings are registered by
    /// [`Self::begin_device_write`].
    pub(crate) fn rings(&self) -> &GuestMemoryMmap {
        &self.memory
    }

    fn check(&self, gpa: Gpa, size: u64) -> Result<GuestAddress, Errno> {
        match gpa.0.checked_add(size) {
            Some(end) if end <= self.size => Ok(GuestAddress(gpa.0)),
            _ => Err(Errno::EFAULT),
        }
    }

    /// Copies from RAM.
    pub fn read(&self, gpa: Gpa, bytes: &mut [u8]) -> Result<(), Errno> {
        let address = self.check(gpa, bytes.len() as u64)?;
        self.memory
            .read_slice(bytes, address)
            .map_err(|_| Errno::EFAULT)
    }

    /// Copies to RAM. What is sealed is not written: [`Errno::EFAULT`].
    pub fn write(&self, gpa: Gpa, bytes: &[u8]) -> Result<(), Errno> {
        let address = self.check(gpa, bytes.len() as u64)?;
        // A seal waits for those that have not seen it.
        writers::writing(|| {
            if self.is_sealed(gpa, bytes.len() as u64) {
                return Err(Errno::EFAULT);
            }
            self.memory
                .write_slice(bytes, address)
                .map_err(|_| Errno::EFAULT)
        })
    }

    /// Copies a structure of the ABI from RAM. Its address must be 8-byte aligned.
    #[inline]
    pub fn read_struct<T: FromBytes + IntoBytes>(&self, gpa: Gpa) -> Result<T, Errno> {
        if const { fits::<T>() } {
            return self.words.read(gpa.0).ok_or(Errno::EFAULT);
        }
        Self::check_alignment(gpa)?;
        let mut value = T::new_zeroed();
        self.read(gpa, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a structure of the ABI to RAM. Its address must be 8-byte aligned.
    #[inline]
    pub fn write_struct<T: IntoBytes + Immutable>(&self, gpa: Gpa, value: &T) -> Result<(), Errno> {
        if const { fits::<T>() } {
            return writers::writing(|| {
                if self.is_sealed(gpa, size_of::<T>() as u64) {
                    return Err(Errno::EFAULT);
                }
                self.words.write(gpa.0, value).ok_or(Errno::EFAULT)
            });
        }
        Self::check_alignment(gpa)?;
        self.write(gpa, value.as_bytes())
    }

    /// Checks a buffer without touching it: `size` bytes at `gpa` are in RAM.
    pub fn check_range(&self, gpa: Gpa, size: u64) -> Result<(), Errno> {
        self.check(gpa, size).map(|_| ())
    }

    /// Checks a buffer that is to be written without touching it: `size` bytes at `gpa` are in RAM
    /// and not sealed.
    pub fn check_writable(&self, gpa: Gpa, size: u64) -> Result<(), Errno> {
        self.check(gpa, size)?;
        if self.is_sealed(gpa, size) {
            return Err(Errno::EFAULT);
        }
        Ok(())
    }

    /// Checks an array of the ABI's structures without touching it: `count` of them at `gpa`
    /// are in RAM, and 8-byte aligned.
    pub fn check_array<T>(&self, gpa: Gpa, count: u32) -> Result<(), Errno> {
        Self::check_alignment(gpa)?;
        self.check_range(gpa, u64::from(count) * size_of::<T>() as u64)
    }

    /// As [`Self::check_array`], for an array that is to be written.
    pub fn check_writable_array<T>(&self, gpa: Gpa, count: u32) -> Result<(), Errno> {
        Self::check_alignment(gpa)?;
        self.check_writable(gpa, u64::from(count) * size_of::<T>() as u64)
    }

    fn check_alignment(gpa: Gpa) -> Result<(), Errno> {
        if gpa.0.is_multiple_of(8) {
            Ok(())
        } else {
            Err(Errno::EFAULT)
        }
    }
}

/// The VMM's own pages: page tables, monitor, shared pages. The guest names none of them by
/// a guest-physical address, and sees only those that are mapped for it.
#[derive(Debug)]
pub struct PrivateMemory {
    memory: GuestMemoryMmap,
    start: u64,
    size: u64,
    next: AtomicU64,
}

impl PrivateMemory {
    /// Size of [`Self::spare`] in bytes.
    pub const SPARE_SIZE: u64 = 2 * PAGE_SIZE;

    /// Reserves `pages` pages at guest-physical address `start`, and the spare ones behind them.
    pub fn new(start: u64, pages: u64) -> Result<Self, MemoryError> {
        let size = pages * PAGE_SIZE + Self::SPARE_SIZE;
        Ok(Self {
            memory: reserve(start, size)?,
            start,
            size,
            next: AtomicU64::new(start),
        })
    }

    /// Maps those that are at `offset` in a snapshot's memory, copy-on-write; `next` is the first
    /// that is not allocated.
    pub fn from_file(
        start: u64,
        pages: u64,
        file: &File,
        offset: u64,
        next: u64,
    ) -> Result<Self, MemoryError> {
        let size = pages * PAGE_SIZE + Self::SPARE_SIZE;
        Ok(Self {
            memory: map_file(start, size, file, offset)?,
            start,
            size,
            next: AtomicU64::new(next),
        })
    }

    /// As [`Ram::file`].
    pub fn file(&self) -> Option<&FileOffset> {
        file_of(&self.memory)
    }

    /// The first page that is not allocated.
    pub fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Guest-physical address of the first page.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Size in bytes, the spare pages included.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Pages at the end of the region that are never allocated: room for memory slots that no
    /// guest uses. The guest-physical address, and where the VMM's process has it mapped.
    pub fn spare(&self) -> (u64, u64) {
        let offset = self.size - Self::SPARE_SIZE;
        (self.start + offset, self.host_address() + offset)
    }

    /// Where the VMM's process has the region mapped.
    pub fn host_address(&self) -> u64 {
        host_address(&self.memory, self.start)
    }

    /// Takes `count` adjacent pages, all zero.
    pub fn allocate(&self, count: u64) -> Result<u64, MemoryError> {
        let (end, _) = self.spare();
        self.next
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |first| {
                first
                    .checked_add(count.checked_mul(PAGE_SIZE)?)
                    .filter(|&next| next <= end)
            })
            .map_err(|_| MemoryError::PrivateExhausted { size: self.size })
    }

    /// A page of the region, for those who share it with a CPU: each access to it is volatile.
    pub fn page(&self, gpa: u64) -> Result<VolatileSlice<'_>, MemoryError> {
        self.memory
            .get_slice(GuestAddress(gpa), PAGE_SIZE as usize)
            .map_err(|_| MemoryError::PrivateAccess { gpa })
    }

    /// Copies to a private page.
    pub fn write(&self, gpa: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        self.memory
            .write_slice(bytes, GuestAddress(gpa))
            .map_err(|_| MemoryError::PrivateAccess { gpa })
    }

    /// Copies from a private page.
    pub fn read(&self, gpa: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        self.memory
            .read_slice(bytes, GuestAddress(gpa))
            .map_err(|_| MemoryError::PrivateAccess { gpa })
    }

    /// Copies a structure to a private page.
    pub fn write_struct<T: IntoBytes + Immutable>(
        &self,
        gpa: u64,
        value: &T,
    ) -> Result<(), MemoryError> {
        self.write(gpa, value.as_bytes())
    }

    /// Copies a structure from a private page.
    pub fn read_struct<T: FromBytes + IntoBytes>(&self, gpa: u64) -> Result<T, MemoryError> {
        let mut value = T::new_zeroed();
        self.read(gpa, value.as_mut_bytes())?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_ends_where_it_ends() {
        let ram = Ram::new(2 * PAGE_SIZE).unwrap();
        let last = Gpa(2 * PAGE_SIZE - 1);
        assert_eq!(ram.write(last, &[1]), Ok(()));
        assert_eq!(ram.write(last, &[1, 2]), Err(Errno::EFAULT));
        assert_eq!(ram.read(Gpa(u64::MAX), &mut [0; 2]), Err(Errno::EFAULT));
        assert_eq!(ram.check_range(Gpa(0), 2 * PAGE_SIZE), Ok(()));
        assert_eq!(ram.check_range(Gpa(1), 2 * PAGE_SIZE), Err(Errno::EFAULT));
        assert_eq!(ram.check_range(Gpa(8), u64::MAX), Err(Errno::EFAULT));
    }

    #[test]
    fn structures_are_aligned() {
        let ram = Ram::new(PAGE_SIZE).unwrap();
        assert_eq!(ram.write_struct(Gpa(16), &7u64), Ok(()));
        assert_eq!(ram.read_struct::<u64>(Gpa(16)), Ok(7));
        assert_eq!(ram.read_struct::<u64>(Gpa(17)), Err(Errno::EFAULT));
    }

    #[test]
    fn private_pages_run_out_with_an_error() {
        let private = PrivateMemory::new(0x10_0000, 2).unwrap();
        assert_eq!(private.allocate(2).unwrap(), 0x10_0000);
        assert!(matches!(
            private.allocate(1),
            Err(MemoryError::PrivateExhausted { .. })
        ));
    }
}
