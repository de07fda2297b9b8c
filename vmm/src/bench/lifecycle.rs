//! What happens to a whole VM: it is measured from outside.

use super::chunk::{Chunk, Outcome};
use super::guest::GuestRun;
use super::host::Host;
use super::raw::code::{Done, ending, fragment};
use super::raw::layout::{CODE, DATA_ZEROS, DONE_PORT};
use super::raw::run::{self, Exit, finish_exit, next};
use super::raw::vm::{Config, RawVm};
use super::result::Answer;
use super::watch::Watch;
use crate::console::Console;
use crate::console::output::{Observer, Output};
use crate::hypercall::stats::timestamp;
use crate::vcpu::Ending;
use crate::vm::Vm;
use crate::vm::stages::Stages;
use kvm_ioctls::VcpuExit;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It is created, and left for the first time.
    Create,
    /// It is destroyed.
    Destroy,
    /// It fails for good, and begins anew.
    TripleFault,
}

/// Measures what happens to a VM with a few instructions in it.
pub fn native(
    host: &Host,
    lifecycle: Lifecycle,
    samples: u64,
    watch: &Watch,
) -> Result<Outcome, String> {
    if lifecycle == Lifecycle::TripleFault {
        return triple_faults(host, samples, watch);
    }
    sample(samples, watch, || {
        let begun = timestamp();
        let mut vm = RawVm::new(&host.kvm, Config::new(0))?;
        vm.memory.put(CODE, &ending(Done::Port))?;
        begin(&vm, CODE)?;
        let Some(vcpu) = vm.vcpus.first_mut() else {
            return Err("there is no vCPU".into());
        };
        match next(vcpu)? {
            Exit::Done => {}
            Exit::Failed(reason) => return Err(reason),
            _ => return Err("the first exit is another one".into()),
        }
        let created = timestamp();
        drop(vm);
        Ok(match lifecycle {
            Lifecycle::Create => created.wrapping_sub(begun),
            _ => timestamp().wrapping_sub(created),
        })
    })
}

/// Points vCPU 0 at code.
fn begin(vm: &RawVm, rip: u64) -> Result<(), String> {
    let Some(vcpu) = vm.vcpus.first() else {
        return Err("there is no vCPU".into());
    };
    run::begin(vcpu, &vm.system, vm.flags, rip, 0)
}

/// From the entry of code that fails for good to the first exit of what runs afterwards.
fn triple_faults(host: &Host, samples: u64, watch: &Watch) -> Result<Outcome, String> {
    let mut vm = RawVm::new(&host.kvm, Config::new(0))?;
    // An IDT that has no gate.
    let fault = fragment!("lidt [r14 + {zeros}]", "ud2"; zeros = DATA_ZEROS);
    let again = CODE + 0x100;
    vm.memory.put(CODE, fault())?;
    vm.memory.put(again, &ending(Done::Port))?;
    sample(samples, watch, || {
        if let Some(vcpu) = vm.vcpus.first_mut() {
            finish_exit(vcpu);
        }
        begin(&vm, CODE)?;
        let begun = timestamp();
        leave(&mut vm, |exit| matches!(exit, VcpuExit::Shutdown))?;
        begin(&vm, again)?;
        leave(&mut vm, |exit| {
            matches!(exit, VcpuExit::IoOut(DONE_PORT, _))
        })?;
        Ok(timestamp().wrapping_sub(begun))
    })
}

/// Runs vCPU 0 to an exit that is to be the one wanted.
fn leave(vm: &mut RawVm, wanted: fn(&VcpuExit<'_>) -> bool) -> Result<(), String> {
    let Some(vcpu) = vm.vcpus.first_mut() else {
        return Err("there is no vCPU".into());
    };
    match vcpu.run() {
        Ok(exit) if wanted(&exit) => Ok(()),
        Ok(exit) => Err(format!("an unexpected exit: {exit:?}")),
        Err(error) => Err(format!("KVM_RUN: {error}")),
    }
}

/// Measures what happens to a VM with a guest in it.
pub fn paravirtual(
    guest: &GuestRun<'_>,
    lifecycle: Lifecycle,
    samples: u64,
) -> Result<Outcome, String> {
    let config = guest.config("hello".into(), 1);
    let build = |first_byte: &Arc<AtomicU64>| -> Result<Vm, String> {
        let noted = Arc::clone(first_byte);
        let observer = Observer::new(move |_| {
            // Only the first one counts.
            let _ = noted.compare_exchange(0, timestamp(), Ordering::SeqCst, Ordering::SeqCst);
        });
        let console = Console::new(Output::Observed(observer));
        Vm::new(
            &guest.host.kvm,
            guest.image,
            &config,
            console,
            &mut Stages::start(),
        )
        .map_err(|error| error.to_string())
    };
    let run = |vm: &mut Vm| match vm.run() {
        Ok(Ending::Shutdown(0)) => Ok(()),
        Ok(ending) => Err(format!("the guest ended by {ending:?}")),
        Err(error) => Err(error.to_string()),
    };
    sample(samples, guest.watch, || {
        let first_byte = Arc::default();
        let mut before = match lifecycle {
            // What failed is there still.
            Lifecycle::TripleFault => {
                let mut vm = build(&first_byte)?;
                run(&mut vm)?;
                first_byte.store(0, Ordering::SeqCst);
                Some(vm)
            }
            _ => None,
        };
        let begun = timestamp();
        drop(before.take());
        let mut vm = build(&first_byte)?;
        run(&mut vm)?;
        let ended = timestamp();
        drop(vm);
        Ok(match lifecycle {
            Lifecycle::Destroy => timestamp().wrapping_sub(ended),
            _ => first_byte.load(Ordering::SeqCst).wrapping_sub(begun),
        })
    })
}

/// Takes so many samples, which `once` gives in ticks.
fn sample(
    samples: u64,
    watch: &Watch,
    mut once: impl FnMut() -> Result<u64, String>,
) -> Result<Outcome, String> {
    let mut ticks = Vec::new();
    let mut empty = Vec::new();
    // A VM is cold by nature; one sample is enough to have the code in memory.
    for number in 0..=samples {
        if watch.stopped() {
            return Ok(Outcome::Interrupted);
        }
        let taken = match once() {
            Ok(taken) => taken,
            Err(reason) if number == 0 => return Ok(Outcome::Absent(reason)),
            Err(reason) => return Err(reason),
        };
        if number > 0 {
            ticks.push(taken);
        }
        let before = timestamp();
        empty.push(timestamp().wrapping_sub(before));
    }
    Ok(Outcome::Measured(Chunk {
        ticks,
        empty,
        per: 1,
        kvm: None,
        vmm: 0.0,
        answer: Answer::Unchecked,
    }))
}
