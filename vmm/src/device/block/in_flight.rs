//! The requests that are being worked on.

use crate::device::chain::Chain;

/// A request that is being worked on.
#[derive(Debug)]
pub struct Pending {
    /// Number of its queue.
    pub queue: usize,
    /// The request.
    pub chain: Chain,
    /// How many bytes before its status are written when it is done.
    pub data: u32,
    /// It is a flush.
    pub flush: bool,
}

/// A bounded table of them. A request's place in it is its token.
#[derive(Debug)]
pub struct InFlight {
    places: Vec<Option<Pending>>,
    free: Vec<usize>,
}

impl InFlight {
    /// A table for so many.
    pub fn new(most: usize) -> Self {
        Self {
            places: (0..most).map(|_| None).collect(),
            free: (0..most).rev().collect(),
        }
    }

    /// Whether there is room for another.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Adds one, if there is room, and returns its token.
    pub fn add(&mut self, pending: Pending) -> Option<u64> {
        let index = self.free.pop()?;
        *self.places.get_mut(index)? = Some(pending);
        Some(index as u64)
    }

    /// Takes one out.
    pub fn remove(&mut self, token: u64) -> Option<Pending> {
        let index = usize::try_from(token).ok()?;
        let pending = self.places.get_mut(index)?.take()?;
        self.free.push(index);
        Some(pending)
    }
}
