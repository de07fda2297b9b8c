//! Timers.

/// The timers of a VM.
#[derive(Debug, Default)]
pub struct Timers {}
