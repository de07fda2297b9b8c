//! What is known of a thread.

#![allow(unsafe_code)]

use super::context::Context;
use super::scheduler::Scheduler;
use crate::exec::Worker;
use crate::stack::Stack;
use crate::sync::SpinLock;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::AtomicBool;

/// What a thread does when it runs first.
pub(super) type Main = Box<dyn FnOnce() + Send>;

/// Whether a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It runs, on some vCPU.
    Running,
    /// It waits for a vCPU, in the scheduler's queue.
    Ready,
    /// It waits for something else.
    Blocked,
}

/// Where a blocked thread is among those that wait for a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sleep {
    /// The vCPU that wakes it.
    pub vcpu: usize,
    /// When.
    pub deadline: Instant,
}

/// A thread.
pub(super) struct Control {
    pub id: u64,
    pub name: Option<Box<str>>,
    pub stack: Stack,
    /// Set by `unpark`, and taken by `park`.
    pub token: AtomicBool,
    /// What it begins with; taken by itself.
    pub main: Scheduled<Option<Main>>,
    /// Its registers while it does not run.
    pub context: Scheduled<Context>,
    pub state: Scheduled<State>,
    pub sleep: Scheduled<Option<Sleep>>,
    /// What it runs tasks as, where it does.
    pub worker: SpinLock<Option<Arc<Worker>>>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thread")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What is accessed only where the scheduler is locked: with a mutable reference to it, of which
/// there is one at a time.
pub(super) struct Scheduled<T>(UnsafeCell<T>);

// SAFETY: the lock of the scheduler serializes all accesses.
unsafe impl<T: Send> Sync for Scheduled<T> {}

impl<T> Scheduled<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value, for as long as the reference to the scheduler is borrowed.
    pub fn get<'a>(&'a self, _: &'a mut Scheduler) -> &'a mut T {
        // SAFETY: there is one scheduler, and the reference to it is borrowed for as long.
        unsafe { &mut *self.0.get() }
    }

    /// Its address, for what assembly does with it.
    pub fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}
