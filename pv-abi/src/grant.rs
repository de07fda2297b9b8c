//! Grants: memory that two guests of one VMM share.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most grants that a guest gives, and most that it attaches.
pub const GRANTS: usize = 64;

/// Where a grant was attached: what `mem_attach` writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Attachment {
    /// Guest-physical address of its first byte, for `as_map` alone: no other call takes it.
    pub gpa: u64,
    /// Size in bytes.
    pub size: u64,
    /// `RIGHT_*`.
    pub rights: u32,
    /// Zero.
    pub reserved: u32,
}

/// A grant that another guest offers: what `mem_offers` writes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Offer {
    /// Number of the guest that gave it.
    pub guest: u32,
    /// Number of the grant.
    pub grant: u32,
    /// Size in bytes.
    pub size: u64,
    /// `RIGHT_*`.
    pub rights: u32,
    /// 1 when it is attached.
    pub attached: u32,
}

pin_layout!(Attachment, size 24 { gpa @ 0, size @ 8, rights @ 16, reserved @ 20 });
pin_layout!(Offer, size 24 { guest @ 0, grant @ 4, size @ 8, rights @ 16, attached @ 20 });
