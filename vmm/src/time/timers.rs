//! The timers of a VM.
//!
//! Each vCPU has a queue of those whose ports belong to it, and its thread an [`Alarm`] that is
//! set to the first of them. When that goes off the thread leaves the guest, or wakes, and
//! raises the ports of all timers that are due.
//!
//! Timers are set by any vCPU, for any other. Which queue a timer is in follows from its port,
//! and the vCPU of a timer's port changes only while both queues are locked.

use super::alarm::{self, Alarm};
use super::clock::Clock;
use super::queue::{Armed, Queue};
use crate::event::port::Kind;
use crate::event::{Events, News};
use crate::hypercall::Services;
use crate::hypercall::stats::Histogram;
use crate::sync::lock;
use pv_abi::Errno;
use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// The timers of a VM.
#[derive(Debug)]
pub struct Timers {
    clock: Clock,
    vcpus: Box<[Mutex<VcpuTimers>]>,
}

/// The timers of a vCPU.
#[derive(Debug, Default)]
struct VcpuTimers {
    queue: Queue,
    /// How many timers there are, set or not.
    count: usize,
    /// When the vCPU's thread wants to look again, whatever is due.
    look_at: Option<u64>,
    /// While the vCPU's thread runs.
    alarm: Option<Alarm>,
    /// What the alarm is set to.
    alarm_deadline: Option<u64>,
    /// By how much the ports were raised too late, in nanoseconds.
    lateness: Histogram,
}

/// Says that the current thread raises the timers of a vCPU, until it is dropped.
#[derive(Debug)]
pub struct Attachment<'a> {
    timers: &'a Timers,
    vcpu: u32,
}

/// A vCPU whose next deadline has come nearer, so that it must not wait for the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Set {
    /// Ports that were due at once.
    pub news: News,
    /// The vCPU.
    pub vcpu: u32,
    /// Whether it has an earlier deadline now.
    pub is_next: bool,
}

impl Timers {
    /// The timers of a VM with this clock and so many vCPUs.
    pub fn new(clock: Clock, vcpus: u32) -> Self {
        Self {
            clock,
            vcpus: (0..vcpus).map(|_| Mutex::default()).collect(),
        }
    }

    fn vcpu(&self, vcpu: u32) -> MutexGuard<'_, VcpuTimers> {
        // Ports belong to vCPUs that there are.
        lock(&self.vcpus[vcpu as usize])
    }

    /// Has the current thread interrupted when a timer of the vCPU is due, until the result is
    /// dropped.
    ///
    /// # Errors
    ///
    /// Those of timer_create(2).
    pub fn attach(&self, vcpu: u32) -> io::Result<Attachment<'_>> {
        alarm::wait_exactly();
        let alarm = Alarm::for_this_thread()?;
        let mut own = self.vcpu(vcpu);
        own.alarm = Some(alarm);
        own.set_alarm(&self.clock);
        Ok(Attachment { timers: self, vcpu })
    }

    /// Makes room for a timer of a vCPU, before its port is given.
    pub fn make_room(&self, vcpu: u32) {
        let mut own = self.vcpu(vcpu);
        own.count += 1;
        let count = own.count;
        own.queue.make_room(count);
    }

    /// A timer's port is closed, and belongs to nobody: the timer is gone when this returns.
    pub fn forget(&self, vcpu: u32, port: u32) {
        let mut own = self.vcpu(vcpu);
        own.queue.remove(port);
        own.count = own.count.saturating_sub(1);
        own.set_alarm(&self.clock);
    }

    /// Moves a timer from one vCPU to another. `commit` gives its port to that, and nobody sees
    /// the one without the other.
    pub fn rebind(&self, port: u32, from: u32, to: u32, commit: impl FnOnce()) {
        if from == to {
            return commit();
        }
        // In the order of their numbers, or two threads could wait for each other.
        let (mut from, mut to) = if from < to {
            let first = self.vcpu(from);
            (first, self.vcpu(to))
        } else {
            let first = self.vcpu(to);
            (self.vcpu(from), first)
        };
        commit();
        from.count = from.count.saturating_sub(1);
        to.count += 1;
        let count = to.count;
        to.queue.make_room(count);
        if let Some(armed) = from.queue.remove(port) {
            to.queue.insert(armed);
            from.set_alarm(&self.clock);
            to.set_alarm(&self.clock);
        }
    }

    /// The queue that the timer of a port is in.
    fn of_port(
        &self,
        events: &Events,
        port: u32,
    ) -> Result<(u32, MutexGuard<'_, VcpuTimers>), Errno> {
        loop {
            let (kind, vcpu) = events.owner(port)?;
            if kind != Kind::Timer {
                return Err(Errno::EINVAL);
            }
            let own = self.vcpu(vcpu);
            // It may have been given to another vCPU, or closed, while we waited.
            if events.owner(port) == Ok((kind, vcpu)) {
                return Ok((vcpu, own));
            }
        }
    }

    /// Sets the timer of a port, to raise it at `deadline` and, unless `period` is 0, every
    /// `period` from then on. What is due already is raised at once.
    ///
    /// # Errors
    ///
    /// ENOENT when the port is free, EINVAL when there is no such port or it has no timer.
    pub fn set(
        &self,
        events: &Events,
        port: u32,
        deadline: u64,
        period: u64,
    ) -> Result<Set, Errno> {
        let (vcpu, mut own) = self.of_port(events, port)?;
        let before = own.queue.next_deadline();
        own.queue.remove(port);
        let now = self.clock.now();
        own.queue.insert(Armed {
            deadline,
            late_from: deadline.max(now),
            period,
            port,
        });
        let news = if deadline <= now {
            own.raise_due(&self.clock, events)
        } else {
            News::default()
        };
        own.set_alarm(&self.clock);
        let after = own.queue.next_deadline();
        Ok(Set {
            news,
            vcpu,
            is_next: after.is_some_and(|after| before.is_none_or(|before| after < before)),
        })
    }

    /// Stops the timer of a port; whether it was set.
    ///
    /// # Errors
    ///
    /// As [`Timers::set`].
    pub fn cancel(&self, events: &Events, port: u32) -> Result<bool, Errno> {
        let (_, mut own) = self.of_port(events, port)?;
        let was_set = own.queue.remove(port).is_some();
        own.set_alarm(&self.clock);
        Ok(was_set)
    }

    /// Raises the ports of the timers of a vCPU that are due, on its own thread, and sets its
    /// alarm to the next. The caller looks then whether an upcall is due.
    pub fn run_due(&self, vcpu: u32, services: &Services) {
        self.raise_due_of(vcpu, &services.events)
            .tell(&services.vcpus, Some(vcpu));
    }

    pub(super) fn raise_due_of(&self, vcpu: u32, events: &Events) -> News {
        let mut own = self.vcpu(vcpu);
        own.look_at = None;
        if own.queue.next_deadline().is_none() {
            return News::default();
        }
        let news = own.raise_due(&self.clock, events);
        own.set_alarm(&self.clock);
        news
    }

    /// Looks at all timers that are set, each vCPU's in the order in which they come.
    pub(super) fn each_armed(&self, mut look: impl FnMut(&Armed)) {
        for vcpu in &self.vcpus {
            lock(vcpu).queue.iter().rev().for_each(&mut look);
        }
    }

    /// Sets a timer as it was; whether it was not set already. Its port is not raised.
    ///
    /// # Errors
    ///
    /// As [`Timers::set`].
    pub(super) fn arm_again(&self, events: &Events, armed: Armed) -> Result<bool, Errno> {
        let (_, mut own) = self.of_port(events, armed.port)?;
        let is_set = own.queue.iter().any(|other| other.port == armed.port);
        if !is_set {
            own.queue.insert(armed);
        }
        Ok(!is_set)
    }

    /// Has a vCPU's thread leave the guest soon, to look again at what there is.
    pub fn look_again(&self, vcpu: u32, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut own = self.vcpu(vcpu);
        own.look_at = Some(self.clock.now().saturating_add(nanoseconds));
        own.set_alarm(&self.clock);
    }

    /// When the next timer of a vCPU is due, in nanoseconds of the clock.
    pub fn next_deadline(&self, vcpu: u32) -> Option<u64> {
        self.vcpu(vcpu).queue.next_deadline()
    }

    /// By how much ports were raised after their deadlines, in nanoseconds; where a deadline had
    /// passed already when it was set, after that.
    pub fn lateness(&self) -> Histogram {
        let mut all = Histogram::default();
        for vcpu in &self.vcpus {
            all.add(&lock(vcpu).lateness);
        }
        all
    }
}

impl Drop for Attachment<'_> {
    fn drop(&mut self) {
        let mut own = self.timers.vcpu(self.vcpu);
        own.alarm = None;
        own.alarm_deadline = None;
    }
}

impl VcpuTimers {
    fn raise_due(&mut self, clock: &Clock, events: &Events) -> News {
        let mut news = News::default();
        // One look, so that a guest whose timers are always due cannot keep us here.
        let now = clock.now();
        while let Some(due) = self.queue.take_due(now) {
            news = news.and(events.raise_timer(due.port));
            self.lateness
                .record(clock.now().saturating_sub(due.late_from));
        }
        news
    }

    /// Sets the alarm to what comes first.
    fn set_alarm(&mut self, clock: &Clock) {
        let Some(alarm) = &mut self.alarm else {
            return;
        };
        let times = [self.queue.next_deadline(), self.look_at];
        let deadline = times.into_iter().flatten().min();
        // It may have gone off too early: the host's clock and ours do not run the same.
        if deadline == self.alarm_deadline && (deadline.is_none() || alarm.is_set()) {
            return;
        }
        self.alarm_deadline = deadline;
        match deadline {
            Some(deadline) => {
                alarm.set(Duration::from_nanos(deadline.saturating_sub(clock.now())));
            }
            None => alarm.clear(),
        }
    }
}
