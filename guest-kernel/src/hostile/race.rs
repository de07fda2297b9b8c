//! A guest whose vCPUs work against each other, and so against the VMM: one makes calls while the
//! others overwrite what it passes to them, and the pages that it shares with the VMM.
//!
//! It may well ruin itself. That is its right; it must not ruin anybody else.

#![allow(unsafe_code)]

use super::{Random, leak};
use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicBool, Ordering};
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

/// Whether the pages that are shared with the VMM are overwritten too.
static ALL: AtomicBool = AtomicBool::new(false);

pub fn run() -> i32 {
    let gpa = leak([0_u64; 512]);
    let Some(page) = address::phys_to_virt(Gpa(gpa), PAGE_SIZE as usize) else {
        return 1;
    };
    let targets = Targets {
        arguments: page as u64,
        shared: [vcpu::page() as u64, start_info::get().page().event_page],
    };
    let space = u64::from(raw::as_create().unwrap_or(0));
    vcpu::start_all(move |id| overwrite(id, targets));

    let calls = repeat(0x1234_5678, |random| {
        let call = MEMORY_CALLS[random.below(MEMORY_CALLS.len() as u64) as usize];
        let at = gpa + 8 * random.below(400);
        let (count, [a, b, c]) = match call {
            number::as_map | number::as_unmap | number::as_protect => {
                (1 + random.below(4), [space, at, 0])
            }
            number::as_query => (0, [space, task_address(random), at]),
            number::vcpu_set_affinity_hint => (0, [0, at, 0]),
            number::core_stats => (0, [at, 32, 0]),
            // The third is a deadline that is over.
            _ => (0, [at, random.below(8), 1]),
        };
        (u64::from(call) | count << 32, [a, b, c, 0, 0, 0])
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

/// What is overwritten, as addresses of pages.
#[derive(Clone, Copy)]
struct Targets {
    /// The arguments of calls.
    arguments: u64,
    /// The vCPU page of the vCPU that makes calls, and the event page.
    shared: [u64; 2],
}

/// Overwrites words with what is nearly right, for ever.
fn overwrite(id: u32, targets: Targets) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 + u64::from(id));
    let ram = start_info::get().ram_size();
    loop {
        let page = match random.below(4) {
            which @ 0..2 if ALL.load(Ordering::Acquire) => targets.shared[which as usize],
            _ => targets.arguments,
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
