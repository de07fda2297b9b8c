//! Starting and stopping other vCPUs.

#![allow(unsafe_code)]

use super::{State, count, id, state, words};
use crate::hypercall::raw;
use crate::stack::Stack;
use crate::sync::SpinLock;
use crate::{sched, start_info, task, trap, upcall};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use pv_abi::{Errno, Features};

/// What a vCPU is started with.
struct Start {
    main: Box<dyn FnOnce(u32) + Send>,
    /// The lowest address of its stack.
    lowest: u64,
}

/// Size of the stack that a vCPU is started on, in bytes.
const STACK_SIZE: usize = 64 << 10;

/// The stacks on which vCPUs were started, by their numbers. A vCPU that stops itself does so on
/// its stack, which is therefore kept for when it is started again.
static STACKS: SpinLock<BTreeMap<u32, Stack>> = SpinLock::new(BTreeMap::new());

/// Starts a vCPU that is stopped: it calls `main` with its number, on a stack of its own of
/// 64 KiB, with traps and upcalls arriving at the SDK. When `main` returns, the vCPU stops.
///
/// # Errors
///
/// [`Errno::EINVAL`] when there is no such vCPU, [`Errno::EBUSY`] when it is not stopped.
pub fn start(id: u32, main: impl FnOnce(u32) + Send + 'static) -> Result<(), Errno> {
    if id >= count() {
        return Err(Errno::EINVAL);
    }
    let mut stacks = STACKS.lock();
    let stack = stacks.entry(id).or_insert_with(|| Stack::new(STACK_SIZE));
    let (top, lowest) = (stack.top().expose_provenance() as u64, stack.range().start);
    drop(stacks);
    let main: *mut Start = Box::into_raw(Box::new(Start {
        main: Box::new(main),
        lowest,
    }));
    let argument = main.expose_provenance() as u64;
    // SAFETY: the entry takes its argument as a `Start`, and a stopped vCPU's stack is nobody's.
    let started = unsafe { raw::vcpu_start(id, enter as *const () as u64, top, argument) };
    if started.is_err() {
        // SAFETY: the vCPU was not started, so this is still ours alone.
        drop(unsafe { Box::from_raw(main) });
    }
    started.map(drop)
}

/// Starts all vCPUs that are stopped, each as [`start`] does, and returns their numbers.
pub fn start_all(main: impl Fn(u32) + Send + Sync + 'static) -> Vec<u32> {
    let main = Arc::new(main);
    (0..count())
        .filter(|&id| state(id) == State::Stopped)
        .filter(|&id| {
            let main = Arc::clone(&main);
            start(id, move |id| main(id)).is_ok()
        })
        .collect()
}

/// Waits until vCPUs have stopped that stop by themselves, as those of [`start`] do.
pub fn join(vcpus: &[u32]) {
    for &id in vcpus {
        while state(id) != State::Stopped {
            sched::yield_now();
        }
    }
}

/// Stops a vCPU. When this returns, it executes nothing; this vCPU itself does not return.
///
/// # Errors
///
/// [`Errno::EINVAL`] when there is no such vCPU, [`Errno::EBUSY`] when it is stopping this one.
///
/// # Safety
///
/// Whatever it was doing is not finished: a lock that it holds stays taken for ever.
pub unsafe fn stop(id: u32) -> Result<(), Errno> {
    // SAFETY: the caller's promise.
    unsafe { raw::vcpu_stop(id) }.map(drop)
}

/// Where a started vCPU enters: with RDI as it was given, on its stack. No caller: a backtrace
/// ends here.
#[unsafe(naked)]
extern "C" fn enter() -> ! {
    core::arch::naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "xor ebp, ebp",
        "call {started}",
        "ud2",
        ".cfi_endproc",
        started = sym started,
    )
}

/// # Safety
///
/// Only [`enter`] calls this, with what [`start`] gave it.
unsafe extern "C" fn started(start: *mut Start) -> ! {
    let main = {
        // SAFETY: the caller's promise. It is freed here: this function does not return.
        let start = unsafe { Box::from_raw(start) };
        // SAFETY: nothing on this vCPU has used them yet; they may be left from when it last ran.
        unsafe {
            words::store::<{ words::THREAD }>(0);
            words::store32::<{ words::MASK_DEPTH }>(0);
            words::store32::<{ words::RESCHEDULE }>(0);
            words::store32::<{ words::SPACE }>(0);
            words::store::<{ words::STACK }>(start.lowest);
        }
        start.main
    };
    trap::register();
    task::vcpu_started();
    if start_info::get().features().contains(Features::EVENTS) {
        upcall::enable();
    }
    main(id());
    // SAFETY: this vCPU has nothing more to do, and this frame holds nothing.
    let stopped = unsafe { raw::vcpu_stop(id()) };
    panic!("the vCPU did not stop: {stopped:?}");
}
