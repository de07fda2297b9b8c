//! Where the hypercall page leaves a call for the VMM: the call word and the arguments, in the
//! vCPU page.
//!
//! The registers themselves could come with each exit (KVM_CAP_SYNC_REGS), but then KVM copies
//! all of them, which costs a hypercall more instructions than everything that the VMM does
//! for it (docs/decisions/0003-hot-path.md).
#![allow(unsafe_code)]

use crate::hypercall::Arguments;
use pv_abi::convention::ARGUMENTS;
use pv_abi::vcpu_page::VcpuPage;
use std::mem::offset_of;

/// The call area of a vCPU.
#[derive(Debug)]
pub struct CallArea {
    words: *const u64,
}

// SAFETY: the area is memory that the guest and this process share; it belongs to no thread.
unsafe impl Send for CallArea {}

impl CallArea {
    /// The area at `words`.
    ///
    /// # Safety
    ///
    /// `words` is the host's address of `VcpuPage::call`, 8-byte aligned, and stays mapped, with
    /// the rest of the page, as long as the area is used. It is the guest's to write at any time, so there is never a
    /// reference to it.
    pub unsafe fn new(words: *const u64) -> Self {
        Self { words }
    }

    #[inline]
    fn word_at(&self, index: usize) -> u64 {
        debug_assert!(index <= ARGUMENTS);
        // SAFETY: the contract of `new`; the callers stay within the eight words. A volatile
        // read of an aligned word reads it once and whole, whatever the guest does meanwhile.
        unsafe { self.words.add(index).read_volatile() }
    }

    /// How many deferred calls the guest says that there are.
    #[inline]
    pub fn deferred(&self) -> u32 {
        // SAFETY: the contract of `new`; the field lies in the same page as the area, behind it.
        unsafe {
            self.words
                .byte_add(offset_of!(VcpuPage, deferred_count) - offset_of!(VcpuPage, call))
                .cast::<u32>()
                .read_volatile()
        }
    }

    /// The call word.
    #[inline]
    pub fn call_word(&self) -> u64 {
        self.word_at(0)
    }

    /// The arguments.
    #[inline]
    pub fn arguments(&self) -> Arguments {
        std::array::from_fn(|index| self.word_at(1 + index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_comes_first_and_the_arguments_follow() {
        let words: [u64; 8] = [10, 1, 2, 3, 4, 5, 6, 99];
        // SAFETY: the array outlives the area.
        let area = unsafe { CallArea::new(words.as_ptr()) };
        assert_eq!(area.call_word(), 10);
        assert_eq!(area.arguments(), [1, 2, 3, 4, 5, 6]);
    }
}
