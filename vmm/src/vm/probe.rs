//! The host probe: which privileges, carriers and gates work here. It executes the monitor's
//! probe code, a few instructions at CPL 0, in the machine that is about to be used.

use super::machine::{Machine, MachineError};
use crate::carrier::{Carrier, Gate, Mode, Privilege};
use crate::hypercall::page::HypercallPage;
use crate::layout::HYPERCALL_PAGE;
use crate::memory::MemoryError;
use crate::monitor::code::Entry;
use crate::monitor::state::Monitor;
use crate::paging::{Access, Mapping, Owner};
use crate::ports;
use crate::vcpu::{finish_exit, ioctl, registers};
use kvm_bindings::kvm_regs;
use kvm_ioctls::VcpuExit;
use pv_abi::address_space::PAGE_SIZE;
use serde::Serialize;
use std::sync::OnceLock;
use thiserror::Error;

/// What works on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostModes {
    /// Whether CPL 0 runs any instruction: a software KVM interprets it, and only some.
    pub native_ring0: bool,
    /// Whether VMCALL as KVM_HC_MAP_GPA_RANGE exits to the VMM.
    pub vmcall: bool,
    /// Whether VMMCALL does.
    pub vmmcall: bool,
    /// Whether SYSCALL at CPL 3 enters CPL 0: a software KVM may stay at CPL 3.
    pub syscall: bool,
}

/// Why no mode can be had as asked for.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ModeError {
    /// ring0 on a software KVM.
    #[error(
        "--privilege ring0 does not work on this host: its KVM interprets CPL 0 and does not \
         know all instructions; use --privilege ring3 or auto"
    )]
    NoRing0,
    /// A carrier that does not reach the VMM.
    #[error("--carrier {carrier} does not work on this host; use one of {working} or auto")]
    NoCarrier {
        /// The carrier asked for.
        carrier: Carrier,
        /// The ones that work.
        working: String,
    },
}

impl HostModes {
    /// What works here: found out by the first machine of this process that asks, as
    /// [`HostModes::probe`] does, for it is the same for all.
    pub fn of_host(machine: &mut Machine) -> Result<Self, MachineError> {
        static FOUND: OnceLock<HostModes> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found.clone());
        }
        let found = Self::probe(machine)?;
        Ok(FOUND.get_or_init(|| found).clone())
    }

    /// Executes the probe on vCPU 0 of a machine that has nothing in it yet. Afterwards the
    /// vCPU's registers are undefined.
    pub fn probe(machine: &mut Machine) -> Result<Self, MachineError> {
        // The monitor needs its data, and which guest it is for does not matter.
        let mode = Mode {
            privilege: Privilege::Ring3,
            carrier: Carrier::Pio,
            gate: Gate::Monitor,
            syscall_faults: false,
        };
        let page = HypercallPage::new(mode);
        if let Some(monitor) = machine.monitors.first() {
            monitor.initialize(mode, &page)?;
        }
        let native_ring0 = machine.hardware && run_probe(machine, Entry::ProbeNative)?;
        let mut carrier = |entry| -> Result<bool, MachineError> {
            Ok(native_ring0 && machine.hypercall_exits && run_probe(machine, entry)?)
        };
        let vmcall = carrier(Entry::ProbeVmcall)?;
        let vmmcall = carrier(Entry::ProbeVmmcall)?;
        let syscall = native_ring0 || probe_syscall(machine, &page)?;
        Ok(Self {
            native_ring0,
            vmcall,
            vmmcall,
            syscall,
        })
    }

    /// Every mode that works here.
    pub fn all(&self) -> Vec<Mode> {
        let mut modes = Vec::new();
        for privilege in [Privilege::Ring0, Privilege::Ring3] {
            for carrier in Carrier::ALL {
                modes.extend(self.choose(Some(privilege), Some(carrier)));
            }
        }
        modes
    }

    /// Whether a carrier works here.
    pub fn has(&self, carrier: Carrier) -> bool {
        match carrier {
            Carrier::Vmcall => self.vmcall,
            Carrier::Vmmcall => self.vmmcall,
            Carrier::Pio => true,
        }
    }

    /// The mode to use: what was asked for where it works, and otherwise the cheapest.
    ///
    /// docs/decisions/0001-carriers.md has the figures behind the choice.
    pub fn choose(
        &self,
        privilege: Option<Privilege>,
        carrier: Option<Carrier>,
    ) -> Result<Mode, ModeError> {
        let privilege = match privilege {
            Some(Privilege::Ring0) if !self.native_ring0 => return Err(ModeError::NoRing0),
            Some(privilege) => privilege,
            None if self.native_ring0 => Privilege::Ring0,
            None => Privilege::Ring3,
        };
        let carrier = match carrier {
            Some(carrier) if !self.has(carrier) => {
                let working = Carrier::ALL
                    .into_iter()
                    .filter(|&carrier| self.has(carrier))
                    .map(|carrier| carrier.to_string())
                    .collect::<Vec<_>>()
                    .join(", ");
                return Err(ModeError::NoCarrier { carrier, working });
            }
            Some(carrier) => carrier,
            // By measurement: docs/decisions/0001-carriers.md.
            None if self.vmcall => Carrier::Vmcall,
            None => Carrier::Pio,
        };
        // SYSCALL to the monitor costs little, and where CPL 0 is interpreted an exit from
        // there costs much less than one from CPL 3. It also needs no I/O permission bitmap,
        // which an emulator may get wrong.
        let gate = match privilege {
            Privilege::Ring3 if self.syscall => Gate::Monitor,
            _ => Gate::Direct,
        };
        Ok(Mode {
            privilege,
            carrier,
            gate,
            syscall_faults: !self.syscall,
        })
    }
}

/// Executes probe code at CPL 0; whether it got to its end without a trap or an error.
fn run_probe(machine: &mut Machine, entry: Entry) -> Result<bool, MachineError> {
    let exit = run_at(machine, |monitor| {
        Ok((monitor.entry(entry), monitor.stack_top()))
    })?;
    Ok(match exit {
        ProbeExit::Hypercall => entry != Entry::ProbeNative,
        // A hypercall that KVM answered itself gets here too, and is no carrier.
        ProbeExit::Port => entry == Entry::ProbeNative,
        ProbeExit::Other => false,
    })
}

/// Executes the hypercall page's SYSCALL at CPL 3; whether it got to the monitor's LSTAR
/// entry at CPL 0.
fn probe_syscall(machine: &mut Machine, page: &HypercallPage) -> Result<bool, MachineError> {
    machine
        .private
        .write(machine.hypercall_page, page.bytes())?;
    // This is how the page of a deprivileged guest is mapped, and there is no other guest
    // where this probe is needed.
    machine.tables().map(Mapping {
        address: HYPERCALL_PAGE,
        gpa: machine.hypercall_page,
        size: PAGE_SIZE,
        access: Access::ReadExecute,
        owner: Owner::User,
    })?;
    if let (Some(vcpu), Some(monitor)) = (machine.vcpus.first(), machine.monitors.first()) {
        registers::set_syscall(vcpu, monitor.syscall_entry(Carrier::Pio))?;
    }
    let exit = run_at(machine, |monitor| {
        let rsp = monitor.prepare_resume(Privilege::Ring3, HYPERCALL_PAGE, 0, 0)?;
        Ok((monitor.entry(Entry::Resume), rsp))
    })?;
    Ok(matches!(exit, ProbeExit::Port))
}

/// How a probe ended.
enum ProbeExit {
    /// By KVM_EXIT_HYPERCALL.
    Hypercall,
    /// By IN from the hypercall port.
    Port,
    /// By a trap or an error.
    Other,
}

/// Runs vCPU 0 in the monitor's state, at CPL 0, from an RIP and an RSP.
fn run_at(
    machine: &mut Machine,
    place: impl FnOnce(&Monitor) -> Result<(u64, u64), MemoryError>,
) -> Result<ProbeExit, MachineError> {
    // Each probe starts afresh: the one before may have ended in the middle of a trap.
    machine.reset_system(0)?;
    let (Some(vcpu), Some(monitor)) = (machine.vcpus.first_mut(), machine.monitors.first()) else {
        return Ok(ProbeExit::Other);
    };
    let (rip, rsp) = place(monitor)?;
    let registers = kvm_regs {
        rip,
        rsp,
        rflags: 2,
        // KVM_HC_MAP_GPA_RANGE with a page-aligned address and one page.
        rax: 12,
        rcx: 1,
        ..Default::default()
    };
    vcpu.set_regs(&registers).map_err(ioctl("KVM_SET_REGS"))?;
    let exit = match vcpu.run() {
        Ok(VcpuExit::Hypercall(_)) => ProbeExit::Hypercall,
        Ok(VcpuExit::IoIn(port, _)) if port == u16::from(ports::HYPERCALL) => ProbeExit::Port,
        Ok(_) => ProbeExit::Other,
        Err(error) if error.errno() == libc::EINTR => ProbeExit::Other,
        Err(error) => return Err(ioctl("KVM_RUN")(error).into()),
    };
    finish_exit(vcpu)?;
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOFTWARE: HostModes = HostModes {
        native_ring0: false,
        vmcall: false,
        vmmcall: false,
        syscall: true,
    };
    const INTEL: HostModes = HostModes {
        native_ring0: true,
        vmcall: true,
        vmmcall: false,
        syscall: true,
    };

    #[test]
    fn a_software_kvm_runs_guests_deprivileged() {
        let mode = SOFTWARE.choose(None, None).unwrap();
        let expected = Mode {
            privilege: Privilege::Ring3,
            carrier: Carrier::Pio,
            gate: Gate::Monitor,
            syscall_faults: false,
        };
        assert_eq!(mode, expected);
        assert_eq!(
            SOFTWARE.choose(Some(Privilege::Ring0), None),
            Err(ModeError::NoRing0)
        );
    }

    #[test]
    fn a_carrier_that_does_not_work_is_refused_with_those_that_do() {
        let error = INTEL
            .choose(None, Some(Carrier::Vmmcall))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "--carrier vmmcall does not work on this host; use one of vmcall, pio or auto"
        );
    }

    #[test]
    fn what_is_asked_for_is_used_where_it_works() {
        let mode = INTEL
            .choose(Some(Privilege::Ring3), Some(Carrier::Pio))
            .unwrap();
        assert_eq!(mode.privilege, Privilege::Ring3);
        assert_eq!(mode.carrier, Carrier::Pio);
    }
}
