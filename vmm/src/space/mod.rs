//! Address spaces.

use crate::carrier::Mode;
use crate::memory::{PrivateMemory, Ram};
use pv_abi::Errno;
use std::sync::Arc;

/// The address spaces of a VM.
#[derive(Debug)]
pub struct AddressSpaces {
    _memory: Arc<PrivateMemory>,
    _ram: Arc<Ram>,
}

impl AddressSpaces {
    /// Only the kernel's, which has this root.
    pub fn new(memory: Arc<PrivateMemory>, ram: Arc<Ram>, _mode: Mode, _root: u64) -> Self {
        Self {
            _memory: memory,
            _ram: ram,
        }
    }

    /// Does something to the contents of a range of RAM behind the guest's back, such as giving
    /// them back to the host, unless a page is sealed, shared or executable: then the answer is
    /// EPERM. None becomes so while `action` runs; it must make no call of these address spaces.
    ///
    /// The range lies in RAM.
    pub fn releasing<R>(
        &self,
        _gpa: u64,
        _size: u64,
        action: impl FnOnce() -> R,
    ) -> Result<R, Errno> {
        Ok(action())
    }

    /// Another guest is to have these rights to a range of RAM.
    ///
    /// EPERM: a page is executable, or is sealed and the right to write is among the rights. From
    /// then on, until [`Self::share_end`], no page of it is released or, where the right to write
    /// is among the rights, sealed or made executable.
    pub fn share_begin(&self, _gpa: u64, _size: u64, _rights: u32) -> Result<(), Errno> {
        Ok(())
    }

    /// The other guest has lost its rights: all arguments are those of the [`Self::share_begin`]
    /// that is undone.
    pub fn share_end(&self, _gpa: u64, _size: u64, _rights: u32) {}

    /// Memory of another guest can be mapped from now on, with these rights at most, of which
    /// the one to execute is none. The range of guest-physical addresses overlaps nothing.
    pub fn attach_range(&self, _gpa: u64, _size: u64, _rights: u32) {}

    /// The memory that was attached there goes away: all mappings of it, in every address space,
    /// are removed, and no vCPU can use one when this returns.
    pub fn detach_range(&self, _gpa: u64, _size: u64) {}
}
