//! From a signal to a vCPU's thread to the handler of an interrupt that it injects: what telling
//! another vCPU takes by the means that KVM has for it without an interrupt controller.
#![allow(unsafe_code)]

use super::bare_vm::{BareVm, CODE};
use crate::figures::Spread;
use kvm_bindings::kvm_interrupt;
use kvm_ioctls::VcpuExit;
use paravane::vcpu::kick::Kicker;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

/// `sti; jmp $` and, behind it, the handler: `mov byte [NOTICED], 1; iret`.
const SPIN: [u8; 9] = [0xfb, 0xeb, 0xfe, 0xc6, 0x06, 0x00, 0x05, 0x01, 0xcf];
const HANDLER: u16 = CODE as u16 + 3;
const NOTICED: u64 = 0x500;
const VECTOR: u8 = 32;

/// `_IOW(KVMIO, 0x86, struct kvm_interrupt)` (Linux, `include/uapi/linux/kvm.h`).
const KVM_INTERRUPT: libc::c_ulong = 0x4004_ae86;

/// How long an interrupt may take before the measurement gives up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Nanoseconds of each of so many interrupts of a vCPU that runs.
///
/// # Errors
///
/// A sentence that says what failed.
pub fn measure(rounds: usize) -> Result<Spread, String> {
    let mut vm = BareVm::new(&SPIN).map_err(|error| error.to_string())?;
    let vector = [HANDLER.to_le_bytes(), [0, 0]].concat();
    let entry = GuestAddress(u64::from(VECTOR) * 4);
    vm.memory
        .write_slice(&vector, entry)
        .map_err(|error| error.to_string())?;
    let noticed = vm
        .memory
        .get_host_address(GuestAddress(NOTICED))
        .map_err(|error| error.to_string())?;
    // SAFETY: the byte is in the VM's memory, which lives longer, and nothing else refers to it.
    let noticed = unsafe { AtomicU8::from_ptr(noticed) };
    let kicker = Kicker::default();
    let (running, end) = (AtomicBool::new(false), AtomicBool::new(false));

    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let result = run(&mut vm, &kicker, &running, &end);
            // Nobody is to wait for it any more.
            running.store(true, Ordering::SeqCst);
            result
        });
        while !running.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        let samples = interrupt(rounds, noticed, &kicker);
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
fn interrupt(rounds: usize, noticed: &AtomicU8, kicker: &Kicker) -> Result<Spread, String> {
    let mut samples = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        thread::sleep(Duration::from_micros(500));
        noticed.store(0, Ordering::SeqCst);
        let begun = Instant::now();
        kicker.kick();
        while noticed.load(Ordering::SeqCst) == 0 {
            if begun.elapsed() > PATIENCE {
                return Err("an injected interrupt did not arrive".into());
            }
            std::hint::spin_loop();
        }
        // The first one finds a VM that may just be entered.
        if round > 0 {
            samples.push(begun.elapsed().as_nanos() as f64);
        }
    }
    Ok(Spread::new(samples))
}

/// Runs the vCPU, and injects an interrupt whenever a signal comes.
fn run(
    vm: &mut BareVm,
    kicker: &Kicker,
    running: &AtomicBool,
    end: &AtomicBool,
) -> Result<(), String> {
    let immediate_exit = &raw mut vm.vcpu.get_kvm_run().immediate_exit;
    // SAFETY: the run page is mapped as long as the vCPU lives, which is longer.
    let _registration = unsafe { kicker.register(immediate_exit) };
    running.store(true, Ordering::SeqCst);
    loop {
        match vm.vcpu.run() {
            Ok(VcpuExit::Intr) => {}
            Ok(exit) => return Err(format!("an unexpected exit: {exit:?}")),
            Err(error) if error.errno() == libc::EINTR => {}
            Err(error) => return Err(format!("KVM_RUN: {error}")),
        }
        if end.load(Ordering::SeqCst) {
            return Ok(());
        }
        vm.vcpu.set_kvm_immediate_exit(0);
        let interrupt = kvm_interrupt {
            irq: u32::from(VECTOR),
        };
        // SAFETY: the struct is the one that this ioctl reads, and lives as long as the call.
        let injected = unsafe { libc::ioctl(vm.vcpu.as_raw_fd(), KVM_INTERRUPT, &interrupt) };
        if injected < 0 {
            return Err(format!(
                "KVM_INTERRUPT: {}",
                std::io::Error::last_os_error()
            ));
        }
    }
}
