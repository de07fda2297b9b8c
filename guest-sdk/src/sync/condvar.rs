//! A condition variable.

use super::queue::{self, WaitQueue};
use super::{MutexGuard, SpinLock};
use crate::time::Instant;
use core::time::Duration;

/// A condition variable: threads wait for what a [`Mutex`](super::Mutex) guards to change.
#[derive(Debug)]
pub struct Condvar {
    queue: SpinLock<WaitQueue>,
}

impl Condvar {
    /// A condition variable for which nobody waits.
    #[expect(clippy::new_without_default, reason = "as the other types have none")]
    pub const fn new() -> Self {
        Self {
            queue: SpinLock::new(WaitQueue::new()),
        }
    }

    /// Frees the mutex, waits until notified, and takes the mutex again. Others may have taken it
    /// before: look at the condition again.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.wait_until(guard, None).0
    }

    /// Waits while a condition holds.
    #[track_caller]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// As [`Condvar::wait`], but waits no longer than this: whether it was notified.
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        self.wait_until(guard, Some(Instant::now() + timeout))
    }

    #[track_caller]
    fn wait_until<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let mutex = guard.mutex();
        let locked = self.queue.lock();
        // In the queue before the mutex is free: no notification is missed.
        let free_mutex = || drop(guard);
        let called = queue::wait(&self.queue, locked, |queue| queue, deadline, free_mutex);
        (mutex.lock(), called)
    }

    /// Wakes one of those that wait, the one that has waited longest.
    pub fn notify_one(&self) {
        let first = self.queue.lock().call_first();
        if let Some(waiter) = first {
            waiter.wake();
        }
    }

    /// Wakes all that wait.
    pub fn notify_all(&self) {
        let all = self.queue.lock().call_all();
        for waiter in all {
            waiter.wake();
        }
    }
}
