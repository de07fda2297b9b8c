//! The memory that a request moves data from or to, and how far it has come.
#![allow(unsafe_code)]

use crate::device::dma::Dma;
use std::fmt::Debug;
use vm_memory::VolatileSlice;

/// The most buffers that one system call takes (IOV_MAX).
const MAX_IOVECS: usize = 1024;

/// Memory for I/O.
///
/// # Safety
///
/// While the value lives, its buffers stay mapped, and nobody has a Rust reference to what is in
/// them.
pub unsafe trait Buffers: Send + Debug {
    /// Where the buffers are, in order.
    fn iovecs(&self) -> &[libc::iovec];
}

// SAFETY: RAM stays mapped while the value lives, and nothing has a Rust reference into it.
unsafe impl Buffers for Dma {
    fn iovecs(&self) -> &[libc::iovec] {
        self.iovecs()
    }
}

/// A request's buffers and its place in the image.
#[derive(Debug)]
pub struct Transfer {
    buffers: Box<dyn Buffers>,
    /// What is left of the buffers, once a part is done.
    rest: Option<Vec<libc::iovec>>,
    offset: u64,
    left: u64,
    /// Not past the page cache, even if the image is opened so.
    pub(in crate::device::block) buffered: bool,
}

// SAFETY: the pointers in `rest` are those of `buffers`, which may be sent.
unsafe impl Send for Transfer {}

impl Transfer {
    /// All of `buffers`, from or to `offset` of the image.
    pub fn new(offset: u64, buffers: Box<dyn Buffers>) -> Self {
        let lengths = buffers.iovecs().iter().map(|iovec| iovec.iov_len as u64);
        let left = lengths.sum();
        Self {
            buffers,
            rest: None,
            offset,
            left,
            buffered: false,
        }
    }

    /// Where in the image it goes on.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that are still to be moved.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The buffers of the next system call. They stay where they are until [`Self::advance`].
    pub fn iovecs(&self) -> &[libc::iovec] {
        let all = self.rest.as_deref().unwrap_or(self.buffers.iovecs());
        all.get(..MAX_IOVECS).unwrap_or(all)
    }

    /// Whether place and buffers are multiples of `align`, a power of two.
    pub fn is_aligned(&self, align: u64) -> bool {
        let all = self.rest.as_deref().unwrap_or(self.buffers.iovecs());
        let bits = all
            .iter()
            .map(|iovec| iovec.iov_base as u64 | iovec.iov_len as u64);
        (bits.fold(self.offset, |all, one| all | one)).is_multiple_of(align)
    }

    /// `bytes` more are done.
    pub fn advance(&mut self, bytes: u64) {
        let mut skip = bytes.min(self.left);
        self.offset += skip;
        self.left -= skip;
        if self.left == 0 {
            self.rest = Some(Vec::new());
            return;
        }
        let all = self.rest.as_deref().unwrap_or(self.buffers.iovecs());
        let rest = all.iter().filter_map(|iovec| {
            let skipped = skip.min(iovec.iov_len as u64);
            skip -= skipped;
            let length = iovec.iov_len - skipped as usize;
            (length > 0).then(|| libc::iovec {
                // It stays within the buffer.
                iov_base: iovec.iov_base.wrapping_byte_add(skipped as usize),
                iov_len: length,
            })
        });
        self.rest = Some(rest.collect());
    }

    /// Copies `bytes` to the next of the buffers, as many as fit.
    pub fn fill(&mut self, bytes: &[u8]) {
        let mut from = bytes;
        for iovec in self.rest.as_deref().unwrap_or(self.buffers.iovecs()) {
            let (now, later) = from.split_at(from.len().min(iovec.iov_len));
            // SAFETY: the buffer is mapped while `buffers` lives, and others may change it
            // meanwhile, as for any volatile access.
            let slice = unsafe { VolatileSlice::new(iovec.iov_base.cast(), iovec.iov_len) };
            slice.copy_from(now);
            from = later;
        }
        self.advance((bytes.len() - from.len()) as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::block::engine::test_memory::TestMemory;

    #[test]
    fn a_transfer_goes_on_in_the_middle_of_a_buffer() {
        let memory = TestMemory::new(&[512, 512, 1024], 0);
        let base = |index: usize| memory.iovecs()[index].iov_base as usize;
        let mut transfer = Transfer::new(4096, memory.boxed());
        assert_eq!((transfer.left(), transfer.iovecs().len()), (2048, 3));
        transfer.advance(600);
        assert_eq!((transfer.offset(), transfer.left()), (4696, 1448));
        let rest: Vec<_> = transfer
            .iovecs()
            .iter()
            .map(|v| (v.iov_base as usize, v.iov_len))
            .collect();
        assert_eq!(rest, [(base(1) + 88, 424), (base(2), 1024)]);
        transfer.advance(5000);
        assert_eq!((transfer.left(), transfer.iovecs().len()), (0, 0));
    }

    #[test]
    fn a_system_call_gets_no_more_buffers_than_it_takes() {
        let memory = TestMemory::new(&[1; 1500], 0);
        let mut transfer = Transfer::new(0, memory.boxed());
        assert_eq!(transfer.iovecs().len(), 1024);
        transfer.advance(1024);
        assert_eq!((transfer.iovecs().len(), transfer.left()), (476, 476));
    }

    #[test]
    fn filling_goes_across_buffers_and_stops_at_the_end() {
        let memory = TestMemory::new(&[3, 4], 0);
        let mut transfer = Transfer::new(0, memory.boxed());
        transfer.fill(&[1, 2]);
        transfer.fill(&[3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(
            (memory.bytes(), transfer.left()),
            (vec![1, 2, 3, 4, 5, 6, 7], 0)
        );
    }

    #[test]
    fn alignment_covers_place_addresses_and_lengths() {
        let aligned = |offset, pieces: &[usize], shift| {
            Transfer::new(offset, TestMemory::new(pieces, shift).boxed()).is_aligned(512)
        };
        assert!(aligned(1024, &[512, 512], 0));
        assert!(!aligned(1000, &[512], 0));
        assert!(!aligned(1024, &[512, 500], 0));
        assert!(!aligned(1024, &[512], 8));
    }
}
