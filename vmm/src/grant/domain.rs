//! A VM as the other VMs of the process reach it.

use super::GrantedRange;
use super::slots::{GrantedMemory, Slots};
use super::window::Window;
use crate::event::Events;
use crate::event::port::Source;
use crate::memory::Ram;
use crate::space::AddressSpaces;
use crate::vcpu::shared::Vcpus;
use pv_abi::Errno;
use pv_abi::grant::Attachment;
use std::sync::Arc;

/// What of a VM a grant concerns, at either of its ends. (A domain is Xen's word for a VM.)
#[derive(Debug)]
pub struct Domain {
    /// RAM.
    pub ram: Arc<Ram>,
    /// The address spaces.
    pub spaces: Arc<AddressSpaces>,
    /// The ports.
    pub events: Arc<Events>,
    /// The vCPUs.
    pub vcpus: Arc<Vcpus>,
    /// Where attached grants lie.
    pub window: Window,
    /// The memory slots of attached grants.
    pub slots: Box<dyn Slots>,
}

impl Domain {
    /// Makes a range of another VM's RAM, `ram`, memory of this one.
    pub(super) fn attach(
        &self,
        position: usize,
        ram: Arc<Ram>,
        range: GrantedRange,
    ) -> Result<Attachment, Errno> {
        let gpa = self.window.gpa(position);
        let memory = GrantedMemory { ram, range, gpa };
        self.slots
            .insert(position, memory)
            .map_err(|_| Errno::EIO)?;
        let GrantedRange { size, rights, .. } = range;
        self.spaces.attach_range(gpa, size, rights);
        Ok(Attachment {
            gpa,
            size,
            rights,
            reserved: 0,
        })
    }

    /// Takes such a range away. When this returns, nothing of this VM can touch it. `false`: the
    /// host did not remove the slot, which nothing maps any more.
    ///
    /// The mappings go first, so that an access of the guest is a #PF of its own. A translation
    /// that a vCPU still holds ends with the slot: KVM removes what it has derived from it, on
    /// every vCPU, before it answers.
    pub(super) fn detach(&self, position: usize, size: u64) -> bool {
        self.spaces.detach_range(self.window.gpa(position), size);
        match self.slots.remove(position) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("the slot of a grant stays, though nothing maps it: {error}");
                false
            }
        }
    }

    /// Tells the guest that something was granted to it or taken back.
    pub(super) fn notify(&self) {
        self.events.raise_source(&self.vcpus, Source::Grant);
    }
}
