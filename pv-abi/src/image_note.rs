//! The ELF note by which an image says what it is and what it needs.
//!
//! A note (System V gABI, "Note Section") in a PT_NOTE segment with owner [`NOTE_OWNER`],
//! type [`NOTE_TYPE`] and an [`ImageNote`] as its descriptor.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Owner of the note, without its terminating NUL.
pub const NOTE_OWNER: &str = "Paravane";

/// Type of the note.
pub const NOTE_TYPE: u32 = 1;

/// Smallest boot stack, in bytes.
pub const STACK_SIZE_MIN: u64 = 16 << 10;
/// Largest boot stack, in bytes.
pub const STACK_SIZE_MAX: u64 = 64 << 20;

/// What an image says about itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ImageNote {
    /// [`ABI_MAJOR`](crate::ABI_MAJOR) that the image was built for.
    pub abi_major: u16,
    /// [`ABI_MINOR`](crate::ABI_MINOR) that the image was built for; a VMM with a lower
    /// one still runs it when it has the required features.
    pub abi_minor: u16,
    /// Zero.
    pub reserved: u32,
    /// Features without which the image cannot run.
    pub required_features: u64,
    /// Features that the image uses where they are offered.
    pub wanted_features: u64,
    /// Least RAM, in bytes.
    pub minimum_memory: u64,
    /// Least number of vCPUs.
    pub minimum_vcpus: u32,
    /// Most vCPUs that the image can use.
    pub maximum_vcpus: u32,
    /// Size of the boot stack, in bytes: [`STACK_SIZE_MIN`] to [`STACK_SIZE_MAX`], a
    /// multiple of the page size.
    pub stack_size: u64,
    /// Name of the guest: UTF-8, padded with NULs.
    pub name: [u8; 32],
}

pin_layout!(ImageNote, size 80 {
    abi_major @ 0,
    abi_minor @ 2,
    reserved @ 4,
    required_features @ 8,
    wanted_features @ 16,
    minimum_memory @ 24,
    minimum_vcpus @ 32,
    maximum_vcpus @ 36,
    stack_size @ 40,
    name @ 48,
});

/// An [`ImageNote`] with its ELF note header: the bytes of the note section.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug)]
pub struct NoteSection {
    name_size: u32,
    descriptor_size: u32,
    kind: u32,
    // Eight characters, the NUL, and padding to a multiple of four.
    owner: [u8; 12],
    descriptor: [u8; size_of::<ImageNote>()],
}

impl NoteSection {
    /// The note section of an image.
    pub const fn new(note: ImageNote) -> Self {
        Self {
            name_size: NOTE_OWNER.len() as u32 + 1,
            descriptor_size: size_of::<ImageNote>() as u32,
            kind: NOTE_TYPE,
            owner: *b"Paravane\0\0\0\0",
            descriptor: zerocopy::transmute!(note),
        }
    }
}

const _: () = assert!(size_of::<NoteSection>() == 24 + size_of::<ImageNote>());

/// A name as [`ImageNote::name`] holds it, cut to the characters that fit 32 bytes.
pub const fn padded_name(name: &str) -> [u8; 32] {
    let bytes = name.as_bytes();
    let mut padded = [0; 32];
    let mut end = if bytes.len() < padded.len() {
        bytes.len()
    } else {
        padded.len()
    };
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let mut i = 0;
    while i < end {
        padded[i] = bytes[i];
        i += 1;
    }
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(&padded_name("hello")[..6], b"hello\0");
        let name = "0123456789012345678901234567890\u{e9}";
        assert_eq!(&padded_name(name)[..], b"0123456789012345678901234567890\0");
    }
}
