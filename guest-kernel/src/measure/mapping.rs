//! Mapping 512 pages and touching each, in several ways.

#![allow(unsafe_code)]

use super::{Measure, Samples};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::{Mapping, Range};
use paravane_sdk::abi::start_info::{RIGHT_READ, RIGHT_WRITE};
use paravane_sdk::hypercall::raw;
use paravane_sdk::pages::Pages;
use paravane_sdk::time::Instant;
use paravane_sdk::trap::{self, Resume, TrapFrame, Vector};
use paravane_sdk::{Features, address, stats};

pub const MEASURE: Measure = Measure {
    name: "mapping",
    needs: Features::ADDRESS_SPACES,
    vcpus: 1,
    run,
};

const PAGES: usize = 512;
const SIZE: u64 = PAGES as u64 * PAGE_SIZE;
/// Where the pages are mapped: the kernel's, and nothing else's.
const WINDOW: u64 = 0x70_0000_0000;
/// Rounds that count, and the one before them that fills caches and page tables.
const ROUNDS: usize = 20;
const WARM_UP: usize = 1;

/// The way that is measured.
type Way = fn(&[Mapping]) -> Result<(), String>;

/// Each with the names of its samples: of time, and of exits to the VMM.
const WAYS: [(&str, &str, Way); 4] = [
    (
        "map_512_by_one_call",
        "map_512_by_one_call_exits",
        by_one_call,
    ),
    (
        "map_512_as_one_range",
        "map_512_as_one_range_exits",
        as_one_range,
    ),
    (
        "map_512_by_single_calls",
        "map_512_by_single_calls_exits",
        by_single_calls,
    ),
    (
        "map_512_by_page_faults",
        "map_512_by_page_faults_exits",
        by_page_faults,
    ),
];

fn run() -> Result<Vec<Samples>, String> {
    let pages = Pages::new(SIZE as usize).ok_or("2 MiB of memory")?;
    let mappings: Box<[_]> = (0..PAGES as u64)
        .map(|page| Mapping {
            address: WINDOW + page * PAGE_SIZE,
            gpa: pages.gpa().0 + page * PAGE_SIZE,
            size: PAGE_SIZE,
            rights: RIGHT_READ | RIGHT_WRITE,
            reserved: 0,
        })
        .collect();
    // The host's memory is there from the start, and not part of what is measured.
    touch(pages.as_ptr() as u64);
    let mut all = Vec::new();
    for (time_name, exits_name, way) in WAYS {
        let (mut times, mut exits) = (Vec::new(), Vec::new());
        for round in 0..WARM_UP + ROUNDS {
            let exits_before = exits_now()?;
            let begun = Instant::now();
            way(&mappings)?;
            let time = begun.elapsed();
            // The call that asks is one of them.
            let made = exits_now()? - exits_before - 1;
            unmap()?;
            if round >= WARM_UP {
                times.push(time.as_nanos() as u64);
                exits.push(made);
            }
        }
        all.extend([(time_name, "ns", times), (exits_name, "exits", exits)]);
    }
    let samples = |(name, unit, values)| Samples { name, unit, values };
    Ok(all.into_iter().map(samples).collect())
}

fn exits_now() -> Result<u64, String> {
    stats::read()
        .map(|stats| stats.exits)
        .map_err(|error| format!("core_stats: {error}"))
}

/// Writes to each page.
fn touch(first: u64) {
    for page in 0..PAGES as u64 {
        let place =
            core::ptr::with_exposed_provenance_mut::<u8>((first + page * PAGE_SIZE) as usize);
        // SAFETY: the pages are mapped, or a handler maps them, and are this measurement's.
        unsafe { place.write_volatile(1) };
    }
}

fn map(elements: &[Mapping]) -> Result<(), String> {
    // SAFETY: nothing else is at these addresses, and the pages are this measurement's.
    unsafe { raw::as_map(0, address::of(elements), elements.len() as u32) }
        .map(drop)
        .map_err(|error| format!("as_map: {error}"))
}

fn unmap() -> Result<(), String> {
    let range = [Range {
        start: WINDOW,
        size: SIZE,
    }];
    // SAFETY: as in `map`.
    unsafe { raw::as_unmap(0, address::of(&range), 1) }
        .map(drop)
        .map_err(|error| format!("as_unmap: {error}"))
}

fn by_one_call(mappings: &[Mapping]) -> Result<(), String> {
    map(mappings)?;
    touch(WINDOW);
    Ok(())
}

/// One element, whose pages are adjacent in RAM too.
fn as_one_range(mappings: &[Mapping]) -> Result<(), String> {
    let mut whole = vec![mappings[0]];
    whole[0].size = SIZE;
    map(&whole)?;
    touch(WINDOW);
    Ok(())
}

fn by_single_calls(mappings: &[Mapping]) -> Result<(), String> {
    for mapping in mappings {
        map(core::slice::from_ref(mapping))?;
    }
    touch(WINDOW);
    Ok(())
}

/// What the handler of page faults maps: where the first page lies in RAM.
static FIRST_GPA: AtomicU64 = AtomicU64::new(0);

fn by_page_faults(mappings: &[Mapping]) -> Result<(), String> {
    FIRST_GPA.store(mappings[0].gpa, Ordering::Relaxed);
    let before = trap::set_handler(Vector::PF, map_on_fault);
    touch(WINDOW);
    match before {
        Some(before) => trap::set_handler(Vector::PF, before),
        None => trap::clear_handler(Vector::PF),
    };
    Ok(())
}

/// Maps the page that is missing.
fn map_on_fault(frame: &mut TrapFrame) -> Resume {
    let Some(fault) = frame.page_fault() else {
        return Resume::Unhandled;
    };
    let offset = fault.address.wrapping_sub(WINDOW) & !(PAGE_SIZE - 1);
    if offset >= SIZE {
        return Resume::Unhandled;
    }
    let mapping = [Mapping {
        address: WINDOW + offset,
        gpa: FIRST_GPA.load(Ordering::Relaxed) + offset,
        size: PAGE_SIZE,
        rights: RIGHT_READ | RIGHT_WRITE,
        reserved: 0,
    }];
    match map(&mapping) {
        Ok(()) => Resume::Resume,
        Err(_) => Resume::Unhandled,
    }
}
