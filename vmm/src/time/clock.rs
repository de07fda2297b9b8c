//! The guest's clock.

/// The clock of a VM.
#[derive(Debug, Default)]
pub struct Clock {}

impl Clock {
    /// Stub.
    pub fn now(&self) -> u64 {
        0
    }
}
