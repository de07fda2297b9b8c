//! The thread pointer: the FS base.

#![allow(unsafe_code)]

use crate::hypercall::raw;
use pv_abi::Errno;

/// Sets the FS base of this vCPU. Needs [`Features::TLS`](pv_abi::Features::TLS).
///
/// # Errors
///
/// [`Errno::EINVAL`] when the address is not in the lower half.
///
/// # Safety
///
/// Code on this vCPU that accesses memory through FS expects this address.
pub unsafe fn set_base(address: u64) -> Result<(), Errno> {
    // SAFETY: the caller's promise; the SDK itself does not use FS.
    unsafe { raw::trap_set_tls(address) }.map(drop)
}
