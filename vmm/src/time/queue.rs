//! The timers of one vCPU that are set.

use std::cmp::Reverse;

/// A timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Armed {
    /// When it is due, in nanoseconds of the clock.
    pub deadline: u64,
    /// From when on it is late: its deadline, or the time when it was set if that is later.
    pub late_from: u64,
    /// How often from then on, in nanoseconds; 0 for once.
    pub period: u64,
    /// Its port.
    pub port: u32,
}

/// Timers in the order in which they are due, the last one first.
///
/// There are 1024 at most, so moving all of them costs less than the exit of the call that
/// sets one.
#[derive(Debug, Default)]
pub struct Queue(Vec<Armed>);

impl Queue {
    /// Makes room for so many timers in all: as long as there are no more, nothing allocates.
    pub fn make_room(&mut self, timers: usize) {
        self.0.reserve_exact(timers.saturating_sub(self.0.len()));
    }

    /// When the next one is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.0.last().map(|armed| armed.deadline)
    }

    /// All of them, the next one last. Of two that are due at once, the one that comes first here
    /// comes last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Armed> {
        self.0.iter()
    }

    /// Adds a timer whose port has none here.
    pub fn insert(&mut self, armed: Armed) {
        // Of two that are due at once, the one that was set first comes first.
        let place = self
            .0
            .partition_point(|other| Reverse(other.deadline) < Reverse(armed.deadline));
        self.0.insert(place, armed);
    }

    /// Takes the timer of a port out, if it is set.
    pub fn remove(&mut self, port: u32) -> Option<Armed> {
        let place = self.0.iter().position(|armed| armed.port == port)?;
        Some(self.0.remove(place))
    }

    /// Takes the next timer out if it is due at `now`. A periodic one is set again, to its
    /// first time after `now`: the times in between are one event.
    pub fn take_due(&mut self, now: u64) -> Option<Armed> {
        let armed = *self.0.last().filter(|armed| armed.deadline <= now)?;
        self.0.pop();
        if let Some(missed) = (now - armed.deadline).checked_div(armed.period) {
            let later = armed.period.saturating_mul(missed + 1);
            let deadline = armed.deadline.saturating_add(later);
            // At the end of time there is no next one.
            if deadline > now {
                self.insert(Armed {
                    deadline,
                    late_from: deadline,
                    ..armed
                });
            }
        }
        Some(armed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn armed(deadline: u64, period: u64, port: u32) -> Armed {
        Armed {
            deadline,
            late_from: deadline,
            period,
            port,
        }
    }

    #[test]
    fn timers_come_in_the_order_of_their_deadlines() {
        let mut queue = Queue::default();
        for (port, deadline) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            queue.insert(armed(deadline, 0, port));
        }
        assert_eq!(queue.next_deadline(), Some(10));
        assert_eq!(queue.remove(3), Some(armed(20, 0, 3)));
        assert_eq!(queue.remove(3), None);
        let ports = |queue: &mut Queue, now| -> Vec<u32> {
            std::iter::from_fn(|| queue.take_due(now))
                .map(|armed| armed.port)
                .collect()
        };
        assert!(ports(&mut queue, 9).is_empty());
        assert_eq!(ports(&mut queue, 10), [2, 4]);
        assert_eq!(ports(&mut queue, u64::MAX), [1]);
        assert_eq!(queue.next_deadline(), None);
    }

    #[test]
    fn the_end_of_time_is_no_endless_loop() {
        let mut queue = Queue::default();
        queue.insert(armed(u64::MAX - 5, 50_000, 1));
        assert!(queue.take_due(u64::MAX).is_some());
        assert!(queue.take_due(u64::MAX).is_none());
    }

    proptest! {
        #[test]
        fn a_periodic_timer_keeps_its_beat(
            first in 0u64..1 << 40,
            period in 1u64..1 << 30,
            looks in prop::collection::vec(0u64..1 << 41, 1..50),
        ) {
            let mut queue = Queue::default();
            queue.insert(armed(first, period, 1));
            let mut looks = looks;
            looks.sort_unstable();
            let mut deadline = first;
            for now in looks {
                let due = queue.take_due(now);
                prop_assert_eq!(due.is_some(), deadline <= now);
                prop_assert!(queue.take_due(now).is_none());
                while deadline <= now {
                    deadline += period * ((now - deadline) / period + 1);
                }
                prop_assert_eq!(queue.next_deadline(), Some(deadline));
                prop_assert_eq!((deadline - first) % period, 0);
            }
        }
    }
}
