//! A ring of messages in shared memory, with one guest that sends and one that receives.
//!
//! Neither trusts the other: each keeps its own index to itself and only tells it, and what it
//! reads of the other's it brings into range. Whatever a hostile guest writes, the other one
//! gets messages that make no sense, or none, and nothing else happens.

use core::cell::Cell;
use paravane_sdk::access::Gone;
use paravane_sdk::grant::SharedMemory;

/// Where the sender says how many messages it has sent.
const SENT: usize = 0;
/// Where the receiver says how many it has received; in a cache line of its own.
const RECEIVED: usize = 64;
/// Where the messages begin: a length and so many bytes each.
const SLOTS: usize = 128;
/// Size of a slot.
const SLOT_SIZE: usize = 128;
/// Longest message.
const MESSAGE_MAX: usize = SLOT_SIZE - 4;

/// A message that was received.
pub struct Message {
    bytes: [u8; MESSAGE_MAX],
    size: usize,
}

impl Default for Message {
    fn default() -> Self {
        Self {
            bytes: [0; MESSAGE_MAX],
            size: 0,
        }
    }
}

impl Message {
    /// What it says.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.size]
    }
}

/// One end of a ring.
pub struct Ring<'memory> {
    memory: &'memory SharedMemory,
    start: usize,
    slots: u32,
    /// How many messages this end has sent or received.
    done: Cell<u32>,
}

impl<'memory> Ring<'memory> {
    /// The ring in `size` bytes of shared memory, which were zero when it was made.
    pub fn new(memory: &'memory SharedMemory, start: usize, size: usize) -> Self {
        Self {
            memory,
            start,
            slots: ((size - SLOTS) / SLOT_SIZE) as u32,
            done: Cell::new(0),
        }
    }

    fn slot(&self, message: u32) -> usize {
        self.start + SLOTS + (message % self.slots) as usize * SLOT_SIZE
    }

    /// Sends a message, of which at most [`MESSAGE_MAX`] bytes arrive: whether there was room.
    pub fn send(&self, bytes: &[u8]) -> Result<bool, Gone> {
        let sent = self.done.get();
        let received = self.memory.load(self.start + RECEIVED)?;
        if sent.wrapping_sub(received) >= self.slots {
            return Ok(false);
        }
        let bytes = &bytes[..bytes.len().min(MESSAGE_MAX)];
        let slot = self.slot(sent);
        self.memory.store(slot, bytes.len() as u32)?;
        self.memory.write(slot + 4, bytes)?;
        // Behind the message, so that who sees this sees all of that.
        self.done.set(sent.wrapping_add(1));
        self.memory.store(self.start + SENT, self.done.get())?;
        Ok(true)
    }

    /// Receives the next message: whether there is one.
    pub fn receive(&self, message: &mut Message) -> Result<bool, Gone> {
        let received = self.done.get();
        if self.memory.load(self.start + SENT)? == received {
            return Ok(false);
        }
        let slot = self.slot(received);
        // Read once, and checked before it is used.
        let size = self.memory.load(slot)? as usize;
        message.size = size.min(MESSAGE_MAX);
        self.memory
            .read(slot + 4, &mut message.bytes[..message.size])?;
        self.done.set(received.wrapping_add(1));
        self.memory.store(self.start + RECEIVED, self.done.get())?;
        Ok(true)
    }
}
