//! The requests of a queue: which there are, and who waits for them.

#![allow(unsafe_code)]

use super::scratch::{SCRATCH, Scratch};
use super::wakers::Wakers;
use super::{Costs, Done, Operation};
use crate::pages::Pages;
use crate::time::Instant;
use crate::virtio::polling::{Polling, events_ahead};
use crate::virtio::{Error, Queue, Used};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::task::Waker;
use core::time::Duration;
use pv_abi::Gpa;

/// The part of all requests that the device is told of at once, as a divisor.
const MUCH: u32 = 4;
/// How long it is not told of fewer, about as long as an exit takes.
const PUT_OFF: Duration = Duration::from_micros(50);
/// For how many looks it is not told in any case: where everything is slow, so is an exit.
const PUT_OFF_LOOKS: u32 = 64;

/// The requests of a queue. It is used under a lock.
pub(in crate::virtio) struct State<O> {
    pub queue: Queue,
    pub polling: Polling,
    slots: Box<[Slot<O>]>,
    /// Those who wait for a slot.
    room: Vec<Waker>,
    scratch: Pages,
    stopped: bool,
    /// When the first of the requests was made that the device was not told of.
    untold_since: Option<Instant>,
    /// How often it was put off to tell it of them.
    put_off: u32,
    made: u64,
    pub events: u64,
    /// Wakes the keeper, once it has had a turn.
    keeper: Option<Waker>,
    /// Whether the keeper is ready, or about to be: it sees to all requests in its turn.
    kept: bool,
    /// Whether somebody waits who is not a task of our executor. So there may be nobody to run the
    /// keeper, and events are to come even while it is ready.
    pub elsewhere: bool,
}

/// A request.
struct Slot<O> {
    /// What the device has until the request is over.
    operation: Option<O>,
    waker: Option<Waker>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Free,
    /// The device has it.
    Made,
    /// The device has it, and nobody waits for it.
    Abandoned,
    /// It is over; the device wrote so many bytes.
    Done(u32),
}

/// A request that is over, without its slot.
pub(super) struct Ended<O> {
    operation: O,
    result: Result<u32, Error>,
    scratch: [u8; SCRATCH],
}

impl<O: Operation> Ended<O> {
    pub fn finish(self) -> O::Output {
        let done = self.result.map(|written| Done {
            scratch: &self.scratch,
            written,
        });
        self.operation.finish(done)
    }
}

impl<O: Operation> State<O> {
    pub fn new(queue: Queue) -> Result<Self, Error> {
        let count = usize::from(queue.slots());
        Ok(Self {
            polling: Polling::new(),
            slots: (0..count).map(|_| Slot::free()).collect(),
            room: Vec::new(),
            scratch: Pages::zeroed(count * SCRATCH).ok_or(Error::NoMemory)?,
            stopped: false,
            untold_since: None,
            put_off: 0,
            made: 0,
            events: 0,
            keeper: None,
            kept: true,
            elsewhere: false,
            queue,
        })
    }

    /// Makes a request, if there is a slot for it. Otherwise the task is woken when there is one.
    pub fn make(&mut self, operation: &mut Option<O>, waker: &Waker) -> Result<Option<u16>, Error> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        let (Some(slot), Some(its)) = (self.queue.next_slot(), operation.as_mut()) else {
            if !self.room.iter().any(|other| other.will_wake(waker)) {
                self.room.push(waker.clone());
            }
            return Ok(None);
        };
        let (bytes, gpa) = self.scratch_of(slot);
        // SAFETY: the device does not have the slot, so nobody else accesses its memory.
        let mut scratch = Scratch::new(unsafe { &mut *bytes }, gpa);
        its.prepare(&mut scratch);
        if self.queue.untold() == 0 {
            self.untold_since = Instant::try_now();
            self.put_off = 0;
        }
        // SAFETY: the operation, whose memory it is, and the scratch memory stay here until the
        // request was popped or the device reset.
        let added = unsafe { self.queue.add(scratch.segments()) };
        debug_assert_eq!(added, Some(slot));
        self.made += 1;
        self.slots[usize::from(slot)] = Slot {
            operation: operation.take(),
            waker: Some(waker.clone()),
            phase: Phase::Made,
        };
        Ok(Some(slot))
    }

    fn scratch_of(&self, slot: u16) -> (*mut [u8; SCRATCH], Gpa) {
        let offset = usize::from(slot) * SCRATCH;
        assert!(offset + SCRATCH <= self.scratch.size());
        // SAFETY: it is within the pages.
        let bytes = unsafe { self.scratch.as_ptr().add(offset) };
        (bytes.cast(), Gpa(self.scratch.gpa().0 + offset as u64))
    }

    /// Tells the device of the requests that were made, unless it has enough to do with others: then
    /// a doorbell for several is put off for a while, and whoever waits for one of them looks again.
    /// Whether it was told.
    pub fn tell(&mut self) -> bool {
        let few = u32::from(self.queue.untold()) * MUCH < self.queue.outstanding().into();
        let soon = self.put_off < PUT_OFF_LOOKS
            || self
                .untold_since
                .is_some_and(|since| since.elapsed() < PUT_OFF);
        if self.queue.untold() > 0 && few && soon {
            self.put_off += 1;
            return false;
        }
        self.queue.notify();
        true
    }

    /// What it took so far.
    pub fn costs(&self) -> Costs {
        Costs {
            requests: self.made,
            doorbells: self.queue.doorbells(),
            events: self.events,
        }
    }

    /// Whom to wake when a request is over.
    pub fn set_waker(&mut self, slot: u16, waker: &Waker) {
        match &mut self.slots[usize::from(slot)].waker {
            Some(before) => before.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    /// Makes the keeper ready, when it is not: whom to wake for that.
    pub fn call_keeper(&mut self) -> Option<Waker> {
        match core::mem::replace(&mut self.kept, true) {
            true => None,
            false => self.keeper.clone(),
        }
    }

    /// The keeper's turn: whether it is to have another one at once.
    pub fn keep(&mut self, keeper: &Waker, wakers: &mut Wakers) -> bool {
        if self.keeper.is_none() {
            self.keeper = Some(keeper.clone());
        }
        let found = self.drain(wakers);
        let told = self.tell();
        let waits = !self.stopped && self.queue.outstanding() > 0;
        if !waits {
            self.polling.ends();
        }
        self.kept = waits && (self.polling.goes_on(found) || !told);
        self.settle(wakers);
        self.kept
    }

    /// Takes what the device has done, and then sees to it that what comes is taken too.
    pub fn settle(&mut self, wakers: &mut Wakers) {
        loop {
            self.drain(wakers);
            let waiting = self.queue.outstanding();
            self.elsewhere &= waiting > 0;
            if self.stopped || waiting == 0 || (self.kept && !self.elsewhere) {
                return self.queue.disarm();
            }
            if !self.queue.arm(events_ahead(waiting)) {
                return;
            }
        }
    }

    /// Takes what the device has done: whether there was anything.
    pub fn drain(&mut self, wakers: &mut Wakers) -> bool {
        let mut found = false;
        while !self.stopped {
            match self.queue.pop() {
                Ok(None) => break,
                Ok(Some(used)) => {
                    found = true;
                    self.done(used, wakers);
                }
                Err(_) => self.stop(wakers),
            }
        }
        found
    }

    fn done(&mut self, used: Used, wakers: &mut Wakers) {
        let slot = &mut self.slots[usize::from(used.slot)];
        let abandoned = slot.phase == Phase::Abandoned;
        slot.phase = Phase::Done(used.written);
        if abandoned {
            self.free(used.slot, wakers);
        } else if let Some(waker) = slot.waker.take() {
            wakers.push(waker);
        }
    }

    /// Makes a slot free, and gives what it had.
    fn free(&mut self, slot: u16, wakers: &mut Wakers) -> Option<O> {
        self.queue.release(slot);
        // Those who find none left wait again.
        self.room.drain(..).for_each(|waker| wakers.push(waker));
        let place = &mut self.slots[usize::from(slot)];
        core::mem::replace(place, Slot::free()).operation
    }

    /// Ends a request that is over.
    pub fn end(&mut self, slot: u16, wakers: &mut Wakers) -> Option<Ended<O>> {
        let result = match self.slots[usize::from(slot)].phase {
            Phase::Done(written) => Ok(written),
            _ if self.stopped => Err(Error::Stopped),
            _ => return None,
        };
        let (bytes, _) = self.scratch_of(slot);
        // SAFETY: the device does not have the slot any more.
        let scratch = unsafe { bytes.read() };
        let operation = match result {
            Ok(_) => self.free(slot, wakers),
            // A queue that was stopped is of no use for others.
            Err(_) => self.slots[usize::from(slot)].operation.take(),
        };
        operation.map(|operation| Ended {
            operation,
            result,
            scratch,
        })
    }

    /// Nobody waits for a request any more. What it owns is returned when it is over.
    pub fn abandon(&mut self, slot: u16, wakers: &mut Wakers) -> Option<O> {
        let place = &mut self.slots[usize::from(slot)];
        place.waker = None;
        match place.phase {
            Phase::Done(_) => self.free(slot, wakers),
            _ => {
                place.phase = Phase::Abandoned;
                None
            }
        }
    }

    /// Ends all requests: the device will not do them.
    pub fn stop(&mut self, wakers: &mut Wakers) {
        self.reset();
        let waiting = self.slots.iter_mut().filter_map(|slot| slot.waker.take());
        waiting
            .chain(self.room.drain(..))
            .for_each(|waker| wakers.push(waker));
    }

    /// Has the device forget the requests.
    pub fn reset(&mut self) {
        self.queue.device().reset();
        self.stopped = true;
    }
}

impl<O> Slot<O> {
    fn free() -> Self {
        Self {
            operation: None,
            waker: None,
            phase: Phase::Free,
        }
    }
}
