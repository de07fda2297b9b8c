//! seccomp: which system calls a process's threads may make, and with which arguments.
//!
//! Every thread is under a common filter, which allows what any of them needs; each kind of thread adds
//! one of its own, which allows less (docs/decisions/0016). Filters never replace each other: the
//! strictest answer counts, and a thread has those of the thread that started it.

mod filter;
mod rules;
mod trap;

use super::error::SandboxError;
use super::needs::Needs;
use filter::{Allowed, compile, compile_refusals};
use seccompiler::{BpfProgram, apply_filter, apply_filter_all_threads};

/// What a system call that is not allowed does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Violation {
    /// It ends the process, by SIGSYS that nothing can catch.
    #[default]
    Kill,
    /// It ends the process, which first says on stderr what it was. For tests: who is in control of
    /// the process can undo it.
    Trap,
    /// The kernel writes it to its log, and does it. For finding out what is needed.
    Log,
}

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadKind {
    /// Waits for signals, clients and timers; writes the log and the reports.
    Control,
    /// Runs a vCPU.
    Vcpu,
    /// Serves a device.
    Device,
}

/// The filters of a process, ready to be used.
#[derive(Debug)]
pub struct Filters {
    refusals: BpfProgram,
    common: BpfProgram,
    control: BpfProgram,
    vcpu: BpfProgram,
    device: BpfProgram,
    violation: Violation,
}

impl Filters {
    /// Builds them for what is needed.
    pub fn new(needs: &Needs, violation: Violation) -> Result<Self, SandboxError> {
        let build = |sets: &[&[Allowed]]| compile(sets, violation);
        let devices: Vec<_> = needs.devices.iter().map(|&work| rules::of(work)).collect();
        let control = [rules::ALWAYS, rules::RUNTIME, rules::CONTROL];
        let vcpu = [rules::VCPU, rules::ALWAYS];
        let device = [
            &[rules::ALWAYS, rules::RUNTIME, rules::DEVICE][..],
            &devices,
        ]
        .concat();
        // The vCPUs' come first, for what they do comes most often.
        let mut common = [&vcpu[..], &control, &device, &[rules::NARROW]].concat();
        if needs.rebuilds {
            common.push(rules::BUILD);
        }
        Ok(Self {
            refusals: compile_refusals(rules::REFUSED)?,
            common: build(&common)?,
            control: build(&control)?,
            vcpu: build(&vcpu)?,
            device: build(&device)?,
            violation,
        })
    }

    /// Puts all threads of the process under the common filter.
    pub fn apply_to_all_threads(&self) -> Result<(), SandboxError> {
        if self.violation == Violation::Trap {
            trap::install_handler();
        }
        apply_filter_all_threads(&self.refusals)?;
        apply_filter_all_threads(&self.common)?;
        Ok(())
    }

    /// Puts the current thread, and those that it starts, under the filter of its kind too.
    pub fn narrow(&self, kind: ThreadKind) -> Result<(), SandboxError> {
        let filter = match kind {
            ThreadKind::Control => &self.control,
            ThreadKind::Vcpu => &self.vcpu,
            ThreadKind::Device => &self.device,
        };
        Ok(apply_filter(filter)?)
    }
}
