//! Makes a second process of itself: both have the same memory, until they write to it.

#![no_std]
#![no_main]

mod system;

use core::sync::atomic::{AtomicU64, Ordering};

/// In a page that is written before the fork, and in both processes after it.
static WORD: AtomicU64 = AtomicU64::new(0);

/// 1 MiB, of which each process uses a little: only those pages cost memory.
static LARGE: [AtomicU64; 1 << 17] = [const { AtomicU64::new(0) }; 1 << 17];

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    WORD.store(1, Ordering::Relaxed);
    for page in LARGE.iter().step_by(512 * 64) {
        page.fetch_add(1, Ordering::Relaxed);
    }
    let child = system::fork();
    let who = if child == 0 { "child" } else { "parent" };
    println!("{who}: the word is {}", WORD.load(Ordering::Relaxed));
    WORD.fetch_add(if child == 0 { 10 } else { 100 }, Ordering::Relaxed);
    system::give_way();
    println!("{who}: and now {}", WORD.load(Ordering::Relaxed));
    system::exit()
}
