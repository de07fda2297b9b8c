//! What the kernel does with the VM's devices, for whoever watches from the host.

pub mod disk;
pub mod idle;
pub mod list;
pub mod ports;
pub mod share;

/// Exit code of a device that does not do what it should.
const EXIT_FAILED: i32 = 1;
