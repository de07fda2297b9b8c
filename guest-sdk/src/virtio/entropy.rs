//! Random bytes from a device (virtio 1.2, 5.4).
//!
//! [`entropy`](crate::entropy) has random bytes by a call. A device has its own source, and a rate
//! that the operator sets.

#![allow(unsafe_code)]

use super::{
    Buffer, Changes, Device, Done, Error, Operation, QueueOptions, Requests, Scratch, Segment,
    feature, find, kind,
};
use crate::exec;
use alloc::sync::Arc;

/// Most bytes that are asked for at once.
const CHUNK: usize = 4096;

/// A source of random bytes.
#[derive(Debug)]
pub struct Entropy {
    requests: Requests<Fill>,
    device: Arc<Device>,
}

impl Entropy {
    /// Takes the first such device, or the one that the operator calls `id`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], and those of [`Device::take`] and [`Requests::new`].
    pub fn open(id: Option<&str>) -> Result<Self, Error> {
        let found = find(kind::ENTROPY, id).ok_or(Error::NotFound)?;
        let device = Device::take(found, feature::RING_EVENT_IDX)?;
        let options = QueueOptions {
            size: 8,
            segments: 1,
        };
        let requests = Requests::new(&device, 0, options)?;
        let stop = requests.stopper();
        device.on_change(move |change| {
            if change == Changes::Stopped {
                stop();
            }
        })?;
        // From here on the handler is removed when this is dropped.
        let entropy = Self { requests, device };
        entropy.device.start()?;
        Ok(entropy)
    }

    /// Fills memory with random bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`], [`Error::Stopped`], and [`Error::Io`] when the device gives none.
    pub async fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < bytes.len() {
            let rest = &mut bytes[filled..];
            let size = rest.len().min(CHUNK);
            let buffer = Buffer::new(size).ok_or(Error::NoMemory)?;
            let (buffer, written) = self.requests.request(Fill(buffer)).await?;
            let written = size.min(written as usize);
            if written == 0 {
                return Err(Error::Io);
            }
            rest[..written].copy_from_slice(&buffer[..written]);
            filled += written;
        }
        Ok(())
    }

    /// As [`Entropy::fill`], where there are no tasks.
    ///
    /// # Errors
    ///
    /// As [`Entropy::fill`].
    pub fn fill_blocking(&self, bytes: &mut [u8]) -> Result<(), Error> {
        exec::block_on(self.fill(bytes))
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.device.ignore_changes();
    }
}

/// Asks for random bytes, as many as there is room for.
struct Fill(Buffer);

// SAFETY: the buffer belongs to the value, and its pages stay where they are.
unsafe impl Operation for Fill {
    type Output = Result<(Buffer, u32), Error>;

    fn prepare(&mut self, scratch: &mut Scratch<'_>) {
        scratch.segment(Segment {
            gpa: self.0.gpa(),
            size: self.0.len() as u32,
            writable: true,
        });
    }

    fn finish(self, done: Result<Done<'_>, Error>) -> Self::Output {
        done.map(|done| (self.0, done.written))
    }
}
