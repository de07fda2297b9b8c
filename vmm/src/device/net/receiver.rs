//! Puts packets into the buffers of a receive queue (virtio 1.2, 5.1.6.3).

use super::header::{HEADER_SIZE, NetHeader};
use crate::device::DeviceError;
use crate::device::chain::Chain;
use crate::device::queue::DeviceQueue;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The guest has it.
    Done,
    /// The driver has not given enough buffers yet.
    NoBuffer,
    /// No buffer of the driver is large enough: it is lost.
    TooLong,
}

/// A receive queue.
#[derive(Debug)]
pub struct Receiver {
    queue: DeviceQueue,
    // Whether a packet may be spread over buffers.
    is_merging: bool,
    // Buffers that were taken for a packet for which there were not enough.
    held: Vec<Chain>,
}

impl Receiver {
    /// Fills the buffers of `queue`. `is_merging`: VIRTIO_NET_F_MRG_RXBUF was negotiated.
    pub fn new(queue: DeviceQueue, is_merging: bool) -> Self {
        Self {
            queue,
            is_merging,
            held: Vec::new(),
        }
    }

    /// Waits until the driver has given a buffer.
    pub async fn ready(&mut self) -> Result<(), DeviceError> {
        self.queue.ready().await
    }

    /// Whether the driver has given a buffer.
    pub fn has_buffer(&self) -> Result<bool, DeviceError> {
        Ok(!self.held.is_empty() || self.queue.has_request()?)
    }

    /// Tells the driver of what was delivered.
    pub fn notify(&mut self) -> Result<(), DeviceError> {
        self.queue.notify()
    }

    /// Gives a packet to the guest.
    pub fn deliver(&mut self, header: NetHeader, packet: &[u8]) -> Result<Delivery, DeviceError> {
        let needed = HEADER_SIZE + packet.len();
        let mut room: usize = self.held.iter().map(|held| held.writable() as usize).sum();
        while room < needed {
            let Some(chain) = self.queue.pop()? else {
                // With all of its buffers here the driver will not give another.
                if self.held.len() < self.queue.size().into() {
                    return Ok(Delivery::NoBuffer);
                }
                return Ok(Delivery::TooLong);
            };
            let size = chain.writable() as usize;
            if size < HEADER_SIZE {
                return Err(DeviceError::Short {
                    wanted: HEADER_SIZE,
                    found: size,
                });
            }
            if !self.is_merging && size < needed {
                self.queue.unpop(chain);
                return Ok(Delivery::TooLong);
            }
            room += size;
            self.held.push(chain);
        }
        self.fill(header, packet)?;
        Ok(Delivery::Done)
    }

    /// Writes a packet for which there is room.
    fn fill(&mut self, mut header: NetHeader, packet: &[u8]) -> Result<(), DeviceError> {
        let mut needed = HEADER_SIZE + packet.len();
        let mut count = 0;
        for chain in &self.held {
            if needed == 0 {
                break;
            }
            needed = needed.saturating_sub(chain.writable() as usize);
            count += 1;
        }
        header.num_buffers = u16::try_from(count).unwrap_or(u16::MAX).into();
        let mut rest = packet;
        let mut is_first = true;
        for mut chain in self.held.drain(..count) {
            let room = chain.writable();
            if std::mem::take(&mut is_first) {
                chain.write_struct(&header)?;
            }
            let written = chain.write(rest)?;
            rest = rest.get(written..).unwrap_or_default();
            let written = room - chain.writable();
            self.queue.push(chain, written)?;
        }
        Ok(())
    }
}
