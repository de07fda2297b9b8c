//! RAM and private pages in a snapshot's memory file.

use super::{MemoryError, PrivateMemory, Ram};
use crate::snapshot::Inconsistent;
use pv_abi::Gpa;
use pv_abi::address_space::PAGE_SIZE;

impl Ram {
    /// The sealed pages: ranges of page numbers.
    pub fn sealed(&self) -> Vec<(u64, u64)> {
        self.seals.ranges()
    }

    /// Seals pages as they were, before the VM runs.
    ///
    /// # Errors
    ///
    /// They are not in RAM.
    pub fn seal_again(&self, sealed: &[(u64, u64)]) -> Result<(), Inconsistent> {
        let pages = self.size / PAGE_SIZE;
        for &(start, end) in sealed {
            if start >= end || end > pages {
                return Err(Inconsistent("a page is sealed that does not exist".into()));
            }
            self.seals
                .seal(start * PAGE_SIZE, (end - start) * PAGE_SIZE, self.size);
        }
        Ok(())
    }

    /// Copies bytes that were checked to be in RAM.
    pub(crate) fn copy_out(&self, offset: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        self.read(Gpa(offset), bytes)
            .map_err(|_| MemoryError::PrivateAccess { gpa: offset })
    }
}

impl PrivateMemory {
    /// Copies bytes, from `offset` on.
    pub(crate) fn copy_out(&self, offset: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        self.read(self.start + offset, bytes)
    }
}
