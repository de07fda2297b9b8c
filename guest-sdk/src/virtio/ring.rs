//! The memory of a split virtqueue (virtio 1.2, 2.7), as the driver sees it.
//!
//! The device may write to all of it at any time, so there are no references to it but to atomic
//! numbers.

#![allow(unsafe_code)]

use crate::pages::Pages;
use core::sync::atomic::AtomicU16;
use pv_abi::Gpa;
use pv_abi::device::QueueSetup;

/// The buffer continues in the descriptor `next`.
pub(super) const NEXT: u16 = 1;
/// The device writes to the buffer, and does not read it.
pub(super) const WRITE: u16 = 2;
/// The buffer is a table of descriptors.
pub(super) const INDIRECT: u16 = 4;

/// `flags` of the available ring: the driver wants no events.
pub(super) const NO_INTERRUPT: u16 = 1;
/// `flags` of the used ring: the device wants no doorbell.
pub(super) const NO_NOTIFY: u16 = 1;

/// A descriptor (virtio 1.2, 2.7.5).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Descriptor {
    pub address: u64,
    pub size: u32,
    pub flags: u16,
    pub next: u16,
}

/// An element of the used ring (virtio 1.2, 2.7.8).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct UsedElement {
    pub head: u32,
    pub written: u32,
}

/// The descriptor table, the available ring and the used ring of a queue, and behind them its
/// indirect tables.
#[derive(Debug)]
pub(super) struct Rings {
    pages: Pages,
    size: u16,
    available: usize,
    used: usize,
    tables: usize,
}

impl Rings {
    /// Rings of `size` descriptors, a power of two, with room for so many descriptors in indirect
    /// tables; `None` when there is no memory.
    pub fn new(size: u16, in_tables: usize) -> Option<Self> {
        let count = usize::from(size);
        let available = count * size_of::<Descriptor>();
        // Two words, the ring, and `used_event`. The other side's memory has lines of its own.
        let used = (available + 6 + 2 * count).next_multiple_of(64);
        let tables = (used + 6 + size_of::<UsedElement>() * count).next_multiple_of(64);
        let pages = Pages::zeroed(tables + in_tables * size_of::<Descriptor>())?;
        Some(Self {
            pages,
            size,
            available,
            used,
            tables,
        })
    }

    /// Where they are.
    pub fn setup(&self) -> QueueSetup {
        let gpa = self.pages.gpa().0;
        QueueSetup {
            size: self.size.into(),
            reserved: 0,
            descriptors: gpa,
            driver: gpa + self.available as u64,
            device: gpa + self.used as u64,
        }
    }

    /// The guest-physical address of a descriptor in the indirect tables.
    pub fn table_gpa(&self, index: usize) -> Gpa {
        let offset = self.tables + index * size_of::<Descriptor>();
        Gpa(self.pages.gpa().0 + offset as u64)
    }

    /// Writes a descriptor of the table.
    pub fn set_descriptor(&self, index: u16, descriptor: Descriptor) {
        let offset = usize::from(index % self.size) * size_of::<Descriptor>();
        self.write(offset, descriptor);
    }

    /// Writes a descriptor in the indirect tables.
    pub fn set_in_table(&self, index: usize, descriptor: Descriptor) {
        self.write(self.tables + index * size_of::<Descriptor>(), descriptor);
    }

    /// Writes an element of the available ring.
    pub fn set_available(&self, place: u16, head: u16) {
        let place = usize::from(place % self.size);
        self.write(self.available + 4 + 2 * place, head);
    }

    /// Reads an element of the used ring.
    pub fn used(&self, place: u16) -> UsedElement {
        let place = usize::from(place % self.size);
        let offset = self.used + 4 + size_of::<UsedElement>() * place;
        // SAFETY: `at` checks that it is in the pages; any bytes are a value.
        unsafe { self.at::<UsedElement>(offset).read_volatile() }
    }

    /// `flags` of the available ring, the driver's.
    pub fn available_flags(&self) -> &AtomicU16 {
        self.number(self.available)
    }

    /// `idx` of the available ring, the driver's.
    pub fn available_index(&self) -> &AtomicU16 {
        self.number(self.available + 2)
    }

    /// `used_event`: the place in the used ring that the driver wants to be told of.
    pub fn used_event(&self) -> &AtomicU16 {
        self.number(self.available + 4 + 2 * usize::from(self.size))
    }

    /// `flags` of the used ring, the device's.
    pub fn used_flags(&self) -> &AtomicU16 {
        self.number(self.used)
    }

    /// `idx` of the used ring, the device's.
    pub fn used_index(&self) -> &AtomicU16 {
        self.number(self.used + 2)
    }

    /// `avail_event`: the place in the available ring that the device wants to be told of.
    pub fn available_event(&self) -> &AtomicU16 {
        let elements = size_of::<UsedElement>() * usize::from(self.size);
        self.number(self.used + 4 + elements)
    }

    fn number(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: it is in the pages, and whoever changes it does so by whole stores.
        unsafe { AtomicU16::from_ptr(self.at(offset)) }
    }

    fn write<T>(&self, offset: usize, value: T) {
        // SAFETY: `at` checks that it is in the pages, which are ours.
        unsafe { self.at::<T>(offset).write_volatile(value) };
    }

    fn at<T>(&self, offset: usize) -> *mut T {
        assert!(
            offset + size_of::<T>() <= self.pages.size() && offset.is_multiple_of(align_of::<T>())
        );
        // SAFETY: it is within the pages.
        unsafe { self.pages.as_ptr().add(offset).cast() }
    }
}
