//! A VM with one vCPU in real mode and a few bytes of code.
#![allow(unsafe_code)]

use kvm_bindings::{kvm_regs, kvm_userspace_memory_region};
use kvm_ioctls::{Error, Kvm, VcpuFd, VmFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// Where the code lies, and how much memory there is.
const CODE: u64 = 0x1000;
const MEMORY: usize = 0x2000;

/// The VM.
pub struct BareVm {
    /// Its vCPU, about to execute the code.
    pub vcpu: VcpuFd,
    // They own what the vCPU runs in.
    _memory: GuestMemoryMmap,
    _vm: VmFd,
}

impl BareVm {
    /// One that executes `code`.
    pub fn new(code: &[u8]) -> Result<Self, Error> {
        let failed = |_| Error::new(libc::EFAULT);
        let vm = Kvm::new()?.create_vm()?;
        let memory: GuestMemoryMmap = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), MEMORY)])
            .map_err(|_| Error::new(libc::ENOMEM))?;
        memory
            .write_slice(code, GuestAddress(CODE))
            .map_err(failed)?;
        let host = memory.get_host_address(GuestAddress(0)).map_err(failed)?;
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: MEMORY as u64,
            userspace_addr: host as u64,
        };
        // SAFETY: the range is `memory`'s, which lives as long as the VM in the same struct.
        unsafe { vm.set_user_memory_region(region)? };
        let vcpu = vm.create_vcpu(0)?;
        let mut sregs = vcpu.get_sregs()?;
        sregs.cs.base = 0;
        sregs.cs.selector = 0;
        vcpu.set_sregs(&sregs)?;
        vcpu.set_regs(&kvm_regs {
            rip: CODE,
            rsp: MEMORY as u64,
            rflags: 2,
            ..Default::default()
        })?;
        Ok(Self {
            vcpu,
            _memory: memory,
            _vm: vm,
        })
    }
}
