//! What is done to an image.

use super::Transfer;
use std::io;
use std::ops::Range;

/// An operation on an image. Ranges are in bytes, and lie within the disk.
#[derive(Debug)]
pub enum Operation {
    /// Reads into the transfer's buffers.
    Read(Transfer),
    /// Writes what is in the transfer's buffers.
    Write {
        /// From where to where.
        transfer: Transfer,
        /// It is over only when the data is on disk.
        durable: bool,
    },
    /// Brings to disk what writes that are over have written.
    Flush,
    /// What these ranges hold is not needed any more.
    Discard(Vec<Range<u64>>),
    /// Makes a range read as zeros.
    WriteZeroes {
        /// The range.
        range: Range<u64>,
        /// Its space may be given back.
        may_unmap: bool,
        /// It is over only when the zeros are on disk.
        durable: bool,
    },
}

impl Operation {
    /// Whether it changes the image.
    pub fn writes(&self) -> bool {
        !matches!(self, Self::Read(_) | Self::Flush)
    }
}

/// An operation that is over.
#[derive(Debug)]
pub struct Done {
    /// What the operation was started with.
    pub token: u64,
    /// How it ended.
    pub result: io::Result<()>,
}
