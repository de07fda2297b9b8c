//! Time: the clock, timers and their events, without threads.
//!
//! ```sh
//! cargo build --release
//! paravane run target/release/timers
//! ```
//!
//! A timer is a port that becomes pending when its time has come. There are three ways to notice:
//! a handler that interrupts whatever the vCPU does, waiting for one port or another in
//! `sched_poll`, and looking.

#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use paravane_sdk::event::Priority;
use paravane_sdk::hypercall::raw;
use paravane_sdk::sync::Semaphore;
use paravane_sdk::time::{Instant, Timer, wallclock};
use paravane_sdk::{Errno, Features, address, entry, println, thread, upcall, vcpu};

entry!(
    main,
    requires(
        Features::EVENTS
            .union(Features::TIMERS)
            .union(Features::CLOCK)
    )
);

fn main() -> i32 {
    let result = tell_the_time()
        .and_then(|()| count_ticks())
        .and_then(|()| wait_for_a_handler())
        .and_then(|()| poll_two_timers());
    match result {
        Ok(()) => 0,
        Err(error) => {
            println!("{error}");
            1
        }
    }
}

/// Reading the clock costs no exit: its parameters are in the vCPU page, the rest is RDTSC.
fn tell_the_time() -> Result<(), Errno> {
    let start = Instant::now();
    thread::sleep(Duration::from_millis(5));
    println!("slept for {:?}", start.elapsed());
    // The time of day does cost one. With the clock's time beside it, one is enough.
    let now = wallclock()?;
    let (hour, minute) = (now.seconds / 3600 % 24, now.seconds / 60 % 60);
    println!("it is {hour:02}:{minute:02}:{:02} UTC", now.seconds % 60);
    Ok(())
}

/// A handler interrupts what the vCPU is doing, here a loop that makes no call at all.
fn count_ticks() -> Result<(), Errno> {
    static TICKS: AtomicU32 = AtomicU32::new(0);
    upcall::enable();
    let timer = Timer::new(vcpu::id(), Priority::default())?;
    upcall::set_handler(timer.port().number(), |_| {
        TICKS.fetch_add(1, Ordering::Relaxed);
    });
    let period = Duration::from_millis(2);
    timer.set_periodic(Instant::now() + period, period)?;
    let mut turns = 0_u64;
    while TICKS.load(Ordering::Relaxed) < 10 {
        turns += 1;
    }
    println!("10 ticks of {period:?} came in {turns} turns of a loop");
    // While upcalls are masked, an event waits; ticks that nobody has noticed are one event.
    let before = TICKS.load(Ordering::Relaxed);
    upcall::masked(|| {
        let end = Instant::now() + 3 * period;
        while Instant::now() < end {}
    });
    let events = TICKS.load(Ordering::Relaxed) - before;
    println!("3 more ticks came while upcalls were masked: {events} event");
    upcall::clear_handler(timer.port().number());
    Ok(())
}

/// What a handler does should be short: here it lets somebody else go on. The vCPU waits in
/// `sched_block`, and takes no time of the host's.
fn wait_for_a_handler() -> Result<(), Errno> {
    static DUE: Semaphore = Semaphore::new(0);
    let timer = Timer::new(vcpu::id(), Priority::default())?;
    upcall::set_handler(timer.port().number(), |_| DUE.release());
    let deadline = Instant::now() + Duration::from_millis(5);
    timer.set(deadline);
    DUE.acquire();
    println!("woken {:?} after the deadline", deadline.elapsed());
    upcall::clear_handler(timer.port().number());
    Ok(())
}

/// Without handlers: the ports are masked, so that nobody is told, and `sched_poll` waits for one.
fn poll_two_timers() -> Result<(), Errno> {
    let timers = [
        Timer::new(vcpu::id(), Priority::default())?,
        Timer::new(vcpu::id(), Priority::default())?,
    ];
    let start = Instant::now();
    for (timer, milliseconds) in timers.iter().zip([6, 3]) {
        timer.port().mask();
        timer.set(start + Duration::from_millis(milliseconds));
    }
    // Two 32-bit numbers, 8-byte aligned.
    let ports = timers
        .each_ref()
        .map(|timer| u64::from(timer.port().number()));
    let array = ports[0] | ports[1] << 32;
    for _ in 0..2 {
        let index = raw::sched_poll(address::of(&array), 2, u64::MAX)? as usize;
        // Whoever clears the bit has the event.
        timers[index].port().take();
        println!("timer {index} after {:?}", start.elapsed());
    }
    Ok(())
}
