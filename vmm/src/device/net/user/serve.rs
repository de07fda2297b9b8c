//! The user network behind the queues of a device.

use super::Engine;
use super::frame::FRAME_CAPACITY;
use crate::device::DeviceError;
use crate::device::net::checksum;
use crate::device::net::header::{HEADER_SIZE, NetHeader};
use crate::device::net::receiver::{Delivery, Receiver};
use crate::device::queue::DeviceQueue;
use crate::device::rate::RateLimiter;
use crate::device::stats::DeviceStats;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// How many frames are taken from the guest in one turn.
const TURN: usize = 64;

/// The two queues of a device on a user network.
#[derive(Debug)]
pub struct UserPort {
    /// To the guest.
    pub receiver: Receiver,
    /// From the guest.
    pub transmit: DeviceQueue,
    /// How fast each may be.
    pub to_guest: RateLimiter,
    /// The same for what the guest sends.
    pub from_guest: RateLimiter,
    /// The guest completes checksums itself.
    pub leaves_checksums: bool,
    /// Counts what is lost.
    pub stats: Arc<DeviceStats>,
}

impl UserPort {
    /// Serves the queues for ever.
    pub async fn serve(&mut self, engine: &mut Engine) -> Result<(), DeviceError> {
        loop {
            let mut moved = self.take(engine)?;
            moved |= engine.work();
            moved |= self.give(engine)?;
            if moved {
                // The sockets have their turn, and who would stop the device.
                tokio::task::yield_now().await;
            } else {
                self.wait(engine).await?;
            }
        }
    }

    /// Takes what the guest has sent. Whether there was something.
    fn take(&mut self, engine: &mut Engine) -> Result<bool, DeviceError> {
        let mut count = 0;
        while count < TURN && engine.takes() && self.from_guest.wait_until().is_none() {
            let Some(mut chain) = self.transmit.pop()? else {
                break;
            };
            // Checksums that are left open stay so: nobody looks at them here. Nor does it matter
            // into which pieces a segment might be cut.
            let _header: NetHeader = chain.read_struct()?;
            let length = chain.readable() as usize;
            self.from_guest.charge(length as u64);
            if length <= FRAME_CAPACITY {
                let mut frame = engine.buffer(length);
                chain.read_exact(&mut frame)?;
                engine.receive(frame);
            } else {
                self.stats.add("tx_too_long", 1);
            }
            self.transmit.push(chain, 0)?;
            count += 1;
        }
        if count > 0 {
            self.transmit.notify()?;
        }
        Ok(count > 0)
    }

    /// Gives the guest what there is for it, as far as it has buffers. Whether there was
    /// something.
    fn give(&mut self, engine: &mut Engine) -> Result<bool, DeviceError> {
        let mut is_given = false;
        while self.to_guest.wait_until().is_none()
            && let Some(mut frame) = engine.next_frame()
        {
            let left = self.leaves_checksums.then(|| checksum::leave(&mut frame));
            let header = left
                .flatten()
                .map_or_else(NetHeader::default, |(start, offset)| {
                    NetHeader::with_checksum(start, offset)
                });
            match self.receiver.deliver(header, &frame)? {
                Delivery::Done => {
                    self.to_guest.charge((HEADER_SIZE + frame.len()) as u64);
                    is_given = true;
                }
                Delivery::TooLong => self.stats.add("rx_too_long", 1),
                Delivery::NoBuffer => {
                    engine.put_back(frame);
                    break;
                }
            }
            engine.give_back(frame);
        }
        if is_given {
            self.receiver.notify()?;
        }
        Ok(is_given)
    }

    /// Waits until there is something to do.
    async fn wait(&mut self, engine: &mut Engine) -> Result<(), DeviceError> {
        let to_guest = self.to_guest.wait_until();
        let from_guest = self.from_guest.wait_until();
        let next = [to_guest.filter(|_| engine.waiting() > 0), from_guest];
        let next = next.into_iter().flatten().min();
        let takes = from_guest.is_none() && engine.takes();
        let gives = to_guest.is_none() && engine.waiting() > 0;
        tokio::select! {
            ready = self.transmit.ready(), if takes => ready,
            ready = self.receiver.ready(), if gives => ready,
            () = engine.wait() => Ok(()),
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => Ok(()),
        }
    }
}
