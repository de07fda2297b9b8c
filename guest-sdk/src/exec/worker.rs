//! Those who run tasks.

use super::READY;
use crate::sync::SpinLock;
use crate::thread;
use crate::time::Instant;
use crate::vcpu::PerVcpu;
use crate::wait::{self, Waiter};
use crate::{event, upcall};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::task::Wake;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use core::task::Waker;

/// A thread or a vCPU that runs tasks, and the timers of the tasks that it has run.
pub(crate) struct Worker {
    waiter: Waiter,
    /// Set when its own future is to be polled.
    woken: AtomicBool,
    /// Set when it is to look for work.
    called: AtomicBool,
    timers: SpinLock<BTreeMap<TimerKey, Waker>>,
    /// Whether there may be timers.
    has_timers: AtomicBool,
    /// The data of the waker by which it polls a task or its own future now; null meanwhile.
    polled: AtomicPtr<()>,
}

/// Place of a timer: when, and a number that tells those of the same time apart.
pub(super) type TimerKey = (Instant, u64);

/// Workers that wait.
static IDLE: SpinLock<Vec<Arc<Worker>>> = SpinLock::new(Vec::new());
/// How many there are in it.
static IDLE_COUNT: AtomicUsize = AtomicUsize::new(0);

/// The worker of each vCPU on which there are no threads.
static OF_VCPUS: PerVcpu<RefCell<Option<Arc<Worker>>>> = PerVcpu::new(|_| RefCell::new(None));

impl Worker {
    /// The running thread or vCPU, whose own future has not been polled yet.
    pub fn new() -> Self {
        Self {
            waiter: Waiter::current(),
            woken: AtomicBool::new(true),
            called: AtomicBool::new(false),
            timers: SpinLock::new(BTreeMap::new()),
            has_timers: AtomicBool::new(false),
            polled: AtomicPtr::new(null_mut()),
        }
    }

    /// The one that runs this code.
    pub fn current() -> Option<Arc<Self>> {
        match thread::try_current() {
            Some(thread) => thread.worker().lock().clone(),
            None => OF_VCPUS.with(|worker| worker.borrow().clone()),
        }
    }

    /// Makes this the current one, or none, and returns the one before.
    fn set_current(worker: Option<Arc<Self>>) -> Option<Arc<Self>> {
        match thread::try_current() {
            Some(thread) => core::mem::replace(&mut *thread.worker().lock(), worker),
            None => OF_VCPUS.with(|current| current.replace(worker)),
        }
    }

    /// Whether its own future is to be polled.
    pub fn take_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed) && self.woken.swap(false, Ordering::AcqRel)
    }

    /// It polls something by a waker with this data, until what is returned is dropped.
    pub(super) fn polls(&self, waker_data: *const ()) -> Polls<'_> {
        self.polled.store(waker_data.cast_mut(), Ordering::Relaxed);
        Polls(self)
    }

    /// Has it look for work.
    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.waiter.wake();
    }

    /// Adds a timer.
    pub fn add_timer(&self, deadline: Instant, waker: &Waker) -> TimerKey {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let key = (deadline, LAST.fetch_add(1, Ordering::Relaxed));
        let mut timers = self.timers.lock();
        timers.insert(key, waker.clone());
        self.has_timers.store(true, Ordering::Relaxed);
        key
    }

    /// Changes whom a timer wakes; `false` when it is not there any more.
    pub fn change_timer(&self, key: TimerKey, waker: &Waker) -> bool {
        let waker = waker.clone();
        let before = self
            .timers
            .lock()
            .get_mut(&key)
            .map(|place| core::mem::replace(place, waker));
        before.is_some()
    }

    /// Removes a timer.
    pub fn remove_timer(&self, key: TimerKey) {
        let waker = self.timers.lock().remove(&key);
        drop(waker);
    }

    /// Wakes those whose time has come, and says when the next one's will.
    fn fire_timers(&self) -> Option<Instant> {
        // Its tasks set it, on this thread.
        if !self.has_timers.load(Ordering::Relaxed) {
            return None;
        }
        loop {
            let mut timers = self.timers.lock();
            let Some(first) = timers.first_entry() else {
                self.has_timers.store(false, Ordering::Relaxed);
                return None;
            };
            let deadline = first.key().0;
            if deadline > Instant::now() {
                return Some(deadline);
            }
            let waker = first.remove();
            drop(timers);
            waker.wake();
        }
    }
}

impl Wake for Worker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.call();
    }
}

/// A worker polls something, see [`Worker::polls`].
pub(super) struct Polls<'a>(&'a Worker);

impl Drop for Polls<'_> {
    fn drop(&mut self) {
        self.0.polled.store(null_mut(), Ordering::Relaxed);
    }
}

/// Whether this code is polled by a worker, with the waker that it gave. Then what is ready is run
/// when the poll is over. Another executor's waker says nothing of the kind, even where that executor
/// runs in a task of ours: it may hold the worker up until the waker is used.
pub(crate) fn polls_by(waker: &Waker) -> bool {
    let polls = |worker: &Option<Arc<Worker>>| {
        let polled = worker
            .as_ref()
            .map(|worker| worker.polled.load(Ordering::Relaxed));
        polled.is_some_and(|data| !data.is_null() && core::ptr::eq(data, waker.data()))
    };
    match thread::try_current() {
        Some(thread) => polls(&thread.worker().lock()),
        None => OF_VCPUS.with(|worker| polls(&worker.borrow())),
    }
}

/// Runs tasks until `done` has a result; it is asked before each task.
#[track_caller]
pub(super) fn work<T>(worker: &Arc<Worker>, mut done: impl FnMut() -> Option<T>) -> T {
    let outer = Worker::set_current(Some(Arc::clone(worker)));
    let result = loop {
        worker.called.store(false, Ordering::Release);
        if let Some(result) = done() {
            break result;
        }
        let deadline = worker.fire_timers();
        if event::upcall_pending() {
            // Where upcalls do not arrive, as on a vCPU that has not enabled them.
            upcall::masked(upcall::take_events);
        }
        let runnable = READY.lock().pop_front();
        match runnable {
            Some(runnable) => {
                let _polled = worker.polls(runnable.waker().data());
                runnable.run();
            }
            None => wait_for_work(worker, deadline),
        }
    };
    Worker::set_current(outer);
    // Its timers are somebody else's from now on: their tasks find that out.
    let timers = core::mem::take(&mut *worker.timers.lock());
    timers.into_values().for_each(Waker::wake);
    if !READY.lock().is_empty() {
        // A task may have been left to this one.
        wake_one();
    }
    result
}

/// Waits until there may be something to do.
#[track_caller]
fn wait_for_work(worker: &Arc<Worker>, deadline: Option<Instant>) {
    let mut idle = IDLE.lock();
    idle.push(Arc::clone(worker));
    IDLE_COUNT.store(idle.len(), Ordering::Relaxed);
    drop(idle);
    // Whoever has made a task ready before has not found this worker there.
    if READY.lock().is_empty() {
        wait::until(&worker.called, deadline);
    }
    let mut idle = IDLE.lock();
    if let Some(place) = idle.iter().position(|other| Arc::ptr_eq(other, worker)) {
        idle.swap_remove(place);
        IDLE_COUNT.store(idle.len(), Ordering::Relaxed);
    }
}

/// Has one of those that wait look for work.
pub(super) fn wake_one() {
    // Whoever has put something into `READY` before sees a worker here that has not found it: such
    // a one has locked `READY` later than it was counted, and earlier than that.
    if IDLE_COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let mut idle = IDLE.lock();
    let worker = idle.pop();
    IDLE_COUNT.store(idle.len(), Ordering::Relaxed);
    drop(idle);
    if let Some(worker) = worker {
        worker.call();
    }
}
