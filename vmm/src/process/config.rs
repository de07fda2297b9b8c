//! From a spec of the API to what a VM is built with.

use super::devices;
use crate::carrier::{Carrier, Privilege};
use crate::grant::Seat;
use crate::layout::MAX_VCPUS;
use crate::vm::VmConfig;
use paravane_api::VmSpec;
use paravane_api::spec;
use paravane_control::folder::Folder;

/// How the VM is built, without its initrd. What has no place of its own is in `folder`.
///
/// # Errors
///
/// One sentence about what is wrong with the spec.
pub fn vm_config(spec: &VmSpec, folder: &Folder) -> Result<VmConfig, String> {
    let vcpus = spec.resources.vcpus;
    if !(1..=MAX_VCPUS).contains(&vcpus) {
        return Err(format!("a VM has 1 to {MAX_VCPUS} vCPUs, not {vcpus}"));
    }
    Ok(VmConfig {
        memory: spec.resources.memory,
        vcpus,
        privilege: match spec.privilege {
            spec::Privilege::Auto => None,
            spec::Privilege::Ring0 => Some(Privilege::Ring0),
            spec::Privilege::Ring3 => Some(Privilege::Ring3),
        },
        carrier: match spec.carrier {
            spec::Carrier::Auto => None,
            spec::Carrier::Vmcall => Some(Carrier::Vmcall),
            spec::Carrier::Vmmcall => Some(Carrier::Vmmcall),
            spec::Carrier::Pio => Some(Carrier::Pio),
        },
        command_line: spec.command_line.clone(),
        initrd: None,
        seat: Seat::alone(),
        devices: devices::specs(&spec.devices, folder)?,
    })
}
