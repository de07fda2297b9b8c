//! Waiting for those who are writing to RAM at this moment.
//!
//! A writer says by plain stores to a word of its own when it begins and ends. Whoever waits
//! makes all threads of the process see each other's stores by membarrier(2), so that writing,
//! which every call does, costs no atomic instruction, and waiting, which only sealing does, costs
//! a system call.

use crate::sync::lock;
use rustix::thread::{MembarrierCommand, membarrier};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence};
use std::sync::{Arc, Mutex};
use std::thread::yield_now;

/// The words of all threads that have written.
static WRITERS: Mutex<Vec<Arc<AtomicU32>>> = Mutex::new(Vec::new());

thread_local! {
    static OWN: Own = Own::register();
}

/// A thread's word: odd while it writes.
struct Own(Arc<AtomicU32>);

impl Own {
    fn register() -> Self {
        let word = Arc::<AtomicU32>::default();
        lock(&WRITERS).push(Arc::clone(&word));
        Self(word)
    }

    fn step(&self) {
        let word = &self.0;
        word.store(
            word.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Release,
        );
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        lock(&WRITERS).retain(|word| !Arc::ptr_eq(word, &self.0));
    }
}

/// Writes to RAM. What `write` looks at decides whether it writes; [`wait`] waits for it.
#[inline]
pub fn writing<R>(write: impl FnOnce() -> R) -> R {
    OWN.with(|own| {
        own.step();
        let _ends = Ends(own);
        // In the CPU's order too, as far as a thread that executes `wait` can tell.
        compiler_fence(Ordering::SeqCst);
        write()
    })
}

/// Ends a write, also one that panics.
struct Ends<'a>(&'a Own);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.step();
    }
}

/// When this returns, whoever was writing before has ended, and whoever writes from now on sees
/// what this thread has stored before.
pub fn wait() {
    // Linux 4.14 and 4.3. The first needs to be asked for once; to do it again is harmless.
    let fence = membarrier(MembarrierCommand::RegisterPrivateExpedited)
        .and_then(|()| membarrier(MembarrierCommand::PrivateExpedited))
        .or_else(|_| membarrier(MembarrierCommand::Global));
    if let Err(error) = fence {
        tracing::warn!(%error, "this host has no membarrier: a write may end after a seal");
    }
    let writers: Vec<_> = lock(&WRITERS).clone();
    for word in writers {
        let begun = word.load(Ordering::Acquire);
        let mut spins = 0u32;
        while begun % 2 == 1 && word.load(Ordering::Acquire) == begun {
            spins += 1;
            if spins < 1000 {
                spin_loop();
            } else {
                yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn the_wait_is_over_when_the_write_is() {
        for _ in 0..50 {
            let (begun, waits) = (AtomicBool::new(false), AtomicBool::new(false));
            let ended = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    writing(|| {
                        begun.store(true, Ordering::SeqCst);
                        while !waits.load(Ordering::SeqCst) {
                            yield_now();
                        }
                        // Whoever does not wait is done before this.
                        (0..100).for_each(|_| yield_now());
                        ended.store(true, Ordering::SeqCst);
                    });
                });
                while !begun.load(Ordering::SeqCst) {
                    yield_now();
                }
                waits.store(true, Ordering::SeqCst);
                wait();
                assert!(ended.load(Ordering::SeqCst));
            });
        }
    }

    /// A writer looks whether it may, and writes; who forbids it waits, and then nobody writes.
    #[test]
    fn nobody_writes_once_the_wait_is_over() {
        for _ in 0..200 {
            let (forbidden, end) = (AtomicBool::new(false), AtomicBool::new(false));
            let written = AtomicU32::new(0);
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !end.load(Ordering::Relaxed) {
                            writing(|| {
                                if !forbidden.load(Ordering::Relaxed) {
                                    written.fetch_add(1, Ordering::Relaxed);
                                }
                            });
                        }
                    });
                }
                while written.load(Ordering::Relaxed) < 100 {
                    yield_now();
                }
                forbidden.store(true, Ordering::Relaxed);
                wait();
                let before = written.load(Ordering::Relaxed);
                for _ in 0..1000 {
                    assert_eq!(written.load(Ordering::Relaxed), before);
                }
                end.store(true, Ordering::Relaxed);
            });
        }
    }

    #[test]
    fn a_thread_that_ends_is_forgotten() {
        let before = lock(&WRITERS).len();
        let during = thread::spawn(|| {
            writing(|| ());
            lock(&WRITERS).len()
        });
        // Other tests come and go, so only that threads do not pile up is certain.
        assert!(during.join().unwrap() >= 1);
        for _ in 0..100 {
            thread::spawn(|| writing(|| ())).join().unwrap();
        }
        assert!(lock(&WRITERS).len() < before + 100);
    }
}
