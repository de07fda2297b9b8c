//! Time: the clock of a VM, and the time of day.
//!
//! The clock counts nanoseconds from the start of the VM. It is the same on all vCPUs, and
//! read without an exit: `clock` of the vCPU page has the layout of Linux's
//! `struct pvclock_vcpu_time_info`, and the time is
//!
//! - `delta = RDTSC - tsc_timestamp`, 0 if that is negative (two processors' counters may be a few
//!   cycles apart), shifted left by `tsc_shift`, or right if that is negative;
//! - `system_time + (delta * tsc_to_system_mul >> 32)`, with a product of 128 bits,
//!
//! read again if `version` is odd or has changed meanwhile. Deadlines are times of this clock.

use crate::pin_layout;
use crate::vcpu_page::Clock;
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

/// [`Clock::flags`]: the clock is the same on all vCPUs, PVCLOCK_TSC_STABLE_BIT.
pub const CLOCK_TSC_STABLE: u8 = 1;

/// Nanoseconds of a second.
pub const NANOSECONDS: u64 = 1_000_000_000;

impl Clock {
    /// A clock that is `system_time` when a TSC of `frequency` Hz is `tsc_timestamp`; `None`
    /// for frequencies that it cannot express, 0 among them.
    ///
    /// Multiplier and shift are those of Linux's `kvm_get_time_scale` (`arch/x86/kvm/x86.c`).
    /// The multiplier has 32 significant bits, so the clock is off by less than a nanosecond in a
    /// second.
    pub const fn new(frequency: u64, tsc_timestamp: u64, system_time: u64) -> Option<Self> {
        // What is shifted out of a 64-bit frequency above this would be much of it.
        if frequency < 1000 || frequency > 1 << 40 {
            return None;
        }
        let mut shift = 0;
        let mut ticks = frequency;
        while ticks > 2 * NANOSECONDS {
            ticks >>= 1;
            shift -= 1;
        }
        while ticks <= NANOSECONDS {
            ticks <<= 1;
            shift += 1;
        }
        Some(Self {
            version: 2,
            reserved: 0,
            tsc_timestamp,
            system_time,
            tsc_to_system_mul: ((NANOSECONDS << 32) / ticks) as u32,
            tsc_shift: shift,
            flags: CLOCK_TSC_STABLE,
            padding: [0; 2],
        })
    }

    /// The time at which the TSC is `tsc`; [`Clock::system_time`] for a time before that.
    pub const fn at(&self, tsc: u64) -> u64 {
        let delta = tsc.wrapping_sub(self.tsc_timestamp);
        // Two processors' TSCs may be a few cycles apart.
        if delta > i64::MAX as u64 {
            return self.system_time;
        }
        let delta = if self.tsc_shift >= 0 {
            (delta as u128) << (self.tsc_shift as u32 & 63)
        } else {
            (delta as u128) >> (self.tsc_shift.unsigned_abs() as u32 & 63)
        };
        let elapsed = delta.wrapping_mul(self.tsc_to_system_mul as u128) >> 32;
        self.system_time.wrapping_add(elapsed as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What Linux's `kvm_get_time_scale` computes for a TSC of `frequency` Hz, transcribed.
    fn kvm_get_time_scale(frequency: u64) -> (i8, u32) {
        let (mut scaled, mut shift) = (NANOSECONDS, 0);
        let mut ticks = frequency;
        while ticks > scaled * 2 || ticks >> 32 != 0 {
            ticks >>= 1;
            shift -= 1;
        }
        let mut ticks = ticks as u32;
        while u64::from(ticks) <= scaled || scaled >> 32 != 0 {
            if scaled >> 32 != 0 || ticks >> 31 != 0 {
                scaled >>= 1;
            } else {
                ticks <<= 1;
            }
            shift += 1;
        }
        (shift, ((scaled << 32) / u64::from(ticks)) as u32)
    }

    #[test]
    fn what_is_no_frequency_makes_no_clock() {
        assert!(Clock::new(0, 0, 0).is_none());
        assert!(Clock::new(999, 0, 0).is_none());
        assert!(Clock::new(u64::MAX, 0, 0).is_none());
    }

    #[test]
    fn a_tsc_of_one_gigahertz_counts_nanoseconds() {
        let clock = Clock::new(NANOSECONDS, 100, 7).unwrap();
        assert_eq!(clock.at(100), 7);
        assert_eq!(clock.at(99), 7);
        assert_eq!(clock.at(100 + 12_345), 7 + 12_345);
        assert_eq!(clock.version % 2, 0);
    }

    proptest! {
        #[test]
        fn it_is_scaled_as_kvm_scales_it(frequency in 1000u64..1 << 40) {
            let clock = Clock::new(frequency, 0, 0).unwrap();
            let scale = (clock.tsc_shift, clock.tsc_to_system_mul);
            prop_assert_eq!(scale, kvm_get_time_scale(frequency));
        }

        /// Within a nanosecond for each second that has passed.
        #[test]
        fn it_is_exact(
            frequency in 100_000_000u64..8_000_000_000,
            start: u64,
            seconds in 0u64..10_000_000,
            ticks in 0u64..8_000_000_000,
        ) {
            let clock = Clock::new(frequency, start, 0).unwrap();
            let delta = seconds * frequency + ticks;
            let exact = u128::from(delta) * u128::from(NANOSECONDS) / u128::from(frequency);
            let told = u128::from(clock.at(start.wrapping_add(delta)));
            let seconds = exact / u128::from(NANOSECONDS);
            // And within the cycles that the shift drops.
            prop_assert!(told.abs_diff(exact) <= seconds + 2, "{told} is {exact}");
        }

        #[test]
        fn it_never_goes_back(
            frequency in 1000u64..1 << 40,
            start: u64,
            mut deltas in prop::collection::vec(0u64..1 << 62, 2..50),
        ) {
            let clock = Clock::new(frequency, start, 5).unwrap();
            deltas.sort_unstable();
            let times: std::vec::Vec<_> = deltas
                .iter()
                // After five centuries it begins again.
                .filter(|&&delta| delta / frequency < 1 << 34)
                .map(|delta| clock.at(start.wrapping_add(*delta)))
                .collect();
            prop_assert!(times.is_sorted());
        }
    }
}
