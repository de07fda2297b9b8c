//! Upcalls: what they interrupt, and how they are masked.

use super::{Group, Outcome, ensure, ensure_eq, tests};
use crate::provoke;
use crate::selftest::catch::Handlers;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use paravane_sdk::abi::Features;
use paravane_sdk::event::{self, Port, Priority};
use paravane_sdk::sync::SpinLock;
use paravane_sdk::time::{Instant, Timer};
use paravane_sdk::trap::{Resume, Vector};
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::{start_info, vcpu};

pub const GROUP: Group = Group {
    name: "upcalls",
    tests: tests![
        a_handler_is_called,
        a_timer_interrupts,
        masking_puts_it_off,
        masks_nest_in_any_order,
        a_spin_lock_masks,
        a_trap_handler_is_not_interrupted,
        a_handler_sends_to_another,
        a_disabled_vcpu_is_left_alone,
        without_a_handler_it_is_forgotten,
    ],
};

/// Upcalls arrive at this vCPU while it lives.
struct Enabled;

impl Enabled {
    fn new() -> Self {
        upcall::enable();
        Self
    }
}

impl Drop for Enabled {
    fn drop(&mut self) {
        upcall::disable();
    }
}

fn available() -> bool {
    let needed = Features::EVENTS
        .union(Features::TIMERS)
        .union(Features::CLOCK);
    start_info::get().features().contains(needed)
}

/// A port whose handler counts.
struct Counted {
    port: Port,
    count: Arc<AtomicU32>,
}

impl Counted {
    fn new(priority: Priority) -> Result<Self, String> {
        let port = Port::new(vcpu::id(), priority).map_err(|error| format!("a port: {error}"))?;
        let count = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&count);
        upcall::set_handler(port.number(), move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        Ok(Self { port, count })
    }

    fn send(&self) -> Outcome {
        ensure_eq!(self.port.send(), Ok(true), "event_send");
        Ok(())
    }

    fn count(&self) -> u32 {
        self.count.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        upcall::clear_handler(self.port.number());
    }
}

fn a_handler_is_called() -> Outcome {
    if !available() {
        return Ok(());
    }
    let _enabled = Enabled::new();
    let counted = Counted::new(Priority::default())?;
    for round in 1..=20 {
        counted.send()?;
        // It comes at the next instruction, or soon.
        while counted.count() < round {
            spin_loop();
        }
        ensure!(!counted.port.is_pending(), "the event is still pending");
    }
    ensure_eq!(counted.count(), 20, "the calls of the handler");
    Ok(())
}

fn a_timer_interrupts() -> Outcome {
    if !available() {
        return Ok(());
    }
    static TICKS: AtomicU32 = AtomicU32::new(0);
    TICKS.store(0, Ordering::SeqCst);
    let _enabled = Enabled::new();
    let timer =
        Timer::new(vcpu::id(), Priority::default()).map_err(|error| format!("a timer: {error}"))?;
    upcall::set_handler(timer.port().number(), |_| {
        TICKS.fetch_add(1, Ordering::SeqCst);
    });
    let period = Duration::from_millis(1);
    timer
        .set_periodic(Instant::now() + period, period)
        .map_err(|error| format!("time_periodic: {error}"))?;
    // No call: nothing but the timer takes the vCPU out of this.
    while TICKS.load(Ordering::SeqCst) < 5 {
        spin_loop();
    }
    timer.cancel();
    upcall::clear_handler(timer.port().number());
    Ok(())
}

fn masking_puts_it_off() -> Outcome {
    if !available() {
        return Ok(());
    }
    let _enabled = Enabled::new();
    let counted = Counted::new(Priority::default())?;
    upcall::masked(|| {
        counted.send()?;
        ensure!(event::upcall_pending(), "the vCPU was not told");
        ensure_eq!(counted.count(), 0, "the calls while masked");
        Ok(())
    })?;
    ensure_eq!(counted.count(), 1, "the calls behind it");
    Ok(())
}

fn masks_nest_in_any_order() -> Outcome {
    if !available() {
        return Ok(());
    }
    let _enabled = Enabled::new();
    let counted = Counted::new(Priority::default())?;
    let (outer, inner) = (Masked::new(), Masked::new());
    counted.send()?;
    drop(outer);
    ensure_eq!(counted.count(), 0, "the calls while one is left");
    drop(inner);
    ensure_eq!(counted.count(), 1, "the calls while none is left");
    Ok(())
}

fn a_spin_lock_masks() -> Outcome {
    if !available() {
        return Ok(());
    }
    let _enabled = Enabled::new();
    let counted = Counted::new(Priority::default())?;
    let lock = SpinLock::new(());
    let guard = lock.lock();
    counted.send()?;
    ensure_eq!(counted.count(), 0, "the calls while it is locked");
    drop(guard);
    ensure_eq!(counted.count(), 1, "the calls behind it");
    Ok(())
}

fn a_trap_handler_is_not_interrupted() -> Outcome {
    if !available() {
        return Ok(());
    }
    static PORT: AtomicU32 = AtomicU32::new(0);
    static DURING: AtomicU64 = AtomicU64::new(u64::MAX);
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let _enabled = Enabled::new();
    let port =
        Port::new(vcpu::id(), Priority::default()).map_err(|error| format!("a port: {error}"))?;
    PORT.store(port.number(), Ordering::SeqCst);
    CALLS.store(0, Ordering::SeqCst);
    upcall::set_handler(port.number(), |_| {
        CALLS.fetch_add(1, Ordering::SeqCst);
    });
    let handlers = Handlers::set(&[(Vector::BP, |_| {
        let sent = paravane_sdk::hypercall::raw::event_send(PORT.load(Ordering::SeqCst));
        // A lock that is freed does not unmask here.
        drop(SpinLock::new(()).lock());
        let calls = CALLS.load(Ordering::SeqCst);
        DURING.store(
            u64::from(calls) << 1 | u64::from(sent == Ok(1)),
            Ordering::SeqCst,
        );
        Resume::Resume
    })]);
    provoke::breakpoint();
    drop(handlers);
    upcall::clear_handler(port.number());
    ensure_eq!(
        DURING.load(Ordering::SeqCst),
        1,
        "calls << 1 | sent, within"
    );
    ensure_eq!(CALLS.load(Ordering::SeqCst), 1, "the calls behind it");
    Ok(())
}

/// Events that come while others are handled are handled too, the highest priority first.
fn a_handler_sends_to_another() -> Outcome {
    if !available() {
        return Ok(());
    }
    let _enabled = Enabled::new();
    let order = Arc::new(SpinLock::new(Vec::new()));
    let ports = [Priority::Highest, Priority::High, Priority::Low]
        .into_iter()
        .map(|priority| Port::new(vcpu::id(), priority).map(Arc::new))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("a port: {error}"))?;
    for (index, port) in ports.iter().enumerate() {
        let order = Arc::clone(&order);
        let highest = Arc::clone(&ports[0]);
        upcall::set_handler(port.number(), move |_| {
            order.lock().push(index);
            if index == 1 {
                // Before the one that is due already.
                let _ = highest.send();
            }
        });
    }
    upcall::masked(|| {
        for port in ports.iter().skip(1).rev() {
            ensure_eq!(port.send(), Ok(true), "event_send");
        }
        Ok(())
    })?;
    for port in &ports {
        upcall::clear_handler(port.number());
    }
    ensure_eq!(*order.lock(), [1, 0, 2], "the order of the handlers");
    Ok(())
}

fn a_disabled_vcpu_is_left_alone() -> Outcome {
    if !available() {
        return Ok(());
    }
    let counted = Counted::new(Priority::default())?;
    counted.send()?;
    for _ in 0..1000 {
        spin_loop();
    }
    drop(SpinLock::new(()).lock());
    ensure_eq!(counted.count(), 0, "the calls before upcalls are enabled");
    let enabled = Enabled::new();
    ensure_eq!(counted.count(), 1, "the calls then");
    drop(enabled);
    ensure!(event::upcalls_masked(), "upcalls are not masked at the end");
    Ok(())
}

fn without_a_handler_it_is_forgotten() -> Outcome {
    if !available() {
        return Ok(());
    }
    let _enabled = Enabled::new();
    let port =
        Port::new(vcpu::id(), Priority::default()).map_err(|error| format!("a port: {error}"))?;
    upcall::masked(|| {
        ensure_eq!(port.send(), Ok(true), "event_send");
        ensure!(port.is_pending(), "it is not pending");
        Ok(())
    })?;
    ensure!(!port.is_pending(), "it is still pending");
    Ok(())
}
