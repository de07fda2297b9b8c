//! Scalar types of the ABI.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A guest-physical address, in bytes.
///
/// The VMM cannot dereference it: it is checked against the VM's RAM when it is used,
/// and a bad one answers [`Errno::EFAULT`](crate::Errno::EFAULT).
#[repr(transparent)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
)]
pub struct Gpa(pub u64);

impl core::fmt::Display for Gpa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A type that travels in one argument register of a call.
pub trait Argument: Sized {
    /// The name of the type in C.
    const C_TYPE: &'static str;

    /// Decodes a register; `None` when the register holds no value of this type
    /// (the call then answers [`Errno::EINVAL`](crate::Errno::EINVAL)).
    fn from_register(register: u64) -> Option<Self>;

    /// The register that carries this value.
    fn into_register(self) -> u64;
}

impl Argument for u64 {
    const C_TYPE: &'static str = "uint64_t";
    fn from_register(register: u64) -> Option<Self> {
        Some(register)
    }
    fn into_register(self) -> u64 {
        self
    }
}

impl Argument for u32 {
    const C_TYPE: &'static str = "uint32_t";
    // A high half that is ignored today could never get a meaning later.
    fn from_register(register: u64) -> Option<Self> {
        u32::try_from(register).ok()
    }
    fn into_register(self) -> u64 {
        u64::from(self)
    }
}

impl Argument for Gpa {
    const C_TYPE: &'static str = "pv_gpa_t";
    fn from_register(register: u64) -> Option<Self> {
        Some(Self(register))
    }
    fn into_register(self) -> u64 {
        self.0
    }
}
