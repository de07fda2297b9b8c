//! Handlers of the `time` group: timers, and the time of day.

use super::CallContext;
use pv_abi::{Errno, Gpa};

pub(super) fn time_oneshot(
    _context: &mut CallContext<'_>,
    _port: u32,
    _deadline: u64,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn time_periodic(
    _context: &mut CallContext<'_>,
    _port: u32,
    _first: u64,
    _period: u64,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn time_cancel(_context: &mut CallContext<'_>, _port: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn time_wallclock(_context: &mut CallContext<'_>, _out: Gpa) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
