//! Handlers of the `event` group: ports.

use super::CallContext;
use pv_abi::Errno;

pub(super) fn event_alloc(
    _context: &mut CallContext<'_>,
    _vcpu: u32,
    _priority: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_bind_timer(
    _context: &mut CallContext<'_>,
    _vcpu: u32,
    _priority: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_bind_ipi(
    _context: &mut CallContext<'_>,
    _vcpu: u32,
    _priority: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_bind_vcpu(
    _context: &mut CallContext<'_>,
    _port: u32,
    _vcpu: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_send(_context: &mut CallContext<'_>, _port: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_mask(_context: &mut CallContext<'_>, _port: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_unmask(_context: &mut CallContext<'_>, _port: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_close(_context: &mut CallContext<'_>, _port: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn event_bind_source(
    _context: &mut CallContext<'_>,
    _source: u32,
    _vcpu: u32,
    _priority: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
