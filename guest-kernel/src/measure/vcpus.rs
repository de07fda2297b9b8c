//! From `vcpu_start` to the first instruction of the vCPU.

#![allow(unsafe_code)]

use super::{Measure, Samples, clock, wait_for};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::Features;
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::Instant;
use paravane_sdk::vcpu::{self, State};

pub const MEASURE: Measure = Measure {
    name: "vcpus",
    needs: Features::VCPUS,
    vcpus: 2,
    run,
};

const OTHER: u32 = 1;
const ROUNDS: usize = 500;
const STACK: usize = 16 << 10;

/// The TSC at the first instruction of the vCPU; 0 until then.
static STARTED: AtomicU64 = AtomicU64::new(0);

fn run() -> Result<Vec<Samples>, String> {
    let clock = clock()?;
    // The vCPU stops itself on it, so it is never free again.
    let stack = Box::leak(vec![0u8; STACK].into_boxed_slice());
    let top = stack.as_ptr_range().end as u64 & !15;
    let mut values = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        STARTED.store(0, Ordering::Release);
        let begun = Instant::now().as_nanos();
        // SAFETY: the entry stops the vCPU on a stack that nobody else uses.
        unsafe { raw::vcpu_start(OTHER, enter as *const () as u64, top, 0) }
            .map_err(|error| format!("vcpu_start: {error}"))?;
        let started = wait_for("the other vCPU", || {
            Some(STARTED.load(Ordering::Acquire)).filter(|&started| started != 0)
        })?;
        values.push(clock.at(started).saturating_sub(begun));
        wait_for("the end of the other vCPU", || {
            (vcpu::state(OTHER) == State::Stopped).then_some(())
        })?;
    }
    Ok(vec![Samples {
        name: "vcpu_start",
        unit: "ns",
        values,
    }])
}

/// Notes the TSC, and stops.
#[unsafe(naked)]
unsafe extern "C" fn enter() -> ! {
    naked_asm!(
        "rdtsc",
        "shl rdx, 32",
        "or rax, rdx",
        "mov [rip + {started}], rax",
        "xor ebp, ebp",
        "call {stop}",
        "ud2",
        started = sym STARTED,
        stop = sym stop,
    )
}

extern "C" fn stop() -> ! {
    // SAFETY: nothing of this vCPU is needed any more.
    let result = unsafe { raw::vcpu_stop(vcpu::id()) };
    panic!("vcpu_stop of the own vCPU returned {result:?}");
}
