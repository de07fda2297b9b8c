//! What the kernel does with the VM's devices, for whoever watches from the host.

pub mod disk;
pub mod list;
