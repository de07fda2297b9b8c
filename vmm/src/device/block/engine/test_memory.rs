//! Memory for the tests of I/O.
#![allow(unsafe_code)]

use super::{Buffers, Transfer};
use std::cell::UnsafeCell;
use std::sync::Arc;

/// Memory of a test, in pieces that do not touch.
#[derive(Debug, Clone)]
pub struct TestMemory(Arc<TestInner>);

#[derive(Debug)]
struct TestInner {
    cells: Box<[UnsafeCell<u8>]>,
    iovecs: Vec<libc::iovec>,
}

// SAFETY: tests look at the bytes only when no I/O is under way.
unsafe impl Send for TestInner {}
// SAFETY: as above.
unsafe impl Sync for TestInner {}

// SAFETY: the cells live as long as any clone, and are shared as cells.
unsafe impl Buffers for TestMemory {
    fn iovecs(&self) -> &[libc::iovec] {
        &self.0.iovecs
    }
}

impl TestMemory {
    /// Pieces of these lengths, with gaps between them, on a boundary of 4096 plus `shift`.
    pub fn new(pieces: &[usize], shift: usize) -> Self {
        const GAP: usize = 4096;
        let total = pieces.iter().map(|piece| piece + GAP).sum::<usize>() + 2 * GAP + shift;
        let cells = (0..total)
            .map(|_| UnsafeCell::new(0xee))
            .collect::<Box<_>>();
        let start = cells.as_ptr() as usize;
        let mut at = start.next_multiple_of(4096) - start + shift;
        let mut iovecs = Vec::new();
        for &piece in pieces {
            iovecs.push(libc::iovec {
                iov_base: cells[at].get().cast(),
                iov_len: piece,
            });
            at += piece + GAP;
        }
        Self(Arc::new(TestInner { cells, iovecs }))
    }

    /// One piece with these bytes.
    pub fn with(bytes: &[u8]) -> Self {
        let memory = Self::new(&[bytes.len()], 0);
        Transfer::new(0, Box::new(memory.clone())).fill(bytes);
        memory
    }

    /// For a transfer.
    pub fn boxed(&self) -> Box<dyn Buffers> {
        Box::new(self.clone())
    }

    /// What all pieces hold.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let start = self.0.cells.as_ptr() as usize;
        for iovec in &self.0.iovecs {
            let at = iovec.iov_base as usize - start;
            for cell in &self.0.cells[at..at + iovec.iov_len] {
                // SAFETY: no I/O is under way.
                bytes.push(unsafe { *cell.get() });
            }
        }
        bytes
    }
}
