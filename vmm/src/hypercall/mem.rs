//! Handlers of the `mem` group: memory given back to the host, and memory shared between guests.

use super::CallContext;
use super::repeat::Repeat;
use pv_abi::{Errno, Gpa};

pub(super) fn mem_populate(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_release(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_hint(
    _context: &mut CallContext<'_>,
    _repeat: Repeat,
    _elements: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_share(
    _context: &mut CallContext<'_>,
    _guest: u32,
    _gpa: Gpa,
    _size: u64,
    _rights: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_unshare(_context: &mut CallContext<'_>, _grant: u32) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_attach(
    _context: &mut CallContext<'_>,
    _guest: u32,
    _grant: u32,
    _out: Gpa,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_detach(
    _context: &mut CallContext<'_>,
    _guest: u32,
    _grant: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}

pub(super) fn mem_offers(
    _context: &mut CallContext<'_>,
    _out: Gpa,
    _count: u32,
) -> Result<u32, Errno> {
    Err(Errno::ENOSYS)
}
