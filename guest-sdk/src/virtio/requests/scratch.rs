//! What a request tells the device beside its buffers.

use super::super::Segment;
use pv_abi::Gpa;

/// Bytes of scratch memory of a request.
pub(super) const SCRATCH: usize = 64;
/// Most segments of a request.
pub(super) const SEGMENTS: usize = 4;

/// A request as it is made: its segments, and a few bytes of memory for those that are small. There
/// are 64 bytes and 4 segments.
#[derive(Debug)]
pub struct Scratch<'a> {
    bytes: &'a mut [u8; SCRATCH],
    gpa: Gpa,
    used: usize,
    segments: [Segment; SEGMENTS],
    count: usize,
}

impl<'a> Scratch<'a> {
    pub(super) fn new(bytes: &'a mut [u8; SCRATCH], gpa: Gpa) -> Self {
        let none = Segment {
            gpa: Gpa(0),
            size: 0,
            writable: false,
        };
        Self {
            bytes,
            gpa,
            used: 0,
            segments: [none; SEGMENTS],
            count: 0,
        }
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments[..self.count]
    }

    /// Adds a segment of other memory.
    ///
    /// # Panics
    ///
    /// When there are too many.
    pub fn segment(&mut self, segment: Segment) {
        self.segments[self.count] = segment;
        self.count += 1;
    }

    /// Adds bytes that the device reads, which are copied.
    ///
    /// # Panics
    ///
    /// When there are too many.
    pub fn read_by_device(&mut self, bytes: &[u8]) {
        let place = self.take(bytes.len(), false);
        self.bytes[place..place + bytes.len()].copy_from_slice(bytes);
    }

    /// Adds bytes that the device writes, and says where they will be in the scratch memory. They
    /// are `value` before.
    ///
    /// # Panics
    ///
    /// When there are too many.
    pub fn written_by_device(&mut self, size: usize, value: u8) -> usize {
        let place = self.take(size, true);
        self.bytes[place..place + size].fill(value);
        place
    }

    fn take(&mut self, size: usize, writable: bool) -> usize {
        let place = self.used;
        self.used += size;
        self.segment(Segment {
            gpa: Gpa(self.gpa.0 + place as u64),
            size: size as u32,
            writable,
        });
        place
    }
}
