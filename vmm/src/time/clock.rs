//! The guest's clock.

/// The clock of a VM.
#[derive(Debug, Default)]
pub struct Clock {}
