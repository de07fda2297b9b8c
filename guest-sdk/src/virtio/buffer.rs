//! Memory that a device reads and writes.

#![allow(unsafe_code)]

use crate::pages::Pages;
use core::fmt;
use core::ops::{Deref, DerefMut};
use pv_abi::Gpa;

/// Bytes in whole pages, in one piece, that are given to a device for the time of a request.
///
/// A request owns its buffer. So a future that is dropped leaves nothing behind to which the device
/// still writes and which is in use for something else already.
pub struct Buffer {
    pages: Pages,
    size: usize,
}

impl Buffer {
    /// So many bytes, all zero; `None` when there is no memory.
    pub fn new(size: usize) -> Option<Self> {
        let pages = Pages::zeroed(size)?;
        Some(Self { pages, size })
    }

    /// A copy of these bytes; `None` when there is no memory.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut buffer = Self::new(bytes.len())?;
        buffer.copy_from_slice(bytes);
        Some(buffer)
    }

    /// Guest-physical address of the first byte.
    pub fn gpa(&self) -> Gpa {
        self.pages.gpa()
    }

    /// Makes it smaller, or as large again as the pages that it has.
    ///
    /// # Panics
    ///
    /// When it does not have so many.
    pub fn resize(&mut self, size: usize) {
        assert!(size <= self.pages.size());
        self.size = size;
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the pages are this value's and initialized; while the device has them, so has
        // the request this value.
        unsafe { core::slice::from_raw_parts(self.pages.as_ptr(), self.size) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`.
        unsafe { core::slice::from_raw_parts_mut(self.pages.as_ptr(), self.size) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer")
            .field("gpa", &self.gpa())
            .field("size", &self.size)
            .finish()
    }
}
