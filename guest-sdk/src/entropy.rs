//! Random bytes of the host's.

#![allow(unsafe_code)]

use crate::{address, hypercall::raw};
use pv_abi::Errno;

/// Most bytes that one call gives.
const CHUNK: usize = 256;

/// Fills memory with random bytes. Needs [`Features::ENTROPY`](pv_abi::Features::ENTROPY).
///
/// # Errors
///
/// [`Errno::EIO`] when the host's generator failed, [`Errno::ENOSYS`] without the feature.
pub fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    for chunk in bytes.chunks_mut(CHUNK) {
        let gpa = address::virt_to_phys(chunk.as_mut_ptr(), chunk.len()).ok_or(Errno::EFAULT)?;
        // SAFETY: the call writes to the chunk alone, which is ours.
        unsafe { raw::core_entropy(gpa, chunk.len() as u32) }?;
    }
    Ok(())
}
