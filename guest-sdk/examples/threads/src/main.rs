//! Threads: workers that find prime numbers, on all vCPUs of the VM.
//!
//! ```sh
//! cargo build --release
//! paravane run --vcpus 4 target/release/threads
//! paravane run --vcpus 4 --cmdline 2000000 target/release/threads   # primes below this
//! ```
//!
//! The first thread hands out ranges by a channel that holds only a few: while it is full, the
//! thread waits, and its vCPU runs another one. The workers put what they find into a total that a
//! mutex guards. A thread that only shows the progress sleeps most of the time.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;
use paravane_sdk::sync::{Barrier, Mutex, bounded};
use paravane_sdk::thread::{self, JoinHandle};
use paravane_sdk::{entry, println, start_info, vcpu};

entry!(main, vcpus(1, 64), requires(thread::REQUIRED));

/// The numbers to look at, unless the command line says how many, and in how many parts they are
/// handed out.
const NUMBERS: u32 = 400_000;
const PARTS: u32 = 80;

/// What the workers have found so far.
#[derive(Default)]
struct Found {
    primes: u32,
    largest: u32,
    parts: u32,
}

fn main() {
    let argument = start_info::get().command_line().trim();
    let numbers: u32 = match argument {
        "" => NUMBERS,
        _ => match argument.parse() {
            Ok(numbers @ PARTS..) => numbers,
            _ => panic!("the command line is {argument:?}, not a number from {PARTS} on"),
        },
    };
    // From here on the vCPUs run threads, this function's closure being the first one. `run`
    // returns when all threads have ended.
    let found = thread::run(|| find_primes(numbers, 2 * vcpu::count()));
    println!(
        "{} primes below {numbers}, the largest is {}",
        found.primes, found.largest
    );
}

fn find_primes(numbers: u32, workers: u32) -> Found {
    println!("{workers} workers on {} vCPUs", vcpu::count());
    let total = Arc::new(Mutex::new(Found::default()));
    // They begin together, when the first thread is ready too.
    let start = Arc::new(Barrier::new(workers as usize + 1));
    let mut queues = Vec::new();
    let threads: Vec<JoinHandle<u32>> = (0..workers)
        .map(|number| {
            let (sender, parts) = bounded::<Range<u32>>(2);
            queues.push(sender);
            let (total, start) = (Arc::clone(&total), Arc::clone(&start));
            // A name and a number of its own make a crash report readable.
            let builder = thread::Builder::new().name(&alloc::format!("worker {number}"));
            builder.spawn(move || {
                start.wait();
                let mut taken = 0;
                // It ends when the sender is gone, and the queue is empty.
                for part in parts.iter() {
                    let primes = part.filter(|&number| is_prime(number));
                    let (count, largest) = primes.fold((0, 0), |(n, _), prime| (n + 1, prime));
                    let mut total = total.lock();
                    total.primes += count;
                    total.largest = total.largest.max(largest);
                    total.parts += 1;
                    taken += 1;
                }
                taken
            })
        })
        .collect();
    let progress = {
        let total = Arc::clone(&total);
        thread::spawn(move || show_progress(&total))
    };

    start.wait();
    let bound = |part: u32| (u64::from(numbers) * u64::from(part) / u64::from(PARTS)) as u32;
    for (part, queue) in (0..PARTS).zip(queues.iter().cycle()) {
        // It fails only when the worker has ended.
        let _ = queue.send(bound(part)..bound(part + 1));
    }
    drop(queues);

    for thread in threads {
        let name = thread.thread().clone();
        println!("{name} has looked at {} ranges", thread.join());
    }
    progress.join();
    core::mem::take(&mut *total.lock())
}

fn show_progress(total: &Mutex<Found>) {
    loop {
        thread::sleep(Duration::from_millis(20));
        let done = total.lock().parts;
        println!("{}%", done * 100 / PARTS);
        if done == PARTS {
            return;
        }
    }
}

fn is_prime(number: u32) -> bool {
    let mut divisors = (2..).take_while(|divisor| divisor * divisor <= number);
    number >= 2 && !divisors.any(|divisor| number.is_multiple_of(divisor))
}
