//! Which of the host's processors a vCPU's thread runs on.

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// Processors, counted from 0 among those that this process may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processors {
    all: bool,
    banks: [u64; BANKS],
}

/// Linux's sets have so many words (sched.h, CPU_SETSIZE).
const BANKS: usize = CpuSet::MAX_CPU / 64;

impl Processors {
    /// All of them.
    pub fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Adds processors `64 * bank` to `64 * bank + 63`, as the bits of `word` say.
    pub fn add_bank(&mut self, bank: usize, word: u64) {
        if let Some(slot) = self.banks.get_mut(bank) {
            *slot |= word;
        }
    }

    fn contains(&self, index: usize) -> bool {
        let word = self.banks.get(index / 64).copied().unwrap_or(0);
        self.all || word & 1 << (index % 64) != 0
    }
}

/// Lets a thread run on these processors alone, out of `allowed`; how many they are. With none
/// nothing is changed.
pub fn run_on(thread: Pid, allowed: &CpuSet, wanted: &Processors) -> u32 {
    let mut chosen = CpuSet::new();
    let usable = (0..CpuSet::MAX_CPU).filter(|&processor| allowed.is_set(processor));
    for (index, processor) in usable.enumerate() {
        if wanted.contains(index) {
            chosen.set(processor);
        }
    }
    if chosen.count() == 0 || sched_setaffinity(Some(thread), &chosen).is_err() {
        return 0;
    }
    chosen.count()
}

/// The processors that the current thread may use.
pub fn allowed() -> CpuSet {
    sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::gettid;

    #[test]
    fn a_thread_runs_where_it_is_told_to() {
        std::thread::spawn(|| {
            let allowed = allowed();
            let mut first = Processors::default();
            first.add_bank(0, 1);
            assert_eq!(run_on(gettid(), &allowed, &first), 1);
            assert_eq!(super::allowed().count(), 1);
            assert_eq!(run_on(gettid(), &allowed, &Processors::default()), 0);
            assert_eq!(super::allowed().count(), 1);
            let all = run_on(gettid(), &allowed, &Processors::all());
            assert_eq!(all, allowed.count());
        })
        .join()
        .unwrap();
    }
}
