//! Devices without a KVM: a driver in a test, on rings in RAM.

pub(crate) mod calls;
pub(crate) mod fuzz;
mod hostile;
pub(crate) mod rig;
mod saved;
mod transport;
