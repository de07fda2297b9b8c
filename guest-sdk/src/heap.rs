//! The heap: the global allocator, on the largest free region of RAM.

#![allow(unsafe_code)]

use crate::memory_map::{self, Kind};
use crate::{address, sync::SpinLock};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::null_mut;
use talc::DefaultBinning;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

static ALLOCATOR: SpinLock<Talc<LargestFreeRegion, DefaultBinning>> =
    SpinLock::new(Talc::new(LargestFreeRegion { claimed: false }));

/// The global allocator of a guest. [`entry!`](crate::entry) makes it that.
///
/// The region is taken at the first allocation; a guest that makes none has all of it.
#[derive(Debug)]
pub struct Heap;

/// Gives the allocator the largest free region, once.
#[derive(Debug)]
struct LargestFreeRegion {
    claimed: bool,
}

// SAFETY: `acquire` allocates nothing.
unsafe impl Source for LargestFreeRegion {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, _: Layout) -> Result<(), ()> {
        if core::mem::replace(&mut talc.source.claimed, true) {
            return Err(());
        }
        let region = memory_map::regions()
            .filter(|region| region.kind == Kind::Free)
            .max_by_key(|region| region.size)
            .ok_or(())?;
        let size = region.size as usize;
        let base = address::phys_to_virt(region.gpa, size).ok_or(())?;
        // SAFETY: the region is RAM that nothing uses, mapped writable for ever, and it is
        // claimed once.
        unsafe { talc.claim(base, size) }.map(drop).ok_or(())
    }
}

// SAFETY: talc allocates as this trait asks; the lock makes each operation whole.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller asks for at least one byte.
        unsafe { ALLOCATOR.lock().allocate(layout) }.map_or(null_mut(), |block| block.as_ptr())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller got the block from this allocator, with this layout.
        unsafe { ALLOCATOR.lock().deallocate(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got the block from this allocator, with this layout, and asks for
        // at least one byte.
        if unsafe { ALLOCATOR.lock().try_realloc_in_place(block, layout, size) } {
            return block;
        }
        // SAFETY: the caller promises that the size fits a layout of this alignment.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as above; a block that cannot grow in place moves, and shrinking always can.
        unsafe {
            let moved = self.alloc(larger);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// What the heap holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Number of blocks that are allocated.
    pub blocks: usize,
    /// Bytes that are allocated.
    pub allocated: usize,
    /// Bytes that can be allocated; 0 before the first allocation.
    pub available: usize,
}

/// What the heap holds now.
pub fn usage() -> Usage {
    let allocator = ALLOCATOR.lock();
    let counters = allocator.counters();
    Usage {
        blocks: counters.allocation_count,
        allocated: counters.allocated_bytes,
        available: counters.available_bytes,
    }
}
