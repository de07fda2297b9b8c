//! What other threads know of a vCPU, and how they get its attention.
//!
//! A thread that wants something of a vCPU says what in its [`VcpuShared`] and then calls for its
//! attention. The vCPU's thread looks before it enters the guest and after each signal, and
//! while it waits inside a call; a call for attention ends KVM_RUN and the wait.

use super::VcpuError;
use super::affinity::{self, Processors};
use super::kick::Kicker;
use super::rest::Rest;
use super::saved::SavedVcpu;
use super::steal::{self, ThreadTime};
use crate::hypercall::live_stats::{Counter, LiveStats};
use crate::sync::lock;
use pv_abi::vcpu_page::{RUN_STATE_BLOCKED, RUN_STATE_RUNNABLE, RUN_STATE_STOPPED};
use rustix::thread::{CpuSet, Pid, gettid};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a vCPU that is to stop may take to leave a call that it waits in.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// Where a vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartAt {
    /// RIP.
    pub entry: u64,
    /// RSP.
    pub stack: u64,
    /// RDI.
    pub argument: u64,
}

/// The vCPUs of a VM.
#[derive(Debug)]
pub struct Vcpus {
    vcpus: Box<[VcpuShared]>,
    /// The vCPUs that are in `sched_poll`, one bit each.
    polling: AtomicU64,
    stopping: AtomicBool,
    /// Held while a vCPU asks another one to stop, so that none asks one that waits for it.
    stop: Mutex<()>,
    /// Notified when a vCPU has stopped.
    stopped: Condvar,
    /// Where they are while the VM is paused.
    pub rest: Rest,
}

/// What is shared about one vCPU.
#[derive(Debug)]
pub struct VcpuShared {
    /// There is something to look at.
    attention: AtomicBool,
    /// `sched_kick` came.
    kicked: AtomicBool,
    stop_requested: AtomicBool,
    /// Somebody wants something of it while it rests.
    asked: AtomicBool,
    /// `RUN_STATE_*`.
    state: AtomicU32,
    parked: AtomicBool,
    start: Mutex<Option<StartAt>>,
    thread: Mutex<Option<Adopted>>,
    saved: Mutex<Option<Result<SavedVcpu, VcpuError>>>,
    /// Ends KVM_RUN.
    pub kicker: Kicker,
    /// What its thread counts.
    pub stats: LiveStats,
    /// Steal time, in nanoseconds, as the guest was told last.
    pub steal: Counter,
}

/// A vCPU's thread.
#[derive(Debug)]
struct Adopted {
    thread: Thread,
    id: Pid,
    /// The processors that it could use when it was adopted.
    allowed: CpuSet,
}

/// Says that a vCPU waits in `sched_poll`, until it is dropped.
#[derive(Debug)]
pub struct Polling<'a> {
    vcpus: &'a Vcpus,
    vcpu: u32,
}

/// Why a vCPU could not be stopped: it is being stopped itself, or its target does not come out of
/// a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotStop;

impl Vcpus {
    /// vCPUs that nobody runs yet. Their number is at most 64.
    pub fn new(count: u32) -> Self {
        Self {
            vcpus: (0..count).map(|_| VcpuShared::new()).collect(),
            polling: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            stop: Mutex::new(()),
            stopped: Condvar::new(),
            rest: Rest::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.vcpus.len() as u32
    }

    /// One of them.
    pub fn get(&self, vcpu: u32) -> Option<&VcpuShared> {
        self.vcpus.get(vcpu as usize)
    }

    /// `upcall_pending` of a vCPU has just been set: delivers the upcall, or wakes the vCPU when
    /// it is blocked.
    pub fn notify(&self, vcpu: u32) {
        if let Some(shared) = self.get(vcpu) {
            shared.call_attention();
        }
    }

    /// A port has become pending, masked or not: wakes the vCPUs that wait in `sched_poll`.
    pub fn wake_pollers(&self) {
        let mut polling = self.polling.load(Ordering::SeqCst);
        while polling != 0 {
            if let Some(shared) = self.get(polling.trailing_zeros()) {
                shared.wake();
            }
            polling &= polling - 1;
        }
    }

    /// Wakes a vCPU that waits inside a call, so that it looks again when to wake by itself.
    pub fn wake(&self, vcpu: u32) {
        if let Some(shared) = self.get(vcpu) {
            shared.wake();
        }
    }

    /// Notes that a vCPU looks at ports until the guard is dropped.
    pub fn polling(&self, vcpu: u32) -> Polling<'_> {
        self.polling.fetch_or(1 << vcpu, Ordering::SeqCst);
        Polling { vcpus: self, vcpu }
    }

    /// Ends the `sched_block` or `sched_poll` that a vCPU is in, or the next one.
    pub fn kick(&self, vcpu: u32) {
        if let Some(shared) = self.get(vcpu) {
            shared.kicked.store(true, Ordering::SeqCst);
            shared.wake();
        }
    }

    /// Whether the VM is ending.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Ends the VM: every vCPU leaves the guest and whatever it waits for. A vCPU may just have
    /// looked: call this again until all have ended.
    pub fn stop_all(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for shared in &self.vcpus {
            shared.call_attention();
        }
        self.stopped.notify_all();
    }

    /// Has a stopped vCPU start; whether it was stopped.
    pub fn start(&self, vcpu: u32, at: StartAt) -> bool {
        let Some(shared) = self.get(vcpu) else {
            return false;
        };
        let mut start = lock(&shared.start);
        let was_stopped = shared
            .state
            .compare_exchange(
                RUN_STATE_STOPPED,
                RUN_STATE_RUNNABLE,
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok();
        if was_stopped {
            *start = Some(at);
            drop(start);
            shared.wake();
        }
        was_stopped
    }

    /// Stops another vCPU, and waits until it has.
    pub fn stop(&self, caller: u32, vcpu: u32) -> Result<(), CannotStop> {
        let (Some(own), Some(target)) = (self.get(caller), self.get(vcpu)) else {
            return Err(CannotStop);
        };
        let mut guard = self.begin_to_stop(own)?;
        target.request_stop();
        let begun = Instant::now();
        loop {
            if target.state() == RUN_STATE_STOPPED {
                target.stop_requested.store(false, Ordering::SeqCst);
                return Ok(());
            }
            // A request that is taken back may just have been followed all the same.
            if self.stopping() || begun.elapsed() > STOP_PATIENCE {
                target.stop_requested.store(false, Ordering::SeqCst);
                return if target.state() == RUN_STATE_STOPPED {
                    Ok(())
                } else {
                    Err(CannotStop)
                };
            }
            let (again, _) = self
                .stopped
                .wait_timeout(guard, Duration::from_millis(20))
                .unwrap_or_else(PoisonError::into_inner);
            guard = again;
        }
    }

    fn begin_to_stop(&self, own: &VcpuShared) -> Result<MutexGuard<'_, ()>, CannotStop> {
        loop {
            let guard = match self.stop.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            // Whoever has asked us to stop waits for us, without the lock while it waits.
            if own.stop_requested() || self.stopping() {
                return Err(CannotStop);
            }
            match guard {
                Some(guard) => return Ok(guard),
                None => thread::yield_now(),
            }
        }
    }

    /// A vCPU has stopped: tells who waits for it. Whether any other vCPU is not stopped.
    pub fn has_stopped(&self, vcpu: u32) -> bool {
        if let Some(shared) = self.get(vcpu) {
            shared.set_state(RUN_STATE_STOPPED);
        }
        self.stopped.notify_all();
        self.vcpus
            .iter()
            .any(|shared| shared.state() != RUN_STATE_STOPPED)
    }
}

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        self.vcpus
            .polling
            .fetch_and(!(1 << self.vcpu), Ordering::SeqCst);
    }
}

impl VcpuShared {
    fn new() -> Self {
        Self {
            attention: AtomicBool::new(false),
            kicked: AtomicBool::new(false),
            stop_requested: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            state: AtomicU32::new(RUN_STATE_STOPPED),
            parked: AtomicBool::new(false),
            start: Mutex::new(None),
            thread: Mutex::new(None),
            saved: Mutex::new(None),
            kicker: Kicker::default(),
            stats: LiveStats::default(),
            steal: Counter::default(),
        }
    }

    /// Makes the current thread the vCPU's.
    pub fn adopt_thread(&self) {
        *lock(&self.thread) = Some(Adopted {
            thread: thread::current(),
            id: gettid(),
            allowed: affinity::allowed(),
        });
    }

    /// Has the vCPU's thread look at what there is, now.
    pub fn call_attention(&self) {
        self.attention.store(true, Ordering::SeqCst);
        if !self.wake() {
            self.kicker.kick();
        }
    }

    /// Has the vCPU's thread look at what there is before it enters the guest again; for its
    /// own thread.
    pub fn note_attention(&self) {
        self.attention.store(true, Ordering::SeqCst);
    }

    /// Whether there is something to look at.
    #[inline]
    pub fn wants_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed)
    }

    /// Takes the call for attention; look at everything behind it.
    pub fn take_attention(&self) {
        self.attention.swap(false, Ordering::SeqCst);
    }

    /// Lets the vCPU's thread run on these processors alone; how many of them there are, 0 when
    /// the hint cannot be followed.
    pub fn run_on(&self, wanted: &Processors) -> u32 {
        let thread = lock(&self.thread);
        thread.as_ref().map_or(0, |adopted| {
            affinity::run_on(adopted.id, &adopted.allowed, wanted)
        })
    }

    /// How long its thread has run and waited for a processor; `None` where the host does not say.
    pub fn schedstat(&self) -> Option<ThreadTime> {
        let thread = lock(&self.thread).as_ref()?.id;
        steal::of_thread(thread)
    }

    /// Whether there is a kick to take.
    pub fn is_kicked(&self) -> bool {
        self.kicked.load(Ordering::SeqCst)
    }

    /// Takes a kick.
    pub fn take_kick(&self) -> bool {
        self.kicked.swap(false, Ordering::SeqCst)
    }

    /// Whether somebody wants this vCPU to stop.
    pub fn stop_requested(&self) -> bool {
        self.stop_requested.load(Ordering::SeqCst)
    }

    /// Has the vCPU stop, when it looks; for who then waits until it has.
    pub fn request_stop(&self) {
        self.stop_requested.store(true, Ordering::SeqCst);
        self.call_attention();
    }

    /// Wakes a vCPU that rests, so that it serves what it was asked for.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Whether somebody has asked.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Takes what was asked.
    pub fn take_asked(&self) -> bool {
        self.asked.swap(false, Ordering::SeqCst)
    }

    /// Where the vCPU is to start, if it is.
    pub fn start(&self) -> Option<StartAt> {
        *lock(&self.start)
    }

    /// Has the vCPU of a VM that has not run start.
    pub fn set_start(&self, at: StartAt) {
        *lock(&self.start) = Some(at);
    }

    /// What the vCPU has saved of itself, once.
    pub fn take_saved(&self) -> Option<Result<SavedVcpu, VcpuError>> {
        lock(&self.saved).take()
    }

    /// Puts down what the vCPU has saved of itself.
    pub(super) fn put_saved(&self, saved: Result<SavedVcpu, VcpuError>) {
        *lock(&self.saved) = Some(saved);
    }

    /// Where the vCPU is to start, once.
    pub fn take_start(&self) -> Option<StartAt> {
        lock(&self.start).take()
    }

    /// `RUN_STATE_*`.
    pub fn state(&self) -> u32 {
        self.state.load(Ordering::SeqCst)
    }

    /// Sets the state.
    pub fn set_state(&self, state: u32) {
        self.state.store(state, Ordering::SeqCst);
    }

    /// Wakes the thread if it is parked; whether it was.
    fn wake(&self) -> bool {
        if !self.parked.load(Ordering::SeqCst) {
            return false;
        }
        // Blocked no longer, though it has no processor yet.
        let _ = self.state.compare_exchange(
            RUN_STATE_BLOCKED,
            RUN_STATE_RUNNABLE,
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        if let Some(thread) = lock(&self.thread).as_ref() {
            thread.thread.unpark();
        }
        true
    }

    /// Parks the vCPU's own thread until it is woken, for at most `time`, unless `ready` says
    /// that there is no need to. It may return early.
    pub fn park(&self, time: Option<Duration>, ready: impl FnOnce() -> bool) {
        // Whoever makes `ready` true does so first, and then looks whether we are parked.
        self.parked.store(true, Ordering::SeqCst);
        if !ready() {
            match time {
                Some(time) => thread::park_timeout(time),
                None => thread::park(),
            }
        }
        self.parked.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::vcpu_page::RUN_STATE_RUNNING;

    const AT: StartAt = StartAt {
        entry: 1,
        stack: 2,
        argument: 3,
    };

    #[test]
    fn a_vcpu_starts_once() {
        let vcpus = Vcpus::new(2);
        assert!(vcpus.start(1, AT));
        assert!(!vcpus.start(1, AT));
        assert_eq!(vcpus.get(1).unwrap().take_start(), Some(AT));
        assert_eq!(vcpus.get(1).unwrap().take_start(), None);
        assert!(!vcpus.start(2, AT));
    }

    #[test]
    fn what_is_ready_before_parking_is_not_waited_for() {
        let vcpus = Vcpus::new(1);
        let shared = vcpus.get(0).unwrap();
        vcpus.kick(0);
        shared.park(None, || shared.take_kick());
    }

    #[test]
    fn a_kick_ends_a_wait_however_they_race() {
        let vcpus = Vcpus::new(1);
        let shared = vcpus.get(0).unwrap();
        shared.adopt_thread();
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    vcpus.kick(0);
                    while shared.kicked.load(Ordering::SeqCst) {
                        std::hint::spin_loop();
                    }
                }
            });
            for _ in 0..10_000 {
                while !shared.take_kick() {
                    shared.park(None, || shared.kicked.load(Ordering::SeqCst));
                }
            }
        });
    }

    #[test]
    fn two_vcpus_that_stop_each_other_do_not_wait_for_ever() {
        for _ in 0..200 {
            let vcpus = Vcpus::new(2);
            for vcpu in 0..2 {
                vcpus.get(vcpu).unwrap().set_state(RUN_STATE_RUNNING);
            }
            let results = thread::scope(|scope| {
                let handles = [0, 1].map(|caller| {
                    let vcpus = &vcpus;
                    scope.spawn(move || {
                        let shared = vcpus.get(caller).unwrap();
                        let result = vcpus.stop(caller, 1 - caller);
                        // As the loop around KVM_RUN does.
                        if shared.stop_requested() {
                            vcpus.has_stopped(caller);
                        }
                        result
                    })
                });
                handles.map(|handle| handle.join().unwrap())
            });
            assert!(results.contains(&Ok(())), "{results:?}");
        }
    }
}
