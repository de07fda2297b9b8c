//! Page frames: the memory that tasks have mapped.

#![allow(unsafe_code)]

use crate::address;
use crate::space::{AddressSpace, Rights};
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::{Errno, Gpa};

const LAYOUT: Layout = match Layout::from_size_align(PAGE_SIZE as usize, PAGE_SIZE as usize) {
    Ok(layout) => layout,
    Err(_) => panic!("a page is no layout"),
};

/// A page of RAM, from the heap.
///
/// A task may write to it at any time, so the kernel has no references into it: it copies.
#[derive(Debug)]
pub(super) struct Frame {
    address: NonNull<u8>,
    gpa: Gpa,
    /// Whether the linear map has it read-only, for a task to execute.
    executable: AtomicBool,
}

// SAFETY: the kernel accesses the page by copies alone.
unsafe impl Send for Frame {}
// SAFETY: as above.
unsafe impl Sync for Frame {}

impl Frame {
    /// A page of zeros; `None` when there is no memory.
    pub fn new() -> Option<Self> {
        // SAFETY: the layout is not empty.
        let address = NonNull::new(unsafe { alloc_zeroed(LAYOUT) })?;
        let gpa = address::virt_to_phys(address.as_ptr(), LAYOUT.size())?;
        Some(Self {
            address,
            gpa,
            executable: AtomicBool::new(false),
        })
    }

    /// A copy; `None` when there is no memory.
    pub fn duplicate(&self) -> Option<Self> {
        let copy = Self::new()?;
        // SAFETY: both are pages.
        unsafe {
            copy.address
                .copy_from_nonoverlapping(self.address, LAYOUT.size());
        }
        Some(copy)
    }

    /// Where it is.
    pub fn gpa(&self) -> Gpa {
        self.gpa
    }

    /// Copies bytes from it.
    ///
    /// # Panics
    ///
    /// When they are not all within.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) {
        assert!(offset + bytes.len() <= LAYOUT.size());
        // SAFETY: the bytes are within the page.
        unsafe {
            let from = self.address.as_ptr().add(offset);
            bytes
                .as_mut_ptr()
                .copy_from_nonoverlapping(from, bytes.len());
        }
    }

    /// Copies bytes to it.
    ///
    /// # Panics
    ///
    /// When they are not all within, or it was made executable.
    pub fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= LAYOUT.size());
        assert!(!self.executable.load(Ordering::Relaxed));
        // SAFETY: the bytes are within the page, which is writable.
        unsafe {
            let to = self.address.as_ptr().add(offset);
            to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Takes the right to write to it from the kernel, so that tasks can have that to execute it.
    ///
    /// # Errors
    ///
    /// Those of `as_protect`.
    pub fn make_executable(&self) -> Result<(), Errno> {
        if !self.executable.load(Ordering::Relaxed) {
            self.protect(Rights::READ)?;
            self.executable.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn protect(&self, rights: Rights) -> Result<(), Errno> {
        let address = self.address.as_ptr().addr() as u64;
        // SAFETY: the page is this frame's, and is written to only where it has the right.
        unsafe { AddressSpace::KERNEL.protect(address, PAGE_SIZE, rights) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if *self.executable.get_mut() && self.protect(Rights::READ_WRITE).is_err() {
            // Somebody can execute it still; it cannot be used for anything else.
            return;
        }
        // SAFETY: it was allocated so, and nobody maps it any more.
        unsafe { dealloc(self.address.as_ptr(), LAYOUT) }
    }
}
