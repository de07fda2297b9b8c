//! Pages of RAM to map.

use alloc::alloc::{Layout, alloc_zeroed, dealloc};
use core::ptr::NonNull;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::{Gpa, address};

/// Adjacent pages of the heap, all zero. They are accessed by raw pointers alone.
pub struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    /// `count` pages.
    pub fn new(count: usize) -> Self {
        Self::aligned(count * PAGE_SIZE as usize, PAGE_SIZE as usize)
    }

    /// `size` bytes at a multiple of `alignment`, virtually and physically.
    pub fn aligned(size: usize, alignment: usize) -> Self {
        let layout = Layout::from_size_align(size, alignment).expect("a layout of pages");
        // SAFETY: it is not empty.
        let start = unsafe { alloc_zeroed(layout) };
        Self {
            start: NonNull::new(start).expect("memory for the pages of a test"),
            layout,
        }
    }

    /// The guest-physical address of a page.
    pub fn gpa(&self, page: usize) -> Gpa {
        let start = address::virt_to_phys(self.start.as_ptr(), self.layout.size());
        Gpa(start.expect("the heap is in RAM").0 + page as u64 * PAGE_SIZE)
    }

    /// The address of a page, which is in the linear map.
    pub fn address(&self, page: usize) -> u64 {
        self.start.as_ptr().expose_provenance() as u64 + page as u64 * PAGE_SIZE
    }

    /// Keeps the pages for ever: nobody else can use them any more.
    pub fn leak(self) -> &'static Self {
        alloc::boxed::Box::leak(alloc::boxed::Box::new(self))
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: it came from there with this layout, and the test that had it mapped is over.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}
