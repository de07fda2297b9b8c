//! Requests to the device, and their answers.

#![allow(unsafe_code)]

use super::ShareError;
use super::message::{self, Message, OUT_HEADER, Opcode};
use crate::virtio::{
    Buffer, Changes, Device, Done, Error, Found, Operation, QueueOptions, Requests, Scratch,
    Segment, feature,
};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

/// The queue of requests that are not answered.
const HIGH_PRIORITY: u16 = 0;
/// The first queue of the others.
const REQUESTS: u16 = 1;

/// The device.
#[derive(Debug)]
pub(super) struct Client {
    requests: Requests<Ask>,
    high_priority: Requests<Ask>,
    device: Arc<Device>,
    unique: AtomicU64,
}

/// What its configuration space begins with (virtio 1.2, 5.11.4): a name of the share, which ends
/// with the first zero.
type Tag = [u8; 36];

impl Client {
    /// Sets up the device, unless its share is not the one of this tag.
    pub fn open(found: Found, tag: Option<&str>) -> Result<Option<Self>, Error> {
        let device = Device::take(found, feature::RING_EVENT_IDX | feature::RING_INDIRECT_DESC)?;
        if let Some(tag) = tag {
            let bytes: Tag = device.config(0)?;
            let its = bytes.split(|&byte| byte == 0).next();
            if its != Some(tag.as_bytes()) {
                return Ok(None);
            }
        }
        let options = QueueOptions {
            size: 64,
            segments: 2,
        };
        let high_priority = Requests::new(&device, HIGH_PRIORITY, options)?;
        let requests = Requests::new(&device, REQUESTS, options)?;
        let (stop, stop_high) = (requests.stopper(), high_priority.stopper());
        device.on_change(move |change| {
            if change == Changes::Stopped {
                stop();
                stop_high();
            }
        })?;
        // From here on the handler is removed when this is dropped.
        let client = Self {
            requests,
            high_priority,
            device,
            unique: AtomicU64::new(1),
        };
        client.device.start()?;
        Ok(Some(client))
    }

    /// A request, with its number.
    fn message(&self, opcode: Opcode, node: u64) -> (u64, Message) {
        // Odd numbers are for interruptions.
        let unique = 2 * self.unique.fetch_add(1, Ordering::Relaxed);
        (unique, Message::new(opcode, unique, node))
    }

    /// Asks for something, with room for so many bytes behind the header of the answer: the answer,
    /// which begins behind [`OUT_HEADER`] bytes, and its size.
    pub async fn ask(
        &self,
        opcode: Opcode,
        node: u64,
        arguments: impl FnOnce(Message) -> Message,
        room: usize,
    ) -> Result<Answer, ShareError> {
        let (unique, message) = self.message(opcode, node);
        let input = Buffer::from_slice(&arguments(message).finish()).ok_or(Error::NoMemory)?;
        let output = Buffer::new(OUT_HEADER + room).ok_or(Error::NoMemory)?;
        let ask = Ask {
            input,
            output: Some(output),
        };
        let (buffer, written) = self.requests.request(ask).await?;
        let buffer = buffer.ok_or(ShareError::Nonsense)?;
        let bytes = &buffer[..buffer.len().min(written as usize)];
        let (error, body) = message::answer(bytes, unique).ok_or(ShareError::Nonsense)?;
        let size = body.len();
        match error {
            0 => Ok(Answer { buffer, size }),
            error => Err(ShareError::from_errno(error)),
        }
    }

    /// Says that a node is not known any more, of which LOOKUP told once.
    pub async fn forget(&self, node: u64) {
        let (_, message) = self.message(Opcode::Forget, node);
        if let Some(input) = Buffer::from_slice(&message.u64(1).finish()) {
            let ask = Ask {
                input,
                output: None,
            };
            // There is no answer.
            let _ = self.high_priority.request(ask).await;
        }
    }
}

/// What the device has answered.
#[derive(Debug)]
pub(super) struct Answer {
    buffer: Buffer,
    size: usize,
}

impl Answer {
    /// What is behind the header.
    pub fn body(&self) -> &[u8] {
        &self.buffer[OUT_HEADER..][..self.size]
    }
}

/// A request: what the device reads, and room for the answer.
struct Ask {
    input: Buffer,
    output: Option<Buffer>,
}

// SAFETY: the memory is that of the two buffers, which are the value's and have pages of their own.
unsafe impl Operation for Ask {
    type Output = Result<(Option<Buffer>, u32), Error>;

    fn prepare(&mut self, scratch: &mut Scratch<'_>) {
        let mut add = |buffer: &Buffer, writable| {
            scratch.segment(Segment {
                gpa: buffer.gpa(),
                size: buffer.len() as u32,
                writable,
            });
        };
        add(&self.input, false);
        if let Some(output) = &self.output {
            add(output, true);
        }
    }

    fn finish(self, done: Result<Done<'_>, Error>) -> Self::Output {
        done.map(|done| (self.output, done.written))
    }
}
