//! Timers.

use crate::hypercall::Services;

/// The timers of a VM.
#[derive(Debug, Default)]
pub struct Timers {}

impl Timers {
    /// Stub.
    pub fn attach(&self, _vcpu: u32) {}

    /// Stub.
    pub fn run_due(&self, _vcpu: u32, _services: &Services) {}

    /// Stub.
    pub fn next_deadline(&self, _vcpu: u32) -> Option<u64> {
        None
    }
}
