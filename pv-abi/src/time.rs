//! Time: the clock of a VM, and the time of day.
//!
//! The clock counts nanoseconds from the start of the VM. It is the same on all vCPUs, and
//! read without an exit: `clock` of the vCPU page has the layout of Linux's
//! `struct pvclock_vcpu_time_info`, and the time is
//!
//! - `delta = RDTSC - tsc_timestamp`, shifted left by `tsc_shift`, or right if that is negative;
//! - `system_time + (delta * tsc_to_system_mul >> 32)`, with a product of 128 bits,
//!
//! read again if `version` is odd or has changed meanwhile. Deadlines are times of this clock.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A time of day: what `time_wallclock` writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Wallclock {
    /// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
    pub seconds: u64,
    /// Nanoseconds of the second.
    pub nanoseconds: u32,
    /// Zero.
    pub reserved: u32,
    /// The time of the clock at that moment, in nanoseconds.
    pub clock: u64,
}

pin_layout!(Wallclock, size 24 { seconds @ 0, nanoseconds @ 8, reserved @ 12, clock @ 16 });
