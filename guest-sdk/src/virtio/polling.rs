//! When to look for what a device has done, and when to be told.
//!
//! An exit costs far more than a look at the used ring. So a queue goes on being looked at for a
//! while, for as long as it has paid lately, and only then an event is awaited. The event comes
//! behind a good part of the requests, not behind the first.

use crate::time::Instant;
use crate::{start_info, vcpu};
use core::time::Duration;

/// The longest time to look, about what two exits cost.
const LONGEST: Duration = Duration::from_micros(100);
/// The time to look at first.
const FIRST: Duration = Duration::from_micros(20);
/// Below this it does not pay.
const SHORTEST: Duration = Duration::from_micros(4);

/// How far ahead the event is where so many requests are not being looked for.
///
/// Few requests may be of several kinds, where the quick one does not wait for the slow one.
pub(super) fn events_ahead(sleepers: u16) -> u16 {
    match sleepers {
        0..8 => sleepers.div_ceil(2),
        _ => sleepers - sleepers / 4,
    }
}

/// How long it is looked for what a queue has done.
#[derive(Debug)]
pub(super) struct Polling {
    /// Looking takes a processor, which the device may need.
    allowed: bool,
    time: Duration,
    until: Option<Instant>,
    asleep: Option<Instant>,
}

impl Polling {
    pub fn new() -> Self {
        let processors = start_info::get().page().host_processors;
        Self {
            allowed: processors > vcpu::count() && Instant::try_now().is_some(),
            time: FIRST,
            until: None,
            asleep: None,
        }
    }

    /// Whether to look again at once, where the device has requests. `found` says whether this look
    /// has found one that is done.
    pub fn goes_on(&mut self, found: bool) -> bool {
        if !self.allowed {
            return false;
        }
        let now = Instant::now();
        if found {
            // It has paid, or would have: the device is quick.
            let paid = self.until.take().is_some();
            let time = if paid { self.time * 2 } else { self.time };
            self.time = time.clamp(SHORTEST, LONGEST);
        }
        match self.until {
            Some(until) if now < until => return true,
            Some(_) => {
                self.until = None;
                self.time /= 2;
            }
            None if self.time < SHORTEST => {}
            None => {
                self.until = Some(now + self.time);
                return true;
            }
        }
        self.asleep = Some(now);
        false
    }

    /// There is nothing to look for.
    pub fn ends(&mut self) {
        self.until = None;
    }

    /// An event has come.
    pub fn told(&mut self) {
        if let Some(since) = self.asleep.take()
            && since.elapsed() < LONGEST
        {
            // To go on looking would have been cheaper.
            self.time = (self.time.max(SHORTEST) * 2).min(LONGEST);
        }
    }
}
