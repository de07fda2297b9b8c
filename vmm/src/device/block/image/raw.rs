//! Raw images: a regular file or a block device whose bytes are the disk's.
#![allow(unsafe_code)]

use super::open::reopen_direct;
use super::{Problem, SECTOR};
use crate::device::block::engine::{Operation, Transfer};
use rustix::fs::{FallocateFlags, StatxFlags};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::fs::FileExt;

/// A raw image.
///
/// With direct I/O there are two descriptions of the one file: what is not aligned as the file
/// system needs it goes through the page cache, which the kernel keeps coherent with direct I/O.
#[derive(Debug)]
pub struct RawImage {
    // It holds the lock.
    file: File,
    direct: Option<Direct>,
    size: u64,
    read_only: bool,
    is_regular: bool,
}

#[derive(Debug)]
struct Direct {
    file: File,
    // What addresses, lengths and places must be multiples of.
    align: u64,
}

/// What is to be done after a system call moved a part of a transfer.
#[derive(Debug)]
pub enum Step {
    /// It is over.
    Done(io::Result<()>),
    /// The rest is still to be moved.
    Again,
    /// It could not be done without blocking.
    Blocks,
}

impl RawImage {
    pub(super) fn new(
        file: File,
        size: u64,
        read_only: bool,
        is_regular: bool,
        direct: bool,
    ) -> Result<Self, Problem> {
        let direct = if direct {
            let file = reopen_direct(&file, read_only)?;
            let align = direct_alignment(&file, is_regular)?;
            Some(Direct { file, align })
        } else {
            None
        };
        Ok(Self {
            file,
            direct,
            size,
            read_only,
            is_regular,
        })
    }

    /// Size of the disk in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Size of the blocks in which it is best used, and of those of the medium below it.
    pub fn block_sizes(&self) -> (u32, u32) {
        if self.is_regular {
            let logical = self.direct.as_ref().map_or(SECTOR, |direct| direct.align);
            return (logical as u32, 4096.max(logical as u32));
        }
        let logical = rustix::fs::ioctl_blksszget(&self.file).unwrap_or(SECTOR as u32);
        let physical = rustix::fs::ioctl_blkpbszget(&self.file).unwrap_or(logical);
        (logical, physical.max(logical))
    }

    /// The descriptor for a transfer, and whether it is the one for direct I/O.
    pub fn descriptor(&self, transfer: &Transfer) -> (RawFd, bool) {
        match &self.direct {
            Some(direct) if !transfer.buffered && transfer.is_aligned(direct.align) => {
                (direct.file.as_raw_fd(), true)
            }
            _ => (self.file.as_raw_fd(), false),
        }
    }

    /// The descriptor whose fdatasync tells of every write's errors: the one of the page cache,
    /// as direct writes tell of theirs themselves.
    pub fn sync_descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Whether the file still has all of the disk's bytes. A write to one that was cut short
    /// would make it grow again, with zeros where the guest's data was.
    pub fn is_whole(&self) -> bool {
        !self.is_regular
            || rustix::fs::fstat(&self.file).is_ok_and(|stat| stat.st_size as u64 >= self.size)
    }

    /// Reads what the page cache has, without blocking.
    pub fn read_cached(&self, transfer: &mut Transfer) -> Step {
        // Direct I/O would go to the disk.
        if self.direct.is_some() {
            return Step::Blocks;
        }
        self.system_call(transfer, false, libc::RWF_NOWAIT)
    }

    /// Writes to the page cache. That may block, when the kernel makes those wait who write faster
    /// than the disk does.
    pub fn write_cached(&self, transfer: &mut Transfer) -> Step {
        if self.direct.is_some() {
            return Step::Blocks;
        }
        self.system_call(transfer, true, 0)
    }

    /// What a system call's result means for its transfer.
    pub fn account(transfer: &mut Transfer, returned: io::Result<u64>) -> Step {
        match returned {
            Ok(0) if transfer.left() > 0 => {
                Step::Done(Err(io::Error::from(io::ErrorKind::UnexpectedEof)))
            }
            Ok(bytes) => {
                transfer.advance(bytes);
                if transfer.left() == 0 {
                    Step::Done(Ok(()))
                } else {
                    Step::Again
                }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EINTR) => Step::Again,
                Some(libc::EAGAIN | libc::EOPNOTSUPP) => Step::Blocks,
                // Direct I/O that wants more than it said: the page cache takes everything.
                Some(libc::EINVAL) if !transfer.buffered => {
                    transfer.buffered = true;
                    Step::Again
                }
                _ => Step::Done(Err(error)),
            },
        }
    }

    fn system_call(&self, transfer: &mut Transfer, write: bool, flags: libc::c_int) -> Step {
        let (descriptor, _) = self.descriptor(transfer);
        let iovecs = transfer.iovecs();
        let call = if write { libc::pwritev2 } else { libc::preadv2 };
        let place = transfer.offset() as libc::off_t;
        // SAFETY: the transfer's buffers stay mapped while it lives, and nobody has a Rust
        // reference to what is in them.
        let returned = unsafe {
            call(
                descriptor,
                iovecs.as_ptr(),
                iovecs.len() as libc::c_int,
                place,
                flags,
            )
        };
        let returned = u64::try_from(returned).map_err(|_| io::Error::last_os_error());
        Self::account(transfer, returned)
    }

    fn transfer(&self, transfer: &mut Transfer, write: bool, flags: libc::c_int) -> io::Result<()> {
        loop {
            match self.system_call(transfer, write, flags) {
                Step::Done(result) => return result,
                Step::Again => (),
                Step::Blocks => return Err(io::Error::from_raw_os_error(libc::EIO)),
            }
        }
    }

    pub(super) fn execute(&self, operation: &mut Operation) -> io::Result<()> {
        match operation {
            Operation::Read(transfer) => self.transfer(transfer, false, 0),
            _ if self.read_only && !matches!(operation, Operation::Flush) => {
                Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem))
            }
            Operation::Write { transfer, durable } => {
                let flags = if *durable { libc::RWF_DSYNC } else { 0 };
                self.transfer(transfer, true, flags)
            }
            Operation::Flush => Ok(rustix::fs::fdatasync(&self.file)?),
            Operation::Discard(ranges) => ranges.iter().try_for_each(|range| self.discard(range)),
            Operation::WriteZeroes {
                range,
                may_unmap,
                durable,
            } => {
                // Nothing to be done, which fallocate would not take.
                if !range.is_empty() {
                    self.write_zeroes(range, *may_unmap)?;
                }
                if *durable {
                    rustix::fs::fdatasync(&self.file)?;
                }
                Ok(())
            }
        }
    }

    /// Gives the space of a range back to the file system, or the medium. It is a hint, so where
    /// it is not supported nothing is done.
    fn discard(&self, range: &Range<u64>) -> io::Result<()> {
        match self.punch(range) {
            Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            result => Ok(result?),
        }
    }

    fn punch(&self, range: &Range<u64>) -> rustix::io::Result<()> {
        self.allocate(FallocateFlags::PUNCH_HOLE, range)
    }

    fn allocate(&self, mode: FallocateFlags, range: &Range<u64>) -> rustix::io::Result<()> {
        let length = range.end - range.start;
        let mode = mode | FallocateFlags::KEEP_SIZE;
        rustix::io::retry_on_intr(|| {
            rustix::fs::fallocate(self.file.as_fd(), mode, range.start, length)
        })
    }

    fn write_zeroes(&self, range: &Range<u64>, may_unmap: bool) -> io::Result<()> {
        if may_unmap && self.punch(range).is_ok() {
            return Ok(());
        }
        match self.allocate(FallocateFlags::ZERO_RANGE, range) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP) => self.write_zero_bytes(range),
            Err(error) => Err(error.into()),
        }
    }

    fn write_zero_bytes(&self, range: &Range<u64>) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut place = range.start;
        while place < range.end {
            let size = (range.end - place).min(ZEROS.len() as u64);
            let zeros = ZEROS.get(..size as usize).unwrap_or_default();
            self.file.write_all_at(zeros, place)?;
            place += size;
        }
        Ok(())
    }
}

/// What direct I/O wants places, addresses and lengths to be multiples of.
fn direct_alignment(file: &File, is_regular: bool) -> Result<u64, Problem> {
    const USUAL: u64 = 4096;
    if !is_regular {
        return Ok(rustix::fs::ioctl_blksszget(file).map_or(USUAL, u64::from));
    }
    let empty = rustix::fs::AtFlags::EMPTY_PATH;
    let Ok(statx) = rustix::fs::statx(file, "", empty, StatxFlags::DIOALIGN) else {
        return Ok(USUAL);
    };
    if statx.stx_mask & StatxFlags::DIOALIGN.bits() == 0 {
        return Ok(USUAL);
    }
    match statx.stx_dio_mem_align.max(statx.stx_dio_offset_align) {
        0 => Err(Problem::NoDirect),
        align => Ok(u64::from(align).max(SECTOR)),
    }
}
