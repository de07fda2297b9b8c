//! A spin lock that masks upcalls, and knows its owner.

#![allow(unsafe_code)]

use crate::upcall::Masked;
use crate::{hypercall::raw, vcpu};
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

/// [`SpinLock::owner`] while nobody holds the lock; otherwise it is one more than the number
/// of the vCPU that does.
const NOBODY: u32 = 0;

/// Fruitless looks at a lock after which the vCPU that holds it may need our processor.
const SPINS_BEFORE_TELLING: u32 = 1000;

/// A mutual exclusion lock between vCPUs, for short sections: who waits for it, spins.
///
/// Upcalls are masked while it is held. So an event's handler may use it too, and no thread is
/// preempted that holds it, for which others would spin in vain; nor may one wait meanwhile.
/// A [`Mutex`](super::Mutex) is for longer sections.
///
/// A trap handler runs in the middle of anything, so it can come upon a lock that the code it
/// interrupted holds. The lock knows its owner, so that this is an answer
/// ([`SpinLock::lock_unless_held_here`]) or a panic ([`SpinLock::lock`]), never a deadlock.
#[derive(Debug)]
pub struct SpinLock<T> {
    owner: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: the lock gives out its value to one owner at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A lock that nobody holds.
    pub const fn new(value: T) -> Self {
        Self {
            owner: AtomicU32::new(NOBODY),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock, and waits while another vCPU holds it.
    ///
    /// # Panics
    ///
    /// When this vCPU holds it already.
    #[track_caller]
    pub fn lock(&self) -> Guard<'_, T> {
        match self.lock_unless_held_here() {
            Some(guard) => guard,
            None => panic!(
                "this vCPU holds the lock already: a trap handler may not use what it may \
                 have interrupted"
            ),
        }
    }

    /// Takes the lock, and waits while another vCPU holds it; `None` when this vCPU does.
    pub fn lock_unless_held_here(&self) -> Option<Guard<'_, T>> {
        let masked = Masked::new();
        let this_vcpu = vcpu::id() + 1;
        let mut spins: u32 = 0;
        loop {
            match self.owner.compare_exchange_weak(
                NOBODY,
                this_vcpu,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    return Some(Guard {
                        lock: self,
                        _masked: masked,
                    });
                }
                Err(owner) if owner == this_vcpu => return None,
                Err(_) => {}
            }
            spins = spins.wrapping_add(1);
            if spins.is_multiple_of(SPINS_BEFORE_TELLING) {
                // Where the VMM does not know the call, we go on spinning.
                let _ = raw::sched_spin(spins);
            } else {
                core::hint::spin_loop();
            }
        }
    }

    /// Frees the lock that the running vCPU holds, where the guard is out of reach.
    ///
    /// # Safety
    ///
    /// This vCPU has the lock by a guard that was forgotten. Its [`Masked`] remains.
    pub(crate) unsafe fn unlock(&self) {
        self.owner.store(NOBODY, Ordering::Release);
    }

    /// The value, whoever holds the lock: for the last words of a guest that crashes.
    pub(crate) fn as_ptr(&self) -> *const T {
        self.value.get()
    }
}

impl<T: Default> Default for SpinLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

/// The right to a lock's value. The lock is free again when it is dropped.
#[derive(Debug)]
pub struct Guard<'a, T> {
    lock: &'a SpinLock<T>,
    /// Dropped behind `lock`: this vCPU holds no lock when it takes events.
    _masked: Masked,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a guard exists only while its vCPU holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: a guard exists only while its vCPU holds the lock, and it is borrowed alone.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.owner.store(NOBODY, Ordering::Release);
    }
}
