//! How long the rings are looked at before the thread sleeps.
//!
//! While it looks, the driver need not ring. As with KVM's halt polling, the time grows as long as
//! the driver comes soon after the thread has gone to sleep, and shrinks when it does not: a disk
//! under load takes hardly a doorbell, and an idle one takes no processor time.

use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_micros(20);
/// The longest time, as of KVM's halt_poll_ns.
const LONG: Duration = Duration::from_micros(200);

/// The time that is spent on looking.
#[derive(Debug)]
pub struct Polling {
    window: Duration,
    /// When there was something to do.
    last: Instant,
}

impl Polling {
    /// Begins with a short time.
    pub fn new(now: Instant) -> Self {
        Self {
            window: SHORT,
            last: now,
        }
    }

    /// There was something to do.
    pub fn worked(&mut self, now: Instant) {
        self.last = now;
    }

    /// Whether to look once more. While the host is `busy` with requests the time is short, as the
    /// host's threads need the processor.
    pub fn goes_on(&self, now: Instant, busy: bool) -> bool {
        let window = if busy { SHORT } else { self.window };
        now.saturating_duration_since(self.last) < window
    }

    /// The thread has slept until the driver rang.
    pub fn rang(&mut self, now: Instant) {
        let idle = now.saturating_duration_since(self.last);
        self.window = if idle < LONG {
            (self.window * 2).min(LONG)
        } else {
            SHORT
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_grows_while_the_driver_comes_soon_and_no_further_than_its_limit() {
        let mut now = Instant::now();
        let mut polling = Polling::new(now);
        let looks = |polling: &Polling, now, after| {
            polling.goes_on(now + Duration::from_micros(after), false)
        };
        assert!(looks(&polling, now, 19) && !looks(&polling, now, 20));
        for _ in 0..10 {
            now += Duration::from_micros(150);
            polling.rang(now);
            polling.worked(now);
        }
        assert!(looks(&polling, now, 199) && !looks(&polling, now, 200));
        now += Duration::from_micros(201);
        polling.rang(now);
        polling.worked(now);
        assert!(!looks(&polling, now, 20));
    }

    #[test]
    fn while_the_host_is_at_work_the_time_is_short() {
        let mut now = Instant::now();
        let mut polling = Polling::new(now);
        now += Duration::from_micros(50);
        polling.rang(now);
        polling.worked(now);
        let later = now + Duration::from_micros(30);
        assert!(polling.goes_on(later, false) && !polling.goes_on(later, true));
    }
}
