//! Keeping a vCPU's thread on one processor, so that it is not moved while it measures.

use crate::vcpu::affinity::{Processors, allowed, run_on};
use rustix::thread::{CpuSet, gettid};

/// The processors of this process.
pub struct Pins {
    allowed: CpuSet,
    chosen: Vec<usize>,
}

/// Back to all processors, when it is dropped.
pub struct Pinned<'a>(&'a CpuSet);

impl Pins {
    /// Chooses the last of those that this thread may use: interrupts prefer the first.
    pub fn take() -> Self {
        let allowed = allowed();
        let last = (0..CpuSet::MAX_CPU).rfind(|&processor| allowed.is_set(processor));
        Self {
            chosen: last.into_iter().collect(),
            allowed,
        }
    }

    /// The chosen ones.
    pub fn processors(&self) -> &[usize] {
        &self.chosen
    }

    /// Pins this thread, unless the VM has several vCPUs: their threads would begin on the same
    /// processor, and the scheduler spreads them.
    pub fn pin(&self, vcpus: u32) -> Option<Pinned<'_>> {
        if vcpus > 1 || self.allowed.count() == 0 {
            return None;
        }
        let index = self.allowed.count() as usize - 1;
        let mut last = Processors::default();
        last.add_bank(index / 64, 1 << (index % 64));
        run_on(gettid(), &self.allowed, &last);
        Some(Pinned(&self.allowed))
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
            let pins = Pins::take();
            {
                let _pinned = pins.pin(1);
                assert_eq!(allowed().count(), 1);
            }
            assert_eq!(allowed().count(), before);
            assert!(pins.pin(2).is_none());
        })
        .join()
        .unwrap();
    }
}
