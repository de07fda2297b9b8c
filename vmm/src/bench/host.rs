//! The host that is measured.

use super::pins::Pins;
use super::raw::code::Clock;
use super::raw::measure;
use super::watch::Watch;
use crate::vm::VmError;
use crate::vm::host;
use crate::vm::machine::Machine;
use crate::vm::probe::HostModes;
use kvm_ioctls::Kvm;
use std::path::Path;

/// What runs the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardware {
    /// Intel's.
    Vmx,
    /// AMD's.
    Svm,
    /// None: KVM itself.
    Software,
}

/// The host.
#[derive(Debug)]
pub struct Host {
    /// Its KVM.
    pub kvm: Kvm,
    /// What works on it.
    pub modes: HostModes,
    /// What the guests run on.
    pub hardware: Hardware,
    /// How the time can be read at CPL 0.
    pub(super) clock: Clock,
    /// Its processors.
    pub(super) pins: Pins,
    /// Frequency of the TSC in Hz.
    pub tsc_hz: u64,
}

/// Memory of the VM in which the modes are found out.
const PROBE_MEMORY: u64 = 1 << 20;

impl Host {
    /// Finds out what there is to know.
    pub fn examine(device: &Path, watch: &Watch) -> Result<Self, HostError> {
        let kvm = host::open(device).map_err(VmError::from)?;
        let mut machine = Machine::new(&kvm, PROBE_MEMORY, 1).map_err(VmError::from)?;
        let modes = HostModes::probe(&mut machine).map_err(VmError::from)?;
        let hardware = match (machine.hardware, crate::monitor::data::host_has_vmx()) {
            (false, _) => Hardware::Software,
            (true, true) => Hardware::Vmx,
            (true, false) => Hardware::Svm,
        };
        let tsc_hz = machine.tsc_frequency;
        drop(machine);
        if tsc_hz == 0 {
            return Err(HostError::NoTsc);
        }
        let clock = measure::clock(&kvm, watch).map_err(HostError::Raw)?;
        Ok(Self {
            kvm,
            modes,
            hardware,
            clock,
            pins: Pins::find(),
            tsc_hz,
        })
    }
}

/// Why a host cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// No VM can be had.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The time cannot be told.
    #[error(
        "this KVM does not say how fast the TSC is (KVM_GET_TSC_KHZ), so ticks are no time; \
         measure on a host whose TSC is constant"
    )]
    NoTsc,
    /// A raw VM fails.
    #[error("a VM with a few instructions in it fails: {0}")]
    Raw(String),
}
