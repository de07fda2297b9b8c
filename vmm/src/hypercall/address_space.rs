//! Handlers of the `as` group: address spaces.

use super::CallContext;
use super::repeat::Repeat;
use pv_abi::{Errno, Gpa};

pub(super) fn as_create(_context: &mut CallContext<'_>) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_destroy(_context: &mut CallContext<'_>, _space: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_map(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _space: u32,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_unmap(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _space: u32,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_protect(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _space: u32,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_query(
    _context: &mut CallContext<'_>,
    _space: u32,
    _address: u64,
    _out: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_switch(_context: &mut CallContext<'_>, _space: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn as_seal(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _space: u32,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
