//! The memory of a task: what is mapped, what is mapped on demand, and copies on write.

#![allow(unsafe_code)]

use super::Fault;
use super::frame::Frame;
use crate::space::{self, AddressSpace, Rights, TASK_AREA};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use pv_abi::Errno;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::mapping;

/// The memory of a task, or of several that share it: an address space whose task area is mapped
/// with pages of the heap.
///
/// A region is reserved first, and has pages from when they are first used:
/// [`TaskMemory::resolve`] sees to that when a task faults, and the kernel's own accesses do.
#[derive(Debug)]
pub struct TaskMemory {
    // Behind `pages` it would be dropped last, and frames are to be mapped nowhere by then.
    space: Arc<AddressSpace>,
    /// Regions by their starts, which do not overlap.
    regions: BTreeMap<u64, Region>,
    /// Pages by their addresses.
    pages: BTreeMap<u64, Page>,
}

#[derive(Clone, Copy, Debug)]
struct Region {
    end: u64,
    rights: Rights,
}

#[derive(Clone, Debug)]
struct Page {
    frame: Arc<Frame>,
    /// Whether it is mapped read-only though its region is writable, because another task's
    /// memory may have the same frame.
    shared: bool,
}

/// Why memory cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// No region is there, or not all of it is in regions.
    NotThere,
    /// The region has no such right.
    NoRight,
    /// It is not within the task area, or overlaps another region, or addresses are not those of
    /// pages.
    BadRange,
    /// The guest has no memory left.
    NoMemory,
    /// The VMM refused.
    Refused(Errno),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("no region of the task's memory is there"),
            Self::NoRight => f.write_str("the task has no such right to its memory"),
            Self::BadRange => f.write_str("no range of free pages of the task area"),
            Self::NoMemory => f.write_str("the guest has no memory left"),
            Self::Refused(error) => write!(f, "the VMM refused to map: {error}"),
        }
    }
}

impl core::error::Error for MemoryError {}

impl From<Errno> for MemoryError {
    fn from(error: Errno) -> Self {
        Self::Refused(error)
    }
}

/// The page that an address lies in.
fn page_of(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

impl TaskMemory {
    /// No memory yet.
    ///
    /// # Errors
    ///
    /// Those of `as_create`.
    pub fn new() -> Result<Self, Errno> {
        Ok(Self {
            space: Arc::new(AddressSpace::new()?),
            regions: BTreeMap::new(),
            pages: BTreeMap::new(),
        })
    }

    /// The address space, for [`Task::new`](super::Task::new).
    pub fn space(&self) -> &Arc<AddressSpace> {
        &self.space
    }

    /// How many pages it has.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// Lets the task use a range: its pages are there when they are first used, and hold zeros.
    ///
    /// # Errors
    ///
    /// [`MemoryError::BadRange`].
    pub fn reserve(&mut self, range: Range<u64>, rights: Rights) -> Result<(), MemoryError> {
        let aligned = range.start.is_multiple_of(PAGE_SIZE) && range.end.is_multiple_of(PAGE_SIZE);
        let inside = TASK_AREA.start <= range.start && range.end <= TASK_AREA.end;
        if !aligned || !inside || range.is_empty() || self.overlaps(&range) {
            return Err(MemoryError::BadRange);
        }
        let end = range.end;
        self.regions.insert(range.start, Region { end, rights });
        Ok(())
    }

    fn overlaps(&self, range: &Range<u64>) -> bool {
        let before = self.regions.range(..range.end).next_back();
        before.is_some_and(|(_, region)| region.end > range.start)
    }

    /// Lets the task use the pages of a range with these contents, and zeros behind them.
    ///
    /// # Errors
    ///
    /// Those of [`TaskMemory::reserve`], and for want of memory.
    pub fn load(
        &mut self,
        range: Range<u64>,
        rights: Rights,
        offset: u64,
        contents: &[u8],
    ) -> Result<(), MemoryError> {
        self.reserve(range.clone(), rights)?;
        let first = range.start.checked_add(offset);
        let end = first.and_then(|first| first.checked_add(contents.len() as u64));
        let (Some(first), Some(end)) = (first, end) else {
            return Err(MemoryError::BadRange);
        };
        if end > range.end {
            return Err(MemoryError::BadRange);
        }
        let mut new = Vec::new();
        for (address, part, bytes) in pieces(first, contents.len()) {
            let frame = Frame::new().ok_or(MemoryError::NoMemory)?;
            frame.write(part, &contents[bytes]);
            new.push((address, frame));
        }
        let mut elements = Vec::new();
        for (address, frame) in &new {
            if rights.execute() {
                frame.make_executable()?;
            }
            elements.push(space::element(*address, frame.gpa(), PAGE_SIZE, rights));
        }
        // SAFETY: the kernel has no references into frames.
        each_chunk(&elements, |elements| unsafe {
            self.space.map_all(elements)
        })?;
        for (address, frame) in new {
            let (frame, shared) = (Arc::new(frame), false);
            self.pages.insert(address, Page { frame, shared });
        }
        Ok(())
    }

    /// Makes it possible for the task to do what it faulted at, if it may: gives it a page that it
    /// uses for the first time, or a page of its own instead of one that it shares. `false` when
    /// the fault is the task's own.
    ///
    /// # Errors
    ///
    /// For want of memory.
    pub fn resolve(&mut self, fault: Fault) -> Result<bool, MemoryError> {
        let Some(fault) = fault.page_fault() else {
            return Ok(false);
        };
        let right = if fault.fetch {
            Rights::READ_EXECUTE
        } else if fault.write {
            Rights::READ_WRITE
        } else {
            Rights::READ
        };
        match self.page(fault.address, right) {
            Ok(_) => Ok(true),
            Err(MemoryError::NotThere | MemoryError::NoRight) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Copies bytes from the task's memory.
    ///
    /// # Errors
    ///
    /// Where the task could not read them.
    pub fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        for (page, offset, range) in pieces(address, bytes.len()) {
            self.page(page, Rights::READ)?
                .read(offset, &mut bytes[range]);
        }
        Ok(())
    }

    /// Copies bytes to the task's memory. On failure it may have copied some.
    ///
    /// # Errors
    ///
    /// Where the task could not write them.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        for (page, offset, range) in pieces(address, bytes.len()) {
            self.page(page, Rights::READ_WRITE)?
                .write(offset, &bytes[range]);
        }
        Ok(())
    }

    /// The same memory once more: the two share all pages until one writes to them. No task of
    /// this one runs meanwhile, or it may see the other's writes.
    ///
    /// # Errors
    ///
    /// Those of `as_create`, and for want of page tables.
    pub fn fork(&mut self) -> Result<Self, MemoryError> {
        let mut child = Self::new()?;
        let mut protected = Vec::new();
        let mut mapped = Vec::new();
        for (&address, page) in &self.pages {
            let region = self.regions.range(..=address).next_back();
            let Some((_, region)) = region else { continue };
            let rights = match region.rights.write() {
                true => Rights::READ,
                false => region.rights,
            };
            if region.rights.write() && !page.shared {
                protected.push(space::element(address, pv_abi::Gpa(0), PAGE_SIZE, rights));
            }
            mapped.push(space::element(address, page.frame.gpa(), PAGE_SIZE, rights));
        }
        // SAFETY: a task that misses the right gets a page of its own.
        each_chunk(&protected, |elements| unsafe {
            self.space.protect_all(elements)
        })?;
        for element in &protected {
            if let Some(page) = self.pages.get_mut(&element.address) {
                page.shared = true;
            }
        }
        // SAFETY: the kernel has no references into frames.
        each_chunk(&mapped, |elements| unsafe { child.space.map_all(elements) })?;
        child.regions = self.regions.clone();
        child.pages = self.pages.clone();
        Ok(child)
    }

    /// The frame of a page, with the rights that are needed, made or copied where it has to be.
    fn page(&mut self, address: u64, needed: Rights) -> Result<&Frame, MemoryError> {
        let address = page_of(address);
        let region = self.regions.range(..=address).next_back();
        let Some((_, &region)) = region.filter(|(_, region)| address < region.end) else {
            return Err(MemoryError::NotThere);
        };
        let rights = region.rights;
        if needed.bits() & !rights.bits() != 0 {
            return Err(MemoryError::NoRight);
        }
        let space = &self.space;
        let page = match self.pages.entry(address) {
            alloc::collections::btree_map::Entry::Vacant(place) => {
                let frame = Frame::new().ok_or(MemoryError::NoMemory)?;
                if rights.execute() {
                    frame.make_executable()?;
                }
                // SAFETY: the kernel has no references into frames.
                unsafe { space.map(address, frame.gpa(), PAGE_SIZE, rights) }?;
                place.insert(Page {
                    frame: Arc::new(frame),
                    shared: false,
                })
            }
            alloc::collections::btree_map::Entry::Occupied(place) => place.into_mut(),
        };
        if needed.write() && page.shared {
            page.unshare(space, address)?;
        }
        Ok(&page.frame)
    }
}

impl Page {
    /// Gives the page a frame of its own, writable.
    fn unshare(&mut self, space: &AddressSpace, address: u64) -> Result<(), MemoryError> {
        if Arc::get_mut(&mut self.frame).is_some() {
            // The others have theirs already.
            // SAFETY: it adds a right.
            unsafe { space.protect(address, PAGE_SIZE, Rights::READ_WRITE) }?;
        } else {
            let copy = self.frame.duplicate().ok_or(MemoryError::NoMemory)?;
            // SAFETY: what is mapped instead has the same contents.
            unsafe {
                space.unmap(address, PAGE_SIZE)?;
                space.map(address, copy.gpa(), PAGE_SIZE, Rights::READ_WRITE)?;
            }
            self.frame = Arc::new(copy);
        }
        self.shared = false;
        Ok(())
    }
}

impl Drop for TaskMemory {
    fn drop(&mut self) {
        // A task that is left can do nothing any more; and the frames are mapped nowhere when they
        // go back to the heap.
        let ranges: Vec<_> = self
            .pages
            .keys()
            .map(|&start| mapping::Range {
                start,
                size: PAGE_SIZE,
            })
            .collect();
        // SAFETY: only tasks use these addresses.
        let unmapped = each_chunk(&ranges, |ranges| unsafe { self.space.unmap_all(ranges) });
        if unmapped.is_err() {
            // They may still be mapped, so nobody else gets them.
            core::mem::forget(core::mem::take(&mut self.pages));
        }
    }
}

/// Most elements of a repeated call.
const CHUNK: usize = 4095;

fn each_chunk<T>(
    elements: &[T],
    mut call: impl FnMut(&[T]) -> Result<(), crate::hypercall::Undone>,
) -> Result<(), Errno> {
    for chunk in elements.chunks(CHUNK) {
        call(chunk)?;
    }
    Ok(())
}

/// A range of bytes, page by page: the page, the offset in it, and which of the bytes.
fn pieces(address: u64, size: usize) -> impl Iterator<Item = (u64, usize, Range<usize>)> {
    let mut done = 0;
    core::iter::from_fn(move || {
        if done == size {
            return None;
        }
        let first = address.wrapping_add(done as u64);
        let offset = (first % PAGE_SIZE) as usize;
        let count = (PAGE_SIZE as usize - offset).min(size - done);
        let piece = (page_of(first), offset, done..done + count);
        done += count;
        Some(piece)
    })
}
