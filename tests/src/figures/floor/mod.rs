//! Floors: what the host and KVM take for the same without a VMM around them.

mod bare_vm;
pub mod port_writes;
mod vm;
