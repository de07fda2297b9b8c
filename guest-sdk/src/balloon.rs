//! The balloon: memory that the guest does without for a while, so that the host can use it.
//!
//! [`Balloon`] takes memory from the heap and gives it to the host; [`release`] and [`hint`] do
//! the latter with memory that is in use for something, and [`populate`] is the reverse. All of
//! it needs [`Features::BALLOON`](pv_abi::Features::BALLOON).
//!
//! A host that backs a guest by 2 MiB pages gets such a page back only as a whole. So what is
//! given back in pieces of 2 MiB helps it most.

#![allow(unsafe_code)]

use crate::hypercall::raw;
use crate::pages::Pages;
use crate::{address, hypercall::Undone};
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping::{LARGE_PAGE_SIZE, Range};
use pv_abi::{Errno, Gpa};

/// Ranges that one call is given: 128 MiB.
const AT_ONCE: usize = 64;

/// Gives the pages that lie wholly in `memory` back to the host. They are zero from then on, and
/// take memory again when they are written; what of `memory` is in other pages stays. Returns how
/// many bytes were given back.
///
/// # Errors
///
/// Those of `mem_release`: [`Errno::EPERM`] for memory that is shared, sealed or executable. Some
/// pages may have been given back then.
pub fn release(memory: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the call makes bytes zero that are ours to change.
    for_pages(memory.as_ptr(), memory.len(), |ranges, count| unsafe {
        raw::mem_release(ranges, count)
    })
}

/// Says that what is in `memory` is of no use any more: until a page of it is written again, it
/// holds what it held or zeros, and not always the same. The host takes it when it needs memory;
/// where it does not, this costs less than [`release`]. Returns how many bytes that concerns.
///
/// # Errors
///
/// As [`release`].
pub fn hint(memory: &mut [MaybeUninit<u8>]) -> Result<usize, Errno> {
    // SAFETY: the bytes may be uninitialized, as which such ones count.
    for_pages(
        memory.as_ptr().cast(),
        memory.len(),
        |ranges, count| unsafe { raw::mem_hint(ranges, count) },
    )
}

/// Takes memory of the host for the pages that lie wholly in `memory`, so that the first touch of
/// each does not have to wait for it. What they hold does not change. Returns how many bytes that
/// concerns.
///
/// # Errors
///
/// [`Errno::ENOMEM`] when the host has no memory to give.
pub fn populate<T>(memory: &[T]) -> Result<usize, Errno> {
    // SAFETY: the call changes no byte.
    for_pages(
        memory.as_ptr().cast(),
        size_of_val(memory),
        |ranges, count| unsafe { raw::mem_populate(ranges, count) },
    )
}

/// Makes a call with the pages that lie wholly in so many bytes: how many bytes these have.
fn for_pages(
    start: *const u8,
    size: usize,
    call: impl Fn(Gpa, u32) -> Result<u32, Undone>,
) -> Result<usize, Errno> {
    let start = start.expose_provenance();
    let first = start.next_multiple_of(PAGE_SIZE as usize);
    let end = (start + size) & !(PAGE_SIZE as usize - 1);
    let Some(size) = end.checked_sub(first).filter(|&size| size > 0) else {
        return Ok(0);
    };
    let first = core::ptr::with_exposed_provenance::<u8>(first);
    let Gpa(gpa) = address::virt_to_phys(first, size).ok_or(Errno::EFAULT)?;
    let mut rest = gpa..gpa + size as u64;
    while !rest.is_empty() {
        let mut ranges = [Range::default(); AT_ONCE];
        let mut count = 0;
        for range in &mut ranges {
            if rest.is_empty() {
                break;
            }
            // Up to the next multiple of 2 MiB, so that whole ones stay whole.
            let boundary = (rest.start + 1).next_multiple_of(LARGE_PAGE_SIZE);
            *range = Range {
                start: rest.start,
                size: boundary.min(rest.end) - rest.start,
            };
            rest.start += range.size;
            count += 1;
        }
        call(address::of(&ranges), count)?;
    }
    Ok(size)
}

/// Memory that the heap has lent to the host, 2 MiB at a time.
#[derive(Debug, Default)]
pub struct Balloon(Vec<Pages>);

impl Balloon {
    /// An empty one.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Size in bytes.
    pub fn size(&self) -> usize {
        self.0.len() * LARGE_PAGE_SIZE as usize
    }

    /// Lends the host more, up to `size` bytes in all, as far as the heap has it: the new size.
    ///
    /// # Errors
    ///
    /// [`Errno::ENOSYS`] where the VMM has no balloon.
    pub fn inflate(&mut self, size: usize) -> Result<usize, Errno> {
        while size - self.size().min(size) >= LARGE_PAGE_SIZE as usize
            && self.0.try_reserve(1).is_ok()
            && let Some(pages) = Pages::new(LARGE_PAGE_SIZE as usize)
        {
            // SAFETY: the pages are ours, and nothing is in them.
            for_pages(pages.as_ptr(), pages.size(), |ranges, count| unsafe {
                raw::mem_release(ranges, count)
            })?;
            self.0.push(pages);
        }
        Ok(self.size())
    }

    /// Takes back for the heap what the balloon has above `size` bytes: the new size.
    pub fn deflate(&mut self, size: usize) -> usize {
        self.0.truncate(size.div_ceil(LARGE_PAGE_SIZE as usize));
        self.size()
    }
}
