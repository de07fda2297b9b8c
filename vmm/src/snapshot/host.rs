//! The host that a VM was saved on, and whether another one fits it.

use crate::carrier::{Carrier, Mode};
use crate::vm::machine::{Machine, MachineError};
use crate::vm::probe::HostModes;
use core::arch::x86_64::{__cpuid, __cpuid_count};
use kvm_ioctls::Kvm;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a host does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Misfit {
    /// Its processor lacks features.
    #[error(
        "this host's processor lacks features that the snapshot's guest may use: CPUID leaf \
         {leaf:#x}, {register}, bits {missing:#x}"
    )]
    Processor {
        /// The leaf.
        leaf: u32,
        /// The register.
        register: &'static str,
        /// The bits.
        missing: u32,
    },
    /// The guest cannot run as it did.
    #[error(
        "the snapshot's guest runs as {privilege}/{carrier}, which this host's KVM cannot: {why}"
    )]
    Mode {
        /// The privilege.
        privilege: String,
        /// The carrier.
        carrier: Carrier,
        /// What is different.
        why: String,
    },
    /// The VMM's code in its memory is another.
    #[error("the snapshot has another version of the monitor than this VMM; save the guest anew")]
    Monitor,
    /// The guest has doorbells that this host does not have.
    #[error("the snapshot's guest rings doorbells, which this host's KVM lacks (ioeventfd)")]
    Doorbells,
}

/// What a guest may rely on of its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHost {
    /// Whether KVM runs on virtualization hardware.
    pub hardware: bool,
    /// Whether KVM_HC_MAP_GPA_RANGE exits to the VMM.
    pub hypercall_exits: bool,
    /// The processor's vendor and signature, and the kernel's release and version.
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub names: Vec<String>,
    /// Bits of CPUID, by [`LEAVES`].
    #[serde(deserialize_with = "crate::snapshot::few::few")]
    pub processor: Vec<u32>,
}

/// Where CPUID has features: leaf, subleaf, register (Intel SDM vol. 2A, CPUID).
const LEAVES: [(u32, u32, &str); 8] = [
    (1, 0, "ECX"),
    (1, 0, "EDX"),
    (7, 0, "EBX"),
    (7, 0, "ECX"),
    (7, 0, "EDX"),
    (0xd, 1, "EAX"),
    (0x8000_0001, 0, "ECX"),
    (0x8000_0001, 0, "EDX"),
];

/// Bits that are no features: OSXSAVE and OSPKE follow CR4.
const VOLATILE: [u32; 8] = [1 << 27, 0, 0, 1 << 4, 0, 0, 0, 0];

impl SavedHost {
    /// This host, as a machine has found it.
    pub fn this(hardware: bool, hypercall_exits: bool) -> Self {
        let vendor = __cpuid(0);
        let signature = __cpuid(1).eax;
        let uname = rustix::system::uname();
        let names = vec![
            format!(
                "{:x}-{:x}-{:x}-{signature:x}",
                vendor.ebx, vendor.edx, vendor.ecx
            ),
            uname.release().to_string_lossy().into_owned(),
            uname.version().to_string_lossy().into_owned(),
        ];
        let most = [vendor.eax, __cpuid(0x8000_0000).eax];
        let processor = LEAVES.map(|(leaf, subleaf, register)| {
            if leaf > most[usize::from(leaf >= 0x8000_0000)] {
                return 0;
            }
            let found = __cpuid_count(leaf, subleaf);
            match register {
                "EAX" => found.eax,
                "EBX" => found.ebx,
                "ECX" => found.ecx,
                _ => found.edx,
            }
        });
        Self {
            hardware,
            hypercall_exits,
            names,
            processor: processor
                .iter()
                .zip(VOLATILE)
                .map(|(bits, volatile)| bits & !volatile)
                .collect(),
        }
    }

    /// Checks that a guest that ran on this one in `mode` can go on on `other`.
    ///
    /// # Errors
    ///
    /// KVM failed; inside, what it lacks.
    pub fn check(
        &self,
        other: &Self,
        kvm: &Kvm,
        mode: Mode,
    ) -> Result<Result<(), Misfit>, MachineError> {
        for ((saved, found), (leaf, _, register)) in
            self.processor.iter().zip(&other.processor).zip(LEAVES)
        {
            let missing = saved & !found;
            if missing != 0 {
                return Ok(Err(Misfit::Processor {
                    leaf,
                    register,
                    missing,
                }));
            }
        }
        // What was found out there holds here.
        if self == other {
            return Ok(Ok(()));
        }
        let mut scratch = Machine::new(kvm, 2 << 20, 1)?;
        let modes = HostModes::probe(&mut scratch)?;
        let chosen = modes.choose(Some(mode.privilege), Some(mode.carrier));
        let why = match chosen {
            Ok(chosen) if chosen == mode => return Ok(Ok(())),
            Ok(_) => "its guests call by another gate".to_string(),
            Err(error) => error.to_string(),
        };
        Ok(Err(Misfit::Mode {
            privilege: mode.privilege.to_string(),
            carrier: mode.carrier,
            why,
        }))
    }
}
