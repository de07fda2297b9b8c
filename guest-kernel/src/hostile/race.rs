//! A guest whose vCPUs work against each other, and so against the VMM: one makes calls while the
//! others overwrite what it passes to them, and the pages that it shares with the VMM.
//!
//! It may well ruin itself. That is its right; it must not ruin anybody else.

#![allow(unsafe_code)]

use super::{Random, leak};
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::abi::calls::number;
use paravane_sdk::abi::mapping::{LARGE_PAGE_SIZE, TASK_AREA_START};
use paravane_sdk::hypercall::{invoke, raw};
use paravane_sdk::time::Instant;
use paravane_sdk::{Gpa, address, println, start_info, vcpu};

/// How long each part takes.
const TIME: Duration = Duration::from_millis(300);

/// Calls that read or write guest memory, with which a guest can go on whatever is in it.
const MEMORY_CALLS: [u16; 11] = [
    number::core_features,
    number::core_entropy,
    number::core_stats,
    number::as_map,
    number::as_unmap,
    number::as_protect,
    number::as_query,
    number::sched_poll,
    number::time_wallclock,
    number::mem_offers,
    number::vcpu_set_affinity_hint,
];

/// The first words of the page of arguments.
static PAGE: AtomicU64 = AtomicU64::new(0);

/// The vCPU page of the vCPU that makes calls.
static VICTIM: AtomicU64 = AtomicU64::new(0);

/// Whether that and the event page are overwritten too.
static ALL: AtomicBool = AtomicBool::new(false);

pub fn run() -> i32 {
    let gpa = leak([0_u64; 512]);
    let Some(page) = address::phys_to_virt(Gpa(gpa), PAGE_SIZE as usize) else {
        return 1;
    };
    PAGE.store(page as u64, Ordering::Release);
    VICTIM.store(vcpu::page() as u64, Ordering::Release);
    let space = raw::as_create().unwrap_or(0);
    vcpu::start_all(overwrite);

    let calls = repeat(0x1234_5678, |random| {
        let call = MEMORY_CALLS[random.below(MEMORY_CALLS.len() as u64) as usize];
        let count = match call {
            number::as_map | number::as_unmap | number::as_protect => 1 + random.below(4),
            _ => 0,
        };
        let at = gpa + 8 * random.below(400);
        let arguments = match call {
            number::as_map | number::as_unmap | number::as_protect => [u64::from(space), at],
            number::as_query => [u64::from(space), task_address(random)],
            number::vcpu_set_affinity_hint => [0, at],
            number::core_stats => [at, 32],
            _ => [at, random.below(8)],
        };
        let third = match call {
            number::as_query => at,
            // A deadline that is over.
            _ => 1,
        };
        let [a, b] = arguments;
        (u64::from(call) | count << 32, [a, b, third, 0, 0, 0])
    });
    println!("race: {calls} calls with arguments that changed");

    ALL.store(true, Ordering::Release);
    repeat(0x8765_4321, |random| {
        let batch = u64::from(number::core_batch);
        (batch, [gpa, 1 + random.below(32), 0, 0, 0, 0])
    });
    println!("race: survived");
    0
}

/// Makes calls for a while: how many.
fn repeat(seed: u64, mut next: impl FnMut(&mut Random) -> (u64, [u64; 6])) -> u64 {
    let mut random = Random(seed);
    let begun = Instant::now();
    let mut calls = 0;
    while begun.elapsed() < TIME {
        let (word, arguments) = next(&mut random);
        // SAFETY: none. What the call does to this guest, it has asked for.
        let _ = unsafe { invoke(word, arguments) };
        calls += 1;
    }
    calls
}

fn task_address(random: &mut Random) -> u64 {
    TASK_AREA_START + random.below(16) * PAGE_SIZE + random.below(2) * LARGE_PAGE_SIZE
}

/// Overwrites words with what is nearly right, for ever.
fn overwrite(id: u32) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 + u64::from(id));
    let info = start_info::get().page();
    let pages = [VICTIM.load(Ordering::Acquire), info.event_page];
    let ram = start_info::get().ram_size();
    loop {
        let arguments = PAGE.load(Ordering::Acquire);
        let page = match random.below(4) {
            which @ 0..2 if ALL.load(Ordering::Acquire) => pages[which as usize],
            _ => arguments,
        };
        let value = match random.below(8) {
            0 => random.next(),
            1 => task_address(&mut random),
            2 => PAGE_SIZE << random.below(10),
            3 => 1 << random.below(64),
            4 => ram.wrapping_sub(random.below(3) * PAGE_SIZE),
            5 => random.below(ram) & !(PAGE_SIZE - 1),
            6 => random.below(128),
            _ => 3,
        };
        let word = with_exposed_provenance_mut::<u64>((page + 8 * random.below(512)) as usize);
        // SAFETY: none beyond that the word is mapped. Whoever uses the page expects this, or
        // suffers.
        unsafe { word.write_volatile(value) };
        // It may wait for what never comes.
        if random.below(1024) == 0 {
            let _ = raw::sched_kick(0);
        }
    }
}
