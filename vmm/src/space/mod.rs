//! Address spaces.

use crate::carrier::Mode;
use crate::memory::{PrivateMemory, Ram};
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
}

impl AddressSpaces {
    /// Whether the contents of a range may be given up.
    pub fn check_releasable(&self, _gpa: u64, _size: u64) -> Result<(), pv_abi::Errno> {
        Ok(())
    }

    /// A range is granted to another guest.
    pub fn share_begin(&self, _gpa: u64, _size: u64, _rights: u32) -> Result<(), pv_abi::Errno> {
        Ok(())
    }

    /// It is so no longer.
    pub fn share_end(&self, _gpa: u64, _size: u64, _rights: u32) {}

    /// A grant is attached.
    pub fn attach_range(&self, _gpa: u64, _size: u64, _rights: u32) {}

    /// It is detached.
    pub fn detach_range(&self, _gpa: u64, _size: u64) {}
}
