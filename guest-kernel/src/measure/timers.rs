//! How late timers are.

use super::{Measure, Samples, wait_for};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use paravane_sdk::event::{Events, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::{Instant, Timer};
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::{Features, vcpu};

pub const MEASURE: Measure = Measure {
    name: "timers",
    needs: Features::EVENTS
        .union(Features::TIMERS)
        .union(Features::BLOCKING),
    vcpus: 1,
    run,
};

const ROUNDS: usize = 500;
/// From the setting to the deadline.
const DELAY: Duration = Duration::from_millis(1);

static NOTICED: AtomicU64 = AtomicU64::new(0);

fn run() -> Result<Vec<Samples>, String> {
    let timer = Timer::new(vcpu::id(), Priority::Highest)
        .map_err(|error| format!("event_bind_timer: {error}"))?;
    Ok(vec![
        Samples {
            name: "timer_lateness_blocked",
            unit: "ns",
            values: (0..ROUNDS).map(|_| blocked(&timer)).collect(),
        },
        Samples {
            name: "timer_lateness_running",
            unit: "ns",
            values: running(&timer)?,
        },
    ])
}

/// Waits in `sched_block`.
fn blocked(timer: &Timer) -> u64 {
    let _masked = Masked::new();
    let deadline = Instant::now() + DELAY;
    timer.set(deadline);
    loop {
        // It fails nowhere.
        let _ = raw::sched_block();
        let now = Instant::now();
        if Events::begin().any(|port| port == timer.port().number()) {
            return (now - deadline).as_nanos() as u64;
        }
    }
}

/// Goes on, until the upcall interrupts it.
fn running(timer: &Timer) -> Result<Vec<u64>, String> {
    let port = timer.port().number();
    upcall::set_handler(port, |_| {
        NOTICED.store(Instant::now().as_nanos(), Ordering::Release);
    });
    upcall::enable();
    let samples = (0..ROUNDS)
        .map(|_| {
            NOTICED.store(0, Ordering::Release);
            let deadline = Instant::now() + DELAY;
            timer.set(deadline);
            let noticed = wait_for("a timer", || {
                Some(NOTICED.load(Ordering::Acquire)).filter(|&noticed| noticed != 0)
            })?;
            Ok(noticed.saturating_sub(deadline.as_nanos()))
        })
        .collect();
    upcall::disable();
    upcall::clear_handler(port);
    samples
}
