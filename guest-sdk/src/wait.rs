//! Waiting for what other code does: by descheduling the thread or, where there are no threads,
//! by blocking the vCPU.
//!
//! All that waits in this crate does it here. The pattern is a flag of one's own: tell others
//! who is to be woken, wait until the flag is set; the others set it, and then wake.

use crate::hypercall::raw;
use crate::thread::{self, Thread};
use crate::time::Instant;
use crate::upcall::{self, Masked};
use crate::vcpu;
use core::sync::atomic::{AtomicBool, Ordering};

/// Who waits, to be woken by others.
#[derive(Clone, Debug)]
pub(crate) enum Waiter {
    /// A thread.
    Thread(Thread),
    /// A vCPU on which there are no threads.
    Vcpu(u32),
}

impl Waiter {
    /// The running thread, or vCPU.
    pub fn current() -> Self {
        match thread::try_current() {
            Some(thread) => Self::Thread(thread),
            None => Self::Vcpu(vcpu::id()),
        }
    }

    /// Has it look at its flag, which was set before. Whoever does not wait takes no notice.
    pub fn wake(&self) {
        match self {
            Self::Thread(thread) => thread::scheduler::wake(thread),
            Self::Vcpu(id) => {
                let _masked = Masked::new();
                if *id != vcpu::id() {
                    // A kick is kept for the next block, so none comes too early.
                    let _ = raw::sched_kick(*id);
                }
            }
        }
    }
}

/// Waits until a flag is set, or until a time: whether the flag is set. Only the running thread
/// or vCPU waits for this flag.
///
/// # Panics
///
/// Where upcalls are masked: in a trap handler, or while a spin lock is held.
#[track_caller]
pub(crate) fn until(flag: &AtomicBool, deadline: Option<Instant>) -> bool {
    if flag.load(Ordering::Acquire) {
        return true;
    }
    let masked = Masked::new();
    assert!(
        masked.depth() == 1,
        "cannot wait while upcalls are masked: in a trap handler, or holding a SpinLock"
    );
    let threads = thread::has_current();
    loop {
        if threads {
            thread::scheduler::block(flag, deadline);
        } else {
            block_vcpu(deadline);
        }
        let set = flag.load(Ordering::Acquire);
        if set || deadline.is_some_and(|time| time <= Instant::now()) {
            drop(masked);
            return set;
        }
    }
}

/// Blocks this vCPU until an event has come or another vCPU kicks it.
fn block_vcpu(deadline: Option<Instant>) {
    vcpu::block(deadline);
    upcall::take_events();
}
