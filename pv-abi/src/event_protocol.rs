//! The steps of the [event protocol](crate::event), once for both sides.
//!
//! They are generic over the words, so that the VMM runs them on memory that it shares with a
//! guest, a guest on its own pages, and a model checker on words that it interleaves.

use crate::event::{EVENT_PORTS, EVENT_WORDS};

/// A word that several parties change; every operation is one atomic, sequentially consistent
/// instruction.
pub trait Word {
    /// Reads it.
    fn load(&self) -> u64;
    /// Sets bits; the value before.
    fn fetch_or(&self, bits: u64) -> u64;
    /// Keeps bits and clears all others; the value before.
    fn fetch_and(&self, bits: u64) -> u64;
    /// Writes it; the value before.
    fn swap(&self, value: u64) -> u64;
}

/// The shared state of all ports.
pub trait Ports {
    /// Its words.
    type Word: Word;
    /// The pending word `index`, below [`EVENT_WORDS`].
    fn pending(&self, index: usize) -> &Self::Word;
    /// The mask word `index`, below [`EVENT_WORDS`].
    fn mask(&self, index: usize) -> &Self::Word;
}

/// The shared state of a vCPU.
pub trait Target {
    /// Its words.
    type Word: Word;
    /// The selector.
    fn selector(&self) -> &Self::Word;
    /// Sets `upcall_pending`; whether it was set.
    fn set_upcall_pending(&self) -> bool;
    /// Clears `upcall_pending`.
    fn clear_upcall_pending(&self);
}

/// What raising a port came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It was pending already.
    Was,
    /// It is pending now, and masked: nobody is told.
    Masked,
    /// It is pending now, and its vCPU has been told of another event before.
    Told,
    /// It is pending now, and its vCPU did not have to know before: an upcall may be due.
    Notify,
}

/// Word index and bit of a port below [`EVENT_PORTS`].
pub const fn place(port: usize) -> (usize, u64) {
    debug_assert!(port < EVENT_PORTS);
    (port / 64 % EVENT_WORDS, 1 << (port % 64))
}

/// Whether a port is pending.
pub fn is_pending(ports: &impl Ports, port: usize) -> bool {
    let (word, bit) = place(port);
    ports.pending(word).load() & bit != 0
}

/// Raises a port whose vCPU is `target`.
pub fn raise(ports: &impl Ports, target: &impl Target, port: usize) -> Raised {
    let (word, bit) = place(port);
    if ports.pending(word).fetch_or(bit) & bit != 0 {
        return Raised::Was;
    }
    if ports.mask(word).load() & bit != 0 {
        return Raised::Masked;
    }
    tell(target, word)
}

fn tell(target: &impl Target, word: usize) -> Raised {
    target.selector().fetch_or(1 << word);
    if target.set_upcall_pending() {
        Raised::Told
    } else {
        Raised::Notify
    }
}

/// Masks a port.
pub fn mask(ports: &impl Ports, port: usize) {
    let (word, bit) = place(port);
    ports.mask(word).fetch_or(bit);
}

/// Unmasks a port whose vCPU is `target`, and tells that vCPU if the port is pending.
pub fn unmask(ports: &impl Ports, target: &impl Target, port: usize) -> Option<Raised> {
    let (word, bit) = place(port);
    ports.mask(word).fetch_and(!bit);
    retell(ports, target, port)
}

/// Tells `target` of a port if it is pending and not masked: the port is `target`'s now.
pub fn retell(ports: &impl Ports, target: &impl Target, port: usize) -> Option<Raised> {
    let (word, bit) = place(port);
    let due = ports.pending(word).load() & !ports.mask(word).load() & bit != 0;
    due.then(|| tell(target, word))
}

/// Makes a port not pending; whether it was.
pub fn clear(ports: &impl Ports, port: usize) -> bool {
    let (word, bit) = place(port);
    ports.pending(word).fetch_and(!bit) & bit != 0
}

/// The events of a vCPU, taken one by one, those of the highest priority first, also when they
/// come while others are being handled.
#[derive(Debug)]
pub struct Taker {
    words: u64,
}

impl Taker {
    /// Begins to take the events of `target`.
    pub fn new(target: &impl Target) -> Self {
        target.clear_upcall_pending();
        Self {
            words: target.selector().swap(0),
        }
    }

    /// Takes the next event; `None` when there is none left. Then `upcall_pending` says whether
    /// there are more.
    pub fn next(&mut self, ports: &impl Ports, target: &impl Target) -> Option<usize> {
        loop {
            self.words |= target.selector().swap(0);
            if self.words == 0 {
                return None;
            }
            let word = self.words.trailing_zeros() as usize;
            let due = ports.pending(word).load() & !ports.mask(word).load();
            if due == 0 {
                self.words &= !(1 << word);
                continue;
            }
            let bit = due & due.wrapping_neg();
            if ports.pending(word).fetch_and(!bit) & bit != 0 {
                return Some(word * 64 + bit.trailing_zeros() as usize);
            }
        }
    }
}
