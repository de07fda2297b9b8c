//! Upcalls: events that interrupt code, wherever it is.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use paravane_sdk::abi::event::TIMER_PERIOD_MIN;
use paravane_sdk::event::{self, Events, Port, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::{Instant, Timer};
use paravane_sdk::trap::{self, TrapFrame, VectorState};
use paravane_sdk::vcpu;

pub const GROUP: Group = Group {
    name: "delivery",
    tests: tests![
        an_event_interrupts_at_once,
        masked_it_waits,
        a_call_is_not_disturbed,
        registers_and_vectors_are_kept,
        a_trap_is_not_disturbed,
    ],
};

/// How many upcalls there were, and how many events they took.
static UPCALLS: AtomicU64 = AtomicU64::new(0);
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// A sum of results of calls made by the handler, which is 0 when none was disturbed.
static WRONG: AtomicU64 = AtomicU64::new(0);

fn handle(_: &mut TrapFrame, _: &mut VectorState) {
    UPCALLS.fetch_add(1, Ordering::SeqCst);
    // A call in the handler, so that it disturbs one that was under way if anything does.
    if raw::debug_echo(1, 1, 1, 1, 1, 1) != Ok(21) {
        WRONG.fetch_add(1, Ordering::SeqCst);
    }
    for _ in Events::begin() {
        TAKEN.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs something with upcalls unmasked: how many of them there were.
fn with_upcalls(body: impl FnOnce() -> Outcome) -> Result<u64, alloc::string::String> {
    trap::set_upcall_handler(handle);
    trap::enable_upcalls().map_err(|error| format!("trap_set_upcall: {error}"))?;
    UPCALLS.store(0, Ordering::SeqCst);
    TAKEN.store(0, Ordering::SeqCst);
    WRONG.store(0, Ordering::SeqCst);
    // What came before is the handler's too.
    let _ = event::unmask_upcalls();
    let outcome = body();
    event::mask_upcalls();
    // SAFETY: without a handler nothing is entered.
    let removed = unsafe { raw::trap_set_upcall(0) };
    outcome?;
    ensure_eq!(removed, Ok(0), "trap_set_upcall(0)");
    ensure_eq!(
        WRONG.load(Ordering::SeqCst),
        0,
        "disturbed calls of the handler"
    );
    Ok(UPCALLS.load(Ordering::SeqCst))
}

fn port() -> Result<Port, alloc::string::String> {
    Port::new(vcpu::id(), Priority::default()).map_err(|error| format!("event_alloc: {error}"))
}

fn an_event_interrupts_at_once() -> Outcome {
    let port = port()?;
    let upcalls = with_upcalls(|| {
        for turn in 0..100 {
            ensure_eq!(port.send(), Ok(true), "event_send");
            ensure_eq!(TAKEN.load(Ordering::SeqCst), turn + 1, "events taken");
        }
        Ok(())
    })?;
    ensure_eq!(upcalls, 100, "the number of upcalls");
    Ok(())
}

fn masked_it_waits() -> Outcome {
    let port = port()?;
    let upcalls = with_upcalls(|| {
        event::mask_upcalls();
        ensure_eq!(port.send(), Ok(true), "event_send");
        ensure_eq!(port.send(), Ok(false), "a second event_send");
        ensure_eq!(UPCALLS.load(Ordering::SeqCst), 0, "upcalls while masked");
        ensure!(event::unmask_upcalls(), "nothing waits");
        for _ in Events::begin() {
            TAKEN.fetch_add(1, Ordering::SeqCst);
        }
        ensure_eq!(TAKEN.load(Ordering::SeqCst), 1, "events taken");
        Ok(())
    })?;
    ensure_eq!(upcalls, 0, "the number of upcalls");
    Ok(())
}

/// A period that leaves time for something beside the handler, which makes a call.
fn period() -> Duration {
    const CALLS: u32 = 16;
    let begin = Instant::now();
    for _ in 0..CALLS {
        let _ = raw::core_noop();
    }
    (begin.elapsed() / CALLS * 8).max(Duration::from_nanos(TIMER_PERIOD_MIN))
}

/// Interrupts something by a timer, until there were so many upcalls.
fn bombard(turns: u64, mut body: impl FnMut(u64) -> Outcome) -> Outcome {
    let timer = Timer::new(vcpu::id(), Priority::default())
        .map_err(|error| format!("event_bind_timer: {error}"))?;
    with_upcalls(|| {
        let set = timer.set_periodic(Instant::now(), period());
        ensure_eq!(set, Ok(()), "time_periodic");
        let mut turn = 0;
        while TAKEN.load(Ordering::SeqCst) < turns {
            body(turn)?;
            turn += 1;
        }
        ensure!(timer.cancel(), "the timer was not set");
        Ok(())
    })?;
    Ok(())
}

fn a_call_is_not_disturbed() -> Outcome {
    bombard(200, |turn| {
        let turn = turn & 0xffff;
        let result = raw::debug_echo(turn, 2, 3, 4, 5, 6);
        ensure_eq!(result, Ok(turn as u32 + 90), "debug_echo of turn {turn}");
        Ok(())
    })
}

fn registers_and_vectors_are_kept() -> Outcome {
    let step = |seed: u64| {
        let mut words = [seed | 1; 8];
        let mut floats = [seed as f64 + 0.5; 8];
        for round in 0..2000u64 {
            for (index, word) in words.iter_mut().enumerate() {
                *word = word
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(index as u32)
                    ^ round;
            }
            for (index, float) in floats.iter_mut().enumerate() {
                *float = *float * 0.75 + index as f64;
            }
        }
        (words, floats.map(f64::to_bits))
    };
    let expected = step(black_box(42));
    bombard(200, |_| {
        ensure!(step(black_box(42)) == expected, "a computation went wrong");
        Ok(())
    })
}

fn a_trap_is_not_disturbed() -> Outcome {
    fn skip(_: &mut TrapFrame) -> trap::Resume {
        TRAPS.fetch_add(1, Ordering::SeqCst);
        trap::Resume::Resume
    }
    static TRAPS: AtomicU64 = AtomicU64::new(0);
    let _handlers = super::catch::Handlers::set(&[(trap::Vector::BP, skip)]);
    TRAPS.store(0, Ordering::SeqCst);
    bombard(200, |turn| {
        // SAFETY: the handler goes on behind it.
        unsafe { core::arch::asm!("int3") };
        ensure_eq!(
            TRAPS.load(Ordering::SeqCst),
            turn + 1,
            "the number of traps"
        );
        spin_loop();
        Ok(())
    })
}
