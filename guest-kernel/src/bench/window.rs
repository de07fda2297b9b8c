//! Addresses at which operations on mappings find enough pages to map or to unmap, one sample
//! after the other, without a call between samples.

#![allow(unsafe_code)]

use super::session::{Session, Trouble};
use alloc::format;
use alloc::vec::Vec;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::{LARGE_PAGE_SIZE, Mapping, Range};
use paravane_sdk::abi::start_info::{RIGHT_READ, RIGHT_WRITE};
use paravane_sdk::hypercall::raw;
use paravane_sdk::pages::Pages;
use paravane_sdk::{Gpa, address};

/// The first address: the kernel's, and nothing else's.
pub const WINDOW: u64 = 0x70_0000_0000;

/// The most pages of a window, which is emptied or filled again when they are used up. All may be
/// mapped to the same page of RAM, and a VMM counts the mappings of a page.
const MOST_PAGES: u64 = 1 << 15;
const PAGES_OF_LARGE: u64 = LARGE_PAGE_SIZE / PAGE_SIZE;

/// The addresses, and the RAM that is mapped there, the same again and again.
pub struct Window<'a> {
    session: &'a Session,
    ram: Pages,
    pages: u64,
    /// The next page to be used.
    next: u64,
}

impl<'a> Window<'a> {
    /// For a session whose samples take SIZE pages each. Nothing is mapped yet.
    ///
    /// # Errors
    ///
    /// Without 2 MiB of memory.
    pub fn new(session: &'a Session) -> Result<Self, Trouble> {
        let needed = session.rounds() as u64 * u64::from(session.size());
        let pages = needed.next_multiple_of(PAGES_OF_LARGE).min(MOST_PAGES);
        // A page more than a large one, so that what lies at the second page on is not aligned as
        // a large page has to be.
        let size = (LARGE_PAGE_SIZE + PAGE_SIZE) as usize;
        let ram = Pages::new(size).ok_or("there are no 2 MiB of memory")?;
        // The host's memory is there from the start, and not part of what is measured.
        touch(ram.as_ptr() as u64, ram.size() as u64 / PAGE_SIZE);
        Ok(Self {
            session,
            ram,
            pages,
            next: 0,
        })
    }

    /// The RAM that is mapped.
    pub fn ram(&self) -> Gpa {
        self.ram.gpa()
    }

    /// How many pages it has.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// The address of the next so many pages; `None` when not so many are left.
    pub fn take(&mut self, pages: u64) -> Option<u64> {
        let first = self.next;
        let fits = first + pages <= self.pages;
        fits.then(|| {
            self.next = first + pages;
            WINDOW + first * PAGE_SIZE
        })
    }

    /// Unmaps all of it, so that it can be used from the start.
    ///
    /// # Errors
    ///
    /// Those of `as_unmap`.
    pub fn empty(&mut self) -> Result<(), Trouble> {
        self.next = 0;
        unmap_all(self.pages)?;
        self.session.set_aside(1);
        Ok(())
    }

    /// Maps all of it, by small pages, and touches each, so that it can be used from the start.
    ///
    /// # Errors
    ///
    /// Those of `as_map`.
    pub fn fill(&mut self) -> Result<(), Trouble> {
        self.next = 0;
        for first in (0..self.pages).step_by(PAGES_OF_LARGE as usize) {
            let element = [Mapping {
                size: LARGE_PAGE_SIZE,
                ..element(WINDOW + first * PAGE_SIZE, Gpa(self.ram().0 + PAGE_SIZE))
            }];
            // SAFETY: nothing else is at these addresses, and the RAM is the window's.
            unsafe { raw::as_map(0, address::of(&element), 1) }
                .map_err(|error| format!("as_map: {error}"))?;
            self.session.set_aside(1);
        }
        touch(WINDOW, self.pages);
        Ok(())
    }

    /// Room for the elements of a call that maps SIZE pages, each of the RAM's own.
    pub fn elements(&self) -> Vec<Mapping> {
        (0..u64::from(self.session.size()))
            .map(|page| {
                let offset = page * PAGE_SIZE;
                element(WINDOW + offset, Gpa(self.ram().0 + offset))
            })
            .collect()
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        if unmap_all(self.pages).is_err() {
            // It may be mapped still, so nobody else gets it.
            if let Some(nothing) = Pages::new(1) {
                core::mem::forget(core::mem::replace(&mut self.ram, nothing));
            }
        }
    }
}

/// An element that maps a page.
pub fn element(address: u64, gpa: Gpa) -> Mapping {
    Mapping {
        address,
        gpa: gpa.0,
        size: PAGE_SIZE,
        rights: RIGHT_READ | RIGHT_WRITE,
        reserved: 0,
    }
}

/// Writes to each of so many pages.
pub fn touch(first: u64, pages: u64) {
    for page in 0..pages {
        let address = (first + page * PAGE_SIZE) as usize;
        let place = core::ptr::with_exposed_provenance_mut::<u8>(address);
        // SAFETY: the pages are mapped, and are a window's.
        unsafe { place.write_volatile(1) };
    }
}

fn unmap_all(pages: u64) -> Result<(), Trouble> {
    let whole = [Range {
        start: WINDOW,
        size: pages * PAGE_SIZE,
    }];
    // SAFETY: only samples use these addresses, and they have ended.
    unsafe { raw::as_unmap(0, address::of(&whole), 1) }
        .map_err(|error| format!("as_unmap: {error}"))?;
    Ok(())
}
