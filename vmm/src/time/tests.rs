//! Tests of timers with a thread that waits for them as a vCPU's does.
#![allow(unsafe_code)]

use super::alarm::Alarm;
use super::clock::Clock;
use super::timers::Timers;
use crate::event::Events;
use crate::event::pages::Pages;
use crate::memory::PrivateMemory;
use crate::vcpu::kick;
use proptest::prelude::*;
use pv_abi::event_protocol;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any host lets a thread wait for its processor.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps the signal of alarms from the current thread but inside [`Blocked::wait`], as KVM_RUN
/// does by immediate_exit: so none comes before the wait and is missed.
struct Blocked {
    inside: libc::sigset_t,
}

impl Blocked {
    fn new() -> Self {
        // SAFETY: all zero is a valid set, and the pointers are to live ones.
        unsafe {
            let mut signal = zeroed();
            libc::sigemptyset(&mut signal);
            libc::sigaddset(&mut signal, kick::signal());
            let mut inside = zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, &signal, &mut inside);
            libc::sigdelset(&mut inside, kick::signal());
            Self { inside }
        }
    }

    /// Waits for the signal; whether it came in time.
    fn wait(&self, time: Duration) -> bool {
        let time = libc::timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: time.subsec_nanos().into(),
        };
        // SAFETY: there is no file to wait for, and the pointers are to live values.
        unsafe { libc::ppoll(null_mut(), 0, &time, &self.inside) == -1 }
    }
}

struct World {
    events: Events,
    pages: Pages,
    timers: Timers,
    clock: Clock,
}

impl World {
    fn new(vcpus: u32) -> Self {
        let memory = Arc::new(PrivateMemory::new(0x10_0000, 1 + u64::from(vcpus)).unwrap());
        let event_page = memory.allocate(1).unwrap();
        let pages: Vec<_> = (0..vcpus).map(|_| memory.allocate(1).unwrap()).collect();
        // Close enough to the host's TSC, whatever that is: never early holds for any.
        let clock = Clock::start(2_000_000_000, 0);
        Self {
            events: Events::new(Arc::clone(&memory), event_page, &pages),
            pages: Pages::new(memory, event_page, &pages),
            timers: Timers::new(clock.clone(), vcpus),
            clock,
        }
    }

    fn timer(&self, vcpu: u32) -> u32 {
        self.events.bind_timer(&self.timers, vcpu, 0).unwrap()
    }

    fn set(&self, port: u32, deadline: u64, period: u64) {
        let _ = self
            .timers
            .set(&self.events, port, deadline, period)
            .unwrap();
    }

    /// What a guest does that takes the event of one port; whether there was one.
    fn clear(&self, port: u32) -> bool {
        event_protocol::clear(&self.pages.ports(), port as usize)
    }

    /// What a vCPU's thread does: waits for its alarm and raises what is due, until `done`.
    fn run(&self, vcpu: u32, blocked: &Blocked, mut done: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !done() {
            assert!(begun.elapsed() < PATIENCE, "vCPU {vcpu} waits in vain");
            blocked.wait(Duration::from_millis(100));
            let _ = self.timers.raise_due_of(vcpu, &self.events);
        }
    }
}

#[test]
fn an_alarm_interrupts_its_thread() {
    let blocked = Blocked::new();
    let mut alarm = Alarm::for_this_thread().unwrap();
    assert!(!alarm.is_set());
    for microseconds in [0, 1, 100, 5000] {
        let time = Duration::from_micros(microseconds);
        let begun = Instant::now();
        alarm.set(time);
        assert!(blocked.wait(PATIENCE));
        assert!(begun.elapsed() >= time);
        assert!(!alarm.is_set());
    }
    alarm.set(Duration::from_millis(1));
    alarm.clear();
    assert!(!alarm.is_set());
    assert!(!blocked.wait(Duration::from_millis(5)));
    alarm.set(Duration::MAX);
    drop(alarm);
}

#[test]
fn a_timer_is_raised_once_and_not_early() {
    let world = World::new(1);
    let blocked = Blocked::new();
    let _attachment = world.timers.attach(0).unwrap();
    let port = world.timer(0);
    for delay in [0, 1, 1000, 50_000, 2_000_000] {
        let deadline = world.clock.now() + delay;
        world.set(port, deadline, 0);
        world.run(0, &blocked, || world.events.is_pending(port));
        assert!(world.clock.now() >= deadline);
        assert_eq!(world.timers.next_deadline(0), None);
        world.clear(port);
    }
    assert_eq!(world.timers.lateness().count(), 5);
}

#[test]
fn a_timer_that_was_set_before_the_thread_came_is_raised() {
    let world = World::new(1);
    let port = world.timer(0);
    world.set(port, world.clock.now() + 1_000_000, 0);
    let blocked = Blocked::new();
    let _attachment = world.timers.attach(0).unwrap();
    world.run(0, &blocked, || world.events.is_pending(port));
}

#[test]
fn a_timer_is_set_by_another_thread() {
    let world = &World::new(2);
    let port = world.timer(0);
    let ready = &AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(move || {
            let blocked = Blocked::new();
            let _attachment = world.timers.attach(0).unwrap();
            ready.store(true, SeqCst);
            // The alarm alone ends this wait: nothing was set when it began, or it was for an
            // hour.
            world.run(0, &blocked, || world.events.is_pending(port));
        });
        while !ready.load(SeqCst) {
            thread::yield_now();
        }
        world.set(port, world.clock.now() + 3_600_000_000_000, 0);
        world.set(port, world.clock.now() + 1_000_000, 0);
    });
}

/// Two vCPUs raise what is due while a third thread sets, moves and cancels timers: each that was
/// set and not cancelled is raised once.
#[test]
fn no_timer_is_lost_while_it_moves() {
    const TIMERS: usize = 8;
    let world = &World::new(2);
    let ports: &[u32] = &(0..TIMERS).map(|_| world.timer(0)).collect::<Vec<_>>();
    let (done, raised) = (&AtomicBool::new(false), &AtomicU64::new(0));
    let mut set = 0;
    thread::scope(|scope| {
        for vcpu in 0..2 {
            scope.spawn(move || {
                let blocked = Blocked::new();
                let _attachment = world.timers.attach(vcpu).unwrap();
                world.run(vcpu, &blocked, || done.load(SeqCst));
            });
        }
        for round in 0..2000u64 {
            let port = ports[round as usize % TIMERS];
            world.set(port, world.clock.now() + round % 7 * 20_000, 0);
            let bound = world
                .events
                .bind_vcpu(&world.timers, port, round as u32 / 3 % 2);
            let _ = bound.unwrap();
            if round % 5 == 0 && world.timers.cancel(&world.events, port).unwrap() {
                // It is not raised any more, but may have been before.
                assert!(!world.clear(port));
                continue;
            }
            set += 1;
            let begun = Instant::now();
            while !world.clear(port) {
                assert!(begun.elapsed() < PATIENCE, "a timer is lost");
                thread::yield_now();
            }
            raised.fetch_add(1, SeqCst);
            assert_eq!(world.timers.cancel(&world.events, port), Ok(false));
        }
        done.store(true, SeqCst);
    });
    assert_eq!(raised.load(SeqCst), set);
    assert_eq!(world.timers.lateness().count(), set);
}

#[test]
fn a_clock_that_the_guest_cannot_read_goes_on_too() {
    use pv_abi::Features;
    let clock = Clock::start(0, 0);
    assert!(clock.page().is_none());
    let all = Features::CLOCK.union(Features::TIMERS).union(Features::TLS);
    assert_eq!(clock.features(all), Features::TLS);
    let before = clock.now();
    thread::sleep(Duration::from_millis(1));
    assert!(clock.now() >= before + 1_000_000);
}

proptest! {
    /// The guest reads its TSC, which is ahead of the host's, and gets the same time.
    #[test]
    fn guest_and_host_agree(offset: u64, frequency in 1_000_000u64..10_000_000_000) {
        let clock = Clock::start(frequency, offset);
        let page = clock.page().unwrap();
        let before = clock.now();
        let tsc = crate::hypercall::stats::ordered_timestamp().wrapping_add(offset);
        let guest = page.at(tsc);
        let after = clock.now();
        prop_assert!((before..=after).contains(&guest));
    }
}
