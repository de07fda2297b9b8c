//! Memory that is given back to the host.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::vec;
use core::mem::MaybeUninit;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::mapping::{LARGE_PAGE_SIZE, Range};
use paravane_sdk::balloon::{self, Balloon};
use paravane_sdk::hypercall::{Undone, raw};
use paravane_sdk::pages::Pages;
use paravane_sdk::{Errno, address, heap};

pub const GROUP: Group = Group {
    name: "balloon",
    tests: tests![
        whole_pages_are_released,
        released_pages_are_zero_at_each_address,
        released_pages_can_be_written,
        hinted_pages_can_be_written,
        populated_pages_hold_what_they_held,
        a_balloon_lends_and_takes_back,
        the_first_bad_range_is_told,
    ],
};

const PAGE: usize = PAGE_SIZE as usize;

/// Two pages in a segment of the image, somewhere in four.
static mut STATIC: [u8; 4 * PAGE] = [7; 4 * PAGE];

fn whole_pages_are_released() -> Outcome {
    for (from, to, released) in [
        (0, 0, 0),
        (PAGE + 1, 2 * PAGE + 5, 0),
        (PAGE - 1, 3 * PAGE + 1, 2 * PAGE),
        (0, 8 * PAGE, 8 * PAGE),
    ] {
        let mut memory = vec![1u8; 9 * PAGE];
        let first = memory.as_ptr().align_offset(PAGE);
        let part = &mut memory[first..][from..to];
        let found = balloon::release(part).map_err(|error| alloc::format!("{error}"))?;
        ensure_eq!(found, released, "what was released of {from}..{to}");
        let zeros = memory.iter().filter(|&&byte| byte == 0).count();
        ensure_eq!(zeros, released, "the number of zeros behind it");
    }
    Ok(())
}

fn released_pages_are_zero_at_each_address() -> Outcome {
    let start = &raw mut STATIC;
    let gpa = address::virt_to_phys(start, 4 * PAGE).ok_or("it is in no region")?;
    let alias = address::phys_to_virt(gpa, 4 * PAGE).ok_or("it is not in RAM")?;
    // SAFETY: nothing else uses the variable.
    let memory = unsafe { &mut *start };
    let released = balloon::release(memory).map_err(|error| alloc::format!("{error}"))?;
    ensure!(released >= 3 * PAGE, "only {released} bytes were released");
    let first = memory.as_ptr().align_offset(PAGE);
    for (offset, &byte) in memory.iter().enumerate().skip(first).take(released) {
        // SAFETY: it is the variable, at its address in the linear map.
        let found = [byte, unsafe { alias.add(offset).read_volatile() }];
        ensure_eq!(
            found,
            [0, 0],
            "the byte at {offset:#x}, at both its addresses"
        );
    }
    Ok(())
}

fn released_pages_can_be_written() -> Outcome {
    let mut memory = vec![1u8; 3 * LARGE_PAGE_SIZE as usize];
    for round in 2..5 {
        balloon::release(&mut memory).map_err(|error| alloc::format!("{error}"))?;
        memory.fill(round);
        let wrong = memory.iter().position(|&byte| byte != round);
        ensure_eq!(wrong, None, "the first byte that was not kept");
    }
    Ok(())
}

fn hinted_pages_can_be_written() -> Outcome {
    let mut memory = vec![1u8; 20 * PAGE];
    let bytes = memory.as_mut_ptr().cast::<MaybeUninit<u8>>();
    // SAFETY: whatever the bytes are afterwards, each of them is a number.
    let bytes = unsafe { core::slice::from_raw_parts_mut(bytes, memory.len()) };
    let hinted = balloon::hint(bytes).map_err(|error| alloc::format!("{error}"))?;
    ensure!(hinted >= 19 * PAGE, "only {hinted} bytes were hinted at");
    let wrong = memory.iter().position(|&byte| byte > 1);
    ensure_eq!(
        wrong,
        None,
        "the first byte that is neither what it was nor zero"
    );
    memory.fill(2);
    let wrong = memory.iter().position(|&byte| byte != 2);
    ensure_eq!(wrong, None, "the first byte that was not kept");
    Ok(())
}

fn populated_pages_hold_what_they_held() -> Outcome {
    let memory = vec![3u8; 20 * PAGE];
    balloon::populate(&memory).map_err(|error| alloc::format!("{error}"))?;
    let wrong = memory.iter().position(|&byte| byte != 3);
    ensure_eq!(wrong, None, "the first byte that was not kept");
    Ok(())
}

fn a_balloon_lends_and_takes_back() -> Outcome {
    const SIZE: usize = 4 * LARGE_PAGE_SIZE as usize;
    let before = heap::usage();
    let mut balloon = Balloon::new();
    let size = balloon
        .inflate(SIZE)
        .map_err(|error| alloc::format!("{error}"))?;
    ensure_eq!(size, SIZE, "the size of the balloon");
    let lent = heap::usage().allocated - before.allocated;
    ensure!(lent >= SIZE, "the heap has lent {lent:#x} bytes");
    ensure_eq!(balloon.deflate(SIZE / 2), SIZE / 2, "its size after a half");
    // More than there is.
    let size = balloon
        .inflate(usize::MAX)
        .map_err(|error| alloc::format!("{error}"))?;
    ensure!(size > SIZE, "it has only {size:#x} bytes at its largest");
    ensure_eq!(balloon.deflate(0), 0, "its size at the end");
    drop(balloon);
    ensure_eq!(
        heap::usage().allocated,
        before.allocated,
        "what is allocated"
    );
    Ok(())
}

fn the_first_bad_range_is_told() -> Outcome {
    let pages = Pages::new(4 * PAGE).ok_or("no memory")?;
    let range = |page: u64, size| Range {
        start: pages.gpa().0 + page * PAGE_SIZE,
        size,
    };
    let ranges = [range(0, PAGE_SIZE), range(1, 2 * PAGE_SIZE), range(2, 1)];
    // SAFETY: the pages are ours, and nobody wants what is in them.
    let result = unsafe { raw::mem_release(address::of(&ranges), 3) };
    let expected = Undone {
        done: 2,
        errno: Errno::EINVAL,
    };
    ensure_eq!(result, Err(expected), "the result");
    Ok(())
}
