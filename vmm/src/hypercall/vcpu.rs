//! Handlers of the `vcpu` group: starting and stopping vCPUs.

use super::CallContext;
use pv_abi::{Errno, Gpa};

pub(super) fn vcpu_start(
    _context: &mut CallContext<'_>,
    _vcpu: u32,
    _entry: u64,
    _stack: u64,
    _argument: u64,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn vcpu_stop(_context: &mut CallContext<'_>, _vcpu: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn vcpu_state(_context: &mut CallContext<'_>, _vcpu: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn vcpu_set_affinity_hint(
    _context: &mut CallContext<'_>,
    _vcpu: u32,
    _set: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
