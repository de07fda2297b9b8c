//! Events: 4096 ports, in memory that guest and VMM share.
//!
//! The event page has a bit for each port: *pending*, which whoever raises the port sets and the
//! guest clears, and *mask*, which the guest sets while it does not want to be told. Each
//! vCPU page has a *selector* with a bit for each word of 64 ports, and `upcall_pending`.
//! All are changed by atomic instructions, in these orders:
//!
//! - To raise a port: set *pending*; if it was set, stop. If *mask* is set, stop. Set the word's
//!   bit in the selector of the vCPU that is the port's now, then `upcall_pending`; if that was
//!   clear, and `upcall_mask` is 0, an upcall follows.
//! - To take events: clear `upcall_pending`. As long as the selector has a bit, look at the
//!   word of the lowest one, and clear *pending* of its lowest port that is pending and not
//!   masked: whoever cleared it has the event. If there is none, clear the selector's bit and
//!   look once more: a port that is pending now may have been told of before, so set the
//!   bit again. Ports of several vCPUs can share a word; a guest that wants the events of a
//!   port on its own vCPU alone passes over those of the others.
//! - To unmask a port: clear *mask*; if *pending* is set, set the selector's bit and
//!   `upcall_pending` of the port's vCPU. `event_unmask` does it from another vCPU.
//! - To unmask upcalls: clear `upcall_mask`; if `upcall_pending` is set, take events.
//!
//! Lower ports are taken first, so a port's number is its priority: `event_alloc` and the others
//! give ports 0 to 1023 for priority 0, 1024 to 2047 for priority 1, and so on. Port 0 is
//! never given.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of ports.
pub const EVENT_PORTS: usize = 4096;

/// Number of words of the bitmaps of the event page, and of bits of a selector.
pub const EVENT_WORDS: usize = 64;

/// Number of priorities.
pub const EVENT_PRIORITIES: usize = 4;

/// Number of ports of each priority.
pub const EVENT_PORTS_PER_PRIORITY: usize = 1024;

/// Most timers of a VM.
pub const TIMERS_MAX: usize = 1024;

/// The shortest period of `time_periodic`, in nanoseconds.
pub const TIMER_PERIOD_MIN: u64 = 50_000;

/// `event_bind_source`: bytes can be read from the console, or its input has ended.
pub const EVENT_SOURCE_CONSOLE: u32 = 1;

/// `event_bind_source`: somebody asks the guest to shut down.
pub const EVENT_SOURCE_SHUTDOWN: u32 = 2;

/// `event_bind_source`: another guest has granted memory to this one, or taken a grant back.
pub const EVENT_SOURCE_GRANT: u32 = 3;

/// `event_bind_source`: the VM goes on from a snapshot, and `restored` of the vCPU pages has
/// changed.
pub const EVENT_SOURCE_RESTORED: u32 = 4;

/// `event_bind_source`: this plus the number of a device: its configuration space has changed, or
/// it needs a reset.
pub const EVENT_SOURCE_DEVICE: u32 = 0x100;

/// `event_bind_source`: this plus the doorbell of a queue: the device has used buffers of the queue.
pub const EVENT_SOURCE_QUEUE: u32 = 0x1000;

/// The event page. The bit of a port is bit `port % 64` of word `port / 64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct EventPage {
    /// VMM sets, guest clears: the ports that are pending.
    pub pending: [u64; EVENT_WORDS],
    /// Guest: the ports that are masked.
    pub mask: [u64; EVENT_WORDS],
}

pin_layout!(EventPage, size 1024 { pending @ 0, mask @ 512 });
