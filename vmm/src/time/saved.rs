//! The clock and the timers of a VM in a snapshot.
//!
//! The guest's clock goes on where it was saved, and deadlines are times of that clock; so timers
//! are as far away as they were.

use super::queue::Armed;
use super::timers::Timers;
use crate::event::Events;
use crate::snapshot::Inconsistent;
use pv_abi::event::TIMER_PERIOD_MIN;
use serde::{Deserialize, Serialize};

/// The clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedClock {
    /// The time, in nanoseconds.
    pub now: u64,
    /// Frequency of the TSC in Hz; 0 when it is not known.
    pub tsc_frequency: u64,
}

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedTimer {
    /// Its port.
    pub port: u32,
    /// When it is due, in nanoseconds of the clock.
    pub deadline: u64,
    /// How often from then on, in nanoseconds; 0 for once.
    pub period: u64,
}

impl Timers {
    /// The timers that are set.
    pub fn save(&self) -> Vec<SavedTimer> {
        let mut saved = Vec::new();
        self.each_armed(|armed| {
            saved.push(SavedTimer {
                port: armed.port,
                deadline: armed.deadline,
                period: armed.period,
            });
        });
        saved
    }

    /// Sets timers as they were, whose ports there are. None is raised before its vCPU looks.
    ///
    /// # Errors
    ///
    /// They cannot have been so.
    pub fn restore(&self, events: &Events, saved: &[SavedTimer]) -> Result<(), Inconsistent> {
        for one in saved {
            let SavedTimer {
                port,
                deadline,
                period,
            } = *one;
            let wrong = |what| Inconsistent(format!("the timer of port {port} {what}"));
            if period != 0 && period < TIMER_PERIOD_MIN {
                return Err(wrong("has too short a period"));
            }
            let armed = Armed {
                deadline,
                late_from: deadline,
                period,
                port,
            };
            match self.arm_again(events, armed) {
                Ok(true) => {}
                Ok(false) => return Err(wrong("is there twice")),
                Err(_) => return Err(wrong("has no port")),
            }
        }
        Ok(())
    }
}
