//! What the VMM knows of a port: one word, so that raising takes no lock.
//!
//! The word says what raises the port and which vCPU it belongs to, and counts the threads that
//! are in the middle of raising it. A port that is closed is nobody's first, and then waits for
//! those threads; so what they do to the port is done when it is closed, and none comes later.

use pv_abi::device::{DEVICES, DOORBELLS};
use pv_abi::event::{
    EVENT_SOURCE_CONSOLE, EVENT_SOURCE_DEVICE, EVENT_SOURCE_GRANT, EVENT_SOURCE_QUEUE,
    EVENT_SOURCE_RESTORED, EVENT_SOURCE_SHUTDOWN,
};
use std::sync::atomic::{AtomicU64, Ordering};
use zerocopy::FromZeros;

/// What raises a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the port is free.
    Free,
    /// The guest, by `event_send`, and whatever else it gives the port to.
    Alloc,
    /// The guest, by `event_send`; the port stays with its vCPU.
    Ipi,
    /// Its timer.
    Timer,
    /// The VMM.
    Source(Source),
}

/// What the VMM can tell of: `EVENT_SOURCE_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Bytes can be read from the console, or its input has ended.
    Console,
    /// Somebody asks the guest to shut down.
    Shutdown,
    /// Another guest has granted memory to this one, or taken a grant back.
    Grant,
    /// The VM goes on from a snapshot.
    Restored,
    /// The device of this number has something to say.
    Device(u8),
    /// The queue with this doorbell has used buffers.
    Queue(u8),
}

impl Source {
    /// Those that every VM has.
    pub const OF_EVERY_VM: [Self; 4] = [Self::Console, Self::Shutdown, Self::Grant, Self::Restored];

    /// How many there can be.
    pub const COUNT: usize = Self::OF_EVERY_VM.len() + DEVICES + DOORBELLS;

    /// The source of an `EVENT_SOURCE_*`.
    pub fn of(number: u32) -> Option<Self> {
        let offset = |base: u32, count: usize| {
            let offset = number.checked_sub(base)?;
            ((offset as usize) < count).then_some(offset as u8)
        };
        match number {
            EVENT_SOURCE_CONSOLE => Some(Self::Console),
            EVENT_SOURCE_SHUTDOWN => Some(Self::Shutdown),
            EVENT_SOURCE_GRANT => Some(Self::Grant),
            EVENT_SOURCE_RESTORED => Some(Self::Restored),
            _ => offset(EVENT_SOURCE_DEVICE, DEVICES)
                .map(Self::Device)
                .or_else(|| offset(EVENT_SOURCE_QUEUE, DOORBELLS).map(Self::Queue)),
        }
    }

    /// Its `EVENT_SOURCE_*`.
    pub fn number(self) -> u32 {
        match self {
            Self::Console => EVENT_SOURCE_CONSOLE,
            Self::Shutdown => EVENT_SOURCE_SHUTDOWN,
            Self::Grant => EVENT_SOURCE_GRANT,
            Self::Restored => EVENT_SOURCE_RESTORED,
            Self::Device(device) => EVENT_SOURCE_DEVICE + u32::from(device),
            Self::Queue(doorbell) => EVENT_SOURCE_QUEUE + u32::from(doorbell),
        }
    }

    /// A number below [`Self::COUNT`] that no other source has.
    pub fn index(self) -> usize {
        const DEVICE: usize = Source::OF_EVERY_VM.len();
        match self {
            Self::Console => 0,
            Self::Shutdown => 1,
            Self::Grant => 2,
            Self::Restored => 3,
            Self::Device(device) => DEVICE + usize::from(device) % DEVICES,
            Self::Queue(doorbell) => DEVICE + DEVICES + usize::from(doorbell),
        }
    }
}

const _: () = assert!(DOORBELLS == 1 << u8::BITS && DEVICES <= DOORBELLS);

impl Kind {
    const fn to_bits(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Alloc => 1,
            Self::Ipi => 2,
            Self::Timer => 3,
            Self::Source(Source::Console) => 4,
            Self::Source(Source::Shutdown) => 5,
            Self::Source(Source::Grant) => 6,
            Self::Source(Source::Device(device)) => 7 | (device as u64) << 8,
            Self::Source(Source::Restored) => 9,
            Self::Source(Source::Queue(doorbell)) => 8 | (doorbell as u64) << 8,
        }
    }

    const fn of_bits(bits: u64) -> Self {
        let index = (bits >> 8) as u8;
        match bits & 0xff {
            1 => Self::Alloc,
            2 => Self::Ipi,
            3 => Self::Timer,
            4 => Self::Source(Source::Console),
            5 => Self::Source(Source::Shutdown),
            6 => Self::Source(Source::Grant),
            7 => Self::Source(Source::Device(index)),
            8 => Self::Source(Source::Queue(index)),
            9 => Self::Source(Source::Restored),
            _ => Self::Free,
        }
    }

    /// Whether `event_send` raises it.
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Alloc | Self::Ipi)
    }
}

/// The word. A model checker has its own; every operation is sequentially consistent.
pub trait StateWord {
    /// Reads it.
    fn load(&self) -> u64;
    /// Replaces `old` by `new`; the value that was there instead, if it was another.
    fn compare_exchange(&self, old: u64, new: u64) -> Result<u64, u64>;
    /// Subtracts.
    fn fetch_sub(&self, value: u64) -> u64;
}

impl StateWord for AtomicU64 {
    #[inline]
    fn load(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    #[inline]
    fn compare_exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange_weak(old, new, Ordering::SeqCst, Ordering::SeqCst)
    }

    #[inline]
    fn fetch_sub(&self, value: u64) -> u64 {
        self.fetch_sub(value, Ordering::SeqCst)
    }
}

/// Bits 15:0: threads that hold the port. 31:16: the vCPU. 47:32: the kind.
const HOLDERS: u64 = 0xffff;
const VCPU_SHIFT: u32 = 16;
const KIND_SHIFT: u32 = 32;

/// A port.
#[derive(Debug, Default, FromZeros)]
#[repr(transparent)]
pub struct Port<W: StateWord = AtomicU64>(W);

/// Keeps a port from being closed, until it is dropped.
#[derive(Debug)]
pub struct Hold<'a, W: StateWord = AtomicU64> {
    word: &'a W,
}

impl<W: StateWord> Drop for Hold<'_, W> {
    #[inline]
    fn drop(&mut self) {
        self.word.fetch_sub(1);
    }
}

impl<W: StateWord> Port<W> {
    /// What raises it, and the vCPU that it belongs to.
    #[inline]
    pub fn read(&self) -> (Kind, u32) {
        Self::parts(self.0.load())
    }

    #[inline]
    fn parts(word: u64) -> (Kind, u32) {
        let kind = Kind::of_bits(word >> KIND_SHIFT);
        (kind, (word >> VCPU_SHIFT) as u16 as u32)
    }

    /// Holds the port if it is of a kind that is wanted; otherwise what it is.
    #[inline]
    pub fn hold(&self, wanted: impl Fn(Kind) -> bool) -> Result<Hold<'_, W>, Kind> {
        let mut word = self.0.load();
        loop {
            let (kind, _) = Self::parts(word);
            if !wanted(kind) {
                return Err(kind);
            }
            // There are fewer threads than could be counted. A port that is being closed is not
            // held any more, so whoever closes it waits for few.
            match self.0.compare_exchange(word, word + 1) {
                Ok(_) => return Ok(Hold { word: &self.0 }),
                Err(other) => word = other,
            }
        }
    }

    /// Says what raises it and whose it is. Only one thread at a time changes a port so.
    pub fn set(&self, kind: Kind, vcpu: u32) {
        let new = kind.to_bits() << KIND_SHIFT | u64::from(vcpu as u16) << VCPU_SHIFT;
        let mut word = self.0.load();
        while let Err(other) = self.0.compare_exchange(word, new | (word & HOLDERS)) {
            word = other;
        }
    }

    /// Frees it. When this returns nobody holds it; `wait` is called until then. Only one thread
    /// at a time changes a port so.
    pub fn close(&self, mut wait: impl FnMut()) {
        self.set(Kind::Free, 0);
        while self.0.load() & HOLDERS != 0 {
            wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU64 as Modelled;
    use loom::thread;

    #[test]
    fn a_port_is_what_it_was_set_to() {
        let port = Port::<AtomicU64>::default();
        assert_eq!(port.read(), (Kind::Free, 0));
        let devices = [0, 31].map(Source::Device);
        let queues = [0, 1, 255].map(Source::Queue);
        let sources = [&Source::OF_EVERY_VM[..], &devices, &queues].concat();
        let sources = sources.into_iter().map(Kind::Source);
        for kind in [Kind::Alloc, Kind::Ipi, Kind::Timer]
            .into_iter()
            .chain(sources)
        {
            port.set(kind, 63);
            assert_eq!(port.read(), (kind, 63));
            let held = port.hold(|found| found == kind).unwrap();
            port.set(kind, 2);
            assert_eq!(port.read(), (kind, 2));
            drop(held);
            assert_eq!(port.hold(|_| false).err(), Some(kind));
        }
        port.close(|| panic!("nobody holds it"));
        assert_eq!(port.read(), (Kind::Free, 0));
    }

    #[test]
    fn every_source_has_a_number_and_an_index_of_its_own() {
        let found: Vec<_> = (0..0x2000).filter_map(Source::of).collect();
        let mut indices: Vec<_> = found.iter().map(|source| source.index()).collect();
        indices.sort_unstable();
        assert_eq!(indices, (0..Source::COUNT).collect::<Vec<_>>());
        assert!(
            found
                .iter()
                .all(|one| Source::of(one.number()) == Some(*one))
        );
        assert_eq!(Source::of(EVENT_SOURCE_QUEUE + 7), Some(Source::Queue(7)));
        assert_eq!(Source::of(EVENT_SOURCE_DEVICE + 32), None);
        assert_eq!(Source::of(u32::MAX), None);
    }

    struct Word(Modelled);

    /// See pv-abi/tests/event_model.rs on why a load is more than that.
    impl StateWord for Word {
        fn load(&self) -> u64 {
            self.0.fetch_or(0, Ordering::SeqCst)
        }

        fn compare_exchange(&self, old: u64, new: u64) -> Result<u64, u64> {
            self.0
                .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
        }

        fn fetch_sub(&self, value: u64) -> u64 {
            self.0.fetch_sub(value, Ordering::SeqCst)
        }
    }

    /// Threads that raise a port while it is closed, and given away again: what was raised
    /// before is gone, and the new one is raised by nobody.
    #[test]
    fn what_is_closed_is_raised_no_more() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound.get_or_insert(3);
        model.check(|| {
            let port = Arc::new(Port(Word(Modelled::new(0))));
            let pending = Arc::new(Modelled::new(0));
            port.set(Kind::Alloc, 1);
            let raisers: Vec<_> = (0..2)
                .map(|_| {
                    let (port, pending) = (Arc::clone(&port), Arc::clone(&pending));
                    thread::spawn(move || {
                        if let Ok(_held) = port.hold(Kind::is_sent) {
                            pending.fetch_or(1, Ordering::SeqCst);
                        }
                    })
                })
                .collect();
            port.close(thread::yield_now);
            pending.fetch_and(0, Ordering::SeqCst);
            port.set(Kind::Timer, 0);
            for raiser in raisers {
                raiser.join().unwrap();
            }
            assert_eq!(pending.load(Ordering::SeqCst), 0);
        });
    }
}
