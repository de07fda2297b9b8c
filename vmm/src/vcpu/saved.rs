//! A vCPU in a snapshot.
//!
//! What the monitor and the guest keep in memory is saved there. The MSRs of SYSCALL are the
//! monitor's, and are set as for a new vCPU; the TSC is not saved: a guest tells time by its
//! clock.
#![allow(unsafe_code)]

use super::shared::{StartAt, VcpuShared};
use super::unfinished::UnfinishedCall;
use super::{Vcpu, VcpuError, ioctl};
use crate::hypercall::Services;
use crate::snapshot::Inconsistent;
use kvm_bindings::{
    Msrs, kvm_debugregs, kvm_msr_entry, kvm_regs, kvm_sregs, kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use pv_abi::vcpu_page::{RUN_STATE_RUNNABLE, RUN_STATE_RUNNING};
use serde::{Deserialize, Serialize};

/// MSRs that a guest kernel at CPL 0 may have changed: SYSENTER's, PAT, TSC_AUX, CSTAR and the
/// kernel's GS base (Intel SDM vol. 4, tables 2-2 and 2-2 of the architectural MSRs).
const MSRS: [u32; 7] = [
    0x174,
    0x175,
    0x176,
    0x277,
    0xc000_0103,
    0xc000_0083,
    0xc000_0102,
];

/// A vCPU.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedVcpu {
    /// Whether a kick is left to be taken.
    pub kicked: bool,
    /// What it was doing.
    pub life: Life,
}

/// What a vCPU was doing.
#[derive(Debug, Serialize, Deserialize)]
pub enum Life {
    /// It was not started, or stopped.
    Stopped {
        /// It was never started.
        fresh: bool,
        /// It is to start there.
        start: Option<StartAt>,
    },
    /// It was in the guest, or in a call.
    Running(Box<Registers>),
}

/// What KVM has of a vCPU.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registers {
    general: kvm_regs,
    system: kvm_sregs,
    extended: kvm_xsave,
    extended_control: Option<kvm_xcrs>,
    debug: kvm_debugregs,
    events: kvm_vcpu_events,
    /// Numbers and values.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    msrs: Vec<(u32, u64)>,
    /// The page tables that the kernel runs on.
    root: u64,
    /// The call that is to be repeated.
    call: Option<UnfinishedCall>,
}

/// Where a vCPU rests.
#[derive(Clone, Copy, Debug)]
pub(super) enum Resting<'call> {
    /// It is not started.
    Stopped,
    /// Before it enters the guest.
    Running,
    /// In a call that is to be repeated.
    Calling(&'call UnfinishedCall),
}

impl Vcpu {
    /// The state of this vCPU, on its own thread, while it rests.
    pub(super) fn save(
        &mut self,
        resting: Resting<'_>,
        shared: &VcpuShared,
    ) -> Result<SavedVcpu, VcpuError> {
        let life = match resting {
            Resting::Stopped => Life::Stopped {
                fresh: self.fresh,
                start: shared.start(),
            },
            Resting::Running => Life::Running(Box::new(self.registers(None)?)),
            Resting::Calling(call) => Life::Running(Box::new(self.registers(Some(*call))?)),
        };
        Ok(SavedVcpu {
            kicked: shared.is_kicked(),
            life,
        })
    }

    fn registers(&mut self, call: Option<UnfinishedCall>) -> Result<Registers, VcpuError> {
        // Also what the VMM has set and KVM has not taken.
        self.incomplete = true;
        self.complete()?;
        Ok(Registers {
            general: self.general()?,
            system: self.system()?,
            extended: self.fd.get_xsave().map_err(ioctl("KVM_GET_XSAVE"))?,
            extended_control: self.fd.get_xcrs().ok(),
            debug: self
                .fd
                .get_debug_regs()
                .map_err(ioctl("KVM_GET_DEBUGREGS"))?,
            events: self
                .fd
                .get_vcpu_events()
                .map_err(ioctl("KVM_GET_VCPU_EVENTS"))?,
            msrs: MSRS.into_iter().filter_map(|msr| self.msr(msr)).collect(),
            root: self.root,
            call,
        })
    }

    /// The value of an MSR, if this KVM has it.
    fn msr(&self, index: u32) -> Option<(u32, u64)> {
        let mut msrs = Msrs::from_entries(&[entry(index, 0)]).ok()?;
        let read = self.fd.get_msrs(&mut msrs).ok()?;
        let found = msrs.as_slice().first().filter(|_| read == 1)?;
        Some((index, found.data))
    }

    /// Makes a vCPU that has not run what it was. It goes on when its thread lives.
    ///
    /// # Errors
    ///
    /// KVM does not take it; inside, it cannot have been so.
    pub fn restore(
        &mut self,
        saved: &SavedVcpu,
        services: &Services,
    ) -> Result<Result<(), Inconsistent>, VcpuError> {
        let vcpu = self.monitor.vcpu();
        let Some(shared) = services.vcpus.get(vcpu) else {
            return Ok(Ok(()));
        };
        if saved.kicked {
            services.vcpus.kick(vcpu);
        }
        let registers = match &saved.life {
            Life::Stopped { fresh, start } => {
                self.fresh = *fresh;
                if let Some(start) = *start {
                    shared.set_start(start);
                    shared.set_state(RUN_STATE_RUNNABLE);
                }
                return Ok(Ok(()));
            }
            Life::Running(registers) => registers,
        };
        if !services.spaces.is_root_of(vcpu, registers.root) {
            return Ok(Err(Inconsistent(format!(
                "vCPU {vcpu} is not in its address space"
            ))));
        }
        self.set_registers(registers)?;
        self.fresh = false;
        self.root = registers.root;
        self.revived = Some(registers.call);
        shared.set_state(RUN_STATE_RUNNING);
        shared.note_attention();
        Ok(Ok(()))
    }

    fn set_registers(&self, registers: &Registers) -> Result<(), VcpuError> {
        let fd = &self.fd;
        fd.set_sregs(&registers.system)
            .map_err(ioctl("KVM_SET_SREGS"))?;
        if let Some(control) = &registers.extended_control
            && control.nr_xcrs > 0
        {
            fd.set_xcrs(control).map_err(ioctl("KVM_SET_XCRS"))?;
        }
        // SAFETY: KVM reads more than this structure only where it was asked for features that are
        // larger (arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM), which this process never does.
        unsafe { fd.set_xsave(&registers.extended) }.map_err(ioctl("KVM_SET_XSAVE"))?;
        fd.set_debug_regs(&registers.debug)
            .map_err(ioctl("KVM_SET_DEBUGREGS"))?;
        for &(index, value) in registers.msrs.iter().take(MSRS.len()) {
            self.set_msr(index, value)?;
        }
        // KVM forgets exceptions when registers are set.
        fd.set_regs(&registers.general)
            .map_err(ioctl("KVM_SET_REGS"))?;
        fd.set_vcpu_events(&registers.events)
            .map_err(ioctl("KVM_SET_VCPU_EVENTS"))
    }

    /// Sets one of [`MSRS`]; no other.
    fn set_msr(&self, index: u32, value: u64) -> Result<(), VcpuError> {
        if !MSRS.contains(&index) || self.msr(index) == Some((index, value)) {
            return Ok(());
        }
        let failed = |errno| ioctl("KVM_SET_MSRS")(kvm_ioctls::Error::new(errno));
        let msrs = Msrs::from_entries(&[entry(index, value)]).map_err(|_| failed(libc::ENOMEM))?;
        match self.fd.set_msrs(&msrs) {
            Ok(1) => Ok(()),
            Ok(_) => Err(failed(libc::EINVAL)),
            Err(error) => Err(failed(error.errno())),
        }
    }
}

fn entry(index: u32, data: u64) -> kvm_msr_entry {
    kvm_msr_entry {
        index,
        data,
        ..Default::default()
    }
}
