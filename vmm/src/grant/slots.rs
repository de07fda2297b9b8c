//! Memory slots: what makes a range of one VM's RAM memory of another VM too.
#![allow(unsafe_code)]

use super::GrantedRange;
use crate::memory::Ram;
use crate::sync::lock;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use pv_abi::Gpa;
use pv_abi::grant::GRANTS;
use pv_abi::start_info::RIGHT_WRITE;
use std::fmt;
use std::sync::{Arc, Mutex};
use thiserror::Error;

/// The memory slot of the first position; each further one has the next. Those before it are
/// RAM's and the private pages'.
const FIRST_SLOT: u32 = 2;

/// Memory of another VM.
#[derive(Clone, Debug)]
pub struct GrantedMemory {
    /// The RAM that it is a part of.
    pub ram: Arc<Ram>,
    /// Which part, and what may be done with it.
    pub range: GrantedRange,
    /// Where it appears: the guest-physical address of its first byte.
    pub gpa: u64,
}

/// Why a memory slot could not be changed.
#[derive(Debug, Error)]
pub enum SlotError {
    /// There is no such position, or it is in use already, or there is nothing at it; or what is
    /// to be there is not RAM.
    #[error("position {0} of the grant window is not what it should be (a defect of the VMM)")]
    Position(usize),
    /// KVM refused it.
    #[error("KVM_SET_USER_MEMORY_REGION failed: {0}")]
    Kvm(kvm_ioctls::Error),
}

/// The memory slots of a VM for attached grants, one for each position.
pub trait Slots: Send + Sync + fmt::Debug {
    /// Makes the memory appear in the VM.
    fn insert(&self, position: usize, memory: GrantedMemory) -> Result<(), SlotError>;

    /// Makes it disappear. When this returns, no vCPU can reach it any more.
    fn remove(&self, position: usize) -> Result<(), SlotError>;
}

/// The memory slots of a KVM VM.
pub struct KvmSlots {
    vm: Arc<VmFd>,
    // What KVM has been told to use, so that it stays mapped.
    memory: Mutex<[Option<GrantedMemory>; GRANTS]>,
}

impl fmt::Debug for KvmSlots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvmSlots").finish_non_exhaustive()
    }
}

impl KvmSlots {
    /// The slots of `vm`, none of which is used yet.
    pub fn new(vm: Arc<VmFd>) -> Self {
        Self {
            vm,
            memory: Mutex::new([const { None }; GRANTS]),
        }
    }

    /// Sets a slot to `size` bytes of `memory`; to nothing when that is 0.
    fn set(&self, position: usize, memory: &GrantedMemory, size: u64) -> Result<(), SlotError> {
        let GrantedRange { gpa, rights, .. } = memory.range;
        let region = kvm_userspace_memory_region {
            slot: FIRST_SLOT + position as u32,
            // The guest's page tables allow no write either; this holds whatever is in them.
            flags: if rights & RIGHT_WRITE == 0 {
                KVM_MEM_READONLY
            } else {
                0
            },
            guest_phys_addr: memory.gpa,
            memory_size: size,
            userspace_addr: memory.ram.host_address() + gpa,
        };
        // SAFETY: `insert` has checked that the range lies in the mapping that `memory.ram` owns.
        // `self.memory` has a share in it until the slot is gone or the VM is: whoever runs a vCPU
        // has this VM's services, and these its slots.
        unsafe { self.vm.set_user_memory_region(region) }.map_err(SlotError::Kvm)
    }
}

impl Slots for KvmSlots {
    fn insert(&self, position: usize, memory: GrantedMemory) -> Result<(), SlotError> {
        let GrantedRange { gpa, size, .. } = memory.range;
        let mut slots = lock(&self.memory);
        match slots.get_mut(position) {
            Some(slot @ None) if memory.ram.check_range(Gpa(gpa), size).is_ok() => {
                // Before KVM is told, so that it is kept whatever comes of that.
                let memory = slot.insert(memory);
                let result = self.set(position, memory, memory.range.size);
                if result.is_err() {
                    *slot = None;
                }
                result
            }
            _ => Err(SlotError::Position(position)),
        }
    }

    fn remove(&self, position: usize) -> Result<(), SlotError> {
        let mut slots = lock(&self.memory);
        match slots.get_mut(position) {
            Some(slot @ Some(_)) => {
                if let Some(memory) = slot {
                    // If it fails the slot is still there, and the memory is kept for it.
                    self.set(position, memory, 0)?;
                }
                *slot = None;
                Ok(())
            }
            _ => Err(SlotError::Position(position)),
        }
    }
}
