//! The scheduler: which thread runs on which vCPU.
//!
//! One queue, in the order in which threads became ready, serves all vCPUs; one spin lock guards
//! it and the state of all threads. The lock is held across a switch: it is taken by the thread
//! that stops running and freed by the one that goes on, so nobody sees a thread whose registers
//! are not saved yet.
//!
//! A vCPU without a thread to run is idle, on its boot stack: it blocks, and the vCPU that makes
//! a thread ready kicks it. A vCPU is interrupted by a tick only while threads wait for one.

#![allow(unsafe_code)]

use super::Thread;
use super::context::{self, Context};
use super::control::{Sleep, State};
use crate::event::Priority;
use crate::hypercall::raw;
use crate::space::AddressSpace;
use crate::sync::{Guard, SpinLock};
use crate::time::{Instant, Timer};
use crate::trap::{TrapFrame, VectorState};
use crate::upcall::{self, Masked};
use crate::vcpu::words::{self, MASK_DEPTH, RESCHEDULE, THREAD};
use crate::{event, vcpu};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use pv_abi::Errno;

static SCHEDULER: SpinLock<Scheduler> = SpinLock::new(Scheduler::new());

/// The scheduler's state.
pub(super) struct Scheduler {
    /// Threads that wait for a vCPU; the first one goes first.
    ready: VecDeque<Thread>,
    /// All threads that have not ended, by their numbers.
    threads: BTreeMap<u64, Thread>,
    /// Threads that have ended, and whose stacks are to be freed by others.
    ended: Vec<Thread>,
    /// The vCPUs that run threads, by their numbers; `None` for one that does not.
    vcpus: Vec<Option<Box<Vcpu>>>,
    /// The time from one tick to the next.
    slice: Duration,
    /// An idle vCPU that is to be kicked when the scheduler is not locked any more.
    kick: Option<u32>,
}

/// A vCPU that runs threads.
struct Vcpu {
    /// What it runs; `None` while it is idle.
    running: Option<Thread>,
    /// The registers of its idle loop while a thread runs.
    idle: UnsafeCell<Context>,
    /// Whether it waits to be kicked.
    blocked: bool,
    /// Interrupts it once each slice, while it is set.
    tick: Timer,
    ticking: bool,
    /// Since when it runs what it runs, if it has ticked since then.
    since: Instant,
    /// Interrupts it when a thread is to be woken, unless it is idle: then it knows itself.
    alarm: Timer,
    alarm_at: Option<Instant>,
    /// Threads that wait for a time, having waited on this vCPU last. The numbers tell those of
    /// the same time apart.
    sleepers: BTreeMap<(Instant, u64), Thread>,
}

impl Scheduler {
    const fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            threads: BTreeMap::new(),
            ended: Vec::new(),
            vcpus: Vec::new(),
            slice: Duration::ZERO,
            kick: None,
        }
    }

    /// A vCPU that runs threads.
    fn vcpu(&mut self, id: usize) -> &mut Vcpu {
        match self.vcpus.get_mut(id) {
            Some(Some(vcpu)) => vcpu,
            _ => panic!("vCPU {id} runs no threads"),
        }
    }

    /// The running vCPU. Upcalls are masked, so it stays that.
    fn here(&mut self) -> &mut Vcpu {
        self.vcpu(vcpu::id() as usize)
    }

    /// The running vCPU, for a handler that may come when it has just been taken away.
    fn try_here(&mut self) -> Option<&mut Vcpu> {
        self.vcpus.get_mut(vcpu::id() as usize)?.as_deref_mut()
    }

    /// Makes a thread ready, and sees to it that its turn comes.
    fn enqueue(&mut self, thread: Thread) {
        *thread.control().state.get(self) = State::Ready;
        self.ready.push_back(thread);
        let here = self.vcpus.get(vcpu::id() as usize);
        if self.ready.len() == 1
            && let Some(Some(here)) = here
            && here.running.is_none()
        {
            // This vCPU is idle, and looks at the queue before it blocks.
            return;
        }
        let blocked = self.blocked_vcpus().next();
        if let Some(id) = blocked {
            self.vcpu(id as usize).blocked = false;
            if let Some(another) = self.kick.replace(id) {
                kick(another);
            }
        } else {
            let slice = self.slice;
            for vcpu in self.vcpus.iter_mut().flatten() {
                vcpu.start_ticking(slice);
            }
        }
    }

    /// The idle vCPUs that wait to be kicked.
    fn blocked_vcpus(&self) -> impl Iterator<Item = u32> {
        let ids = 0..self.vcpus.len();
        let blocked = ids.filter(|&id| matches!(&self.vcpus[id], Some(vcpu) if vcpu.blocked));
        blocked.map(|id| id as u32)
    }

    /// Makes the threads ready whose time has come on the running vCPU.
    fn wake_sleepers(&mut self) {
        while let Some(first) = self.here().sleepers.first_entry() {
            if first.key().0 > Instant::now() {
                return;
            }
            let thread = first.remove();
            *thread.control().sleep.get(self) = None;
            self.enqueue(thread);
        }
    }

    /// Takes the thread that is to run next on the running vCPU; `None`: it is to be idle.
    fn next(&mut self) -> Option<Thread> {
        let next = self.ready.pop_front()?;
        let others_wait = !self.ready.is_empty();
        let slice = self.slice;
        let here = self.here();
        if others_wait {
            here.start_ticking(slice);
        }
        here.set_alarm();
        Some(next)
    }
}

impl Vcpu {
    fn new(id: u32) -> Result<Self, Errno> {
        Ok(Self {
            running: None,
            idle: UnsafeCell::new(Context::new()),
            blocked: false,
            tick: Timer::new(id, Priority::default())?,
            ticking: false,
            since: Instant::from_nanos(0),
            alarm: Timer::new(id, Priority::default())?,
            alarm_at: None,
            sleepers: BTreeMap::new(),
        })
    }

    fn start_ticking(&mut self, slice: Duration) {
        if !self.ticking {
            // It cannot fail: `Config::slice` has seen to the period.
            let _ = self.tick.set_periodic(Instant::now() + slice, slice);
            self.ticking = true;
        }
    }

    /// Sets the alarm for the first of the sleepers, unless it will come before anyway.
    fn set_alarm(&mut self) {
        if let Some(&(first, _)) = self.sleepers.keys().next()
            && self.alarm_at.is_none_or(|set| set > first)
        {
            self.alarm.set(first);
            self.alarm_at = Some(first);
        }
    }
}

fn kick(vcpu: u32) {
    // It cannot fail: there is such a vCPU.
    let _ = raw::sched_kick(vcpu);
}

/// Unlocks the scheduler and kicks who is to be kicked.
fn release(mut scheduler: Guard<'static, Scheduler>) {
    let waiting = scheduler.kick.take();
    drop(scheduler);
    if let Some(vcpu) = waiting {
        kick(vcpu);
    }
}

/// The handler of a tick.
fn tick() {
    let mut scheduler = SCHEDULER.lock();
    let others_wait = !scheduler.ready.is_empty();
    let slice = scheduler.slice;
    let Some(here) = scheduler.try_here() else {
        return;
    };
    if !others_wait {
        here.tick.cancel();
        here.ticking = false;
    } else if here.since.elapsed() >= slice / 2 {
        // Ticks keep their beat whoever runs: what has just begun goes on until the next one.
        // SAFETY: the word is there for this. Whoever unmasks upcalls looks at it.
        unsafe { words::store32::<RESCHEDULE>(1) };
    }
}

/// The handler of an alarm.
fn alarm() {
    let mut scheduler = SCHEDULER.lock();
    let Some(here) = scheduler.try_here() else {
        return;
    };
    here.alarm_at = None;
    scheduler.wake_sleepers();
    scheduler.here().set_alarm();
    release(scheduler);
}

/// Gives the scheduler vCPUs to run threads on.
///
/// # Errors
///
/// Those of the timers that it takes.
pub(super) fn set_up(vcpus: impl Iterator<Item = u32>, slice: Duration) -> Result<(), Errno> {
    let mut table: Vec<Option<Box<Vcpu>>> = Vec::new();
    for id in vcpus {
        let vcpu = Vcpu::new(id)?;
        upcall::set_handler(vcpu.tick.port().number(), |_| tick());
        upcall::set_handler(vcpu.alarm.port().number(), |_| alarm());
        table.resize_with(table.len().max(id as usize + 1), || None);
        table[id as usize] = Some(Box::new(vcpu));
    }
    let mut scheduler = SCHEDULER.lock();
    assert!(scheduler.vcpus.is_empty(), "threads run already");
    scheduler.vcpus = table;
    scheduler.slice = slice;
    Ok(())
}

/// Takes the vCPUs away again, when no thread is left.
pub(super) fn tear_down() {
    let vcpus = core::mem::take(&mut SCHEDULER.lock().vcpus);
    for vcpu in vcpus.iter().flatten() {
        upcall::clear_handler(vcpu.tick.port().number());
        upcall::clear_handler(vcpu.alarm.port().number());
    }
    drop(vcpus);
    reap();
}

/// The vCPUs that run threads.
pub(super) fn vcpus() -> Vec<u32> {
    let scheduler = SCHEDULER.lock();
    let ids = 0..scheduler.vcpus.len();
    ids.filter(|&id| scheduler.vcpus[id].is_some())
        .map(|id| id as u32)
        .collect()
}

/// Adds a thread.
pub(super) fn add(thread: Thread) {
    reap();
    let mut scheduler = SCHEDULER.lock();
    let id = thread.control().id;
    scheduler.threads.insert(id, thread.clone());
    scheduler.enqueue(thread);
    release(scheduler);
}

/// Runs threads on this vCPU until there are none any more.
pub(super) fn run() {
    let masked = Masked::new();
    loop {
        upcall::take_events();
        reap();
        // An idle vCPU keeps no address space from ending. It fails nowhere.
        let _ = AddressSpace::KERNEL.enter();
        let mut scheduler = SCHEDULER.lock();
        // SAFETY: the word is there for this; nothing runs here that could make way.
        unsafe { words::store32::<RESCHEDULE>(0) };
        scheduler.here().blocked = false;
        if scheduler.threads.is_empty() {
            break;
        }
        scheduler.wake_sleepers();
        if let Some(next) = scheduler.next() {
            let idle = scheduler.here().idle.get();
            // SAFETY: this is the idle loop, whose context that is.
            unsafe { switch(scheduler, idle, Some(next)) };
            continue;
        }
        let here = scheduler.here();
        here.blocked = true;
        let first = here.sleepers.keys().next().map(|&(deadline, _)| deadline);
        release(scheduler);
        // A kick since then ends it at once.
        vcpu::block(first);
    }
    drop(masked);
}

/// Blocks the running thread until it is woken or a time has come, unless the flag is set. It may
/// return for no reason. Upcalls are masked, once.
pub(crate) fn block(flag: &AtomicBool, deadline: Option<Instant>) {
    let mut scheduler = SCHEDULER.lock();
    // Whoever sets it locks the scheduler then, to wake this thread.
    if flag.load(Ordering::Acquire) || deadline.is_some_and(|time| time <= Instant::now()) {
        return;
    }
    let thread = super::current();
    let control = thread.control();
    *control.state.get(&mut scheduler) = State::Blocked;
    if let Some(deadline) = deadline {
        let vcpu = vcpu::id() as usize;
        *control.sleep.get(&mut scheduler) = Some(Sleep { vcpu, deadline });
        let sleepers = &mut scheduler.vcpu(vcpu).sleepers;
        sleepers.insert((deadline, control.id), thread.clone());
    }
    let next = scheduler.next();
    let context = control.context.as_ptr();
    // SAFETY: the context is the running thread's; the thread is among `threads`.
    unsafe { switch(scheduler, context, next) };
}

/// Wakes a thread that is blocked.
pub(crate) fn wake(thread: &Thread) {
    let mut scheduler = SCHEDULER.lock();
    let control = thread.control();
    if *control.state.get(&mut scheduler) != State::Blocked {
        return;
    }
    if let Some(sleep) = control.sleep.get(&mut scheduler).take() {
        let sleepers = &mut scheduler.vcpu(sleep.vcpu).sleepers;
        sleepers.remove(&(sleep.deadline, control.id));
    }
    scheduler.enqueue(thread.clone());
    release(scheduler);
}

/// Lets other threads run that are ready. Upcalls are masked, once.
pub(crate) fn make_way() {
    let mut scheduler = SCHEDULER.lock();
    // SAFETY: the word is there for this.
    unsafe { words::store32::<RESCHEDULE>(0) };
    let Some(thread) = super::try_current() else {
        return;
    };
    let Some(next) = scheduler.next() else {
        return;
    };
    let context = thread.control().context.as_ptr();
    scheduler.enqueue(thread);
    // SAFETY: the context is the running thread's; the thread is among `threads`.
    unsafe { switch(scheduler, context, Some(next)) };
}

/// Has another thread go on than the one that an upcall interrupted, if one is ready.
pub(crate) fn preempt(frame: &mut TrapFrame, vector: &mut VectorState) {
    let mut scheduler = SCHEDULER.lock();
    // SAFETY: the word is there for this.
    unsafe { words::store32::<RESCHEDULE>(0) };
    let Some(thread) = super::try_current() else {
        return;
    };
    let Some(next) = scheduler.next() else {
        return;
    };
    let (from, to) = (
        thread.control().context.as_ptr(),
        next.control().context.as_ptr(),
    );
    // SAFETY: the interrupted code is the running thread's, as this is no trap code; it stops
    // running here, and `next` was ready, so it runs nowhere. The scheduler is locked.
    unsafe { context::exchange(frame, vector, from, to) };
    scheduler.enqueue(thread);
    runs(&mut scheduler, Some(next));
    release(scheduler);
}

/// Ends the running thread.
pub(super) fn end() -> ! {
    let masked = Masked::new();
    let mut scheduler = SCHEDULER.lock();
    let thread = super::current();
    if let Some(thread) = scheduler.threads.remove(&thread.control().id) {
        scheduler.ended.push(thread);
    }
    if scheduler.threads.is_empty() {
        // The idle loops end too.
        scheduler.blocked_vcpus().for_each(kick);
    }
    let next = scheduler.next();
    let context = thread.control().context.as_ptr();
    // `ended` keeps it.
    drop(thread);
    // SAFETY: the context is the running thread's. It is freed when nobody can see this thread
    // run any more: by somebody who has locked the scheduler.
    unsafe { switch(scheduler, context, next) };
    drop(masked);
    unreachable!("a thread went on that had ended");
}

/// Notes what the running vCPU runs from now on.
fn runs(scheduler: &mut Scheduler, next: Option<Thread>) {
    let here = scheduler.here();
    if here.ticking {
        here.since = Instant::now();
    }
    let pointer = match &next {
        Some(thread) => {
            *thread.control().state.get(scheduler) = State::Running;
            Arc::as_ptr(&thread.0).expose_provenance() as u64
        }
        None => 0,
    };
    // SAFETY: the words are there for this; `running` keeps the thread.
    unsafe {
        words::store::<THREAD>(pointer);
        words::store32::<RESCHEDULE>(0);
    }
    // Not the last one of the thread before: `threads` or `ended` has another.
    drop(core::mem::replace(&mut scheduler.here().running, next));
}

/// Switches from what runs, whose registers go to `from`, to a thread or, without one, to the
/// idle loop of this vCPU. It returns when something switches back, maybe on another vCPU.
///
/// # Safety
///
/// `from` is the context of the code that runs. Upcalls are masked once, beside by the lock.
unsafe fn switch(
    mut scheduler: Guard<'static, Scheduler>,
    from: *mut Context,
    next: Option<Thread>,
) {
    assert!(
        words::load32::<MASK_DEPTH>() == 2,
        "a thread that waits while upcalls are masked"
    );
    let to = match &next {
        Some(thread) => thread.control().context.as_ptr(),
        None => scheduler.here().idle.get(),
    };
    runs(&mut scheduler, next);
    if let Some(waiting) = scheduler.kick.take() {
        kick(waiting);
    }
    // Freed by whoever goes on.
    core::mem::forget(scheduler);
    let trap_stack_top = vcpu::trap_stack().end;
    // SAFETY: the caller's promise; `to` was ready, or is this vCPU's idle loop, so it runs
    // nowhere. No handler is active: upcalls would be masked more often.
    if unsafe { context::switch(from, to, trap_stack_top) } {
        unlock();
    }
}

/// Frees the scheduler, which was locked by what ran before on this vCPU.
fn unlock() {
    // SAFETY: `switch` has forgotten the guard, which had masked upcalls once.
    unsafe {
        SCHEDULER.unlock();
        words::decrement::<MASK_DEPTH>();
    }
}

/// Does what is left to do before a preempted thread goes on, to which something switched that
/// gave way. This is the trap stack.
pub(super) extern "C" fn finish_on_trap_stack() {
    unlock();
    // What gave way had masked upcalls once; the thread had not.
    // SAFETY: it is counted up when that goes on.
    unsafe { words::decrement::<MASK_DEPTH>() };
    while event::unmask_upcalls() {
        event::mask_upcalls();
        upcall::while_masked(upcall::take_events);
    }
}

/// The first code of a new thread.
pub(super) extern "C" fn started(locked: u32) -> ! {
    if locked != 0 {
        unlock();
    }
    // SAFETY: what switched to this thread had masked upcalls once.
    let masked = unsafe { Masked::adopt() };
    let thread = super::current();
    let main = thread.control().main.get(&mut SCHEDULER.lock()).take();
    drop((thread, masked));
    if let Some(main) = main {
        main();
    }
    end()
}

/// Frees the threads that have ended.
pub(super) fn reap() {
    loop {
        let Some(thread) = SCHEDULER.lock().ended.pop() else {
            return;
        };
        drop(thread);
    }
}
