//! How far the guest's TSC is ahead of the host's.
#![allow(unsafe_code)]

use crate::hypercall::stats::timestamp;
use kvm_bindings::{
    KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, KVMIO, Msrs, kvm_device_attr, kvm_msr_entry,
};
use kvm_ioctls::VcpuFd;
use vmm_sys_util::ioctl::ioctl_with_ref;
use vmm_sys_util::ioctl_iow_nr;

/// What kvm-ioctls has for arm64's vCPUs alone.
mod request {
    #![allow(missing_docs, reason = "the macro makes an undocumented function")]
    use super::{KVMIO, ioctl_iow_nr, kvm_device_attr};
    ioctl_iow_nr!(KVM_SET_DEVICE_ATTR, KVMIO, 0xe1, kvm_device_attr);
}

/// IA32_TIME_STAMP_COUNTER (Intel SDM vol. 4, table 2-2).
const MSR_TSC: u32 = 0x10;

/// Makes the TSC of every vCPU the host's where KVM lets us (Linux 5.16), and says how far
/// they are ahead of it otherwise, modulo 2^64. `hardware`: this KVM is no software KVM.
pub fn align(vcpus: &[VcpuFd], hardware: bool) -> u64 {
    // There the guest reads the host's TSC, whatever KVM thinks of it.
    if !hardware || vcpus.iter().all(clear_offset) {
        return 0;
    }
    // KVM gives vCPUs that are made together the same offset, so one stands for all.
    vcpus.first().and_then(measure_offset).unwrap_or(0)
}

/// Makes a vCPU's TSC the host's; whether KVM lets us.
fn clear_offset(vcpu: &VcpuFd) -> bool {
    let offset = 0u64;
    let attribute = kvm_device_attr {
        flags: 0,
        group: KVM_VCPU_TSC_CTRL,
        attr: KVM_VCPU_TSC_OFFSET.into(),
        addr: &raw const offset as u64,
    };
    // SAFETY: the ioctl reads the attribute and, through its address, eight bytes of `offset`;
    // both live.
    unsafe { ioctl_with_ref(vcpu, request::KVM_SET_DEVICE_ATTR(), &attribute) == 0 }
}

/// The offset as far as can be seen from outside: of several readings the one between the two
/// host's readings that lie closest.
fn measure_offset(vcpu: &VcpuFd) -> Option<u64> {
    let reading = || {
        let mut msrs = Msrs::from_entries(&[kvm_msr_entry {
            index: MSR_TSC,
            ..Default::default()
        }])
        .ok()?;
        let before = timestamp();
        let read = vcpu.get_msrs(&mut msrs).ok()?;
        let took = timestamp().wrapping_sub(before);
        let guest = msrs.as_slice().first().filter(|_| read == 1)?.data;
        Some((took, guest.wrapping_sub(before.wrapping_add(took / 2))))
    };
    let readings = (0..10).map_while(|_| reading());
    readings.min().map(|(_, offset)| offset)
}
