//! A mutual exclusion lock for threads.

#![allow(unsafe_code)]

use super::SpinLock;
use super::queue::{self, WaitQueue};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU8, Ordering};

// `Mutex::state`.
const FREE: u8 = 0;
const LOCKED: u8 = 1;
/// Locked, and somebody may wait.
const CONTENDED: u8 = 2;

/// A mutual exclusion lock between threads: who has to wait for it, leaves its vCPU to others.
///
/// A thread may be preempted while it holds the lock, and may wait for something else. Handlers
/// of traps and events must not use it: theirs is the [`SpinLock`].
pub struct Mutex<T: ?Sized> {
    state: AtomicU8,
    queue: SpinLock<WaitQueue>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives out its value to one owner at a time.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: the value goes along.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self {
            state: AtomicU8::new(FREE),
            queue: SpinLock::new(WaitQueue::new()),
            value: UnsafeCell::new(value),
        }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock, and waits while another thread holds it. A thread that holds it already
    /// waits for ever.
    ///
    /// # Panics
    ///
    /// Where it has to wait and cannot: in a handler, or while a [`SpinLock`] is held.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if self.take(LOCKED) != FREE {
            self.lock_contended();
        }
        self.guard()
    }

    /// Takes the lock if nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        (self.take(LOCKED) == FREE).then(|| self.guard())
    }

    /// The value, without locking: nobody else can have a reference.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The state before. If it was free, it is `new` now.
    fn take(&self, new: u8) -> u8 {
        match self
            .state
            .compare_exchange(FREE, new, Ordering::Acquire, Ordering::Relaxed)
        {
            Ok(state) | Err(state) => state,
        }
    }

    #[cold]
    #[track_caller]
    fn lock_contended(&self) {
        loop {
            let locked = self.queue.lock();
            // Whoever frees it from now on looks at the queue.
            if self.state.swap(CONTENDED, Ordering::Acquire) == FREE {
                return;
            }
            queue::wait(&self.queue, locked, |queue| queue, None, || {});
        }
    }

    fn unlock(&self) {
        if self.state.swap(FREE, Ordering::Release) == CONTENDED {
            let first = self.queue.lock().call_first();
            if let Some(waiter) = first {
                waiter.wake();
            }
        }
    }

    fn guard(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            not_send: PhantomData,
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(value) => f.debug_tuple("Mutex").field(&&*value).finish(),
            None => f.write_str("Mutex(locked)"),
        }
    }
}

/// The right to a mutex's value. The mutex is free again when it is dropped.
#[must_use]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// The thread that took it frees it.
    not_send: PhantomData<*mut ()>,
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a guard exists only while its thread holds the lock.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: a guard exists only while its thread holds the lock, and it is borrowed alone.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
