//! Error codes: what a call answers when it fails.

/// Defines [`Errno`] with its numbers and meanings in one place.
macro_rules! errnos {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)*) => {
        /// Why a call failed. A failed call returns the negated number in RAX.
        ///
        /// Names and numbers are Linux's (`include/uapi/asm-generic/errno.h`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Errno {
            $($(#[doc = $doc])+ $name = $number,)*
        }

        impl Errno {
            /// Every error code, in the order of their numbers.
            pub const ALL: &'static [Errno] = &[$(Errno::$name),*];

            /// The symbolic name, for example `EFAULT`.
            pub const fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name),)* }
            }

            /// What the code means, in one paragraph.
            pub const fn meaning(self) -> &'static str {
                match self { $(Errno::$name => concat!($($doc),+).trim_ascii(),)* }
            }

            /// The error with this (positive) number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Errno::$name),)* _ => None }
            }
        }
    };
}

errnos! {
    /// The caller may not do this, or not here (for example inside a batch).
    EPERM = 1,
    /// There is no such thing.
    ENOENT = 2,
    /// The VMM could not carry the call out for a reason of the host's.
    EIO = 5,
    /// A count or size is larger than the call takes.
    E2BIG = 7,
    /// Nothing is there now; try again later.
    EAGAIN = 11,
    /// The VMM will spend no more memory on this guest.
    ENOMEM = 12,
    /// A guest-physical address is past the end of RAM, wraps around, or is not aligned; or the
    /// call would write there, and the page is sealed.
    EFAULT = 14,
    /// It is in use.
    EBUSY = 16,
    /// There is something already.
    EEXIST = 17,
    /// An argument, a reserved bit or a reserved field has a value that the call does not take.
    EINVAL = 22,
    /// All of them are in use.
    ENOSPC = 28,
    /// The other end is closed, for good.
    EPIPE = 32,
    /// There is no such call.
    ENOSYS = 38,
    /// The time is over.
    ETIMEDOUT = 110,
}

impl Errno {
    /// The value that a failed call returns in RAX.
    pub const fn to_result(self) -> i64 {
        -(self as i64)
    }

    /// Splits a result register into success and failure.
    ///
    /// A negative value that is no error code of this ABI version (a newer VMM may
    /// have more) reads as [`Errno::EIO`].
    pub const fn from_result(result: i64) -> Result<u32, Self> {
        if result >= 0 {
            return Ok(result as u32);
        }
        if result >= -4095
            && let Some(errno) = Self::from_number(-result as u16)
        {
            return Err(errno);
        }
        Err(Self::EIO)
    }
}

impl core::fmt::Display for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} ({})", self.name(), self.meaning())
    }
}

impl core::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_survives_the_trip_through_a_result() {
        for &errno in Errno::ALL {
            assert_eq!(Errno::from_result(errno.to_result()), Err(errno));
        }
    }

    #[test]
    fn success_is_zero_or_more() {
        assert_eq!(Errno::from_result(0), Ok(0));
        assert_eq!(Errno::from_result(0x7fff_ffff), Ok(0x7fff_ffff));
    }

    #[test]
    fn an_unknown_failure_is_still_a_failure() {
        assert_eq!(Errno::from_result(-4000), Err(Errno::EIO));
        assert_eq!(Errno::from_result(i64::MIN), Err(Errno::EIO));
    }
}
