//! Those who are to be woken when the lock is free again.

use alloc::vec::Vec;
use core::task::Waker;

/// So many without an allocation.
const FEW: usize = 16;

/// Wakers that were taken under a lock. Dropping this wakes them.
pub(in crate::virtio) struct Wakers {
    few: [Option<Waker>; FEW],
    count: usize,
    more: Vec<Waker>,
}

impl Wakers {
    pub fn new() -> Self {
        Self {
            few: [const { None }; FEW],
            count: 0,
            more: Vec::new(),
        }
    }

    pub fn push(&mut self, waker: Waker) {
        match self.few.get_mut(self.count) {
            Some(place) => {
                *place = Some(waker);
                self.count += 1;
            }
            None => self.more.push(waker),
        }
    }
}

impl Drop for Wakers {
    fn drop(&mut self) {
        let few = self.few.iter_mut().take(self.count);
        few.filter_map(Option::take).for_each(Waker::wake);
        self.more.drain(..).for_each(Waker::wake);
    }
}
