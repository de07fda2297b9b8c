//! A VM with memory and nothing else.
#![allow(unsafe_code)]

use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Error, Kvm, VmFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// The VM. What runs in it must not outlive it.
pub struct Vm {
    /// The VM itself, for making vCPUs.
    pub fd: VmFd,
    memory: GuestMemoryMmap,
}

impl Vm {
    /// One with so many bytes of memory from guest-physical address 0 on.
    pub fn new(kvm: &Kvm, size: usize) -> Result<Self, Error> {
        let fd = kvm.create_vm()?;
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), size)])
            .map_err(|_| Error::new(libc::ENOMEM))?;
        let vm = Self { fd, memory };
        let region = kvm_userspace_memory_region {
            slot: 0,
            flags: 0,
            guest_phys_addr: 0,
            memory_size: size as u64,
            userspace_addr: vm.host(0)? as u64,
        };
        // SAFETY: the range is that of `memory`, which lives as long as the VM in the same struct.
        unsafe { vm.fd.set_user_memory_region(region)? };
        Ok(vm)
    }

    /// Writes to its memory.
    pub fn put(&self, at: u64, bytes: &[u8]) -> Result<(), Error> {
        self.memory
            .write_slice(bytes, GuestAddress(at))
            .map_err(|_| Error::new(libc::EFAULT))
    }

    /// Where its memory is in this process, for as long as this lives.
    pub fn host(&self, at: u64) -> Result<*mut u8, Error> {
        self.memory
            .get_host_address(GuestAddress(at))
            .map_err(|_| Error::new(libc::EFAULT))
    }
}
