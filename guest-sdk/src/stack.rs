//! Stacks of threads and of vCPUs that the guest starts.

#![allow(unsafe_code)]

use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use core::alloc::Layout;
use core::ops::Range;
use core::ptr::NonNull;
use pv_abi::address_space::PAGE_SIZE;

/// A stack.
#[derive(Debug)]
pub(crate) struct Stack {
    lowest: NonNull<u8>,
    layout: Layout,
}

// SAFETY: the memory is this value's alone, whoever has it.
unsafe impl Send for Stack {}
// SAFETY: a shared reference tells addresses only.
unsafe impl Sync for Stack {}

impl Stack {
    /// A stack of at least `size` bytes.
    pub fn new(size: usize) -> Self {
        let page = PAGE_SIZE as usize;
        let size = size.max(1).next_multiple_of(page);
        let Ok(layout) = Layout::from_size_align(size, page) else {
            panic!("a stack of {size} bytes");
        };
        // SAFETY: the size is not 0.
        let Some(lowest) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout);
        };
        Self { lowest, layout }
    }

    /// One past its last byte; aligned to a page.
    pub fn top(&self) -> *mut u8 {
        self.lowest.as_ptr().wrapping_add(self.layout.size())
    }

    /// Its addresses.
    pub fn range(&self) -> Range<u64> {
        let top = self.top().addr() as u64;
        top - self.layout.size() as u64..top
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it was allocated so, and nothing runs on it any more.
        unsafe { dealloc(self.lowest.as_ptr(), self.layout) }
    }
}
