//! What a VM's task waits for by the clock.

use std::time::Duration;
use tokio::time::Instant;

/// What is due at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The VM is started again.
    Restart,
    /// The guest should run by now.
    Start,
    /// The process should have ended by now.
    Stop,
    /// The process has closed its connection and lives: it is connected to again.
    Reconnect,
}

const COUNT: usize = 4;

/// The times at which things are due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timers([Option<Instant>; COUNT]);

impl Timers {
    /// Something is due after a time from now; what was set before for it is forgotten.
    pub fn set(&mut self, timer: Timer, after: Duration) {
        *self.slot(timer) = Some(Instant::now() + after);
    }

    /// Something is not due any more.
    pub fn clear(&mut self, timer: Timer) {
        *self.slot(timer) = None;
    }

    /// Nothing is due any more.
    pub fn clear_all(&mut self) {
        *self = Self::default();
    }

    /// Waits until something is due, and forgets it.
    pub async fn due(&mut self) -> Timer {
        let all = [Timer::Restart, Timer::Start, Timer::Stop, Timer::Reconnect];
        let next = all
            .into_iter()
            .filter_map(|timer| Some((timer, (*self.slot(timer))?)))
            .min_by_key(|(_, at)| *at);
        let Some((timer, at)) = next else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(at).await;
        self.clear(timer);
        timer
    }

    fn slot(&mut self, timer: Timer) -> &mut Option<Instant> {
        let [restart, start, stop, reconnect] = &mut self.0;
        match timer {
            Timer::Restart => restart,
            Timer::Start => start,
            Timer::Stop => stop,
            Timer::Reconnect => reconnect,
        }
    }
}
