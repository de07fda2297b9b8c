//! Rest: where the vCPUs of a paused VM are.
//!
//! A vCPU's thread rests between two entries of the guest, never inside of a call: a call that
//! waits is left, and carried out once more when the rest is over
//! ([`Action::Repeat`](crate::hypercall::Action::Repeat)). So the state of a vCPU at rest is its
//! registers, and which call it is to repeat.

use super::VcpuError;
use super::saved::SavedVcpu;
use super::shared::{VcpuShared, Vcpus};
use crate::sync::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;

/// How often a vCPU that does not come to rest is told to. It may just have looked whether it
/// should.
const TELL_AGAIN: Duration = Duration::from_millis(2);

/// How long the threads of a VM's vCPUs may take to start.
const THREADS_PATIENCE: Duration = Duration::from_secs(5);

/// Whether the vCPUs are to rest, and which of them do.
#[derive(Debug, Default)]
pub struct Rest {
    wanted: AtomicBool,
    threads: Mutex<Threads>,
    changed: Condvar,
}

/// Sets of vCPUs, a bit for each.
#[derive(Clone, Copy, Debug, Default)]
struct Threads {
    /// Those that have a thread. One without will rest before it enters the guest.
    present: u64,
    resting: u64,
}

impl Threads {
    fn missing(self) -> u64 {
        self.present & !self.resting
    }
}

/// vCPUs that did not come to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestError {
    /// The VM is ending, or has ended.
    Ended,
    /// These did not in time, a bit for each.
    Late(u64),
}

/// Why vCPUs could not be saved.
#[derive(Debug, Error)]
pub enum SaveVcpusError {
    /// They do not all rest, as those of a VM do that runs and was paused.
    #[error("the VM does not run, or has ended")]
    NotAtRest,
    /// KVM does not tell.
    #[error(transparent)]
    Kvm(#[from] VcpuError),
}

/// Says that a vCPU has a thread, until it is dropped.
#[derive(Debug)]
pub struct Presence<'a> {
    rest: &'a Rest,
    bit: u64,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        lock(&self.rest.threads).present &= !self.bit;
        self.rest.changed.notify_all();
    }
}

impl Rest {
    /// Whether the vCPUs are to rest.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// The current thread is a vCPU's.
    pub fn enter(&self, vcpu: u32) -> Presence<'_> {
        let bit = 1 << vcpu;
        lock(&self.threads).present |= bit;
        Presence { rest: self, bit }
    }

    /// A vCPU that rests has done what it was asked for.
    pub(super) fn tell(&self) {
        // Whoever waits has looked before, or waits by now.
        drop(lock(&self.threads));
        self.changed.notify_all();
    }

    /// Notes whether a vCPU rests, which is asked under the lock: whoever wants all to rest finds
    /// either that it does not, or that it stays.
    fn set_resting(&self, vcpu: u32, rests: impl FnOnce() -> bool) -> bool {
        let mut threads = lock(&self.threads);
        let rests = rests();
        let bit = 1 << vcpu;
        if rests {
            threads.resting |= bit;
        } else {
            threads.resting &= !bit;
        }
        drop(threads);
        self.changed.notify_all();
        rests
    }

    fn set_wanted(&self, wanted: bool) {
        let _threads = lock(&self.threads);
        self.wanted.store(wanted, Ordering::SeqCst);
    }
}

impl Vcpus {
    /// Whether a vCPU is at rest.
    pub fn is_resting(&self, vcpu: u32) -> bool {
        lock(&self.rest.threads).resting & 1 << vcpu != 0
    }

    /// Rests on a vCPU's own thread, for as long as the vCPUs are to rest and nobody wants this one
    /// to stop. Each time that it is woken meanwhile `serve` is called.
    pub fn rest_here(&self, vcpu: u32, shared: &VcpuShared, mut serve: impl FnMut()) {
        let is_over = || !self.rest.is_wanted() || self.stopping() || shared.stop_requested();
        while self.rest.set_resting(vcpu, || !is_over()) {
            serve();
            shared.park(None, || is_over() || shared.is_asked());
        }
    }

    /// Has all vCPUs rest, and waits until they do, for at most `patience`. When it fails they go
    /// on.
    pub fn begin_rest(&self, patience: Duration) -> Result<(), RestError> {
        let deadline = Instant::now() + patience;
        self.rest.set_wanted(true);
        let result = loop {
            if self.stopping() {
                break Err(RestError::Ended);
            }
            let missing = lock(&self.rest.threads).missing();
            if missing == 0 {
                break Ok(());
            }
            if Instant::now() >= deadline {
                break Err(RestError::Late(missing));
            }
            for vcpu in (0..self.count()).filter(|vcpu| missing & 1 << vcpu != 0) {
                if let Some(shared) = self.get(vcpu) {
                    shared.call_attention();
                }
            }
            let threads = lock(&self.rest.threads);
            // One that has come to rest meanwhile has said so before.
            if threads.missing() == missing {
                let _ = self
                    .rest
                    .changed
                    .wait_timeout(threads, TELL_AGAIN)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        };
        if result.is_err() {
            self.end_rest();
        }
        result
    }

    /// Has every vCPU, all of which rest, save itself, and waits until they have.
    ///
    /// # Errors
    ///
    /// KVM does not tell.
    pub fn save(&self) -> Result<Vec<SavedVcpu>, SaveVcpusError> {
        self.wait_for_threads()?;
        for vcpu in 0..self.count() {
            if let Some(shared) = self.get(vcpu) {
                shared.ask();
            }
        }
        let mut saved = Vec::with_capacity(self.count() as usize);
        for shared in (0..self.count()).filter_map(|vcpu| self.get(vcpu)) {
            saved.push(self.saved_by(shared)??);
        }
        Ok(saved)
    }

    /// Waits until each vCPU has a thread that rests: none of a VM that was just run may have come
    /// yet. Those of one that has ended are gone, and then it is stopping.
    fn wait_for_threads(&self) -> Result<(), SaveVcpusError> {
        let deadline = Instant::now() + THREADS_PATIENCE;
        let mut threads = lock(&self.rest.threads);
        while threads.resting.count_ones() != self.count() {
            let goes_on = !self.rest.is_wanted() || self.stopping();
            if goes_on || Instant::now() >= deadline {
                return Err(SaveVcpusError::NotAtRest);
            }
            threads = self
                .rest
                .changed
                .wait_timeout(threads, TELL_AGAIN)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        Ok(())
    }

    fn saved_by(
        &self,
        shared: &VcpuShared,
    ) -> Result<Result<SavedVcpu, VcpuError>, SaveVcpusError> {
        let mut threads = lock(&self.rest.threads);
        loop {
            if let Some(saved) = shared.take_saved() {
                return Ok(saved);
            }
            if self.stopping() || !self.rest.is_wanted() {
                return Err(SaveVcpusError::NotAtRest);
            }
            threads = self
                .rest
                .changed
                .wait_timeout(threads, TELL_AGAIN)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Lets the vCPUs go on.
    pub fn end_rest(&self) {
        self.rest.set_wanted(false);
        for vcpu in 0..self.count() {
            self.wake(vcpu);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// What the loop of a vCPU's thread does about rest and the end, with a guest that counts.
    fn live(vcpus: &Vcpus, vcpu: u32, count: &AtomicU32) {
        let shared = vcpus.get(vcpu).unwrap();
        shared.adopt_thread();
        let _presence = vcpus.rest.enter(vcpu);
        while !vcpus.stopping() {
            if vcpus.rest.is_wanted() {
                vcpus.rest_here(vcpu, shared, || ());
                continue;
            }
            count.fetch_add(1, Ordering::SeqCst);
            thread::yield_now();
        }
    }

    #[test]
    fn nothing_runs_while_all_rest_and_all_run_again_then() {
        let vcpus = &Vcpus::new(3);
        let counts = &[const { AtomicU32::new(0) }; 3];
        let now = || counts.each_ref().map(|count| count.load(Ordering::SeqCst));
        thread::scope(|scope| {
            for (vcpu, count) in (0..).zip(counts) {
                scope.spawn(move || live(vcpus, vcpu, count));
            }
            while now().contains(&0) {
                thread::yield_now();
            }
            for _ in 0..100 {
                assert_eq!(vcpus.begin_rest(PATIENCE), Ok(()));
                assert!((0..3).all(|vcpu| vcpus.is_resting(vcpu)));
                let before = now();
                // An event does not end a rest.
                vcpus.notify(1);
                thread::yield_now();
                assert_eq!(now(), before);
                vcpus.end_rest();
                while now().iter().zip(before).any(|(now, before)| *now == before) {
                    thread::yield_now();
                }
            }
            vcpus.stop_all();
        });
    }

    #[test]
    fn who_has_no_thread_is_not_waited_for() {
        let vcpus = Vcpus::new(2);
        assert_eq!(vcpus.begin_rest(PATIENCE), Ok(()));
        vcpus.end_rest();
    }

    #[test]
    fn who_has_no_thread_yet_is_waited_for_to_be_saved() {
        let vcpus = &Vcpus::new(2);
        let counts = &[const { AtomicU32::new(0) }; 2];
        assert_eq!(vcpus.begin_rest(PATIENCE), Ok(()));
        thread::scope(|scope| {
            for (vcpu, count) in (0..).zip(counts) {
                scope.spawn(move || {
                    // So that the other one waits already.
                    thread::sleep(Duration::from_millis(20));
                    live(vcpus, vcpu, count);
                });
            }
            let waited = vcpus.wait_for_threads();
            vcpus.stop_all();
            assert!(waited.is_ok());
        });
        assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) == 0));
    }

    #[test]
    fn who_has_ended_is_not_waited_for_to_be_saved() {
        let vcpus = Vcpus::new(2);
        assert_eq!(vcpus.begin_rest(PATIENCE), Ok(()));
        vcpus.stop_all();
        assert!(matches!(
            vcpus.wait_for_threads(),
            Err(SaveVcpusError::NotAtRest)
        ));
    }

    #[test]
    fn one_that_does_not_come_is_named_and_all_go_on() {
        let vcpus = Vcpus::new(2);
        let _presence = vcpus.rest.enter(1);
        let result = vcpus.begin_rest(Duration::from_millis(5));
        assert_eq!(result, Err(RestError::Late(1 << 1)));
        assert!(!vcpus.rest.is_wanted());
    }

    #[test]
    fn the_end_of_the_vm_ends_the_rest_and_the_wait_for_it() {
        let vcpus = &Vcpus::new(2);
        let count = &AtomicU32::new(0);
        thread::scope(|scope| {
            scope.spawn(|| live(vcpus, 0, count));
            while count.load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let _other = vcpus.rest.enter(1);
            let waiting = scope.spawn(|| vcpus.begin_rest(PATIENCE));
            while !vcpus.is_resting(0) {
                thread::yield_now();
            }
            vcpus.stop_all();
            assert_eq!(waiting.join().unwrap(), Err(RestError::Ended));
        });
        assert_eq!(vcpus.begin_rest(PATIENCE), Err(RestError::Ended));
    }

    #[test]
    fn one_that_is_to_stop_leaves_its_rest() {
        let vcpus = &Vcpus::new(1);
        let shared = vcpus.get(0).unwrap();
        thread::scope(|scope| {
            let resting = scope.spawn(|| {
                shared.adopt_thread();
                let _presence = vcpus.rest.enter(0);
                vcpus.rest_here(0, shared, || ());
            });
            assert_eq!(vcpus.begin_rest(PATIENCE), Ok(()));
            shared.request_stop();
            resting.join().unwrap();
        });
    }
}
