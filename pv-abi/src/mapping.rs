//! Address spaces: what a guest maps, and where.
//!
//! Address space 0 is the kernel's. What is mapped there is part of every address space, for
//! the kernel alone. Each other address space has a task area of its own, from
//! [`TASK_AREA_START`] to [`TASK_AREA_END`]: what is mapped there, its tasks can use, and the
//! kernel while that address space is the current one.
//!
//! The elements of a repeated call are done in their order, and each is done whole or not at
//! all: an element that fails changes nothing.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Where the task area of an address space begins.
pub const TASK_AREA_START: u64 = 0x80_0000_0000;

/// One past the end of the task area.
pub const TASK_AREA_END: u64 = 0x4000_0000_0000;

/// Size of a large page, in bytes.
pub const LARGE_PAGE_SIZE: u64 = 0x20_0000;

/// How many address spaces a VM can have, the kernel's included.
pub const ADDRESS_SPACES: u32 = 1024;

/// [`Translation::flags`]: the page is sealed.
pub const TRANSLATION_SEALED: u32 = 1;

/// [`Translation::flags`]: tasks can use the page.
pub const TRANSLATION_TASK: u32 = 2;

/// An element of `as_map` and `as_protect`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Mapping {
    /// First virtual address; a multiple of the page size.
    pub address: u64,
    /// First guest-physical address, in RAM or in an attached grant; a multiple of the page
    /// size. 0 for `as_protect`.
    pub gpa: u64,
    /// Size in bytes; a multiple of the page size.
    pub size: u64,
    /// `RIGHT_*`: [`RIGHT_READ`](crate::start_info::RIGHT_READ) with one of the others or none.
    pub rights: u32,
    /// Zero.
    pub reserved: u32,
}

/// A range of addresses: virtual for `as_unmap` and `as_seal`, guest-physical for the calls of
/// the `mem` group.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Range {
    /// First address; a multiple of the page size.
    pub start: u64,
    /// Size in bytes; a multiple of the page size.
    pub size: u64,
}

/// How an address is mapped: what `as_query` writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Translation {
    /// Guest-physical address of the byte.
    pub gpa: u64,
    /// Size of the page that it lies in: 4096, or [`LARGE_PAGE_SIZE`].
    pub page_size: u64,
    /// `RIGHT_*`.
    pub rights: u32,
    /// `TRANSLATION_*`.
    pub flags: u32,
}

pin_layout!(Mapping, size 32 { address @ 0, gpa @ 8, size @ 16, rights @ 24, reserved @ 28 });
pin_layout!(Range, size 16 { start @ 0, size @ 8 });
pin_layout!(Translation, size 24 { gpa @ 0, page_size @ 8, rights @ 16, flags @ 20 });
