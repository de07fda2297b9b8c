//! The capabilities of KVM that matter here.

use kvm_ioctls::Kvm;
use serde::Serialize;

/// A capability.
#[derive(Clone, Debug, Serialize)]
pub struct Capability {
    /// Its name.
    pub name: &'static str,
    /// What KVM_CHECK_EXTENSION answers.
    pub value: i32,
    /// What it is for here.
    pub purpose: &'static str,
}

/// Number (Linux, include/uapi/linux/kvm.h), name and purpose.
const MATTER: &[(u64, &str, &str)] = &[
    (3, "KVM_CAP_USER_MEMORY", "guest memory; required"),
    (136, "KVM_CAP_IMMEDIATE_EXIT", "stopping a vCPU; required"),
    (61, "KVM_CAP_GET_TSC_KHZ", "the guest's clock; required"),
    (
        201,
        "KVM_CAP_EXIT_HYPERCALL",
        "carriers vmcall and vmmcall (bit 12)",
    ),
    (
        213,
        "KVM_CAP_DISABLE_QUIRKS2",
        "guest text stays as it is (bit 5)",
    ),
    (38, "KVM_CAP_XEN_HVM", "a carrier of a later release"),
    (36, "KVM_CAP_IOEVENTFD", "doorbells of a later release"),
    (32, "KVM_CAP_IRQFD", "interrupts of a later release"),
    (
        10,
        "KVM_CAP_NR_MEMSLOTS",
        "pieces of guest memory; 2 are used",
    ),
    (66, "KVM_CAP_MAX_VCPUS", "vCPUs of a VM"),
];

/// Asks for each of them.
pub fn list(kvm: &Kvm) -> Vec<Capability> {
    MATTER
        .iter()
        .map(|&(number, name, purpose)| Capability {
            name,
            value: kvm.check_extension_raw(number),
            purpose,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kvm_ioctls::Cap;

    #[test]
    fn the_numbers_are_those_of_the_names() {
        let numbers = [
            Cap::UserMemory as u64,
            Cap::ImmediateExit as u64,
            Cap::GetTscKhz as u64,
            u64::from(kvm_bindings::KVM_CAP_EXIT_HYPERCALL),
            u64::from(kvm_bindings::KVM_CAP_DISABLE_QUIRKS2),
            Cap::XenHvm as u64,
            Cap::Ioeventfd as u64,
            Cap::Irqfd as u64,
            Cap::NrMemslots as u64,
            Cap::MaxVcpus as u64,
        ];
        let listed: Vec<u64> = MATTER.iter().map(|&(number, ..)| number).collect();
        assert_eq!(listed, numbers);
    }
}
