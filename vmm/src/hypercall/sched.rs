//! Handlers of the `sched` group: the processor, and the end of the VM.

use super::{Action, CallContext};
use pv_abi::{Errno, Gpa};

/// The largest exit code of a guest; those above are the VMM's own.
pub const GUEST_EXIT_CODE_MAX: u32 = 119;

pub(super) fn sched_yield(_context: &mut CallContext<'_>) -> Result<u32, Errno> {
    std::thread::yield_now();
    Ok(0)
}

pub(super) fn sched_shutdown(context: &mut CallContext<'_>, code: u32) -> Result<u32, Errno> {
    if code > GUEST_EXIT_CODE_MAX {
        return Err(Errno::EINVAL);
    }
    context.action = Some(Action::Shutdown(code as u8));
    Ok(0)
}

pub(super) fn sched_reboot(context: &mut CallContext<'_>) -> Result<u32, Errno> {
    context.action = Some(Action::Reboot);
    Ok(0)
}

pub(super) fn sched_crash(context: &mut CallContext<'_>) -> Result<u32, Errno> {
    context.action = Some(Action::Crash);
    Ok(0)
}

pub(super) fn sched_yield_to(_context: &mut CallContext<'_>, _vcpu: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn sched_block(_context: &mut CallContext<'_>) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn sched_poll(
    _context: &mut CallContext<'_>,
    _ports: Gpa,
    _count: u32,
    _deadline: u64,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn sched_kick(_context: &mut CallContext<'_>, _vcpu: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn sched_spin(_context: &mut CallContext<'_>, _spins: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
