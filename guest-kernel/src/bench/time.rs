//! The group `time`: setting timers, and how late they are.

#![allow(unsafe_code)]

use super::notice::{forget, notice, wait};
use super::session::{Session, Trouble};
use super::{Operation, out, ticks};
use alloc::vec;
use paravane_sdk::abi::time::Wallclock;
use paravane_sdk::event::{Events, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::{self, Instant, Timer};
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::{Features, vcpu};

const TIMERS: Features = Features::EVENTS
    .union(Features::TIMERS)
    .union(Features::CLOCK);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("time_oneshot", oneshot).needs(TIMERS),
    Operation::new("time_periodic", periodic).needs(TIMERS),
    Operation::new("time_cancel", cancel).needs(TIMERS),
    Operation::new("time_wallclock", wallclock).needs(Features::CLOCK),
    Operation::new("timer_past", past).needs(TIMERS),
    Operation::new("timer_running", running).needs(TIMERS),
    Operation::new("timer_blocked", blocked)
        .needs(TIMERS)
        .needs(Features::BLOCKING),
];

/// An hour, in nanoseconds: no timer that is only set is due before the end.
const HOUR: u64 = 3_600_000_000_000;
/// A millisecond, in nanoseconds: from the setting of a timer to its deadline.
const DELAY: u64 = 1_000_000;

fn timer() -> Result<Timer, Trouble> {
    Timer::new(vcpu::id(), Priority::Highest).map_err(Trouble::call("event_bind_timer"))
}

/// Setting alone, each time a little later.
fn oneshot(session: &Session) -> Result<(), Trouble> {
    let timer = timer()?;
    let port = timer.port().number();
    let mut deadline = Instant::now().as_nanos() + HOUR;
    session.each(|| {
        deadline += 1000;
        raw::time_oneshot(port, deadline).map(drop)
    })
}

fn periodic(session: &Session) -> Result<(), Trouble> {
    let timer = timer()?;
    let port = timer.port().number();
    let mut first = Instant::now().as_nanos() + HOUR;
    session.each(|| {
        first += 1000;
        raw::time_periodic(port, first, DELAY).map(drop)
    })
}

/// Of a timer that is not set.
fn cancel(session: &Session) -> Result<(), Trouble> {
    let timer = timer()?;
    let port = timer.port().number();
    session.each(|| raw::time_cancel(port).map(drop))
}

fn wallclock(session: &Session) -> Result<(), Trouble> {
    let mut wallclock = vec![Wallclock::default()];
    let out = out(&mut wallclock)?;
    // SAFETY: the call writes to the time of day alone.
    session.each(|| unsafe { raw::time_wallclock(out) }.map(drop))
}

/// Calls something with a timer whose handler notices its event.
fn with_noticing_timer(body: impl FnOnce(&Timer) -> Result<(), Trouble>) -> Result<(), Trouble> {
    let timer = timer()?;
    upcall::set_handler(timer.port().number(), |_| notice());
    upcall::enable();
    let result = body(&timer);
    upcall::disable();
    upcall::clear_handler(timer.port().number());
    result
}

/// From the setting, to a time that has passed, to the handler: an interrupt that was asked for.
fn past(session: &Session) -> Result<(), Trouble> {
    with_noticing_timer(|timer| {
        let port = timer.port().number();
        session.samples(1, || {
            forget();
            let begun = ticks::begin();
            raw::time_oneshot(port, 0)?;
            Ok(wait("a timer")?.saturating_sub(begun))
        })
    })
}

/// From the deadline to the handler, of a vCPU that goes on.
fn running(session: &Session) -> Result<(), Trouble> {
    let delay = Delay::new()?;
    with_noticing_timer(|timer| {
        session.samples(1, || {
            forget();
            let due = delay.set(timer)?;
            Ok(wait("a timer")?.saturating_sub(due))
        })
    })
}

/// From the deadline to the return of `sched_block`.
fn blocked(session: &Session) -> Result<(), Trouble> {
    let delay = Delay::new()?;
    let timer = timer()?;
    let _masked = Masked::new();
    session.samples(1, || {
        let due = delay.set(&timer)?;
        loop {
            raw::sched_block()?;
            let now = ticks::end();
            // All of them: one that is left would end the next wait.
            if Events::begin().count() > 0 {
                return Ok(now.saturating_sub(due));
            }
        }
    })
}

/// The delay, in ticks.
struct Delay(u64);

impl Delay {
    fn new() -> Result<Self, Trouble> {
        const TICKS: u64 = 1 << 30;
        let clock = time::clock().ok_or("there is no clock")?;
        let now = ticks::begin();
        let nanoseconds = clock.at(now + TICKS) - clock.at(now);
        if nanoseconds == 0 {
            return Err("the clock stands still".into());
        }
        let ticks = u128::from(TICKS) * u128::from(DELAY) / u128::from(nanoseconds);
        Ok(Self(ticks as u64))
    }

    /// Sets a timer that is due so much later: the TSC then.
    fn set(&self, timer: &Timer) -> Result<u64, Trouble> {
        let clock = time::clock().ok_or("there is no clock")?;
        let due = ticks::begin() + self.0;
        raw::time_oneshot(timer.port().number(), clock.at(due))?;
        Ok(due)
    }
}
