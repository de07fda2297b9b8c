//! The counters that the VMM keeps of the running vCPU.

#![allow(unsafe_code)]

use crate::{address, hypercall::raw};
pub use pv_abi::stats::Stats;
use pv_abi::{Errno, Gpa};

/// The counters of the running vCPU.
///
/// # Errors
///
/// Those of `core_stats`; none is expected.
pub fn read() -> Result<Stats, Errno> {
    let mut stats = Stats::default();
    let gpa: Gpa =
        address::virt_to_phys(&raw mut stats, size_of::<Stats>()).ok_or(Errno::EFAULT)?;
    // SAFETY: the call writes to `stats` alone.
    unsafe { raw::core_stats(gpa, size_of::<Stats>() as u32) }?;
    Ok(stats)
}
