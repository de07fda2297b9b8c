//! A queue of those who wait for something.

#![allow(unsafe_code)]

use super::{Guard, SpinLock};
use crate::time::Instant;
use crate::wait::{self, Waiter};
use alloc::collections::VecDeque;
use core::sync::atomic::{AtomicBool, Ordering};

/// Who waits, in the order in which they began to. A spin lock guards it, together with what
/// they wait for.
#[derive(Debug)]
pub(super) struct WaitQueue {
    /// They lie on the stacks of those who wait, for as long as they are here.
    places: VecDeque<*const Place>,
}

// SAFETY: what the pointers point to may be used by any thread, see `Place`.
unsafe impl Send for WaitQueue {}

/// The place of one in a queue.
#[derive(Debug)]
struct Place {
    waiter: Waiter,
    /// Set when it is taken out of the queue by somebody else.
    called: AtomicBool,
}

impl WaitQueue {
    pub const fn new() -> Self {
        Self {
            places: VecDeque::new(),
        }
    }

    /// Takes the first one out of the queue: `wake` it when the queue is not locked any more.
    pub fn call_first(&mut self) -> Option<Waiter> {
        let place = self.places.pop_front()?;
        // SAFETY: the place was in the queue, so it is still there; it may be gone as soon as
        // `called` is set.
        unsafe {
            let waiter = (*place).waiter.clone();
            (*place).called.store(true, Ordering::Release);
            Some(waiter)
        }
    }

    /// Takes all out of the queue: wake each of them.
    pub fn call_all(&mut self) -> VecDeque<Waiter> {
        core::iter::from_fn(|| self.call_first()).collect()
    }
}

/// Waits in a queue until called, or until a time: whether it was called. The queue is a part of
/// what `lock` guards. Once this is in the queue, `locked` is freed and `then` is called.
pub(super) fn wait<T>(
    lock: &SpinLock<T>,
    mut locked: Guard<'_, T>,
    queue: fn(&mut T) -> &mut WaitQueue,
    deadline: Option<Instant>,
    then: impl FnOnce(),
) -> bool {
    let place = Place {
        waiter: Waiter::current(),
        called: AtomicBool::new(false),
    };
    queue(&mut locked).places.push_back(&raw const place);
    drop(locked);
    then();
    if wait::until(&place.called, deadline) {
        return true;
    }
    let mut locked = lock.lock();
    let places = &mut queue(&mut locked).places;
    match places.iter().position(|&other| other == &raw const place) {
        Some(index) => {
            places.remove(index);
            false
        }
        // Called at the last moment.
        None => true,
    }
}
