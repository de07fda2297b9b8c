//! The shootdown of a VM that KVM runs.
#![allow(unsafe_code)]

use super::Shootdown;
use super::userfault::Userfault;
use crate::memory::{PrivateMemory, Ram};
use crate::sandbox::thread;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use rustix::mm::{MprotectFlags, mprotect};
use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::{fmt, mem};

/// The memory slot that is moved. Those of RAM, the private pages and attached grants are below.
const SPARE_SLOT: u32 = 124;

/// How RAM's translations are made forgotten. In the order in which they are tried.
#[derive(Debug)]
enum Way {
    /// By a userfaultfd: not opened yet.
    Userfault,
    /// By this one: 32 us with a vCPU running on another processor.
    Opened(Userfault),
    /// By changing the host's protection and back: 120 us. Containers are often denied
    /// userfaultfd.
    Protection,
    /// Not at all: everything is, 80 us and what it takes to find all anew.
    Everything,
}

/// The shootdown of a KVM VM.
pub struct KvmShootdown {
    vm: Arc<VmFd>,
    ram: Arc<Ram>,
    private: Arc<PrivateMemory>,
    way: Way,
    /// At which of its two places the spare slot is, if it is there.
    spare: Option<u64>,
}

impl fmt::Debug for KvmShootdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvmShootdown")
            .field("way", &self.way)
            .finish_non_exhaustive()
    }
}

impl KvmShootdown {
    /// The shootdown of a VM that has this memory.
    pub fn new(vm: Arc<VmFd>, ram: Arc<Ram>, private: Arc<PrivateMemory>) -> Self {
        Self {
            vm,
            ram,
            private,
            way: Way::Userfault,
            spare: None,
        }
    }

    /// Puts the spare slot to one of its two places.
    fn put_spare(&mut self, place: u64) -> io::Result<()> {
        let (gpa, host_address) = self.private.spare();
        let region = kvm_userspace_memory_region {
            slot: SPARE_SLOT,
            flags: 0,
            guest_phys_addr: gpa + place * SPARE_SIZE,
            memory_size: SPARE_SIZE,
            userspace_addr: host_address,
        };
        // SAFETY: the page is one of `self.private`'s, which lives as long as the slot is of any
        // use. No page table leads to it.
        unsafe { self.vm.set_user_memory_region(region) }
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))?;
        self.spare = Some(place);
        Ok(())
    }

    fn try_range(&mut self, range: &Range<u64>) -> io::Result<()> {
        if matches!(self.way, Way::Userfault) {
            let start = self.ram.host_address();
            self.way = Way::Opened(Userfault::open(start..start + self.ram.size())?);
        }
        match &self.way {
            Way::Opened(userfault) => userfault.touch(range.clone()),
            Way::Protection => change_protection(range),
            Way::Userfault | Way::Everything => self.everything(),
        }
    }
}

/// Size of the spare slot in bytes.
const SPARE_SIZE: u64 = PrivateMemory::SPARE_SIZE / 2;

impl Shootdown for KvmShootdown {
    fn range(&mut self, gpas: Range<u64>) -> io::Result<()> {
        let start = self.ram.host_address();
        let range = start + gpas.start..start + gpas.end;
        loop {
            let error = match self.try_range(&range) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let next = match mem::replace(&mut self.way, Way::Everything) {
                // In its sandbox a process may make nothing executable, not even for a moment.
                Way::Userfault | Way::Opened(_) if thread::is_entered() => Way::Everything,
                Way::Userfault | Way::Opened(_) => Way::Protection,
                Way::Protection => Way::Everything,
                Way::Everything => return Err(error),
            };
            tracing::debug!(%error, ?next, "translations are made forgotten in another way");
            self.way = next;
        }
    }

    /// Moving a memory slot makes KVM drop all translations of the VM, whatever slot it is
    /// (Linux, Documentation/virt/kvm/api.rst, KVM_X86_QUIRK_SLOT_ZAP_ALL).
    fn everything(&mut self) -> io::Result<()> {
        if self.spare.is_none() {
            self.put_spare(0)?;
        }
        self.put_spare(1 - self.spare.unwrap_or(0))
    }
}

/// Allows this process to execute the memory, and forbids it again. What was allowed before is
/// allowed all the time.
fn change_protection(range: &Range<u64>) -> io::Result<()> {
    let start = range.start as *mut c_void;
    let size = (range.end - range.start) as usize;
    let protections = [
        MprotectFlags::READ | MprotectFlags::WRITE | MprotectFlags::EXEC,
        MprotectFlags::READ | MprotectFlags::WRITE,
    ];
    for protection in protections {
        // SAFETY: the range is RAM's, of this process and mapped for reading and writing, which
        // stays so. Nothing in this process executes it.
        unsafe { mprotect(start, size, protection) }?;
    }
    Ok(())
}
