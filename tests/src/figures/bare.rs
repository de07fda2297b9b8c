//! The floor: a guest that does nothing but exit, and a loop that does nothing but KVM_RUN.
#![allow(unsafe_code)]

use kvm_bindings::{kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit};
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// `out 0x10, al; jmp` back to it, in real mode.
const OUT_LOOP: [u8; 4] = [0xe6, 0x10, 0xeb, 0xfc];
const CODE: u64 = 0x1000;

/// The time of `exits` round trips of a bare port write, after a warm-up.
pub fn port_writes(exits: u64) -> Result<Duration, kvm_ioctls::Error> {
    let kvm = Kvm::new()?;
    let vm = kvm.create_vm()?;
    let memory: GuestMemoryMmap = GuestMemoryMmap::from_ranges(&[(GuestAddress(CODE), 0x1000)])
        .map_err(|_| kvm_ioctls::Error::new(libc::ENOMEM))?;
    let failed = |_| kvm_ioctls::Error::new(libc::EFAULT);
    memory
        .write_slice(&OUT_LOOP, GuestAddress(CODE))
        .map_err(failed)?;
    let host = memory
        .get_host_address(GuestAddress(CODE))
        .map_err(failed)?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: CODE,
        memory_size: 0x1000,
        userspace_addr: host as u64,
    };
    // SAFETY: the range is `memory`'s, which lives as long as the VM in this function.
    unsafe { vm.set_user_memory_region(region)? };
    let mut vcpu = vm.create_vcpu(0)?;
    let mut sregs = vcpu.get_sregs()?;
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    vcpu.set_sregs(&sregs)?;
    vcpu.set_regs(&kvm_regs {
        rip: CODE,
        rflags: 2,
        ..Default::default()
    })?;
    let mut run = |count: u64| {
        let start = Instant::now();
        for _ in 0..count {
            match vcpu.run()? {
                VcpuExit::IoOut(..) => {}
                _ => return Err(kvm_ioctls::Error::new(libc::EPROTO)),
            }
        }
        Ok(start.elapsed())
    };
    run(1000)?;
    run(exits)
}
