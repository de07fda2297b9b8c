//! From an exit of one vCPU to the handler of an interrupt of another: what telling another vCPU
//! takes by the means that KVM has for it without an interrupt controller, a signal and
//! KVM_INTERRUPT.
#![allow(unsafe_code)]

use super::pair::{Pair, Role, Times, VECTOR};
use crate::figures::Spread;
use kvm_bindings::kvm_interrupt;
use kvm_ioctls::{VcpuExit, VcpuFd};
use paravane::vcpu::kick::Kicker;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)` (Linux, `include/uapi/linux/kvm.h`).
const KVM_INTERRUPT: libc::c_ulong = 0x4004_ae86;

/// How long an interrupt may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nanoseconds of each of so many interrupts, in a VM at this CPL, from before the instruction by
/// which the sender exits to the first of the handler.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(cpl: u8, rounds: usize) -> Result<Spread, String> {
    let pair = Pair::new(cpl, Role::Spins).map_err(|error| error.to_string())?;
    let Pair {
        mut sender,
        mut receiver,
        times,
    } = pair;
    let kicker = Kicker::default();
    let (running, end) = (AtomicBool::new(false), AtomicBool::new(false));

    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let result = run(&mut receiver, &kicker, &running, &end);
            // Nobody is to wait for it any more.
            running.store(true, Ordering::SeqCst);
            result
        });
        while !running.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        let samples = interrupt(rounds, &mut sender, &times, &kicker);
        end.store(true, Ordering::SeqCst);
        kicker.kick();
        match thread.join() {
            Ok(Ok(())) => samples,
            Ok(Err(error)) => Err(error),
            Err(_) => Err("the vCPU's thread panicked".into()),
        }
    })
}

/// Interrupts the vCPU again and again.
fn interrupt(
    rounds: usize,
    sender: &mut VcpuFd,
    times: &Times,
    kicker: &Kicker,
) -> Result<Spread, String> {
    let mut samples = Vec::with_capacity(rounds);
    let khz = sender.get_tsc_khz().map_err(|error| error.to_string())?;
    for round in 0..=rounds {
        thread::sleep(Duration::from_micros(500));
        times.forget()?;
        exit(sender)?;
        kicker.kick();
        let begun = Instant::now();
        while times.noticed()? == 0 {
            if begun.elapsed() > PATIENCE {
                return Err("an injected interrupt did not arrive".into());
            }
            std::hint::spin_loop();
        }
        // The first one finds a VM that may just be entered.
        if round > 0 {
            let cycles = times.noticed()?.saturating_sub(times.sent()?);
            samples.push(cycles as f64 * 1e6 / f64::from(khz));
        }
    }
    Ok(Spread::new(samples))
}

/// Runs a vCPU until it has noted the time and exits.
pub(super) fn exit(vcpu: &mut VcpuFd) -> Result<(), String> {
    match vcpu.run() {
        Ok(VcpuExit::IoIn(..)) => Ok(()),
        Ok(exit) => Err(format!("an unexpected exit: {exit:?}")),
        Err(error) => Err(format!("KVM_RUN: {error}")),
    }
}

/// Runs the vCPU, and injects an interrupt whenever a signal comes.
fn run(
    vcpu: &mut VcpuFd,
    kicker: &Kicker,
    running: &AtomicBool,
    end: &AtomicBool,
) -> Result<(), String> {
    let immediate_exit = &raw mut vcpu.get_kvm_run().immediate_exit;
    // SAFETY: the run page is mapped as long as the vCPU lives, which is longer.
    let _registration = unsafe { kicker.register(immediate_exit, std::ptr::null()) };
    running.store(true, Ordering::SeqCst);
    loop {
        match vcpu.run() {
            Ok(VcpuExit::Intr) => {}
            Ok(exit) => return Err(format!("an unexpected exit: {exit:?}")),
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) => return Err(format!("KVM_RUN: {error}")),
        }
        if end.load(Ordering::SeqCst) {
            return Ok(());
        }
        vcpu.set_kvm_immediate_exit(0);
        let interrupt = kvm_interrupt {
            irq: u32::from(VECTOR),
        };
        // SAFETY: the struct is the one that this ioctl reads, and lives as long as the call.
        let injected = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_INTERRUPT, &interrupt) };
        if injected < 0 {
            return Err(format!(
                "KVM_INTERRUPT: {}",
                std::io::Error::last_os_error()
            ));
        }
    }
}
