//! Keeping each vCPU's thread on a processor of its own, so that none is moved, or waits for
//! another, while it measures.

use crate::vcpu::affinity::{Processors, allowed, run_on};
use rustix::thread::{CpuSet, gettid};

/// The processors of this process.
#[derive(Debug)]
pub struct Pins {
    allowed: CpuSet,
    usable: Vec<usize>,
}

/// Back to all processors, when it is dropped.
#[derive(Debug)]
pub struct Pinned<'a>(&'a CpuSet);

impl Pins {
    /// Those that this thread may use.
    pub fn find() -> Self {
        let allowed = allowed();
        let usable = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
        Self {
            usable: usable.collect(),
            allowed,
        }
    }

    /// The processors that the first two vCPUs get.
    pub fn chosen(&self) -> Vec<usize> {
        self.usable.iter().rev().take(2).copied().collect()
    }

    /// The processor of a vCPU, among those that this process may use: the last for the first
    /// one, as interrupts of devices prefer the first.
    pub fn of_vcpu(&self, vcpu: usize) -> Processors {
        let count = self.usable.len().max(1);
        let index = count - 1 - vcpu % count;
        let mut one = Processors::default();
        one.add_bank(index / 64, 1 << (index % 64));
        one
    }

    /// Lets this thread run on all processors again when that is dropped, wherever it was pinned to
    /// meanwhile.
    pub fn keep(&self) -> Pinned<'_> {
        Pinned(&self.allowed)
    }

    /// Pins this thread, which is a vCPU's.
    pub fn pin(&self, vcpu: usize) -> Pinned<'_> {
        run_on(gettid(), &self.allowed, &self.of_vcpu(vcpu));
        Pinned(&self.allowed)
    }
}

impl Drop for Pinned<'_> {
    fn drop(&mut self) {
        run_on(gettid(), self.0, &Processors::all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_pinned_for_a_time() {
        std::thread::spawn(|| {
            let before = allowed().count();
            let pins = Pins::find();
            {
                let _pinned = pins.pin(0);
                assert_eq!(allowed().count(), 1);
                assert!(allowed().is_set(pins.chosen()[0]));
            }
            assert_eq!(allowed().count(), before);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn vcpus_share_no_processor_while_there_are_enough() {
        let pins = Pins {
            allowed: allowed(),
            usable: vec![3, 5, 8],
        };
        assert_eq!(pins.chosen(), [8, 5]);
        let of: Vec<_> = (0..4).map(|vcpu| pins.of_vcpu(vcpu)).collect();
        assert!(of[0] != of[1] && of[1] != of[2] && of[0] == of[3]);
    }
}
