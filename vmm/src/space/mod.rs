//! Address spaces.

use crate::carrier::Mode;
use crate::memory::{PrivateMemory, Ram};
use std::sync::Arc;

/// The address spaces of a VM.
#[derive(Debug)]
pub struct AddressSpaces {
    _memory: Arc<PrivateMemory>,
    _ram: Arc<Ram>,
}

impl AddressSpaces {
    /// Only the kernel's, which has this root.
    pub fn new(memory: Arc<PrivateMemory>, ram: Arc<Ram>, _mode: Mode, _root: u64) -> Self {
        Self {
            _memory: memory,
            _ram: ram,
        }
    }
}
