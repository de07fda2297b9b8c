//! From `event_send` on one vCPU to the handler on another.

use super::{Measure, Samples, wait_for};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use paravane_sdk::Features;
use paravane_sdk::event::{Events, Port, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::Instant;
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::vcpu::{self, State};

pub const MEASURE: Measure = Measure {
    name: "events",
    needs: Features::EVENTS
        .union(Features::VCPUS)
        .union(Features::BLOCKING),
    vcpus: 2,
    run,
};

const OTHER: u32 = 1;
const ROUNDS: usize = 500;

/// When the event was noticed there; 0 until then.
static NOTICED: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

fn run() -> Result<Vec<Samples>, String> {
    Ok(vec![
        Samples {
            name: "event_to_running_vcpu",
            unit: "ns",
            values: to_vcpu(spin, State::Running)?,
        },
        Samples {
            name: "event_to_blocked_vcpu",
            unit: "ns",
            values: to_vcpu(block, State::Blocked)?,
        },
    ])
}

/// What the other vCPU does while it is sent an event: it goes on, and an upcall interrupts it.
fn spin() {
    while !STOP.load(Ordering::Acquire) {
        spin_loop();
    }
}

/// It waits for the event, and takes it itself.
fn block() {
    let masked = Masked::new();
    while !STOP.load(Ordering::Acquire) {
        // It fails nowhere.
        let _ = raw::sched_block();
        let now = Instant::now();
        if Events::begin().count() > 0 {
            notice(now);
        }
    }
    drop(masked);
}

fn notice(now: Instant) {
    NOTICED.store(now.as_nanos(), Ordering::Release);
}

/// Sends events to the other vCPU, each when that does again what it is to do: how long each took.
fn to_vcpu(occupation: fn(), state: State) -> Result<Vec<u64>, String> {
    STOP.store(false, Ordering::Release);
    let port = Port::for_ipi(OTHER, Priority::High).map_err(|error| format!("a port: {error}"))?;
    upcall::set_handler(port.number(), |_| notice(Instant::now()));
    vcpu::start(OTHER, move |_| occupation()).map_err(|error| format!("vcpu_start: {error}"))?;
    let samples = send_all(&port, state);
    STOP.store(true, Ordering::Release);
    // It may be waiting.
    let _ = raw::sched_kick(OTHER);
    wait_for("the end of the other vCPU", || {
        (vcpu::state(OTHER) == State::Stopped).then_some(())
    })?;
    upcall::clear_handler(port.number());
    samples
}

fn send_all(port: &Port, state: State) -> Result<Vec<u64>, String> {
    let mut samples = Vec::with_capacity(ROUNDS);
    for round in 0..=ROUNDS {
        wait_for("the other vCPU", || {
            (vcpu::state(OTHER) == state && !port.is_pending()).then_some(())
        })?;
        NOTICED.store(0, Ordering::Release);
        let sent = Instant::now().as_nanos();
        port.send()
            .map_err(|error| format!("event_send: {error}"))?;
        let noticed = wait_for("an event", || {
            Some(NOTICED.load(Ordering::Acquire)).filter(|&noticed| noticed != 0)
        })?;
        // The first comes when the vCPU may not have begun.
        if round > 0 {
            samples.push(noticed.saturating_sub(sent));
        }
    }
    Ok(samples)
}
