//! How long each stage of a VM's start took.

use serde::Serialize;
use std::time::{Duration, Instant};

/// The stages of a start, in order, each with the time at which it was done.
#[derive(Clone, Debug)]
pub struct Stages {
    start: Instant,
    done: Vec<(&'static str, Instant)>,
}

/// One stage in a report.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// What was done.
    pub name: &'static str,
    /// Microseconds from the start of the process until it was done.
    pub at_us: u64,
    /// Microseconds that it took.
    pub took_us: u64,
}

impl Stages {
    /// Starts the clock.
    pub fn start() -> Self {
        Self::since(Instant::now())
    }

    /// A clock that was started at `start`.
    pub fn since(start: Instant) -> Self {
        Self {
            start,
            done: Vec::with_capacity(16),
        }
    }

    /// When the clock was started.
    pub fn started(&self) -> Instant {
        self.start
    }

    /// Says that a stage is done now.
    pub fn done(&mut self, name: &'static str) {
        self.done_at(name, Instant::now());
    }

    /// Says when a stage was done.
    pub fn done_at(&mut self, name: &'static str, at: Instant) {
        self.done.push((name, at));
    }

    /// The stages with their times.
    pub fn summary(&self) -> Vec<Stage> {
        let microseconds =
            |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let mut previous = self.start;
        self.done
            .iter()
            .map(|&(name, at)| {
                let stage = Stage {
                    name,
                    at_us: microseconds(at.saturating_duration_since(self.start)),
                    took_us: microseconds(at.saturating_duration_since(previous)),
                };
                previous = at;
                stage
            })
            .collect()
    }
}
