//! Stacks of threads and of vCPUs that the guest starts.
//!
//! A stack that is full ends in a page that cannot be written: the next push is a page fault,
//! whose report names the stack. Making that page takes a call, and so does unmaking it; so
//! stacks are kept for the next who needs one.

#![allow(unsafe_code)]

use crate::space::{AddressSpace, Rights};
use crate::start_info;
use crate::sync::SpinLock;
use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::NonNull;
use pv_abi::Features;
use pv_abi::address_space::PAGE_SIZE;

/// How many stacks are kept that nobody uses.
const KEPT: usize = 64;

static UNUSED: SpinLock<Vec<Block>> = SpinLock::new(Vec::new());

/// A stack.
#[derive(Debug)]
pub(crate) struct Stack(ManuallyDrop<Block>);

/// The memory of a stack, its guard page first.
#[derive(Debug)]
struct Block {
    lowest: NonNull<u8>,
    layout: Layout,
    /// Whether the first page cannot be written.
    guarded: bool,
}

// SAFETY: the memory is this value's alone, whoever has it.
unsafe impl Send for Block {}
// SAFETY: a shared reference tells addresses only.
unsafe impl Sync for Block {}

impl Stack {
    /// A stack of at least `size` bytes.
    pub fn new(size: usize) -> Self {
        let page = PAGE_SIZE as usize;
        let whole = size.max(1).next_multiple_of(page).saturating_add(page);
        let Ok(layout) = Layout::from_size_align(whole, page) else {
            panic!("a stack of {size} bytes");
        };
        let mut unused = UNUSED.lock();
        let fits = unused.iter().position(|block| block.layout == layout);
        let block = fits.map(|index| unused.swap_remove(index));
        drop(unused);
        Self(ManuallyDrop::new(
            block.unwrap_or_else(|| Block::new(layout)),
        ))
    }

    /// One past its last byte; aligned to a page.
    pub fn top(&self) -> *mut u8 {
        self.0.lowest.as_ptr().wrapping_add(self.0.layout.size())
    }

    /// Its addresses. Below them lies the guard page.
    pub fn range(&self) -> Range<u64> {
        let lowest = self.0.lowest.addr().get() as u64;
        lowest + PAGE_SIZE..lowest + self.0.layout.size() as u64
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: this value is not used any more.
        let block = unsafe { ManuallyDrop::take(&mut self.0) };
        let mut unused = UNUSED.lock();
        if unused.len() < KEPT {
            unused.push(block);
        } else {
            drop(unused);
            drop(block);
        }
    }
}

impl Block {
    fn new(layout: Layout) -> Self {
        // SAFETY: the size is not 0.
        let Some(lowest) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout);
        };
        let mut block = Self {
            lowest,
            layout,
            guarded: false,
        };
        let spaces = Features::ADDRESS_SPACES;
        // A guest whose page tables have reached their quota does without.
        block.guarded =
            start_info::get().features().contains(spaces) && block.protect(Rights::READ);
        block
    }

    /// Changes the rights of the guard page: whether that was possible.
    fn protect(&self, rights: Rights) -> bool {
        let address = self.lowest.addr().get() as u64;
        // SAFETY: the page is this block's, and nobody writes to it while it is a guard page.
        unsafe { AddressSpace::KERNEL.protect(address, PAGE_SIZE, rights) }.is_ok()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.guarded && !self.protect(Rights::READ_WRITE) {
            // The heap could not use it.
            return;
        }
        // SAFETY: it was allocated so, and nothing runs on it any more.
        unsafe { dealloc(self.lowest.as_ptr(), self.layout) }
    }
}
