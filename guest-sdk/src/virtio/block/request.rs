//! A request to a disk (virtio 1.2, 5.2.6).

#![allow(unsafe_code)]

use super::super::{Buffer, Done, Error, Operation, Scratch, Segment};
use pv_abi::Gpa;
use zerocopy::{Immutable, IntoBytes};

const IN: u32 = 0;
const OUT: u32 = 1;
const FLUSH: u32 = 4;
const GET_ID: u32 = 8;
const DISCARD: u32 = 11;
const WRITE_ZEROES: u32 = 13;

const STATUS_OK: u8 = 0;
const STATUS_UNSUPPORTED: u8 = 2;
/// What is there before the device says how it went.
const NO_STATUS: u8 = 0xff;

/// The zeros may be a hole.
const UNMAP: u32 = 1;

/// Size of a disk's name for itself in bytes.
const SERIAL: usize = 20;

#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Header {
    kind: u32,
    reserved: u32,
    sector: u64,
}

/// A range, for a request to discard it or to fill it with zeros.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Range {
    sector: u64,
    count: u32,
    flags: u32,
}

/// The memory of a request.
#[derive(Debug)]
pub(super) enum Memory {
    /// It has none but for a few bytes.
    None,
    /// It is the request's own.
    Owned(Buffer),
    /// It is somebody's who waits for the request to be over.
    Borrowed(Gpa, usize),
}

impl Memory {
    fn segment(&self, writable: bool) -> Option<Segment> {
        let (gpa, size) = match self {
            Self::None => return None,
            Self::Owned(buffer) => (buffer.gpa(), buffer.len()),
            Self::Borrowed(gpa, size) => (*gpa, *size),
        };
        Some(Segment {
            gpa,
            size: size as u32,
            writable,
        })
    }
}

/// What is asked of a disk.
#[derive(Debug)]
pub(super) struct Asked {
    kind: u32,
    sector: u64,
    count: u32,
    flags: u32,
    memory: Memory,
    /// Where in the scratch memory the answers are.
    status: usize,
    serial: usize,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub memory: Memory,
    pub result: Result<(), Error>,
    pub serial: [u8; SERIAL],
}

impl Asked {
    fn new(kind: u32, sector: u64, memory: Memory) -> Self {
        Self {
            kind,
            sector,
            count: 0,
            flags: 0,
            memory,
            status: 0,
            serial: 0,
        }
    }

    pub fn read(sector: u64, memory: Memory) -> Self {
        Self::new(IN, sector, memory)
    }

    pub fn write(sector: u64, memory: Memory) -> Self {
        Self::new(OUT, sector, memory)
    }

    pub fn flush() -> Self {
        Self::new(FLUSH, 0, Memory::None)
    }

    pub fn serial() -> Self {
        Self::new(GET_ID, 0, Memory::None)
    }

    pub fn discard(sector: u64, count: u32) -> Self {
        Self {
            count,
            ..Self::new(DISCARD, sector, Memory::None)
        }
    }

    pub fn write_zeroes(sector: u64, count: u32, may_unmap: bool) -> Self {
        Self {
            count,
            flags: if may_unmap { UNMAP } else { 0 },
            ..Self::new(WRITE_ZEROES, sector, Memory::None)
        }
    }

    pub fn sector(&self) -> u64 {
        self.sector
    }

    /// The bytes of its data, where it has any.
    pub fn size(&self) -> Option<usize> {
        match &self.memory {
            Memory::None => None,
            Memory::Owned(buffer) => Some(buffer.len()),
            Memory::Borrowed(_, size) => Some(*size),
        }
    }

    pub fn writes(&self) -> bool {
        matches!(self.kind, OUT | DISCARD | WRITE_ZEROES)
    }

    /// The outcome when it is not asked at all.
    pub fn refused(self, error: Error) -> Outcome {
        Outcome {
            memory: self.memory,
            result: Err(error),
            serial: [0; SERIAL],
        }
    }
}

// SAFETY: the memory is a buffer's, which belongs to the value, or somebody's who waits for the end
// of the request (`Blocking`).
unsafe impl Operation for Asked {
    type Output = Outcome;

    fn prepare(&mut self, scratch: &mut Scratch<'_>) {
        let ranged = matches!(self.kind, DISCARD | WRITE_ZEROES);
        let header = Header {
            kind: self.kind,
            reserved: 0,
            sector: if ranged { 0 } else { self.sector },
        };
        scratch.read_by_device(header.as_bytes());
        if ranged {
            let range = Range {
                sector: self.sector,
                count: self.count,
                flags: self.flags,
            };
            scratch.read_by_device(range.as_bytes());
        }
        if let Some(segment) = self.memory.segment(self.kind == IN) {
            scratch.segment(segment);
        }
        if self.kind == GET_ID {
            self.serial = scratch.written_by_device(SERIAL, 0);
        }
        self.status = scratch.written_by_device(1, NO_STATUS);
    }

    fn finish(self, done: Result<Done<'_>, Error>) -> Outcome {
        let done = match done {
            Ok(done) => done,
            Err(error) => return self.refused(error),
        };
        let mut serial = [0; SERIAL];
        if self.kind == GET_ID {
            serial.copy_from_slice(&done.scratch[self.serial..self.serial + SERIAL]);
        }
        Outcome {
            memory: self.memory,
            result: match done.scratch[self.status] {
                STATUS_OK => Ok(()),
                STATUS_UNSUPPORTED => Err(Error::Unsupported),
                _ => Err(Error::Io),
            },
            serial,
        }
    }
}
