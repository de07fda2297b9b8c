//! Memory slots without a KVM.

use crate::grant::slots::{GrantedMemory, SlotError, Slots};
use crate::sync::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Memory slots that only remember what they were set to, by position.
#[derive(Debug, Default)]
pub(super) struct RecordedSlots {
    attached: Mutex<BTreeMap<usize, GrantedMemory>>,
    refuses: AtomicBool,
}

/// What a slot shows: the guest-physical address, the address in the VMM, the size, the rights.
pub(super) type Slot = (u64, u64, u64, u32);

impl RecordedSlots {
    /// Whether the host refuses every change from now on.
    pub fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::Relaxed);
    }

    /// What there is at each position.
    pub fn attached(&self) -> BTreeMap<usize, Slot> {
        let shown = |memory: &GrantedMemory| {
            let range = memory.range;
            let address = memory.ram.host_address() + range.gpa;
            (memory.gpa, address, range.size, range.rights)
        };
        let attached = lock(&self.attached);
        let slots = attached.iter();
        slots
            .map(|(&position, memory)| (position, shown(memory)))
            .collect()
    }

    fn check(&self) -> Result<(), SlotError> {
        if self.refuses.load(Ordering::Relaxed) {
            Err(SlotError::Kvm(kvm_ioctls::Error::new(libc::ENOMEM)))
        } else {
            Ok(())
        }
    }
}

impl Slots for Arc<RecordedSlots> {
    fn insert(&self, position: usize, memory: GrantedMemory) -> Result<(), SlotError> {
        self.check()?;
        let before = lock(&self.attached).insert(position, memory);
        assert!(before.is_none(), "position {position} is in use");
        Ok(())
    }

    fn remove(&self, position: usize) -> Result<(), SlotError> {
        self.check()?;
        let before = lock(&self.attached).remove(&position);
        assert!(before.is_some(), "nothing is at position {position}");
        Ok(())
    }
}
