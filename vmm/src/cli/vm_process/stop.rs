//! Ending the VM before it ends by itself.

use std::fmt;
use std::time::{Duration, Instant};

/// Why a VM was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The guest was not to be asked.
    Forced,
    /// The guest does not want to be asked.
    Deaf,
    /// The guest did not end in this time after it was asked.
    Late(Duration),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forced => f.write_str("stopped without asking the guest"),
            Self::Deaf => {
                f.write_str("stopped at once, as the guest does not handle requests to shut down")
            }
            Self::Late(grace) => write!(
                f,
                "stopped, as the guest did not shut down within {} ms after it was asked to",
                grace.as_millis()
            ),
        }
    }
}

/// A stop that is under way.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Why.
    pub cause: Cause,
    /// When the guest's time is up; then, when the vCPUs are told again.
    pub next: Instant,
    /// When it was forced.
    pub forced: Option<Instant>,
}
