//! Events: the ports of a VM, their sources, and the memory that they share with the guest.

use crate::memory::PrivateMemory;
use std::sync::Arc;

/// The ports of a VM.
#[derive(Debug)]
pub struct Events {
    _memory: Arc<PrivateMemory>,
}

impl Events {
    /// All ports are free. `event_page` and `vcpu_pages` are the guest-physical addresses of
    /// private pages that the guest sees as such.
    pub fn new(memory: Arc<PrivateMemory>, _event_page: u64, _vcpu_pages: &[u64]) -> Self {
        Self { _memory: memory }
    }

    /// Stub.
    pub fn upcall_pending(&self, _vcpu: u32) -> bool {
        false
    }

    /// Stub.
    pub fn check_port(&self, _port: u32) -> Result<(), pv_abi::Errno> {
        Ok(())
    }

    /// Stub.
    pub fn is_pending(&self, _port: u32) -> bool {
        false
    }
}
