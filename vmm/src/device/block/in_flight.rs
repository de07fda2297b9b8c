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

/// With so many bytes under way, in two requests or more, a disk that moves less than 10 GB in a
/// second is busy for longer than a doorbell takes.
const PLENTY: u64 = 2 << 20;

/// A bounded table of them. A request's place in it is its token.
#[derive(Debug)]
pub struct InFlight<T = Pending> {
    places: Vec<Option<(T, u64)>>,
    free: Vec<usize>,
    bytes: u64,
}

impl<T> InFlight<T> {
    /// A table for so many.
    pub fn new(most: usize) -> Self {
        Self {
            places: (0..most).map(|_| None).collect(),
            free: (0..most).rev().collect(),
            bytes: 0,
        }
    }

    /// Whether there is room for another.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    /// Whether so much is under way that the disk stays busy until one of the requests has ended.
    /// What comes meanwhile would not be over sooner if it were begun before.
    pub fn is_plenty(&self) -> bool {
        self.places.len() - self.free.len() > 1 && self.bytes >= PLENTY
    }

    /// Adds one that moves so many bytes, if there is room, and returns its token.
    pub fn add(&mut self, pending: T, bytes: u64) -> Option<u64> {
        let index = self.free.pop()?;
        *self.places.get_mut(index)? = Some((pending, bytes));
        self.bytes += bytes;
        Some(index as u64)
    }

    /// Takes one out.
    pub fn remove(&mut self, token: u64) -> Option<T> {
        let index = usize::try_from(token).ok()?;
        let (pending, bytes) = self.places.get_mut(index)?.take()?;
        self.free.push(index);
        self.bytes -= bytes;
        Some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_plenty_when_two_or_more_move_much() {
        let mut table = InFlight::new(64);
        let large = table.add("one that is large", 8 << 20).unwrap();
        assert!(!table.is_plenty());
        table.add("another, however small", 512).unwrap();
        assert!(table.is_plenty());
        assert_eq!(table.remove(large), Some("one that is large"));
        assert_eq!(table.remove(large), None);
        while let Some(_token) = table.add("small ones", 4096) {
            assert!(!table.is_plenty());
        }
        assert!(!table.has_room());
    }
}
