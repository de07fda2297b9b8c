//! A barrier.

use super::SpinLock;
use super::queue::{self, WaitQueue};

/// A point that threads pass together.
#[derive(Debug)]
pub struct Barrier {
    threads: usize,
    state: SpinLock<State>,
}

#[derive(Debug)]
struct State {
    arrived: usize,
    queue: WaitQueue,
}

impl Barrier {
    /// A barrier for so many threads.
    pub const fn new(threads: usize) -> Self {
        Self {
            threads,
            state: SpinLock::new(State {
                arrived: 0,
                queue: WaitQueue::new(),
            }),
        }
    }

    /// Waits until all threads are here, and then lets all go: whether this was the last to come.
    /// The barrier can be used again.
    #[track_caller]
    pub fn wait(&self) -> bool {
        let mut state = self.state.lock();
        state.arrived += 1;
        if state.arrived < self.threads {
            queue::wait(&self.state, state, |state| &mut state.queue, None, || {});
            return false;
        }
        state.arrived = 0;
        let all = state.queue.call_all();
        drop(state);
        for waiter in all {
            waiter.wake();
        }
        true
    }
}
