//! Looking for what a device has done, for a while, before an event is awaited.
//!
//! [`Polling`](super::polling) does so for requests, which one task each waits for. Here it is one
//! task that moves packets for all others: while none of them is ready, it may look itself.

use crate::time::Instant;
use crate::{event, exec, start_info, vcpu};
use core::time::Duration;

/// The longest time to look: a few exits and the way through the host.
const LONGEST: Duration = Duration::from_micros(200);
/// The time to look at first.
const FIRST: Duration = Duration::from_micros(20);
/// Below this it does not pay.
const SHORTEST: Duration = Duration::from_micros(4);

/// How long a task looks.
#[derive(Debug)]
pub(crate) struct Linger {
    /// Looking takes a processor, which the device may need.
    allowed: bool,
    time: Duration,
    asleep: Option<Instant>,
}

impl Linger {
    pub fn new() -> Self {
        let processors = start_info::get().page().host_processors;
        Self {
            allowed: processors > vcpu::count() && Instant::try_now().is_some(),
            time: FIRST,
            asleep: None,
        }
    }

    /// Looks for something, for as long as it has paid lately and nobody else has anything to do:
    /// whether it has come. Otherwise an event is to be awaited.
    pub fn look(&mut self, mut come: impl FnMut() -> bool) -> bool {
        if !self.allowed || self.time < SHORTEST {
            self.asleep = self.allowed.then(Instant::now);
            return false;
        }
        let until = Instant::now() + self.time;
        loop {
            if come() {
                self.time = (self.time * 2).min(LONGEST);
                return true;
            }
            // Others have something to do, which tells nothing of whether looking pays.
            if !exec::is_idle() || event::upcall_pending() {
                return true;
            }
            let now = Instant::now();
            if now >= until {
                self.time /= 2;
                self.asleep = Some(now);
                return false;
            }
            core::hint::spin_loop();
        }
    }

    /// What was awaited has come.
    pub fn told(&mut self) {
        if let Some(since) = self.asleep.take()
            && since.elapsed() < LONGEST
        {
            // To go on looking would have been cheaper.
            self.time = (self.time.max(SHORTEST) * 2).min(LONGEST);
        }
    }
}
