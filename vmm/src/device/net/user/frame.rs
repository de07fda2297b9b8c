//! Ethernet frames in buffers that are used again.

use smoltcp::wire::ETHERNET_HEADER_LEN;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The longest frame: the longest IPv4 packet and an Ethernet header.
pub const FRAME_CAPACITY: usize = ETHERNET_HEADER_LEN + 65535;

/// How many buffers without a user are kept.
const KEPT: usize = 64;

/// An Ethernet frame, without its frame check sequence.
pub struct Frame {
    buffer: Box<[u8]>,
    length: usize,
}

impl Frame {
    /// Cuts it to its first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Buffers for frames. How many are in use is bounded by the queues that hold them.
#[derive(Default)]
pub struct FramePool {
    free: Vec<Box<[u8]>>,
}

impl FramePool {
    /// A frame of `length` bytes, cut to [`FRAME_CAPACITY`], with any content.
    pub fn take(&mut self, length: usize) -> Frame {
        let buffer = self.free.pop();
        Frame {
            buffer: buffer.unwrap_or_else(|| vec![0; FRAME_CAPACITY].into_boxed_slice()),
            length: length.min(FRAME_CAPACITY),
        }
    }

    /// Takes a frame's buffer back.
    pub fn give_back(&mut self, frame: Frame) {
        if self.free.len() < KEPT {
            self.free.push(frame.buffer);
        }
    }
}

impl fmt::Debug for FramePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FramePool")
            .field("free", &self.free.len())
            .finish()
    }
}
