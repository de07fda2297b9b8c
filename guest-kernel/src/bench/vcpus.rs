//! The group `vcpu`.

#![allow(unsafe_code)]

use super::notice::{NOTICED, forget, wait, wait_until};
use super::peer::{PEER, run_state};
use super::session::{Session, Trouble};
use super::{Operation, ticks};
use alloc::boxed::Box;
use alloc::vec;
use core::arch::naked_asm;
use paravane_sdk::abi::vcpu_page::RUN_STATE_STOPPED;
use paravane_sdk::hypercall::raw;
use paravane_sdk::vcpu::{self, State};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("vcpu_state", state).with_a_peer(),
    Operation::new("vcpu_start", start).with_a_peer(),
];

/// Of another vCPU.
fn state(session: &Session) -> Result<(), Trouble> {
    session.each(|| raw::vcpu_state(PEER).map(drop))
}

/// From the call to the first instruction of the vCPU.
fn start(session: &Session) -> Result<(), Trouble> {
    const STACK: usize = 16 << 10;
    // The vCPU stops itself on it, so it is never free again.
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let top = stack.as_ptr_range().end as u64 & !15;
    session.samples(1, || {
        forget();
        let begun = ticks::begin();
        // SAFETY: the entry stops the vCPU on a stack that nobody else uses.
        unsafe { raw::vcpu_start(PEER, enter as *const () as u64, top, 0) }?;
        let started = wait("the other vCPU")?;
        wait_for_end(session)?;
        Ok(started.saturating_sub(begun))
    })
}

/// Waits until the other vCPU can be started again. Its page says so a little too early.
fn wait_for_end(session: &Session) -> Result<(), Trouble> {
    wait_until("the end of the other vCPU", || {
        (run_state(PEER) == RUN_STATE_STOPPED).then_some(())
    })?;
    wait_until("the end of the other vCPU", || {
        session.set_aside(1);
        (vcpu::state(PEER) == State::Stopped).then_some(())
    })
}

/// Notes the TSC, and stops.
#[unsafe(naked)]
unsafe extern "C" fn enter() -> ! {
    naked_asm!(
        "rdtsc",
        "shl rdx, 32",
        "or rax, rdx",
        "mov [rip + {noticed}], rax",
        "xor ebp, ebp",
        "call {stop}",
        "ud2",
        noticed = sym NOTICED,
        stop = sym stop,
    )
}

extern "C" fn stop() -> ! {
    // SAFETY: nothing of this vCPU is needed any more.
    let result = unsafe { raw::vcpu_stop(vcpu::id()) };
    panic!("vcpu_stop of the own vCPU returned {result:?}");
}
