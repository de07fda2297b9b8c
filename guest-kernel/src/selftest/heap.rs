//! The heap.

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use paravane_sdk::heap;
use paravane_sdk::memory_map::{self, Kind};

pub const GROUP: Group = Group {
    name: "heap",
    tests: tests![
        blocks_are_apart,
        growing_keeps_the_contents,
        alignment,
        freed_memory_is_free,
        most_of_ram,
        more_than_there_is,
    ],
};

fn blocks_are_apart() -> Outcome {
    let blocks: Vec<Box<[u64]>> = (1..200)
        .map(|i| vec![i; i as usize].into_boxed_slice())
        .collect();
    for (index, block) in blocks.iter().enumerate() {
        let expected = index as u64 + 1;
        ensure!(
            block.len() as u64 == expected && block.iter().all(|&word| word == expected),
            "block {expected} was overwritten"
        );
    }
    Ok(())
}

fn growing_keeps_the_contents() -> Outcome {
    let mut numbers = Vec::new();
    let mut text = String::new();
    for i in 0..50_000_u32 {
        numbers.push(i);
        if i % 100 == 0 {
            text.push_str("0123456789");
        }
    }
    let wrong = numbers.iter().enumerate().find(|(i, n)| *i != **n as usize);
    ensure_eq!(wrong, None, "a number that changed as its vector grew");
    ensure_eq!(text.len(), 5_000, "the length of a string that grew");
    numbers.truncate(10);
    numbers.shrink_to_fit();
    ensure_eq!(numbers.iter().sum::<u32>(), 45, "the sum after shrinking");
    Ok(())
}

fn alignment() -> Outcome {
    #[repr(align(4096))]
    struct Page([u8; 4096]);

    let pages: Vec<Box<Page>> = (0..4_u8).map(|i| Box::new(Page([i; 4096]))).collect();
    for (index, page) in pages.iter().enumerate() {
        ensure_eq!(
            core::ptr::from_ref(&**page).addr() % 4096,
            0,
            "the address of a page, modulo 4096"
        );
        ensure_eq!(usize::from(page.0[4095]), index, "the page's last byte");
    }
    Ok(())
}

fn freed_memory_is_free() -> Outcome {
    let before = heap::usage();
    for _ in 0..1000 {
        drop(vec![0_u8; 10_000]);
    }
    ensure_eq!(heap::usage(), before, "the heap's usage");
    Ok(())
}

fn most_of_ram() -> Outcome {
    let largest = memory_map::regions()
        .filter(|region| region.kind == Kind::Free)
        .map(|region| region.size as usize)
        .max()
        .ok_or("there is no free region")?;
    let size = largest / 4 * 3;
    let mut bytes: Vec<u8> = Vec::new();
    bytes
        .try_reserve_exact(size)
        .map_err(|_| format!("cannot allocate {size} of {largest} bytes"))?;
    // Its ends only, so that the host need not back all of it.
    let room = bytes.spare_capacity_mut();
    room[0].write(1);
    room[size - 1].write(2);
    Ok(())
}

fn more_than_there_is() -> Outcome {
    let ram = paravane_sdk::start_info::get().ram_size() as usize;
    let mut bytes: Vec<u8> = Vec::new();
    ensure!(
        bytes.try_reserve_exact(ram).is_err(),
        "allocated {ram} bytes, all of RAM"
    );
    Ok(())
}
