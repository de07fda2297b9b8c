//! The driver's side of a split virtqueue (virtio 1.2, 2.7), without any waiting.
//!
//! `virtio-drivers` has a `VirtQueue`. This one is for drivers whose requests are futures, and
//! differs in what they need. Its size is known when the device is found, not when the guest is
//! compiled. Every request has its descriptors before it is made, indirect tables too, so that it
//! allocates nothing. Where events come is the driver's choice, by which a batch of requests costs
//! one event; `VirtQueue` asks for one behind each request. And between the publication of a buffer
//! and the look at whether the device wants a doorbell there is a full fence (virtio 1.2,
//! 2.7.13.4.1), without which a processor may take the look first and the device sleep on.

#![allow(unsafe_code)]

use super::ring::{self, Descriptor, Rings};
use super::{Device, Error, feature};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};
use pv_abi::Gpa;

/// A piece of memory of a request.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Where it begins.
    pub gpa: Gpa,
    /// Size in bytes, not 0.
    pub size: u32,
    /// Whether the device writes to it; otherwise it reads it. What it reads comes first.
    pub writable: bool,
}

/// What a queue is to be like.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How many descriptors it has at most.
    pub size: u32,
    /// How many segments a request has at most.
    pub segments: u16,
}

/// A request that the device has done.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// The request.
    pub slot: u16,
    /// How many bytes the device says that it wrote.
    pub written: u32,
}

/// The device broke the rules of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A queue of a device.
///
/// A request has a slot: a number with descriptors of its own, from [`Queue::add`] on. The device
/// has it until [`Queue::pop`] gives it back, and it is free again behind [`Queue::release`].
#[derive(Debug)]
pub struct Queue {
    device: Arc<Device>,
    index: u16,
    segments: u16,
    indirect: bool,
    event_index: bool,
    rings: Rings,
    free: Vec<u16>,
    /// Which slots the device has.
    in_flight: Box<[bool]>,
    outstanding: u16,
    /// The next place in the available ring.
    available: u16,
    /// `available` when the device was told of it.
    told: u16,
    /// The next place in the used ring.
    used: u16,
    /// How often the device was told.
    doorbells: u64,
}

impl Queue {
    /// Sets up a queue of a device that has not been started.
    ///
    /// # Errors
    ///
    /// [`Error::NoMemory`], and those of `io_queue_setup`.
    pub fn new(device: &Arc<Device>, index: u16, options: QueueOptions) -> Result<Self, Error> {
        let most = device.found().info().queue_size_max.clamp(1, 1 << 15);
        let size = 1_u16 << options.size.clamp(1, most).ilog2();
        let segments = options.segments.max(1);
        let indirect = device.has(feature::RING_INDIRECT_DESC) && segments > 1;
        let slots = if indirect { size } else { size / segments };
        if slots == 0 {
            return Err(Error::Unsupported);
        }
        let in_tables = match indirect {
            true => usize::from(slots) * usize::from(segments),
            false => 0,
        };
        let rings = Rings::new(size, in_tables).ok_or(Error::NoMemory)?;
        let queue = Self {
            device: Arc::clone(device),
            index,
            segments,
            indirect,
            event_index: device.has(feature::RING_EVENT_IDX),
            rings,
            free: (0..slots).rev().collect(),
            in_flight: (0..slots).map(|_| false).collect(),
            outstanding: 0,
            available: 0,
            told: 0,
            used: 0,
            doorbells: 0,
        };
        queue.disarm();
        // SAFETY: the rings are given back when this is dropped, which resets the device first.
        unsafe { device.set_up_queue(index, &queue.rings.setup()) }?;
        Ok(queue)
    }

    /// The device.
    pub fn device(&self) -> &Arc<Device> {
        &self.device
    }

    /// Its number.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// How many requests there can be at once.
    pub fn slots(&self) -> u16 {
        self.in_flight.len() as u16
    }

    /// The slot that the next request gets; `None` while all are in use.
    pub fn next_slot(&self) -> Option<u16> {
        self.free.last().copied()
    }

    /// How many requests the device has.
    pub fn outstanding(&self) -> u16 {
        self.outstanding
    }

    /// Makes a request available to the device, which may see it from now on and is not told:
    /// [`Queue::notify`] does that. `None` while all slots are in use.
    ///
    /// # Safety
    ///
    /// Until the request is popped or the device has been reset, the segments are RAM that the
    /// device may read, or write.
    ///
    /// # Panics
    ///
    /// For no segments, or more than the queue was made for.
    pub unsafe fn add(&mut self, segments: &[Segment]) -> Option<u16> {
        let count = segments.len();
        assert!(count > 0 && count <= usize::from(self.segments));
        let slot = self.free.pop()?;
        let first = usize::from(slot) * usize::from(self.segments);
        for (index, segment) in segments.iter().enumerate() {
            let mut flags = if segment.writable { ring::WRITE } else { 0 };
            let is_last = index + 1 == count;
            if !is_last {
                flags |= ring::NEXT;
            }
            // An indirect table is numbered from its own beginning.
            let base = if self.indirect { 0 } else { first };
            let descriptor = Descriptor {
                address: segment.gpa.0,
                size: segment.size,
                flags,
                next: if is_last {
                    0
                } else {
                    (base + index + 1) as u16
                },
            };
            match self.indirect {
                true => self.rings.set_in_table(first + index, descriptor),
                false => self
                    .rings
                    .set_descriptor((first + index) as u16, descriptor),
            }
        }
        let head = match self.indirect {
            true => slot,
            false => first as u16,
        };
        if self.indirect {
            let table = Descriptor {
                address: self.rings.table_gpa(first).0,
                size: (count * size_of::<Descriptor>()) as u32,
                flags: ring::INDIRECT,
                next: 0,
            };
            self.rings.set_descriptor(head, table);
        }
        self.rings.set_available(self.available, head);
        self.in_flight[usize::from(slot)] = true;
        self.outstanding += 1;
        self.available = self.available.wrapping_add(1);
        let index = self.rings.available_index();
        index.store(self.available, Ordering::Release);
        Some(slot)
    }

    /// How many requests the device has not been told of.
    pub fn untold(&self) -> u16 {
        self.available.wrapping_sub(self.told)
    }

    /// Tells the device of the requests that were added, if it wants to be told.
    pub fn notify(&mut self) {
        let before = core::mem::replace(&mut self.told, self.available);
        if before == self.available {
            return;
        }
        // The device has either seen the requests, or we see that it waits for them.
        fence(Ordering::SeqCst);
        let wanted = if self.event_index {
            let event = self.rings.available_event().load(Ordering::Acquire);
            crosses(event, before, self.available)
        } else {
            self.rings.used_flags().load(Ordering::Acquire) & ring::NO_NOTIFY == 0
        };
        if wanted {
            self.device.ring(self.index);
            self.doorbells += 1;
        }
    }

    /// How often the device has been told.
    pub fn doorbells(&self) -> u64 {
        self.doorbells
    }

    /// Whether the device has done a request that was not popped.
    #[inline]
    pub fn has_used(&self) -> bool {
        self.rings.used_index().load(Ordering::Acquire) != self.used
    }

    /// Takes the next request that the device has done.
    ///
    /// # Errors
    ///
    /// [`Broken`] when it is none that the device has.
    pub fn pop(&mut self) -> Result<Option<Used>, Broken> {
        if !self.has_used() {
            return Ok(None);
        }
        let element = self.rings.used(self.used);
        let per_slot = if self.indirect {
            1
        } else {
            self.segments.into()
        };
        let slot = (element.head / per_slot) as usize;
        let known = element.head.is_multiple_of(per_slot)
            && self.in_flight.get_mut(slot).is_some_and(core::mem::take);
        if !known {
            return Err(Broken);
        }
        self.used = self.used.wrapping_add(1);
        self.outstanding -= 1;
        Ok(Some(Used {
            slot: slot as u16,
            written: element.written,
        }))
    }

    /// Makes the slot of a request that was popped free for another one.
    ///
    /// # Panics
    ///
    /// When the device has it.
    pub fn release(&mut self, slot: u16) {
        assert!(!self.in_flight[usize::from(slot)] && self.free.len() < self.in_flight.len());
        self.free.push(slot);
    }

    /// Asks for an event when the device has done `count` requests more than were popped: whether
    /// there are such that were not popped, which no event may tell of.
    #[must_use]
    pub fn arm(&self, count: u16) -> bool {
        if self.event_index {
            let event = self.used.wrapping_add(count.max(1) - 1);
            self.rings.used_event().store(event, Ordering::Relaxed);
        } else {
            self.rings.available_flags().store(0, Ordering::Relaxed);
        }
        // The device has either seen what we ask for, or we see what it has done.
        fence(Ordering::SeqCst);
        self.has_used()
    }

    /// Asks for no event. One may still come.
    pub fn disarm(&self) {
        if self.event_index {
            // Half the way round. What the device has done last is no place for it: of that it may
            // not have decided yet whether to tell.
            let far = self.used.wrapping_add(1 << 15);
            self.rings.used_event().store(far, Ordering::Relaxed);
        } else {
            let flags = self.rings.available_flags();
            flags.store(ring::NO_INTERRUPT, Ordering::Relaxed);
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The device forgets the rings before their memory is given back.
        self.device.reset();
    }
}

/// Whether the way from `before` to `now` passes by `event` (virtio 1.2, 2.7.10).
fn crosses(event: u16, before: u16, now: u16) -> bool {
    now.wrapping_sub(event).wrapping_sub(1) < now.wrapping_sub(before)
}
