//! A guest that does nothing but exit, and a loop that does nothing but KVM_RUN.

use super::bare_vm::BareVm;
use kvm_ioctls::{Error, VcpuExit};
use std::time::{Duration, Instant};

/// `out 0x10, al; jmp` back to it, in real mode.
pub(super) const OUT_LOOP: [u8; 4] = [0xe6, 0x10, 0xeb, 0xfc];

/// The time of `exits` round trips of a bare port write, after a warm-up.
///
/// # Errors
///
/// What KVM says.
pub fn measure(exits: u64) -> Result<Duration, Error> {
    let mut vm = BareVm::new(&OUT_LOOP)?;
    let mut run = |count: u64| {
        let start = Instant::now();
        for _ in 0..count {
            match vm.vcpu.run()? {
                VcpuExit::IoOut(..) => {}
                _ => return Err(Error::new(libc::EPROTO)),
            }
        }
        Ok(start.elapsed())
    };
    run(1000)?;
    run(exits)
}
