//! Time: the clock, which is read without an exit, timers, and the time of day.

#![allow(unsafe_code)]

use crate::event::{Port, Priority};
pub use crate::exec::{Interval, Sleep, interval, sleep, sleep_until};
use crate::{address, hypercall::raw, vcpu};
use core::ops::{Add, AddAssign, Sub};
use core::sync::atomic::{Ordering, fence};
use core::time::Duration;
use pv_abi::Errno;
pub use pv_abi::time::Wallclock;
pub use pv_abi::vcpu_page::Clock;

/// The clock; `None` where the VMM has none to offer. It is the same on all vCPUs.
pub fn clock() -> Option<Clock> {
    let page = vcpu::page();
    loop {
        // SAFETY: the page is mapped for ever. The VMM may change the clock at any time, and says
        // so by the version.
        let (before, clock, after) = unsafe {
            let before = (&raw const (*page).clock.version).read_volatile();
            fence(Ordering::Acquire);
            let clock = (&raw const (*page).clock).read_volatile();
            fence(Ordering::Acquire);
            (
                before,
                clock,
                (&raw const (*page).clock.version).read_volatile(),
            )
        };
        if before == after && before.is_multiple_of(2) {
            return (clock.tsc_to_system_mul != 0).then_some(clock);
        }
        core::hint::spin_loop();
    }
}

/// The TSC, read after everything that comes before in the program.
fn ordered_tsc() -> u64 {
    // SAFETY: every x86-64 processor has both instructions, and guests may read the TSC.
    unsafe {
        core::arch::x86_64::_mm_lfence();
        core::arch::x86_64::_rdtsc()
    }
}

/// A time of the VM's clock: nanoseconds since the start of the VM, the same on all vCPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The time now. It costs no exit, and never goes back.
    ///
    /// # Panics
    ///
    /// Where there is no clock: without [`Features::CLOCK`](pv_abi::Features::CLOCK).
    pub fn now() -> Self {
        match Self::try_now() {
            Some(now) => now,
            None => panic!(
                "this VMM offers no clock: a guest that needs one says requires(Features::CLOCK) in entry!"
            ),
        }
    }

    /// The time now; `None` where there is no clock.
    pub fn try_now() -> Option<Self> {
        clock().map(|clock| Self(clock.at(ordered_tsc())))
    }

    /// The time that the VM's clock shows as so many nanoseconds.
    pub const fn from_nanos(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the start of the VM.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this; zero when `earlier` is later.
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The time from this to now.
    ///
    /// # Panics
    ///
    /// As [`Instant::now`].
    pub fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }

    /// The time so much later; the end of time, in five centuries, when it is later than that.
    pub const fn saturating_add(self, duration: Duration) -> Self {
        let nanoseconds = duration.as_nanos();
        if nanoseconds > u64::MAX as u128 {
            return Self(u64::MAX);
        }
        Self(self.0.saturating_add(nanoseconds as u64))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        self.saturating_add(duration)
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

/// The time of day, with the time of the clock at that moment: whoever keeps the difference can
/// tell the time of day without an exit.
///
/// # Errors
///
/// [`Errno::ENOSYS`] where there is no clock.
pub fn wallclock() -> Result<Wallclock, Errno> {
    let mut wallclock = Wallclock::default();
    let gpa =
        address::virt_to_phys(&raw mut wallclock, size_of::<Wallclock>()).ok_or(Errno::EFAULT)?;
    // SAFETY: the call writes to `wallclock` alone.
    unsafe { raw::time_wallclock(gpa) }?;
    Ok(wallclock)
}

/// A timer: a port that becomes pending when its time has come.
#[derive(Debug)]
pub struct Timer {
    port: Port,
}

impl Timer {
    /// A timer that is not set, whose port is told to `vcpu`.
    ///
    /// # Errors
    ///
    /// Those of `event_bind_timer`: no such vCPU, or there are no more ports or timers.
    pub fn new(vcpu: u32, priority: Priority) -> Result<Self, Errno> {
        Port::for_timer(vcpu, priority).map(|port| Self { port })
    }

    /// Its port.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Its port, with the timer as it is set, until the port is dropped.
    pub fn into_port(self) -> Port {
        self.port
    }

    /// Sets it to raise its port once, at `deadline` or, if that has passed, now.
    pub fn set(&self, deadline: Instant) {
        // It cannot fail: the port is a timer's.
        let _ = raw::time_oneshot(self.port.number(), deadline.0);
    }

    /// Sets it to raise its port at `first` and every `period` from then on.
    ///
    /// # Errors
    ///
    /// [`Errno::EINVAL`] for a period below
    /// [`TIMER_PERIOD_MIN`](pv_abi::event::TIMER_PERIOD_MIN).
    pub fn set_periodic(&self, first: Instant, period: Duration) -> Result<(), Errno> {
        let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        raw::time_periodic(self.port.number(), first.0, period).map(drop)
    }

    /// Stops it: whether it was set. An event that is pending stays so.
    pub fn cancel(&self) -> bool {
        raw::time_cancel(self.port.number()) == Ok(1)
    }
}
