//! A value for each vCPU.

#![allow(unsafe_code)]

use super::{count, id};
use crate::upcall;
use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// A value for each vCPU, which it uses without a lock.
///
/// The values are made at the first use, one for each vCPU of the VM.
#[derive(Debug)]
pub struct PerVcpu<T> {
    /// The first of as many slots as there are vCPUs; null before the first use.
    slots: AtomicPtr<Slot<T>>,
    make: fn(u32) -> T,
    owns: PhantomData<Slot<T>>,
}

/// The value of one vCPU, in cache lines that no other vCPU writes.
#[derive(Debug)]
#[repr(align(128))]
struct Slot<T> {
    entered: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: a value is used by its own vCPU, and by `iter` if it may be by several.
unsafe impl<T: Send> Sync for PerVcpu<T> {}
// SAFETY: the values go along.
unsafe impl<T: Send> Send for PerVcpu<T> {}

impl<T> PerVcpu<T> {
    /// Values that `make` makes, of the number of the vCPU.
    pub const fn new(make: fn(u32) -> T) -> Self {
        Self {
            slots: AtomicPtr::new(core::ptr::null_mut()),
            make,
            owns: PhantomData,
        }
    }

    /// Uses the value of the running vCPU. Upcalls are masked meanwhile, so that this code is
    /// not preempted, and goes on on this vCPU.
    ///
    /// # Panics
    ///
    /// When this vCPU is using it already: a trap handler interrupted that.
    pub fn with<R>(&self, body: impl FnOnce(&T) -> R) -> R {
        let slots = self.slots();
        upcall::masked(|| {
            let slot = &slots[id() as usize];
            assert!(
                !slot.entered.swap(true, Ordering::Relaxed),
                "this vCPU is using the value already: a trap handler may not use what it may \
                 have interrupted"
            );
            // SAFETY: only this vCPU is here, once, and `iter` shares what may be shared.
            let result = body(unsafe { &*slot.value.get() });
            slot.entered.store(false, Ordering::Relaxed);
            result
        })
    }

    /// The values of all vCPUs, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T>
    where
        T: Sync,
    {
        // SAFETY: the values are only ever shared.
        self.slots()
            .iter()
            .map(|slot| unsafe { &*slot.value.get() })
    }

    fn slots(&self) -> &[Slot<T>] {
        let mut first = self.slots.load(Ordering::Acquire);
        if first.is_null() {
            first = self.make_slots();
        }
        // SAFETY: `make_slots` made as many, and they live as long as this does.
        unsafe { core::slice::from_raw_parts(first, count() as usize) }
    }

    fn make_slots(&self) -> *mut Slot<T> {
        let slots: Box<[Slot<T>]> = (0..count())
            .map(|id| Slot {
                entered: AtomicBool::new(false),
                value: UnsafeCell::new((self.make)(id)),
            })
            .collect();
        let first = Box::into_raw(slots).cast::<Slot<T>>();
        let null = core::ptr::null_mut();
        match self
            .slots
            .compare_exchange(null, first, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => first,
            Err(theirs) => {
                // Another vCPU was faster.
                // SAFETY: these slots were made above, and nobody else has seen them.
                drop(unsafe { take(first) });
                theirs
            }
        }
    }
}

impl<T> Drop for PerVcpu<T> {
    fn drop(&mut self) {
        let first = *self.slots.get_mut();
        if !first.is_null() {
            // SAFETY: `make_slots` made them, and nobody uses them any more.
            drop(unsafe { take(first) });
        }
    }
}

/// The slots as the box that they were made as.
///
/// # Safety
///
/// The pointer is one that [`PerVcpu::make_slots`] made, and nobody else's any more.
unsafe fn take<T>(first: *mut Slot<T>) -> Box<[Slot<T>]> {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(first, count() as usize)) }
}
