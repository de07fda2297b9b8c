//! Threads: preemptive, on as many vCPUs as the VM has.
//!
//! [`run`] turns vCPUs into ones that run threads, until there are no threads any more:
//!
//! ```ignore
//! use paravane_sdk::{println, thread};
//!
//! let sum = thread::run(|| {
//!     let halves = [0..500_u64, 500..1000].map(|half| thread::spawn(|| half.sum::<u64>()));
//!     halves.map(|half| half.join()).iter().sum::<u64>()
//! });
//! println!("{sum}");
//! ```
//!
//! A thread that waits, for [`sync`](crate::sync)'s types, a time or another thread, leaves its
//! vCPU to others; a vCPU for which there is none blocks. While more threads are ready than
//! there are vCPUs, each runs for a slice of 10 ms at a time, see [`Config::slice`].
//!
//! Needs the features [`REQUIRED`].

#![allow(unsafe_code)]

mod context;
mod control;
pub(crate) mod scheduler;

use crate::exec::Worker;
use crate::hypercall::raw;
use crate::stack::Stack;
use crate::sync::SpinLock;
use crate::time::Instant;
use crate::vcpu::{self, State, words};
use crate::{upcall, wait};
use alloc::boxed::Box;
use alloc::sync::Arc;
use context::Context;
use control::{Control, Main, Scheduled};
use core::cell::UnsafeCell;
use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use pv_abi::Features;
use pv_abi::event::TIMER_PERIOD_MIN;
use scheduler::tear_down;
use wait::Waiter;

pub(crate) use scheduler::{make_way, preempt};

/// What threads need of the VMM.
pub const REQUIRED: Features = Features::EVENTS
    .union(Features::CLOCK)
    .union(Features::TIMERS)
    .union(Features::BLOCKING);

/// The least that a hypercall takes.
fn time_of_hypercall() -> Duration {
    let times = (0..4).map(|_| {
        let start = Instant::now();
        // It has no errors.
        let _ = raw::core_noop();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

/// Size of a thread's stack, unless [`Builder::stack_size`] says otherwise.
pub const STACK_SIZE: usize = 64 << 10;

/// How threads run.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Config {
    vcpus: u32,
    slice: Duration,
    stack_size: usize,
}

impl Config {
    /// On all vCPUs that do nothing else, with slices of 10 ms.
    #[expect(clippy::new_without_default, reason = "the name would say nothing")]
    pub const fn new() -> Self {
        Self {
            vcpus: u32::MAX,
            slice: Duration::from_millis(10),
            stack_size: STACK_SIZE,
        }
    }

    /// On so many vCPUs at most, the running one included.
    pub const fn vcpus(mut self, most: u32) -> Self {
        self.vcpus = most;
        self
    }

    /// How long a thread runs while others wait for a vCPU: at least half of this, and half as
    /// much again at most. No less than [`TIMER_PERIOD_MIN`], nor than 20 hypercalls take on this host: a slice must be long
    /// beside its own end, an interrupt by a timer.
    pub const fn slice(mut self, slice: Duration) -> Self {
        self.slice = slice;
        self
    }

    /// The size of the first thread's stack, in bytes.
    pub const fn stack_size(mut self, size: usize) -> Self {
        self.stack_size = size;
        self
    }

    /// Calls `main` in a thread, and returns what it returns when all threads have ended.
    ///
    /// The running vCPU and others that are stopped run threads meanwhile; the others are stopped
    /// again at the end.
    ///
    /// # Panics
    ///
    /// Where threads run already, without the [`REQUIRED`] features, and when no timers are left.
    pub fn run<T: Send>(self, main: impl FnOnce() -> T + Send) -> T {
        assert!(!has_current(), "threads run already: spawn another");
        let had_upcalls = upcall::is_enabled();
        upcall::enable();
        let least = Duration::from_nanos(TIMER_PERIOD_MIN).max(20 * time_of_hypercall());
        let slice = self.slice.max(least);
        let others = (0..vcpu::count())
            .filter(|&id| vcpu::state(id) == State::Stopped)
            .take(self.vcpus.saturating_sub(1) as usize);
        if let Err(error) = scheduler::set_up(others.chain([vcpu::id()]), slice) {
            panic!("no timers for threads: {error}");
        }
        let mut result = None;
        {
            let result = &mut result;
            let main: Box<dyn FnOnce() + Send + '_> = Box::new(move || *result = Some(main()));
            // SAFETY: the thread has ended when this function goes on behind `run_vcpus`.
            let main: Main = unsafe { core::mem::transmute(main) };
            scheduler::add(Thread::new(None, self.stack_size, main));
        }
        run_vcpus();
        tear_down();
        if !had_upcalls {
            upcall::disable();
        }
        match result {
            Some(result) => result,
            None => unreachable!("the first thread has not ended"),
        }
    }
}

/// Runs threads on the vCPUs that the scheduler has, until there are none any more.
fn run_vcpus() {
    let mut others = scheduler::vcpus();
    // One that is busy after all runs no threads, and those do without it.
    others.retain(|&id| id != vcpu::id() && vcpu::start(id, |_| scheduler::run()).is_ok());
    scheduler::run();
    vcpu::join(&others);
}

/// Calls `main` in a thread, with all vCPUs running threads, and returns what it returns when all
/// threads have ended. See [`Config::run`].
pub fn run<T: Send>(main: impl FnOnce() -> T + Send) -> T {
    Config::new().run(main)
}

/// A thread.
#[derive(Clone, Debug)]
pub struct Thread(Arc<Control>);

impl Thread {
    fn new(name: Option<Box<str>>, stack_size: usize, main: Main) -> Self {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let stack = Stack::new(stack_size);
        // SAFETY: the stack is this thread's.
        let context = unsafe { Context::beginning(stack.top()) };
        Self(Arc::new(Control {
            id: LAST_ID.fetch_add(1, Ordering::Relaxed) + 1,
            name,
            stack,
            token: AtomicBool::new(false),
            main: Scheduled::new(Some(main)),
            context: Scheduled::new(context),
            state: Scheduled::new(control::State::Ready),
            sleep: Scheduled::new(None),
            worker: SpinLock::new(None),
        }))
    }

    fn control(&self) -> &Control {
        &self.0
    }

    /// What it runs tasks as.
    pub(crate) fn worker(&self) -> &SpinLock<Option<Arc<Worker>>> {
        &self.0.worker
    }

    /// Its number: no other thread ever has the same.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Its name, where it was given one.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The addresses of its stack.
    pub fn stack(&self) -> Range<u64> {
        self.0.stack.range()
    }

    /// Has its [`park`] return, or the next one, if it does not wait in one.
    pub fn unpark(&self) {
        self.0.token.store(true, Ordering::Release);
        scheduler::wake(self);
    }
}

impl fmt::Display for Thread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "thread {} \"{name}\"", self.id()),
            None => write!(f, "thread {}", self.id()),
        }
    }
}

/// Whether a thread runs here, and no vCPU without threads.
#[inline]
pub(crate) fn has_current() -> bool {
    words::load::<{ words::THREAD }>() != 0
}

/// The running thread; `None` where there are no threads, and in the handler of an event that
/// interrupted none.
pub fn try_current() -> Option<Thread> {
    let control = words::load::<{ words::THREAD }>() as usize;
    let control: *const Control = core::ptr::with_exposed_provenance(control);
    if control.is_null() {
        return None;
    }
    // SAFETY: the scheduler put it there, and has an `Arc` of it for as long as the thread runs.
    unsafe {
        Arc::increment_strong_count(control);
        Some(Thread(Arc::from_raw(control)))
    }
}

/// The running thread.
///
/// # Panics
///
/// Where there are no threads.
pub fn current() -> Thread {
    match try_current() {
        Some(thread) => thread,
        None => panic!("no thread runs here: they do within thread::run"),
    }
}

/// A thread to be.
#[derive(Debug, Default)]
#[must_use]
pub struct Builder {
    name: Option<Box<str>>,
    stack_size: Option<usize>,
}

impl Builder {
    /// A thread without a name, with a stack of [`STACK_SIZE`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Names it.
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The size of its stack, in bytes.
    pub fn stack_size(mut self, size: usize) -> Self {
        self.stack_size = Some(size);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// Outside of [`run`].
    pub fn spawn<T: Send + 'static>(
        self,
        main: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        assert!(
            has_current(),
            "no thread can be spawned outside of thread::run"
        );
        let outcome = Arc::new(Outcome {
            value: UnsafeCell::new(None),
            done: AtomicBool::new(false),
            joiner: SpinLock::new(None),
        });
        let its = Arc::clone(&outcome);
        let main: Main = Box::new(move || its.complete(main()));
        let thread = Thread::new(self.name, self.stack_size.unwrap_or(STACK_SIZE), main);
        scheduler::add(thread.clone());
        JoinHandle { thread, outcome }
    }
}

/// Starts a thread. See [`Builder`].
///
/// # Panics
///
/// Outside of [`run`].
pub fn spawn<T: Send + 'static>(main: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().spawn(main)
}

/// What a thread has come to.
struct Outcome<T> {
    /// Written before `done` is set, and taken by who joins.
    value: UnsafeCell<Option<T>>,
    done: AtomicBool,
    joiner: SpinLock<Option<Waiter>>,
}

// SAFETY: the value goes from the thread to who joins it, by `done`.
unsafe impl<T: Send> Sync for Outcome<T> {}

impl<T> Outcome<T> {
    fn complete(&self, value: T) {
        // SAFETY: nobody else accesses it before `done` is set.
        unsafe { *self.value.get() = Some(value) };
        self.done.store(true, Ordering::Release);
        let joiner = self.joiner.lock().take();
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }
}

/// The right to wait for the end of a thread. A thread whose handle is dropped goes on alone.
pub struct JoinHandle<T> {
    thread: Thread,
    outcome: Arc<Outcome<T>>,
}

impl<T> JoinHandle<T> {
    /// The thread.
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.outcome.done.load(Ordering::Acquire)
    }

    /// Waits for its end, and returns what it returned.
    pub fn join(self) -> T {
        *self.outcome.joiner.lock() = Some(Waiter::current());
        wait::until(&self.outcome.done, None);
        // SAFETY: the thread has set `done`, and there is one handle.
        let value = unsafe { (*self.outcome.value.get()).take() };
        drop(self.thread);
        scheduler::reap();
        match value {
            Some(value) => value,
            None => unreachable!("a thread without a result"),
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JoinHandle").field(&self.thread).finish()
    }
}

/// Lets other threads run that are ready. Without threads, it gives the rest of the vCPU's time
/// slice to whoever waits for the processor.
pub fn yield_now() {
    if has_current() {
        upcall::masked(make_way);
    } else {
        crate::sched::yield_now();
    }
}

/// Waits for a time.
pub fn sleep(duration: Duration) {
    sleep_until(Instant::now() + duration);
}

/// Waits until a time.
pub fn sleep_until(deadline: Instant) {
    static NEVER: AtomicBool = AtomicBool::new(false);
    wait::until(&NEVER, Some(deadline));
}

/// Waits until another thread calls [`Thread::unpark`] on this one, or returns at once if one did
/// since the last time.
///
/// # Panics
///
/// Where there are no threads.
pub fn park() {
    let thread = current();
    wait::until(&thread.0.token, None);
    thread.0.token.store(false, Ordering::Relaxed);
}

/// As [`park`], but waits no longer than this: whether another thread called
/// [`Thread::unpark`].
pub fn park_timeout(timeout: Duration) -> bool {
    let thread = current();
    wait::until(&thread.0.token, Some(Instant::now() + timeout));
    thread.0.token.swap(false, Ordering::Acquire)
}
