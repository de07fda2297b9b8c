//! A second vCPU, on a thread of its own.
#![allow(unsafe_code)]

use super::layout::{OTHER_CODE, OTHER_STACK};
use super::run::{Exit, next};
use super::vm::{RawVm, registers};
use crate::bench::pins::Pins;
use crate::bench::rows::Other;
use crate::vcpu::kick::Kicker;
use kvm_bindings::{KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED, kvm_mp_state};
use kvm_ioctls::VcpuFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Does the work while the VM's second vCPU does what `other` says.
pub fn beside<T>(
    vm: &mut RawVm,
    other: Other,
    pins: &Pins,
    work: impl FnOnce(&mut RawVm) -> Result<T, String>,
) -> Result<T, String> {
    let Some(mut vcpu) = vm.vcpus.pop() else {
        return Err("there is no second vCPU".into());
    };
    prepare(vm, &vcpu, other)?;
    let kicker = Kicker::default();
    let end = AtomicBool::new(false);
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _pinned = pins.pin(1);
            run(&mut vcpu, &kicker, &end)
        });
        let result = work(vm);
        end.store(true, Ordering::SeqCst);
        kicker.kick();
        match thread.join() {
            Ok(Ok(())) => result,
            Ok(Err(reason)) => result.and(Err(format!("the second vCPU: {reason}"))),
            Err(_) => Err("the second vCPU's thread panicked".into()),
        }
    })
}

fn prepare(vm: &RawVm, vcpu: &VcpuFd, other: Other) -> Result<(), String> {
    let (code, state) = match other {
        Other::Runs(code) => (code, KVM_MP_STATE_RUNNABLE),
        Other::WaitsForSipi(code) => (code, KVM_MP_STATE_UNINITIALIZED),
    };
    vm.memory.put(OTHER_CODE, code())?;
    vcpu.set_mp_state(kvm_mp_state { mp_state: state })
        .map_err(|error| format!("KVM_SET_MP_STATE: {error}"))?;
    vcpu.set_regs(&registers(OTHER_CODE, OTHER_STACK, vm.flags))
        .map_err(|error| format!("KVM_SET_REGS: {error}"))
}

/// Runs it until it is to end. The last look at `end` comes before the entry that a kick ends.
fn run(vcpu: &mut VcpuFd, kicker: &Kicker, end: &AtomicBool) -> Result<(), String> {
    let immediate_exit = &raw mut vcpu.get_kvm_run().immediate_exit;
    // SAFETY: the run page is mapped as long as the vCPU lives, which is longer.
    let _registration = unsafe { kicker.register(immediate_exit, std::ptr::null()) };
    while !end.load(Ordering::SeqCst) {
        match next(vcpu)? {
            Exit::Answered | Exit::Done => {}
            Exit::Interrupted => vcpu.set_kvm_immediate_exit(0),
            Exit::Trap => return Err("it trapped".into()),
            Exit::Failed(reason) => return Err(reason),
        }
    }
    Ok(())
}
