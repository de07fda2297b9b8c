//! The clock of a VM: nanoseconds since its start, for the guest and for the VMM.
//!
//! Both compute it from the TSC by the same formula (pv-abi/src/time.rs), so a deadline of the
//! guest's means the same to both, and reading the clock costs neither an exit.

use crate::hypercall::stats::{ordered_timestamp, timestamp};
use pv_abi::Features;
use pv_abi::vcpu_page::Clock as Page;
use std::time::Instant;

/// The features that need a clock that the guest can read.
pub const CLOCK_FEATURES: Features = Features::CLOCK.union(Features::TIMERS);

/// The clock of a VM.
#[derive(Clone, Debug)]
pub struct Clock {
    reading: Reading,
    /// What the guest's TSC is ahead of the host's, modulo 2^64.
    tsc_offset: u64,
}

#[derive(Clone, Debug)]
enum Reading {
    /// From the TSC: its fields are the guest's but for the offset.
    Tsc(Page),
    /// From the host's clock, for the deadlines of calls alone: the guest has none.
    Host(Instant),
}

impl Clock {
    /// A clock that is 0 now, for a TSC of so many Hz; 0 when KVM does not say, and the guest
    /// has no clock then. The guest's TSC is `tsc_offset` ahead of the host's.
    pub fn start(tsc_frequency: u64, tsc_offset: u64) -> Self {
        Self::go_on(tsc_frequency, tsc_offset, 0)
    }

    /// As [`Clock::start`], with a clock that is `now` at this moment, in nanoseconds.
    pub fn go_on(tsc_frequency: u64, tsc_offset: u64, now: u64) -> Self {
        let reading = match Page::new(tsc_frequency, timestamp(), now) {
            Some(page) => Reading::Tsc(page),
            None => Reading::Host(Instant::now()),
        };
        Self {
            reading,
            tsc_offset,
        }
    }

    /// The time, in nanoseconds. It never goes back.
    pub fn now(&self) -> u64 {
        match &self.reading {
            Reading::Tsc(page) => page.at(ordered_timestamp()),
            Reading::Host(start) => start.elapsed().as_nanos().try_into().unwrap_or(u64::MAX),
        }
    }

    /// What each vCPU page says about the clock; `None` when the guest has none.
    pub fn page(&self) -> Option<Page> {
        match self.reading {
            Reading::Tsc(page) => Some(Page {
                tsc_timestamp: page.tsc_timestamp.wrapping_add(self.tsc_offset),
                ..page
            }),
            Reading::Host(_) => None,
        }
    }

    /// Those of `features` that can be offered with this clock.
    pub fn features(&self, features: Features) -> Features {
        match self.reading {
            Reading::Tsc(_) => features,
            Reading::Host(_) => features.missing_from(CLOCK_FEATURES),
        }
    }
}
