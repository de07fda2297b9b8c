//! The memory map: what each part of RAM was used for at entry.

use crate::start_info;
use core::fmt;
use pv_abi::Gpa;
use pv_abi::start_info::{
    MemoryRegion, REGION_FREE, REGION_IMAGE, REGION_INITRD, REGION_STACK, RIGHT_EXECUTE,
    RIGHT_READ, RIGHT_WRITE,
};

/// A range of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Guest-physical address of the first byte.
    pub gpa: Gpa,
    /// Size in bytes.
    pub size: u64,
    /// Virtual address of the first byte outside of the linear map, where there is one.
    pub address: Option<u64>,
    /// What it was used for at entry.
    pub kind: Kind,
    /// Rights at `address`.
    pub rights: Rights,
}

/// What a range of RAM was used for at entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The guest may use it as it likes. The largest such region is the [heap](crate::heap)'s.
    Free,
    /// A segment of the image.
    Image,
    /// A boot stack or a trap stack.
    Stack,
    /// The initrd.
    Initrd,
    /// Something that a newer VMM tells; not to be touched.
    Other(u32),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Free => "free",
            Self::Image => "image",
            Self::Stack => "stack",
            Self::Initrd => "initrd",
            Self::Other(_) => "other",
        })
    }
}

/// Rights at a virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u32);

impl Rights {
    /// To read alone.
    pub const READ: Self = Self(RIGHT_READ);
    /// To read and write.
    pub const READ_WRITE: Self = Self(RIGHT_READ | RIGHT_WRITE);
    /// To read and execute.
    pub const READ_EXECUTE: Self = Self(RIGHT_READ | RIGHT_EXECUTE);

    /// The rights that `RIGHT_*` of the ABI stand for.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The `RIGHT_*` of the ABI.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether it can be read.
    pub fn read(self) -> bool {
        self.0 & RIGHT_READ != 0
    }

    /// Whether it can be written.
    pub fn write(self) -> bool {
        self.0 & RIGHT_WRITE != 0
    }

    /// Whether it can be executed.
    pub fn execute(self) -> bool {
        self.0 & RIGHT_EXECUTE != 0
    }
}

/// Three characters, such as `r-x`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.read() { "r" } else { "-" })?;
        f.write_str(if self.write() { "w" } else { "-" })?;
        f.write_str(if self.execute() { "x" } else { "-" })
    }
}

/// The regions in ascending order of their guest-physical addresses, together all of RAM.
pub fn regions() -> impl Iterator<Item = Region> {
    let page = start_info::get().page();
    let count = usize::try_from(page.memory_map_count).unwrap_or(usize::MAX);
    page.memory_map.iter().take(count).map(Region::from)
}

impl From<&MemoryRegion> for Region {
    fn from(region: &MemoryRegion) -> Self {
        Self {
            gpa: Gpa(region.gpa),
            size: region.size,
            address: (region.address != 0).then_some(region.address),
            kind: match region.kind {
                REGION_FREE => Kind::Free,
                REGION_IMAGE => Kind::Image,
                REGION_STACK => Kind::Stack,
                REGION_INITRD => Kind::Initrd,
                other => Kind::Other(other),
            },
            rights: Rights(region.rights),
        }
    }
}
