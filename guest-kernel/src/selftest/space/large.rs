//! Pages of 2 MiB.

use super::memory::Pages;
use super::{Current, is_gone, is_read_only, read, text, write};
use crate::selftest::{Outcome, ensure_eq};
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::space::{LARGE_PAGE_SIZE, Rights, TASK_AREA};

const HERE: u64 = TASK_AREA.start + 16 * LARGE_PAGE_SIZE;

fn two_megabytes() -> Pages {
    Pages::aligned(LARGE_PAGE_SIZE as usize, LARGE_PAGE_SIZE as usize)
}

fn page(number: u64) -> u64 {
    HERE + number * PAGE_SIZE
}

pub fn two_megabytes_are_one_page_until_a_part_changes() -> Outcome {
    let pages = two_megabytes();
    let space = Current::new().map_err(text)?;
    let size_of = |number| space.query(page(number)).map(|found| found.page_size);
    for round in 0..5 {
        // SAFETY: the memory is this test's.
        unsafe { space.map(HERE, pages.gpa(0), LARGE_PAGE_SIZE, Rights::READ_WRITE) }
            .map_err(text)?;
        ensure_eq!(size_of(7), Some(LARGE_PAGE_SIZE), "the page size");
        for number in 0..512 {
            write(page(number), round * 1000 + number);
        }
        // SAFETY: as above.
        unsafe {
            space.unmap(page(7), PAGE_SIZE).map_err(text)?;
            space
                .protect(page(300), 2 * PAGE_SIZE, Rights::READ)
                .map_err(text)?;
        }
        ensure_eq!(
            size_of(8),
            Some(PAGE_SIZE),
            "the page size behind the split"
        );
        is_gone(page(7))?;
        is_read_only(page(300))?;
        is_read_only(page(301))?;
        for number in (0..512).filter(|&number| number != 7) {
            let expected = round * 1000 + number;
            ensure_eq!(read(page(number)), expected, "the word of page {number}");
        }
        write(page(302), 1);
        // SAFETY: as above.
        unsafe { space.unmap(HERE, LARGE_PAGE_SIZE) }.map_err(text)?;
        for number in [0, 6, 8, 300, 511] {
            is_gone(page(number))?;
        }
    }
    Ok(())
}

pub fn large_and_small_pages_take_turns() -> Outcome {
    let (one, other) = (two_megabytes(), two_megabytes());
    for number in 0..512 {
        write(one.address(number), 1000 + number as u64);
        write(other.address(number), 2000 + number as u64);
    }
    let space = Current::new().map_err(text)?;
    for _ in 0..5 {
        for (pages, base) in [(&one, 1000), (&other, 2000)] {
            // SAFETY: the memory is this test's.
            unsafe { space.map(HERE, pages.gpa(0), LARGE_PAGE_SIZE, Rights::READ) }
                .map_err(text)?;
            for number in 0..512 {
                ensure_eq!(
                    read(page(number)),
                    base + number,
                    "the word of page {number}"
                );
            }
            // SAFETY: as above.
            unsafe { space.unmap(HERE, LARGE_PAGE_SIZE) }.map_err(text)?;
            is_gone(page(3))?;
            // Every other page, from the end to the beginning.
            for number in (0..512).step_by(2) {
                let gpa = pages.gpa(511 - number as usize);
                // SAFETY: as above.
                unsafe { space.map(page(number), gpa, PAGE_SIZE, Rights::READ) }.map_err(text)?;
            }
            for number in (0..512).step_by(2) {
                let expected = base + 511 - number;
                ensure_eq!(read(page(number)), expected, "the word of page {number}");
            }
            for number in [1, 3, 255, 511] {
                is_gone(page(number))?;
            }
            // SAFETY: as above.
            unsafe { space.unmap(HERE, LARGE_PAGE_SIZE) }.map_err(text)?;
            is_gone(page(2))?;
        }
    }
    Ok(())
}
