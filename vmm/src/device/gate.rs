//! Holding back the thread of a device while its VM is paused.

use crate::sync::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Between a device's thread and whoever pauses the VM.
#[derive(Debug, Default)]
pub struct Gate {
    closed: AtomicBool,
    /// Wakes the device's runtime.
    request: Notify,
    place: Mutex<Place>,
    changed: Condvar,
}

/// Where the thread is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Serving,
    Held,
    /// The thread has ended, or is to: nobody is held any more.
    Ended,
}

/// Says that a thread has ended, when it is dropped.
#[derive(Debug)]
pub struct EndOfService<'a>(pub &'a Gate);

impl Drop for EndOfService<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Gate {
    /// Whether the thread is to be held.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits until the thread is to be held.
    pub async fn closed(&self) {
        loop {
            let request = self.request.notified();
            if self.is_closed() {
                return;
            }
            request.await;
        }
    }

    /// Holds the current thread, a device's, with everything that its runtime has, until the gate
    /// is open or the device is to end.
    ///
    /// The device touches neither guest memory nor anything of the host's: what it has given to
    /// the kernel to do is done.
    pub fn hold(&self) {
        let mut place = lock(&self.place);
        while self.is_closed() && *place != Place::Ended {
            *place = Place::Held;
            self.changed.notify_all();
            place = self
                .changed
                .wait(place)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if *place == Place::Held {
            *place = Place::Serving;
        }
    }

    /// Has the thread held from its next wait on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.request.notify_waiters();
    }

    /// Waits until the thread is held, or has ended, until `deadline`; whether it is.
    pub fn wait_until_held(&self, deadline: Instant) -> bool {
        let mut place = lock(&self.place);
        while *place == Place::Serving {
            let left = deadline.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return false;
            }
            place = self
                .changed
                .wait_timeout(place, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Lets the thread go on.
    pub fn open(&self) {
        let _place = lock(&self.place);
        self.closed.store(false, Ordering::SeqCst);
        self.changed.notify_all();
    }

    /// Holds nobody from now on.
    pub fn end(&self) {
        *lock(&self.place) = Place::Ended;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn later() -> Instant {
        Instant::now() + PATIENCE
    }

    #[test]
    fn a_thread_that_is_held_does_nothing_until_the_gate_is_open() {
        let gate = &Gate::default();
        let turns = &AtomicU32::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                let _end = EndOfService(gate);
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.build().unwrap();
                runtime.block_on(async {
                    while turns.fetch_add(1, Ordering::SeqCst) < 1000 {
                        gate.closed().await;
                        gate.hold();
                    }
                });
            });
            while turns.load(Ordering::SeqCst) < 1000 {
                gate.close();
                assert!(gate.wait_until_held(later()));
                let before = turns.load(Ordering::SeqCst);
                thread::yield_now();
                assert_eq!(turns.load(Ordering::SeqCst), before);
                gate.open();
            }
            gate.close();
            assert!(gate.wait_until_held(later()));
            gate.open();
        });
        gate.close();
        // It has ended, and nobody waits for it.
        assert!(gate.wait_until_held(Instant::now()));
    }

    #[test]
    fn the_wait_for_a_thread_that_does_not_come_ends() {
        let gate = Gate::default();
        gate.close();
        assert!(!gate.wait_until_held(Instant::now() + Duration::from_millis(2)));
    }

    #[test]
    fn a_device_that_is_to_end_is_held_no_more() {
        let gate = &Gate::default();
        gate.close();
        thread::scope(|scope| {
            scope.spawn(|| gate.hold());
            assert!(gate.wait_until_held(later()));
            gate.end();
        });
        gate.hold();
    }
}
