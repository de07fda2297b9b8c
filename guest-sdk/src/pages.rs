//! Whole pages of RAM, from the heap.

#![allow(unsafe_code)]

use crate::address;
use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::ptr::NonNull;
use pv_abi::Gpa;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::LARGE_PAGE_SIZE;

/// Pages that this guest owns, adjacent in virtual and in guest-physical memory.
///
/// There is no reference into them, as they are there to be shared with whoever changes them at
/// any time.
#[derive(Debug)]
pub struct Pages {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: the pages belong to the value, wherever it is.
unsafe impl Send for Pages {}
// SAFETY: a shared `Pages` only tells where the pages are.
unsafe impl Sync for Pages {}

impl Pages {
    /// As many pages as it takes for `size` bytes, with whatever was in them before; `None` when
    /// the heap does not have them. From 2 MiB on they begin at a multiple of 2 MiB.
    pub fn new(size: usize) -> Option<Self> {
        let size = size.max(1).checked_next_multiple_of(PAGE_SIZE as usize)?;
        // SAFETY: the size is not 0.
        let start = NonNull::new(unsafe { alloc(layout(size)?) })?;
        Some(Self { start, size })
    }

    /// Likewise, filled with zeros: for whoever may not see what was in them before.
    pub fn zeroed(size: usize) -> Option<Self> {
        let pages = Self::new(size)?;
        // SAFETY: the pages are ours.
        unsafe { pages.as_ptr().write_bytes(0, pages.size) };
        Some(pages)
    }

    /// Pages whose value was forgotten.
    ///
    /// # Safety
    ///
    /// They were so many bytes, from there on, and nobody else has them.
    #[cfg(feature = "virtio-drivers")]
    pub(crate) unsafe fn from_raw(start: NonNull<u8>, size: usize) -> Self {
        Self { start, size }
    }

    /// Where they begin.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Size in bytes, a multiple of 4096.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Guest-physical address of the first byte.
    ///
    /// # Panics
    ///
    /// Never: the heap is one range of RAM.
    pub fn gpa(&self) -> Gpa {
        match address::virt_to_phys(self.as_ptr(), self.size) {
            Some(gpa) => gpa,
            None => panic!("the heap is not in RAM"),
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(layout) = layout(self.size) {
            // SAFETY: `new` got them from the allocator with this layout.
            unsafe { dealloc(self.as_ptr(), layout) };
        }
    }
}

fn layout(size: usize) -> Option<Layout> {
    let alignment = if size < LARGE_PAGE_SIZE as usize {
        PAGE_SIZE
    } else {
        LARGE_PAGE_SIZE
    };
    Layout::from_size_align(size, alignment as usize).ok()
}
