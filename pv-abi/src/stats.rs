//! What `core_stats` and `core_batch` exchange through memory.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What `core_stats` writes: counters of the calling vCPU since the VM started.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Stats {
    /// Exits to the VMM, hypercalls included.
    pub exits: u64,
    /// Hypercalls, counting a batch as one.
    pub hypercalls: u64,
    /// Hypercalls that failed.
    pub failed_hypercalls: u64,
    /// Calls that were carried out as elements of a batch.
    pub batched_calls: u64,
}

/// Most elements of a batch.
pub const BATCH_MAX: u32 = 512;

/// `core_batch` flag: stop behind the first element that fails.
pub const BATCH_STOP_ON_ERROR: u32 = 1;

/// One element of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct BatchEntry {
    /// The call word, as in RAX.
    pub word: u64,
    /// The arguments, as in RDI, RSI, RDX, R10, R8 and R9.
    pub arguments: [u64; 6],
    /// VMM: the result, as in RAX. Only elements that were carried out have one.
    pub result: i64,
}

pin_layout!(Stats, size 32 { exits @ 0, hypercalls @ 8, failed_hypercalls @ 16, batched_calls @ 24 });
pin_layout!(BatchEntry, size 64 { word @ 0, arguments @ 8, result @ 56 });
