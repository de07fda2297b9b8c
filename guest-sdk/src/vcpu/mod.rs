//! vCPUs: the running one, whose page the GS base holds, and the others.

#![allow(unsafe_code)]

mod per_vcpu;
mod start;
pub(crate) mod words;

pub use per_vcpu::PerVcpu;
pub use start::{join, start, start_all, stop};

use crate::hypercall::raw;
use crate::start_info;
use crate::time::Instant;
use core::mem::offset_of;
use core::ops::Range;
use pv_abi::Errno;
use pv_abi::vcpu_page::{RUN_STATE_BLOCKED, RUN_STATE_RUNNABLE, RUN_STATE_RUNNING, VcpuPage};

/// The page of the running vCPU.
///
/// The VMM changes fields of it at any time: read them by volatile reads.
pub fn page() -> *mut VcpuPage {
    let address: usize;
    // SAFETY: the GS base is the vCPU page's address from the entry on, and its first word
    // holds that address.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[{own_address}]",
            out(reg) address,
            own_address = const offset_of!(VcpuPage, self_address),
            options(nostack, preserves_flags, readonly),
        );
    }
    core::ptr::with_exposed_provenance_mut(address)
}

/// The number of the running vCPU.
pub fn id() -> u32 {
    let id;
    // SAFETY: as in `page`.
    unsafe {
        core::arch::asm!(
            "mov {:e}, gs:[{vcpu_id}]",
            out(reg) id,
            vcpu_id = const offset_of!(VcpuPage, vcpu_id),
            options(nostack, preserves_flags, readonly),
        );
    }
    id
}

/// How many vCPUs the VM has. Their numbers are 0 to one less.
pub fn count() -> u32 {
    start_info::get().vcpus()
}

/// What a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not been started, or was stopped.
    Stopped,
    /// It is in the guest, or a call of its own is being carried out.
    Running,
    /// It could run, and waits for a processor of the host.
    Runnable,
    /// It waits inside a call.
    Blocked,
}

/// What a vCPU does. The answer may be out of date at once, but for a vCPU that is stopped.
///
/// # Panics
///
/// Where there is no such vCPU.
pub fn state(id: u32) -> State {
    match raw::vcpu_state(id) {
        Ok(RUN_STATE_RUNNING) => State::Running,
        Ok(RUN_STATE_RUNNABLE) => State::Runnable,
        Ok(RUN_STATE_BLOCKED) => State::Blocked,
        Ok(_) => State::Stopped,
        // A VMM that cannot start any has this one alone.
        Err(Errno::ENOSYS) if id == self::id() => State::Running,
        Err(error) => panic!("there is no vCPU {id} of {}: {error}", count()),
    }
}

/// Blocks the running vCPU until it is told of an event, is kicked, or a time has come. It
/// returns at once if an event waits to be taken. Upcalls are masked, so that none is taken
/// between the caller's last look and this call.
pub(crate) fn block(deadline: Option<Instant>) {
    let page = page();
    // In the ABI 0 is no deadline.
    let nanoseconds = deadline.map_or(0, |time| time.as_nanos().max(1));
    // SAFETY: the page is mapped for ever, and the field is the guest's.
    unsafe { (&raw mut (*page).deadline).write_volatile(nanoseconds) };
    if raw::sched_block().is_err() {
        // A VMM that cannot block a vCPU: the caller looks again, and others get their turn.
        let _ = raw::sched_yield();
    }
}

/// The addresses of the running vCPU's boot stack, empty where it has none. Below them lies a
/// guard page.
pub fn boot_stack() -> Range<u64> {
    let page = page();
    // SAFETY: the page is mapped for as long as the vCPU runs.
    let (top, size) = unsafe {
        (
            (&raw const (*page).boot_stack_top).read_volatile(),
            (&raw const (*page).boot_stack_size).read_volatile(),
        )
    };
    top - size..top
}

/// The addresses of the running vCPU's trap stack. Below them lies a guard page.
pub fn trap_stack() -> Range<u64> {
    let page = page();
    // SAFETY: the page is mapped for as long as the vCPU runs.
    let (top, size) = unsafe {
        (
            (&raw const (*page).trap_stack_top).read_volatile(),
            (&raw const (*page).trap_stack_size).read_volatile(),
        )
    };
    top - size..top
}
