//! Address spaces: what is mapped where.
//!
//! A guest never writes a page table. It names mappings, and the VMM makes them: by 2 MiB pages
//! where addresses and size allow, and otherwise by 4 KiB.
//!
//! [`AddressSpace::KERNEL`] is what the kernel has mapped. Every other address space has that
//! too, for the kernel alone, and a task area of its own ([`TASK_AREA`]), for tasks and, while
//! the address space is the current one, for the kernel.
//!
//! ```ignore
//! let space = AddressSpace::new()?;
//! // SAFETY: nobody else uses this page.
//! unsafe { space.map(TASK_AREA.start, gpa, PAGE_SIZE, Rights::READ_WRITE) }?;
//! space.switch()?;
//! ```
//!
//! No page of RAM is writable and executable at once, by whatever mappings. The linear map has
//! RAM writable, so whoever is to execute a page takes that right from the linear map first:
//!
//! ```ignore
//! // SAFETY: nobody writes to the page any more.
//! unsafe { AddressSpace::KERNEL.protect(linear_address, PAGE_SIZE, Rights::READ) }?;
//! // SAFETY: nobody else uses this address.
//! unsafe { space.map(address, gpa, PAGE_SIZE, Rights::READ_EXECUTE) }?;
//! ```
//!
//! When a call returns, every vCPU sees its effect: there is no TLB to flush and no other vCPU to
//! ask.

#![allow(unsafe_code)]

use crate::hypercall::{Undone, raw};
pub use crate::memory_map::Rights;
use crate::sync::SpinLock;
use crate::vcpu::words;
use crate::{address, upcall};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ops::Range;
use pv_abi::mapping::{self, TASK_AREA_END, TASK_AREA_START, TRANSLATION_SEALED, TRANSLATION_TASK};
pub use pv_abi::mapping::{LARGE_PAGE_SIZE, Mapping};
use pv_abi::{Errno, Gpa};

/// The addresses of the task area.
pub const TASK_AREA: Range<u64> = TASK_AREA_START..TASK_AREA_END;

/// Address spaces that nobody has any more, and that vCPUs were in when they were to end.
static LEFT_OVER: SpinLock<Vec<u32>> = SpinLock::new(Vec::new());

/// An address space. It ends when this is dropped, or later if a vCPU is in it then.
#[derive(Debug, PartialEq, Eq)]
pub struct AddressSpace {
    number: u32,
}

/// How an address is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Guest-physical address of the byte.
    pub gpa: Gpa,
    /// Size of the page that it lies in: 4096, or [`LARGE_PAGE_SIZE`].
    pub page_size: u64,
    /// What may be done with it.
    pub rights: Rights,
    /// Whether the page is sealed.
    pub sealed: bool,
    /// Whether tasks can use it.
    pub task: bool,
}

impl AddressSpace {
    /// The kernel's address space.
    pub const KERNEL: &Self = &Self { number: 0 };

    /// Makes an address space with an empty task area.
    ///
    /// # Errors
    ///
    /// Those of `as_create`.
    pub fn new() -> Result<Self, Errno> {
        end_left_over();
        Ok(Self {
            number: raw::as_create()?,
        })
    }

    /// Its number, for the calls themselves.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The address space with a number, which nobody else is to end.
    pub fn from_number(number: u32) -> Self {
        Self { number }
    }

    /// Its number; it goes on when this is dropped.
    pub fn into_number(self) -> u32 {
        ManuallyDrop::new(self).number
    }

    /// Ends it, with all its mappings.
    ///
    /// # Errors
    ///
    /// Those of `as_destroy`. `EBUSY` says that a vCPU is in it; it goes on then, and is lost.
    pub fn destroy(self) -> Result<(), Errno> {
        let number = self.into_number();
        // SAFETY: nobody can use what only this address space has mapped once no vCPU is in it.
        unsafe { raw::as_destroy(number) }.map(drop)
    }

    /// Maps a range in which nothing is mapped.
    ///
    /// # Safety
    ///
    /// Whoever uses the memory by another address, a Rust reference above all, puts up with what
    /// is done by this one.
    ///
    /// # Errors
    ///
    /// Those of `as_map`.
    pub unsafe fn map(
        &self,
        address: u64,
        gpa: Gpa,
        size: u64,
        rights: Rights,
    ) -> Result<(), Errno> {
        let element = element(address, gpa, size, rights);
        // SAFETY: the caller's promise.
        Ok(unsafe { self.map_all(&[element]) }?)
    }

    /// Maps ranges, by as few exits as may be. At most 4095.
    ///
    /// # Safety
    ///
    /// As [`Self::map`]'s.
    ///
    /// # Errors
    ///
    /// Those of `as_map`, with the number of ranges that were mapped.
    pub unsafe fn map_all(&self, elements: &[Mapping]) -> Result<(), Undone> {
        let gpa = address::of(elements);
        // SAFETY: the caller's promise.
        unsafe { raw::as_map(self.number, gpa, elements.len() as u32) }.map(drop)
    }

    /// Removes what is mapped in a range. When this returns, no vCPU can use it.
    ///
    /// # Safety
    ///
    /// Nobody uses it by these addresses any more.
    ///
    /// # Errors
    ///
    /// Those of `as_unmap`.
    pub unsafe fn unmap(&self, address: u64, size: u64) -> Result<(), Errno> {
        let element = mapping::Range {
            start: address,
            size,
        };
        // SAFETY: the caller's promise.
        Ok(unsafe { self.unmap_all(&[element]) }?)
    }

    /// Removes what is mapped in ranges, by as few exits as may be. At most 4095.
    ///
    /// # Safety
    ///
    /// As [`Self::unmap`]'s.
    ///
    /// # Errors
    ///
    /// Those of `as_unmap`, with the number of ranges that were done.
    pub unsafe fn unmap_all(&self, elements: &[mapping::Range]) -> Result<(), Undone> {
        let gpa = address::of(elements);
        // SAFETY: the caller's promise.
        unsafe { raw::as_unmap(self.number, gpa, elements.len() as u32) }.map(drop)
    }

    /// Changes the rights of a range, all of which is mapped. When this returns, no vCPU has a
    /// right that it took away.
    ///
    /// # Safety
    ///
    /// Nobody needs a right that it takes away.
    ///
    /// # Errors
    ///
    /// Those of `as_protect`.
    pub unsafe fn protect(&self, address: u64, size: u64, rights: Rights) -> Result<(), Errno> {
        let element = element(address, Gpa(0), size, rights);
        // SAFETY: the caller's promise.
        Ok(unsafe { self.protect_all(&[element]) }?)
    }

    /// Changes the rights of ranges, by as few exits as may be. At most 4095; the `gpa` of each is
    /// 0.
    ///
    /// # Safety
    ///
    /// As [`Self::protect`]'s.
    ///
    /// # Errors
    ///
    /// Those of `as_protect`, with the number of ranges that were done.
    pub unsafe fn protect_all(&self, elements: &[Mapping]) -> Result<(), Undone> {
        let gpa = address::of(elements);
        // SAFETY: the caller's promise.
        unsafe { raw::as_protect(self.number, gpa, elements.len() as u32) }.map(drop)
    }

    /// Makes the pages that are mapped in a range immutable until the VM ends: nobody can write
    /// to them, unmap them, or change their rights. No mapping of them may be writable now, the
    /// linear one included.
    ///
    /// # Errors
    ///
    /// Those of `as_seal`.
    pub fn seal(&self, address: u64, size: u64) -> Result<(), Errno> {
        let element = mapping::Range {
            start: address,
            size,
        };
        // SAFETY: it takes no right away that somebody has.
        Ok(unsafe { raw::as_seal(self.number, address::of(&element), 1) }.map(drop)?)
    }

    /// How an address is mapped; `None` where nothing is.
    pub fn query(&self, address: u64) -> Option<Translation> {
        let mut found = mapping::Translation::default();
        let gpa = address::virt_to_phys(&raw mut found, size_of_val(&found))?;
        // SAFETY: the call writes to `found` alone.
        unsafe { raw::as_query(self.number, address, gpa) }.ok()?;
        Some(Translation {
            gpa: Gpa(found.gpa),
            page_size: found.page_size,
            rights: Rights::from_bits(found.rights),
            sealed: found.flags & TRANSLATION_SEALED != 0,
            task: found.flags & TRANSLATION_TASK != 0,
        })
    }

    /// Makes it the current one of this vCPU.
    ///
    /// # Errors
    ///
    /// Those of `as_switch`; none is expected while it lives.
    pub fn switch(&self) -> Result<(), Errno> {
        // Masked, so that this is the vCPU that switches.
        upcall::masked(|| {
            raw::as_switch(self.number)?;
            // SAFETY: the word is there for this.
            unsafe { words::store32::<{ words::SPACE }>(self.number) };
            Ok(())
        })
    }

    /// Makes it the current one of this vCPU, without a call where it is. Upcalls are masked, or
    /// the caller may be on another vCPU then.
    pub(crate) fn enter(&self) -> Result<(), Errno> {
        if words::load32::<{ words::SPACE }>() == self.number {
            return Ok(());
        }
        self.switch()
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        if self.number == 0 {
            return;
        }
        upcall::masked(|| {
            if words::load32::<{ words::SPACE }>() == self.number {
                // It fails nowhere: the kernel's is always there.
                let _ = Self::KERNEL.switch();
            }
        });
        LEFT_OVER.lock().push(self.number);
        end_left_over();
    }
}

/// Ends the address spaces that nobody has any more, but for those that vCPUs are in.
fn end_left_over() {
    let numbers = core::mem::take(&mut *LEFT_OVER.lock());
    for number in numbers {
        // SAFETY: as in `destroy`.
        if unsafe { raw::as_destroy(number) } == Err(Errno::EBUSY) {
            LEFT_OVER.lock().push(number);
        }
    }
}

/// An element of [`AddressSpace::map_all`] or [`AddressSpace::protect_all`].
pub const fn element(address: u64, gpa: Gpa, size: u64, rights: Rights) -> Mapping {
    Mapping {
        address,
        gpa: gpa.0,
        size,
        rights: rights.bits(),
        reserved: 0,
    }
}
