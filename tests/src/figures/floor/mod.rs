//! Floors: what the host and KVM take for the same without a VMM around them.

mod bare_vm;
pub mod injection;
mod pair;
pub mod port_writes;
pub mod start;
pub mod timer;
mod vm;
