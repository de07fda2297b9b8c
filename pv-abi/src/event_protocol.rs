//! The steps of the [event protocol](crate::event), once for both sides.
//!
//! They are generic over the words, so that the VMM runs them on memory that it shares with a
//! guest, a guest on its own pages, and a model checker on words that it interleaves
//! (`tests/event_model.rs`).
//!
//! Two parties meet at three places, and at each of them both write first and look then, so
//! that at least one sees the other:
//!
//! - a raiser makes the port pending, then looks at *mask*; who unmasks clears *mask*, then
//!   looks at *pending*;
//! - a raiser makes the port pending, then asks which vCPU it belongs to; who gives it to
//!   another vCPU does that, then looks at *pending*;
//! - a raiser makes the port pending, then sets the selector; who takes clears the selector's
//!   bit, then looks at *pending* once more.

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
}

/// The shared state of all ports.
pub trait Ports {
    /// The pending word `index`, below [`EVENT_WORDS`].
    fn pending(&self, index: usize) -> impl Word;
    /// The mask word `index`, below [`EVENT_WORDS`].
    fn mask(&self, index: usize) -> impl Word;
}

/// The shared state of a vCPU.
pub trait Target {
    /// The selector.
    fn selector(&self) -> impl Word;
    /// Sets `upcall_pending`; whether it was set.
    fn set_upcall_pending(&self) -> bool;
    /// Clears `upcall_pending`.
    fn clear_upcall_pending(&self);
    /// Those of `ports`, bits of word `index`, that this vCPU takes. Ports of several vCPUs can
    /// share a word, and a guest that cares which of its vCPUs handles an event leaves those of
    /// the others alone.
    fn own(&self, index: usize, ports: u64) -> u64 {
        let _ = index;
        ports
    }
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

/// Raises a port. `target` says whose it is; it is asked when the port is pending already, so
/// that a vCPU which gets the port meanwhile is told of it, here or by [`retell`].
pub fn raise<T: Target>(ports: &impl Ports, port: usize, target: impl FnOnce() -> T) -> Raised {
    let (word, bit) = place(port);
    if ports.pending(word).fetch_or(bit) & bit != 0 {
        return Raised::Was;
    }
    if ports.mask(word).load() & bit != 0 {
        return Raised::Masked;
    }
    tell(&target(), word)
}

/// Tells a vCPU to look at a word: [`Raised::Told`] or [`Raised::Notify`].
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

/// Unmasks a port and, if it is pending, tells the vCPU that `target` names then.
pub fn unmask<T: Target>(
    ports: &impl Ports,
    port: usize,
    target: impl FnOnce() -> T,
) -> Option<Raised> {
    let (word, bit) = place(port);
    ports.mask(word).fetch_and(!bit);
    retell(ports, port, target)
}

/// Tells the vCPU that `target` names of a port if that is pending and not masked: the port has
/// just become this vCPU's, or has just been unmasked.
pub fn retell<T: Target>(
    ports: &impl Ports,
    port: usize,
    target: impl FnOnce() -> T,
) -> Option<Raised> {
    let (word, bit) = place(port);
    let due = ports.pending(word).load() & !ports.mask(word).load() & bit != 0;
    due.then(|| tell(&target(), word))
}

/// Makes a port not pending; whether it was. Whoever clears the bit has the event.
pub fn clear(ports: &impl Ports, port: usize) -> bool {
    let (word, bit) = place(port);
    ports.pending(word).fetch_and(!bit) & bit != 0
}

/// Makes a port that nobody raises yet not pending and not masked.
pub fn reset(ports: &impl Ports, port: usize) {
    let (word, bit) = place(port);
    ports.mask(word).fetch_and(!bit);
    ports.pending(word).fetch_and(!bit);
}

/// Takes the events of a vCPU one by one, those of the highest priority first, also when they
/// come while others are being handled.
///
/// What is not taken yet is only in the shared words: takers may be nested or abandoned, and no
/// event is lost. Who abandons one calls [`Taker::abandon`].
#[derive(Debug)]
#[must_use]
pub struct Taker(());

impl Taker {
    /// Begins to take the events of `target`: from here on a new one is told again.
    pub fn new(target: &impl Target) -> Self {
        target.clear_upcall_pending();
        Self(())
    }

    /// Takes the next event; `None` when there is none left. Then `upcall_pending` says whether
    /// there are more.
    pub fn next(&mut self, ports: &impl Ports, target: &impl Target) -> Option<usize> {
        let due = |word| {
            let ready = ports.pending(word).load() & !ports.mask(word).load();
            target.own(word, ready)
        };
        loop {
            let words = target.selector().load();
            if words == 0 {
                return None;
            }
            let word = words.trailing_zeros() as usize;
            let ready = due(word);
            if ready == 0 {
                target.selector().fetch_and(!(1 << word));
                // Somebody may have made a port pending before, and set the bit just cleared.
                if due(word) != 0 {
                    target.selector().fetch_or(1 << word);
                }
                continue;
            }
            let bit = ready & ready.wrapping_neg();
            if ports.pending(word).fetch_and(!bit) & bit != 0 {
                return Some(word * 64 + bit.trailing_zeros() as usize);
            }
        }
    }

    /// Ends before [`Taker::next`] said that there is nothing left: sets `upcall_pending` again
    /// if there may be. Upcalls are masked, so the caller looks at it when it unmasks them.
    pub fn abandon(self, target: &impl Target) {
        if target.selector().load() != 0 {
            target.set_upcall_pending();
        }
    }
}
