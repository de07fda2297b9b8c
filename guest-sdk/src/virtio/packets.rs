//! Queues that move packets: each slot has a buffer of its own, which stays where it is.

#![allow(unsafe_code)]

use super::{Broken, Device, Error, Queue, QueueOptions, Segment};
use crate::pages::Pages;
use alloc::sync::Arc;
use pv_abi::Gpa;

/// What the buffers of a queue are to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Size of a buffer in bytes.
    pub size: usize,
    /// How many there are at most. The queue may have fewer slots.
    pub count: u32,
}

/// A queue and the buffers of its slots. A buffer is the device's while its slot is in use.
#[derive(Debug)]
struct Slots {
    // Before the buffers: dropping it resets the device.
    queue: Queue,
    pages: Pages,
    size: usize,
}

impl Slots {
    fn new(device: &Arc<Device>, index: u16, shape: Shape) -> Result<Self, Error> {
        let options = QueueOptions {
            size: shape.count,
            segments: 1,
        };
        let queue = Queue::new(device, index, options)?;
        let bytes = shape.size * usize::from(queue.slots());
        Ok(Self {
            queue,
            pages: Pages::zeroed(bytes).ok_or(Error::NoMemory)?,
            size: shape.size,
        })
    }

    fn offset(&self, slot: u16, size: usize) -> usize {
        assert!(slot < self.queue.slots() && size <= self.size);
        usize::from(slot) * self.size
    }

    /// The first bytes of the buffer of a slot that the device has not got.
    fn bytes(&self, slot: u16, size: usize) -> &[u8] {
        let offset = self.offset(slot, size);
        // SAFETY: they are in the pages. The callers have the slot from `pop` or `next_slot`, and
        // `add` needs the queue mutably.
        unsafe { core::slice::from_raw_parts(self.pages.as_ptr().add(offset), size) }
    }

    fn bytes_mut(&mut self, slot: u16, size: usize) -> &mut [u8] {
        let offset = self.offset(slot, size);
        // SAFETY: as in `bytes`.
        unsafe { core::slice::from_raw_parts_mut(self.pages.as_ptr().add(offset), size) }
    }

    /// Gives the device the first bytes of the next slot's buffer.
    fn add(&mut self, size: usize, writable: bool) {
        let Some(slot) = self.queue.next_slot() else {
            return;
        };
        let segment = Segment {
            gpa: Gpa(self.pages.gpa().0 + self.offset(slot, size) as u64),
            size: size as u32,
            writable,
        };
        // SAFETY: it is the slot's buffer, which nobody touches before the slot is popped; the
        // queue resets the device before the pages are freed.
        let _ = unsafe { self.queue.add(&[segment]) };
    }
}

/// A queue from which the driver receives.
#[derive(Debug)]
pub(crate) struct Receiver {
    slots: Slots,
}

impl Receiver {
    /// Sets up a queue of a device that has not been started. The device gets all buffers.
    pub fn new(device: &Arc<Device>, index: u16, shape: Shape) -> Result<Self, Error> {
        let mut slots = Slots::new(device, index, shape)?;
        while slots.queue.next_slot().is_some() {
            slots.add(shape.size, true);
        }
        Ok(Self { slots })
    }

    /// Takes the next packet that has come and is wanted, and leaves out others. Its buffer is the
    /// device's again when this is dropped.
    pub fn take_if(
        &mut self,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<Option<Packet<'_>>, Broken> {
        while let Some(used) = self.slots.queue.pop()? {
            // It is the next one to be added: nothing is until the packet is dropped.
            self.slots.queue.release(used.slot);
            let size = self.slots.size.min(used.written as usize);
            if wanted(self.slots.bytes(used.slot, size)) {
                return Ok(Some(Packet {
                    slots: &mut self.slots,
                    slot: used.slot,
                    size,
                }));
            }
            self.slots.add(self.slots.size, true);
        }
        Ok(None)
    }

    /// Tells the device of the buffers that it got back.
    pub fn notify(&mut self) {
        self.slots.queue.notify();
    }

    /// Whether a packet has come that was not taken.
    pub fn has_come(&self) -> bool {
        self.slots.queue.has_used()
    }

    /// Asks for an event when a packet comes: whether one has come already.
    #[must_use]
    pub fn arm(&self) -> bool {
        self.slots.queue.arm(1)
    }

    /// Asks for no event.
    pub fn disarm(&self) {
        self.slots.queue.disarm();
    }
}

/// A packet that has come.
#[derive(Debug)]
pub(crate) struct Packet<'a> {
    slots: &'a mut Slots,
    slot: u16,
    size: usize,
}

impl core::ops::Deref for Packet<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.slots.bytes(self.slot, self.size)
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        // The slot that was released last is the next one.
        self.slots.add(self.slots.size, true);
    }
}

/// A queue by which the driver sends.
#[derive(Debug)]
pub(crate) struct Transmitter {
    slots: Slots,
}

impl Transmitter {
    /// Sets up a queue of a device that has not been started.
    pub fn new(device: &Arc<Device>, index: u16, shape: Shape) -> Result<Self, Error> {
        let slots = Slots::new(device, index, shape)?;
        Ok(Self { slots })
    }

    /// Takes back what the device has sent, when there is no free buffer: whether there is one.
    pub fn make_room(&mut self) -> Result<bool, Broken> {
        if self.slots.queue.next_slot().is_none() {
            while let Some(used) = self.slots.queue.pop()? {
                self.slots.queue.release(used.slot);
            }
        }
        Ok(self.slots.queue.next_slot().is_some())
    }

    /// The buffer of the next packet, of which `size` bytes; `None` without one that is free, or of
    /// that size.
    pub fn next(&mut self, size: usize) -> Option<&mut [u8]> {
        let slot = self.slots.queue.next_slot()?;
        (size <= self.slots.size).then(|| self.slots.bytes_mut(slot, size))
    }

    /// Sends the first bytes of the buffer of the next packet. The device is not told.
    pub fn send(&mut self, size: usize) {
        self.slots.add(size.clamp(1, self.slots.size), false);
    }

    /// Tells the device of what was sent.
    pub fn notify(&mut self) {
        self.slots.queue.notify();
    }

    /// Asks for an event when the device has sent a packet: whether it has already.
    #[must_use]
    pub fn arm(&self) -> bool {
        self.slots.queue.arm(1)
    }

    /// Asks for no event.
    pub fn disarm(&self) {
        self.slots.queue.disarm();
    }
}
