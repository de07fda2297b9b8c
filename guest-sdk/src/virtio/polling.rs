//! When to look for what a device has done, and when to be told.
//!
//! An exit costs far more than a look at the used ring. So of the tasks that wait for a queue one
//! goes on looking for a while, for as long as it has paid lately, and only then an event is
//! awaited. The event comes behind a good part of the requests, not behind the first.

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

/// Who looks for what a queue has done, and how long.
#[derive(Debug)]
pub(super) struct Polling {
    /// Looking takes a processor, which the device may need.
    allowed: bool,
    time: Duration,
    poller: Option<Poller>,
    asleep: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Poller {
    slot: u16,
    until: Instant,
}

impl Polling {
    pub fn new() -> Self {
        let processors = start_info::get().page().host_processors;
        Self {
            allowed: processors > vcpu::count() && Instant::try_now().is_some(),
            time: FIRST,
            poller: None,
            asleep: None,
        }
    }

    /// The request whose task looks.
    pub fn poller(&self) -> Option<u16> {
        self.poller.map(|poller| poller.slot)
    }

    /// Whether the task of this request, which is not done, is to look again at once.
    pub fn look_again(&mut self, slot: u16) -> bool {
        if !self.allowed {
            return false;
        }
        let now = Instant::now();
        match self.poller {
            Some(poller) if poller.slot != slot => false,
            Some(poller) if now < poller.until => true,
            Some(_) => {
                self.poller = None;
                self.time /= 2;
                self.asleep = Some(now);
                false
            }
            None if self.time < SHORTEST => {
                self.asleep = Some(now);
                false
            }
            None => {
                let until = now + self.time;
                self.poller = Some(Poller { slot, until });
                true
            }
        }
    }

    /// A request is done.
    pub fn done(&mut self, slot: u16) {
        if self.left(slot) {
            self.time = (self.time * 2).min(LONGEST);
        }
    }

    /// Nobody looks for a request any more: whether somebody did.
    pub fn left(&mut self, slot: u16) -> bool {
        let looked = self.poller() == Some(slot);
        if looked {
            self.poller = None;
        }
        looked
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
