//! Sets of vCPUs or processors, which may have more than 64 elements.
//!
//! A set is a [`Set`], and behind it one word for each bit that is set in `bank_mask`, lowest
//! first: the bank of elements `64 * bit` to `64 * bit + 63`.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`Set::format`]: all elements; there are no banks.
pub const SET_ALL: u32 = 0;

/// [`Set::format`]: the elements of the banks.
pub const SET_SPARSE: u32 = 1;

/// The head of a set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Set {
    /// `SET_*`.
    pub format: u32,
    /// Zero.
    pub reserved: u32,
    /// Which banks follow.
    pub bank_mask: u64,
}

pin_layout!(Set, size 16 { format @ 0, reserved @ 4, bank_mask @ 8 });
