//! The group `mem`: memory that the host is given back, of SIZE pages with an element for each.

#![allow(unsafe_code)]

use super::Operation;
use super::session::{Session, Trouble};
use alloc::vec::Vec;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::Range;
use paravane_sdk::hypercall::{Undone, raw};
use paravane_sdk::pages::Pages;
use paravane_sdk::{Features, address};

const MOST: u32 = 512;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("mem_populate", populate)
        .needs(Features::BALLOON)
        .sized(MOST),
    Operation::new("mem_release_populate", release_populate)
        .needs(Features::BALLOON)
        .sized(MOST),
    Operation::new("mem_hint", hint)
        .needs(Features::BALLOON)
        .sized(MOST),
];

/// Memory that nobody else uses, and the elements that name it.
struct Memory {
    _pages: Pages,
    elements: Vec<Range>,
}

impl Memory {
    fn new(session: &Session) -> Result<Self, Trouble> {
        let size = u64::from(session.size());
        let pages = Pages::zeroed((size * PAGE_SIZE) as usize).ok_or("there is no memory")?;
        let first = pages.gpa().0;
        let range = |page| Range {
            start: first + page * PAGE_SIZE,
            size: PAGE_SIZE,
        };
        Ok(Self {
            _pages: pages,
            elements: (0..size).map(range).collect(),
        })
    }
}

/// Memory that is there already.
fn populate(session: &Session) -> Result<(), Trouble> {
    let memory = Memory::new(session)?;
    let (gpa, size) = (address::of(&*memory.elements), session.size());
    // SAFETY: it changes nothing that the guest sees.
    session.of_size(size, || unsafe { raw::mem_populate(gpa, size) }.map(drop))
}

/// Memory that is given back and taken again: two calls.
fn release_populate(session: &Session) -> Result<(), Trouble> {
    let memory = Memory::new(session)?;
    let (gpa, size) = (address::of(&*memory.elements), session.size());
    session.of_size(size, || -> Result<(), Undone> {
        // SAFETY: nobody needs what is in the pages.
        unsafe {
            raw::mem_release(gpa, size)?;
            raw::mem_populate(gpa, size)?;
        }
        Ok(())
    })
}

fn hint(session: &Session) -> Result<(), Trouble> {
    let memory = Memory::new(session)?;
    let (gpa, size) = (address::of(&*memory.elements), session.size());
    // SAFETY: nobody needs what is in the pages.
    session.of_size(size, || unsafe { raw::mem_hint(gpa, size) }.map(drop))
}
