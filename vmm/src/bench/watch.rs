//! Getting back a vCPU that does not come back, and ending a run that is interrupted.

use crate::vcpu::kick::Kicker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often a vCPU is kicked that should stop, and how soon a wish to stop is noticed.
const INTERVAL: Duration = Duration::from_millis(50);

/// Whether the bench is to stop, and how long a vCPU may stay in the guest.
#[derive(Clone, Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    patience: Duration,
    expired: Arc<AtomicBool>,
}

impl Watch {
    /// One that gives a vCPU so much time, and ends early when `stop` is set.
    pub fn new(stop: Arc<AtomicBool>, patience: Duration) -> Self {
        Self {
            stop,
            patience,
            expired: Arc::default(),
        }
    }

    /// The same with another patience.
    pub fn with_patience(&self, patience: Duration) -> Self {
        Self {
            patience,
            expired: Arc::default(),
            stop: Arc::clone(&self.stop),
        }
    }

    /// Whether the bench is to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether the time of the work in [`Self::during`] is over.
    pub fn expired(&self) -> bool {
        self.expired.load(Ordering::SeqCst)
    }

    /// Does the work, and kicks once it should be over.
    pub fn during<T>(&self, kicker: &Kicker, work: impl FnOnce() -> T) -> T {
        self.during_with(|| kicker.kick(), work)
    }

    /// Does the work, and calls `end` again and again once it should be over.
    pub fn during_with<T>(&self, end: impl Fn() + Sync, work: impl FnOnce() -> T) -> T {
        self.expired.store(false, Ordering::SeqCst);
        let (done, ended) = channel::<()>();
        let begun = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                // It is told by the other end's drop.
                let ended = ended;
                while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                    if begun.elapsed() > self.patience {
                        self.expired.store(true, Ordering::SeqCst);
                    }
                    if self.stopped() || self.expired() {
                        end();
                    }
                }
            });
            let result = work();
            drop(done);
            result
        })
    }
}
