//! What an image says about itself: the contents of its ELF note.

use pv_abi::address_space::PAGE_SIZE;
use pv_abi::image_note::{ImageNote, NoteSection, STACK_SIZE_MAX, STACK_SIZE_MIN, padded_name};
use pv_abi::{ABI_MAJOR, ABI_MINOR, Features};

/// The features that this SDK itself needs.
pub const SDK_REQUIRES: Features = Features::TRAP_TABLE
    .union(Features::DIRECT_RETURN)
    .union(Features::CONSOLE)
    .union(Features::CRASH_REPORT);

/// The note of an image, made by [`entry!`](crate::entry) at compile time.
///
/// A value that the VMM would refuse fails the build.
#[derive(Clone, Copy, Debug)]
pub struct Image(ImageNote);

impl Image {
    /// An image of this name that asks for nothing but what the SDK needs: a stack of 256 KiB,
    /// 4 MiB of RAM and one vCPU.
    pub const fn new(name: &str) -> Self {
        Self(ImageNote {
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            reserved: 0,
            required_features: SDK_REQUIRES.0,
            wanted_features: Features::BATCH.union(Features::ENTROPY).0,
            minimum_memory: 4 << 20,
            minimum_vcpus: 1,
            maximum_vcpus: 1,
            stack_size: 256 << 10,
            name: padded_name(name),
        })
    }

    /// The name of the guest instead of its package's; up to 32 bytes of it are kept.
    pub const fn name(mut self, name: &str) -> Self {
        self.0.name = padded_name(name);
        self
    }

    /// The size of the boot stack in bytes.
    pub const fn stack_size(mut self, bytes: u64) -> Self {
        assert!(
            bytes >= STACK_SIZE_MIN && bytes <= STACK_SIZE_MAX,
            "the stack size must be from 16 KiB to 64 MiB"
        );
        assert!(
            bytes.is_multiple_of(PAGE_SIZE),
            "the stack size must be a multiple of 4096"
        );
        self.0.stack_size = bytes;
        self
    }

    /// The least RAM that the guest runs with, in bytes.
    pub const fn minimum_memory(mut self, bytes: u64) -> Self {
        self.0.minimum_memory = bytes;
        self
    }

    /// The least number of vCPUs that the guest runs with, and the most that it can use.
    pub const fn vcpus(mut self, minimum: u32, maximum: u32) -> Self {
        assert!(
            minimum >= 1 && minimum <= maximum,
            "the number of vCPUs must be from 1 up, the least one first"
        );
        self.0.minimum_vcpus = minimum;
        self.0.maximum_vcpus = maximum;
        self
    }

    /// Features without which the guest cannot run, beside those that the SDK needs.
    pub const fn requires(mut self, features: Features) -> Self {
        self.0.required_features |= features.0;
        self
    }

    /// Features that the guest uses where they are offered.
    pub const fn wants(mut self, features: Features) -> Self {
        self.0.wanted_features |= features.0;
        self
    }

    /// The note section.
    pub const fn note(self) -> NoteSection {
        NoteSection::new(self.0)
    }
}
