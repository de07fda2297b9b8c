//! How a hypercall reaches the VMM, and at which privilege the guest runs.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The privilege level of the guest kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privilege {
    /// CPL 0, on a KVM that runs it natively.
    Ring0,
    /// CPL 3, above the monitor; on any KVM.
    Ring3,
}

impl Privilege {
    /// The guest kernel's CPL.
    pub const fn cpl(self) -> u8 {
        match self {
            Self::Ring0 => 0,
            Self::Ring3 => 3,
        }
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ring0 => "ring0",
            Self::Ring3 => "ring3",
        })
    }
}

/// The instruction that carries a hypercall out of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// VMCALL as KVM_HC_MAP_GPA_RANGE (Intel).
    Vmcall,
    /// VMMCALL as KVM_HC_MAP_GPA_RANGE (AMD).
    Vmmcall,
    /// IN from a port.
    Pio,
}

impl Carrier {
    /// All carriers.
    pub const ALL: [Self; 3] = [Self::Vmcall, Self::Vmmcall, Self::Pio];
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vmcall => "vmcall",
            Self::Vmmcall => "vmmcall",
            Self::Pio => "pio",
        })
    }
}

/// How a deprivileged guest's hypercall gets to its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// The hypercall page contains the carrier.
    Direct,
    /// The hypercall page enters the monitor by SYSCALL, and the monitor contains it.
    Monitor,
}

/// How the guest runs and calls: what a VM is built with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// The guest kernel's privilege.
    pub privilege: Privilege,
    /// The carrier of hypercalls.
    pub carrier: Carrier,
    /// The way to the carrier.
    pub gate: Gate,
    /// Whether SYSCALL arrives at the monitor as a #PF at LSTAR, because this KVM does not
    /// leave CPL 3 for it.
    pub syscall_faults: bool,
}

impl Mode {
    /// Whether a hypercall passes through the monitor. KVM refuses VMCALL and VMMCALL from
    /// CPL 3, so there it must.
    pub fn calls_by_monitor(self) -> bool {
        self.privilege == Privilege::Ring3
            && (self.gate == Gate::Monitor || self.carrier != Carrier::Pio)
    }
}
