//! The group `as`: what is mapped where.

#![allow(unsafe_code)]

use super::notice::wait_until;
use super::peer::{Peer, is_to_stop};
use super::session::{Session, Trouble};
use super::traps::with_handler;
use super::window::{WINDOW, Window, element, touch};
use super::{Operation, out, ticks};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::{Mapping, Range, Translation};
use paravane_sdk::abi::start_info::RIGHT_READ;
use paravane_sdk::hypercall::{Undone, raw};
use paravane_sdk::space::AddressSpace;
use paravane_sdk::trap::{Resume, TrapFrame, Vector};
use paravane_sdk::{Features, Gpa, address};

/// Pages of a call: as many as a large page has.
const MOST: u32 = 512;

const SPACES: Features = Features::ADDRESS_SPACES;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("as_create_destroy", create_destroy).needs(SPACES),
    Operation::new("as_switch", switch).needs(SPACES),
    Operation::new("as_query", query).needs(SPACES),
    Operation::new("as_protect", protect)
        .needs(SPACES)
        .sized(MOST),
    Operation::new("as_map", map).needs(SPACES).sized(MOST),
    Operation::new("as_map_range", map_range)
        .needs(SPACES)
        .sized(MOST),
    Operation::new("as_unmap", unmap).needs(SPACES).sized(MOST),
    Operation::new("as_map_unmap", map_unmap)
        .needs(SPACES)
        .sized(MOST),
    Operation::new("as_unmap_running", unmap_running)
        .needs(SPACES)
        .sized(MOST)
        .with_a_peer(),
    Operation::new("demand_page", demand_page).needs(SPACES),
];

impl From<Undone> for Trouble {
    fn from(undone: Undone) -> Self {
        format!("a repeated call failed: {undone}").into()
    }
}

fn create_destroy(session: &Session) -> Result<(), Trouble> {
    session.each(|| {
        let space = raw::as_create()?;
        // SAFETY: nothing is mapped in it.
        unsafe { raw::as_destroy(space) }.map(drop)
    })
}

/// To the one and to the other, in turn.
fn switch(session: &Session) -> Result<(), Trouble> {
    let spaces = [AddressSpace::new()?, AddressSpace::new()?];
    let mut turn = 0;
    // By the call itself: the SDK is not told, so it finds the space that it knows of at the end.
    let measured = session.each(|| {
        turn ^= 1;
        raw::as_switch(spaces[turn].number()).map(drop)
    });
    raw::as_switch(0)?;
    measured
}

fn query(session: &Session) -> Result<(), Trouble> {
    let mut translation = vec![Translation::default()];
    let (at, out) = (translation.as_ptr() as u64, out(&mut translation)?);
    // SAFETY: the call writes to the translation alone.
    session.each(|| unsafe { raw::as_query(0, at, out) }.map(drop))
}

/// The right to write to SIZE pages, taken away and given back: two calls, and two changes of each
/// page. Pages that a processor has used are the ones that it has to forget.
fn protect(session: &Session) -> Result<(), Trouble> {
    let mut window = Window::new(session)?;
    window.fill()?;
    let size = session.size();
    let rights = |rights: fn(&mut Mapping)| -> Vec<Mapping> {
        let mut elements = window.elements();
        for element in &mut elements {
            element.gpa = 0;
            rights(element);
        }
        elements
    };
    let away = rights(|element| element.rights = RIGHT_READ);
    let back = rights(|_| {});
    let (away_gpa, back_gpa) = (address::of(&*away), address::of(&*back));
    session.of_size(2 * size, || -> Result<(), Undone> {
        // SAFETY: nobody writes to the pages.
        unsafe {
            raw::as_protect(0, away_gpa, size)?;
            raw::as_protect(0, back_gpa, size)?;
        }
        Ok(())
    })
}

/// SIZE pages, an element for each.
fn map(session: &Session) -> Result<(), Trouble> {
    let mut window = Window::new(session)?;
    let size = session.size();
    let mut elements = window.elements();
    session.samples(size, || {
        let first = free(&mut window, size)?;
        for (element, page) in elements.iter_mut().zip(0..) {
            element.address = first + page * PAGE_SIZE;
        }
        let gpa = address::of(&*elements);
        let begun = ticks::begin();
        // SAFETY: nothing else is at these addresses, and the RAM is the window's.
        let mapped = unsafe { raw::as_map(0, gpa, size) };
        let ended = ticks::end();
        mapped?;
        Ok(ended.saturating_sub(begun))
    })
}

/// SIZE pages that are adjacent in RAM too, in one element.
fn map_range(session: &Session) -> Result<(), Trouble> {
    let mut window = Window::new(session)?;
    let size = session.size();
    let mut range = vec![Mapping {
        size: u64::from(size) * PAGE_SIZE,
        ..element(WINDOW, window.ram())
    }];
    session.samples(size, || {
        range[0].address = free(&mut window, size)?;
        let gpa = address::of(&*range);
        let begun = ticks::begin();
        // SAFETY: nothing else is at these addresses, and the RAM is the window's.
        let mapped = unsafe { raw::as_map(0, gpa, 1) };
        let ended = ticks::end();
        mapped?;
        Ok(ended.saturating_sub(begun))
    })
}

/// So many pages where nothing is mapped.
fn free(window: &mut Window<'_>, pages: u32) -> Result<u64, Trouble> {
    let pages = u64::from(pages);
    if let Some(first) = window.take(pages) {
        return Ok(first);
    }
    window.empty()?;
    Ok(window.take(pages).ok_or("a window is too small")?)
}

/// SIZE pages that this vCPU has used, an element for each.
fn unmap(session: &Session) -> Result<(), Trouble> {
    unmap_each(session, |_| Ok(()))
}

/// Likewise, pages that another vCPU has used too, which goes on running in the same address
/// space: it has to forget them at once.
fn unmap_running(session: &Session) -> Result<(), Trouble> {
    USED.store(0, Ordering::Release);
    TO_USE.store(0, Ordering::Release);
    let peer = Peer::start(use_pages)?;
    let measured = unmap_each(session, |pages| {
        USED.store(0, Ordering::Release);
        TO_USE.store(pages, Ordering::Release);
        wait_until("the other vCPU", || {
            (USED.load(Ordering::Acquire) == pages).then_some(())
        })
    });
    drop(peer);
    measured
}

/// How many pages of the window the other vCPU is to use, and has used.
static TO_USE: AtomicU64 = AtomicU64::new(0);
static USED: AtomicU64 = AtomicU64::new(0);

fn use_pages() {
    while !is_to_stop() {
        let pages = TO_USE.swap(0, Ordering::AcqRel);
        if pages != 0 {
            touch(WINDOW, pages);
            USED.store(pages, Ordering::Release);
        }
        spin_loop();
    }
}

/// Takes pages away; `filled` is told when so many were mapped.
fn unmap_each(
    session: &Session,
    filled: impl Fn(u64) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let mut window = Window::new(session)?;
    window.fill()?;
    filled(window.pages())?;
    let size = session.size();
    let page = Range {
        start: WINDOW,
        size: PAGE_SIZE,
    };
    let mut elements = vec![page; size as usize];
    session.samples(size, || {
        let first = match window.take(size.into()) {
            Some(first) => first,
            None => {
                // What is left of it.
                window.empty()?;
                window.fill()?;
                filled(window.pages())?;
                window.take(size.into()).ok_or("a window is too small")?
            }
        };
        for (element, page) in elements.iter_mut().zip(0..) {
            element.start = first + page * PAGE_SIZE;
        }
        let gpa = address::of(&*elements);
        let begun = ticks::begin();
        // SAFETY: nobody uses these pages any more.
        let unmapped = unsafe { raw::as_unmap(0, gpa, size) };
        let ended = ticks::end();
        unmapped?;
        Ok(ended.saturating_sub(begun))
    })
}

/// The same SIZE pages, mapped and unmapped: two calls.
fn map_unmap(session: &Session) -> Result<(), Trouble> {
    let window = Window::new(session)?;
    let size = session.size();
    let mappings = window.elements();
    let ranges: Vec<_> = mappings
        .iter()
        .map(|mapping| Range {
            start: mapping.address,
            size: PAGE_SIZE,
        })
        .collect();
    let (map_gpa, unmap_gpa) = (address::of(&*mappings), address::of(&*ranges));
    session.of_size(size, || -> Result<(), Undone> {
        // SAFETY: nothing else is at these addresses, and the RAM is the window's.
        unsafe {
            raw::as_map(0, map_gpa, size)?;
            raw::as_unmap(0, unmap_gpa, size)?;
        }
        Ok(())
    })
}

/// What the handler of page faults maps.
static FRAME: AtomicU64 = AtomicU64::new(0);

/// A write to a page that is not there, which the handler of page faults maps.
fn demand_page(session: &Session) -> Result<(), Trouble> {
    let mut window = Window::new(session)?;
    FRAME.store(window.ram().0, Ordering::Relaxed);
    with_handler(Vector::PF, map_on_fault, || {
        session.samples(1, || {
            let first = free(&mut window, 1)?;
            let begun = ticks::begin();
            touch(first, 1);
            Ok(ticks::end().saturating_sub(begun))
        })
    })
}

fn map_on_fault(frame: &mut TrapFrame) -> Resume {
    let Some(fault) = frame.page_fault() else {
        return Resume::Unhandled;
    };
    let page = fault.address & !(PAGE_SIZE - 1);
    let mapping = [element(page, Gpa(FRAME.load(Ordering::Relaxed)))];
    // SAFETY: nothing else is there; what is not the window's is refused, or was a defect anyway.
    match unsafe { raw::as_map(0, address::of(&mapping), 1) } {
        Ok(_) => Resume::Resume,
        Err(_) => Resume::Unhandled,
    }
}
