//! The Paravane ABI, version 1: everything that a guest and the VMM share.
//!
//! This crate is the only thing host and guest code have in common. Each call,
//! error code, feature bit and shared-page layout is defined here once; the VMM's
//! dispatch table, the SDK's wrappers, `docs/abi.md` and `include/paravane.h` all
//! come from these definitions.
//!
//! Layouts only grow. Every offset and number is pinned by a const assertion: one
//! that fails means that the change is a new ABI version, not that the number in the
//! assertion is to be edited.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "render", test))]
extern crate std;

pub mod address_space;
pub mod atomicity;
pub mod calls;
pub mod convention;
pub mod crash;
pub mod device;
pub mod error;
pub mod event;
pub mod event_protocol;
pub mod features;
pub mod grant;
pub mod image_note;
pub mod mapping;
pub mod pins;
#[cfg(feature = "render")]
pub mod render;
pub mod set;
pub mod start_info;
pub mod stats;
pub mod time;
pub mod trap;
pub mod types;
pub mod vcpu_page;

pub use atomicity::Atomicity;
pub use calls::{CALLS, CallSpec, Cost, Group};
pub use convention::CallWord;
pub use error::Errno;
pub use features::Features;
pub use types::Gpa;

/// Major version of the ABI. A VMM refuses an image that was built for a newer one;
/// a changed layout or number needs a new one.
pub const ABI_MAJOR: u16 = 1;
/// Minor version of the ABI. It grows when calls, fields or feature bits are added.
pub const ABI_MINOR: u16 = 3;

/// Asserts at compile time that a struct of the ABI has the layout it was published with.
///
/// The message says why not to just update the number: guests built against the
/// published layout exist, and would read the wrong bytes.
#[macro_export]
#[doc(hidden)]
macro_rules! pin_layout {
    ($type:ty, size $size:literal { $($field:ident @ $offset:literal),* $(,)? }) => {
        const _: () = assert!(
            core::mem::size_of::<$type>() == $size,
            concat!(
                "the size of ", stringify!($type), " is part of the published ABI: ",
                "guests built against it exist. Grow it only into reserved space, ",
                "or make a new ABI major version; do not edit this number"
            )
        );
        $(const _: () = assert!(
            core::mem::offset_of!($type, $field) == $offset,
            concat!(
                stringify!($type), "::", stringify!($field), " moved. Its offset is part ",
                "of the published ABI: guests built against it exist. Put new fields ",
                "into reserved space, or make a new ABI major version; do not edit ",
                "this number"
            )
        );)*
    };
}
