//! Values that are made once, when they are first needed.

#![allow(unsafe_code)]

use super::SpinLock;
use super::queue::{self, WaitQueue};
use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem::MaybeUninit;
use core::ops::Deref;
use core::sync::atomic::{AtomicBool, Ordering};

/// A value that is made once. Threads that need it meanwhile wait.
pub struct OnceLock<T> {
    /// Set when `value` is there, for ever.
    made: AtomicBool,
    state: SpinLock<State>,
    value: UnsafeCell<MaybeUninit<T>>,
}

#[derive(Debug)]
struct State {
    /// Whether somebody is making it.
    begun: bool,
    queue: WaitQueue,
}

// SAFETY: one thread makes the value, and from then on it is only shared.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: the value goes along.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// No value yet.
    #[expect(clippy::new_without_default, reason = "as the other types have none")]
    pub const fn new() -> Self {
        Self {
            made: AtomicBool::new(false),
            state: SpinLock::new(State {
                begun: false,
                queue: WaitQueue::new(),
            }),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The value, if it was made.
    pub fn get(&self) -> Option<&T> {
        self.made.load(Ordering::Acquire).then(|| {
            // SAFETY: the value is there, and nobody changes it any more.
            unsafe { (*self.value.get()).assume_init_ref() }
        })
    }

    /// The value; `make` makes it if nobody else did. A `make` that asks for the same value waits
    /// for itself, for ever.
    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        loop {
            if let Some(value) = self.get() {
                return value;
            }
            let mut state = self.state.lock();
            if !core::mem::replace(&mut state.begun, true) {
                break;
            }
            // It may have been made since `get`, and nobody is called twice.
            if !self.made.load(Ordering::Acquire) {
                queue::wait(&self.state, state, |state| &mut state.queue, None, || {});
            }
        }
        let value = make();
        // SAFETY: whoever has set `begun` is alone until `made` is set.
        let value = unsafe { (*self.value.get()).write(value) };
        let mut state = self.state.lock();
        self.made.store(true, Ordering::Release);
        let all = state.queue.call_all();
        drop(state);
        for waiter in all {
            waiter.wake();
        }
        value
    }

    /// Makes it this value.
    ///
    /// # Errors
    ///
    /// The value given, when there is another already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| match value.take() {
            Some(value) => value,
            None => unreachable!("a value is made once"),
        });
        match value {
            None => Ok(()),
            Some(value) => Err(value),
        }
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        if *self.made.get_mut() {
            // SAFETY: the value is there, and nobody uses it any more.
            unsafe { self.value.get_mut().assume_init_drop() }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}

/// A value that a function makes at the first use.
pub struct LazyLock<T, F = fn() -> T> {
    value: OnceLock<T>,
    make: Cell<Option<F>>,
}

// SAFETY: `make` is taken by one thread only, the one that makes the value.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    /// A value that this function will make.
    pub const fn new(make: F) -> Self {
        Self {
            value: OnceLock::new(),
            make: Cell::new(Some(make)),
        }
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.get_or_init(|| match self.make.take() {
            Some(make) => make(),
            None => unreachable!("a value is made once"),
        })
    }
}

impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyLock").field(&self.value.get()).finish()
    }
}
