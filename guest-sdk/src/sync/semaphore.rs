//! A counting semaphore.

use super::SpinLock;
use super::queue::{self, WaitQueue};
use crate::time::Instant;
use core::time::Duration;

/// A number of permits. Threads take one each, in the order in which they ask for it, and wait
/// while there is none.
#[derive(Debug)]
pub struct Semaphore {
    state: SpinLock<State>,
}

#[derive(Debug)]
struct State {
    permits: usize,
    queue: WaitQueue,
}

impl Semaphore {
    /// A semaphore with so many permits.
    pub const fn new(permits: usize) -> Self {
        Self {
            state: SpinLock::new(State {
                permits,
                queue: WaitQueue::new(),
            }),
        }
    }

    /// Takes a permit, and waits for one.
    #[track_caller]
    pub fn acquire(&self) {
        self.acquire_until(None);
    }

    /// Takes a permit, and waits for one, but no longer than this: whether it got one.
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> bool {
        self.acquire_until(Some(Instant::now() + timeout))
    }

    /// Takes a permit if there is one.
    pub fn try_acquire(&self) -> bool {
        let mut state = self.state.lock();
        let available = state.permits > 0;
        state.permits -= usize::from(available);
        available
    }

    #[track_caller]
    fn acquire_until(&self, deadline: Option<Instant>) -> bool {
        let mut state = self.state.lock();
        if state.permits > 0 {
            state.permits -= 1;
            return true;
        }
        // `release` leaves its permit to whom it calls.
        queue::wait(
            &self.state,
            state,
            |state| &mut state.queue,
            deadline,
            || {},
        )
    }

    /// Gives a permit back, or adds one. A handler of an event may do this.
    pub fn release(&self) {
        let mut state = self.state.lock();
        let first = state.queue.call_first();
        state.permits += usize::from(first.is_none());
        drop(state);
        if let Some(waiter) = first {
            waiter.wake();
        }
    }
}
