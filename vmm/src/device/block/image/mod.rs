//! Disk images: what is behind a block device.

mod error;
mod open;
mod qcow2;
mod raw;
#[cfg(test)]
pub(super) mod tests;

pub use error::{BlockError, Problem};
pub use open::{Format, OpenOptions};
pub use qcow2::Qcow2Image;
pub use raw::{RawImage, Step};

use super::engine::Operation;
use std::io;
use std::sync::Arc;

/// Bytes in a sector, the unit of virtio 1.2, 5.2, whatever the image's own block size is.
pub const SECTOR: u64 = 512;

/// An open and locked image.
#[derive(Clone, Debug)]
pub enum Image {
    /// The image's bytes are the disk's.
    Raw(Arc<RawImage>),
    /// A qcow2 image, read only.
    Qcow2(Arc<Qcow2Image>),
}

impl Image {
    /// Size of the disk in bytes, a multiple of [`SECTOR`]. It does not change while it is open.
    pub fn size(&self) -> u64 {
        match self {
            Self::Raw(image) => image.size(),
            Self::Qcow2(image) => image.size(),
        }
    }

    /// Size of the blocks in which it is best used, and of those of the medium below it.
    pub fn block_sizes(&self) -> (u32, u32) {
        match self {
            Self::Raw(image) => image.block_sizes(),
            Self::Qcow2(_) => (SECTOR as u32, 4096),
        }
    }

    /// Does an operation, and blocks the thread meanwhile.
    pub fn execute(&self, operation: &mut Operation) -> io::Result<()> {
        match self {
            Self::Raw(image) => image.execute(operation),
            Self::Qcow2(image) => image.execute(operation),
        }
    }
}
