//! Grants: memory that guests of one VMM share.

/// The grants of a VM.
#[derive(Debug, Default)]
pub struct Grants {}
