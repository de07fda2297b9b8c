//! Which ports are free.

use pv_abi::Errno;
use pv_abi::event::{EVENT_PORTS_PER_PRIORITY, EVENT_PRIORITIES, EVENT_WORDS};
use pv_abi::event_protocol::place;

/// Words of the bitmaps for each priority.
const WORDS_PER_PRIORITY: usize = EVENT_PORTS_PER_PRIORITY / 64;

/// The free ports, one bit each.
#[derive(Debug)]
pub struct FreePorts([u64; EVENT_WORDS]);

impl FreePorts {
    /// All but port 0, which is never given.
    pub fn new() -> Self {
        let mut words = [u64::MAX; EVENT_WORDS];
        words[0] &= !1;
        Self(words)
    }

    /// The lowest free port of a priority.
    ///
    /// # Errors
    ///
    /// EINVAL when there is no such priority, ENOSPC when none of its ports is free.
    pub fn lowest(&self, priority: u32) -> Result<u32, Errno> {
        if priority as usize >= EVENT_PRIORITIES {
            return Err(Errno::EINVAL);
        }
        let first = priority as usize * WORDS_PER_PRIORITY;
        let words = self.0.iter().enumerate().skip(first);
        words
            .take(WORDS_PER_PRIORITY)
            .find(|(_, word)| **word != 0)
            .map(|(index, word)| index as u32 * 64 + word.trailing_zeros())
            .ok_or(Errno::ENOSPC)
    }

    /// Takes a port.
    pub fn take(&mut self, port: u32) {
        let (word, bit) = place(port as usize);
        self.0[word] &= !bit;
    }

    /// Gives a port back.
    pub fn give_back(&mut self, port: u32) {
        let (word, bit) = place(port as usize);
        self.0[word] |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_given_lowest_first_by_priority() {
        let mut free = FreePorts::new();
        for (priority, ports) in [(0, 1..1024), (1, 1024..2048), (3, 3072..4096)] {
            for port in ports {
                assert_eq!(free.lowest(priority), Ok(port));
                free.take(port);
            }
            assert_eq!(free.lowest(priority), Err(Errno::ENOSPC));
        }
        assert_eq!(free.lowest(2), Ok(2048));
        assert_eq!(free.lowest(4), Err(Errno::EINVAL));
        free.give_back(700);
        free.give_back(5);
        assert_eq!(free.lowest(0), Ok(5));
    }
}
