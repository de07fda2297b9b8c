//! Random sequences of calls and of what a guest does by itself, compared with the reference.

use super::world::{VCPUS, World};
use crate::event::port::{Kind, Source};
use crate::event::reference::Reference;
use crate::event::{Events, News};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use pv_abi::Errno;
use pv_abi::event::TIMERS_MAX;
use pv_abi::event_protocol;

/// A deadline that does not come while a test runs.
const FAR: u64 = u64::MAX / 2;

/// What happens. A port is one of those given so far, or any number.
#[derive(Clone, Copy, Debug)]
enum Step {
    Give(Kind, u32, u32),
    BindVcpu(u32, u32),
    Send(u32),
    Source(Source),
    Mask(u32),
    Unmask(u32),
    Close(u32),
    SetTimer {
        port: u32,
        due: bool,
        periodic: bool,
    },
    CancelTimer(u32),
    /// The guest takes the events of a vCPU.
    Take(u32),
    /// The guest masks a port in memory.
    MaskInMemory(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = select(vec![
        Kind::Alloc,
        Kind::Alloc,
        Kind::Ipi,
        Kind::Timer,
        Kind::Timer,
        Kind::Source(Source::Console),
        Kind::Source(Source::Grant),
    ]);
    // Few of them, close together, so that they meet.
    let port = || {
        prop_oneof![
            20 => (0u32..4, 0u32..8).prop_map(|(priority, port)| priority * 1024 + port),
            1 => select(vec![4095, 4096, u32::MAX]),
        ]
    };
    let vcpu = || prop_oneof![20 => 0..VCPUS, 1 => select(vec![VCPUS, u32::MAX])];
    let own = 0..VCPUS;
    prop_oneof![
        6 => (kind, vcpu(), 0u32..5).prop_map(|(kind, vcpu, priority)| {
            Step::Give(kind, vcpu, priority)
        }),
        2 => (port(), vcpu()).prop_map(|(port, vcpu)| Step::BindVcpu(port, vcpu)),
        6 => port().prop_map(Step::Send),
        2 => select(Source::OF_EVERY_VM.to_vec()).prop_map(Step::Source),
        2 => port().prop_map(Step::Mask),
        2 => port().prop_map(Step::Unmask),
        1 => port().prop_map(Step::Close),
        3 => (port(), any::<bool>(), any::<bool>()).prop_map(|(port, due, periodic)| {
            Step::SetTimer { port, due, periodic }
        }),
        1 => port().prop_map(Step::CancelTimer),
        2 => own.prop_map(Step::Take),
        1 => port().prop_map(Step::MaskInMemory),
    ]
}

/// A world, and what the reference says about it.
struct Compared {
    world: World,
    reference: Reference,
    /// What each vCPU was notified of and has not taken.
    notified: Vec<bool>,
}

impl Compared {
    fn new() -> Self {
        Self {
            world: World::new(),
            reference: Reference::new(VCPUS),
            notified: vec![false; VCPUS as usize],
        }
    }

    fn tell(&mut self, news: News) -> u32 {
        if let Some(vcpu) = news.notify {
            let notified = &mut self.notified[vcpu as usize];
            assert!(!*notified, "vCPU {vcpu} was notified twice");
            *notified = true;
        }
        news.pending.into()
    }

    fn give(&self, kind: Kind, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        let events: &Events = &self.world.events;
        match kind {
            Kind::Alloc | Kind::Free => events.alloc(vcpu, priority),
            Kind::Ipi => events.bind_ipi(vcpu, priority),
            Kind::Timer => events.bind_timer(&self.world.timers, vcpu, priority),
            Kind::Source(source) => events.bind_source(source, vcpu, priority),
        }
    }

    fn run(&mut self, step: Step) {
        let events = &self.world.events;
        let timers = &self.world.timers;
        let (found, expected) = match step {
            Step::Give(kind, vcpu, priority) => {
                let found = self.give(kind, vcpu, priority);
                (found, self.reference.give(kind, vcpu, priority))
            }
            Step::BindVcpu(port, vcpu) => {
                let found = events.bind_vcpu(timers, port, vcpu);
                let found = found.map(|news| self.tell(news));
                (found, self.reference.bind_vcpu(port, vcpu))
            }
            Step::Send(port) => {
                let found = events.send(port);
                let found = found.map(|news| self.tell(news));
                (found, self.reference.send(port))
            }
            Step::Source(source) => {
                let before = self.world.words();
                let found = events.raise_source(&self.world.vcpus, source);
                for (vcpu, notified) in self.notified.iter_mut().enumerate() {
                    *notified |= self.world.words().vcpus[vcpu].1 && !before.vcpus[vcpu].1;
                }
                (
                    Ok(found.into()),
                    Ok(self.reference.raise_source(source).into()),
                )
            }
            Step::Mask(port) => (events.mask(port).map(|()| 0), self.reference.mask(port)),
            Step::Unmask(port) => {
                let found = events.unmask(port);
                let found = found.map(|news| self.tell(news));
                (found, self.reference.unmask(port))
            }
            Step::Close(port) => (
                events.close(timers, port).map(|()| 0),
                self.reference.close(port),
            ),
            Step::SetTimer {
                port,
                due,
                periodic,
            } => {
                let deadline = if due { 0 } else { FAR };
                let period = if periodic { FAR } else { 0 };
                let found = timers.set(events, port, deadline, period);
                let found = found.map(|set| {
                    self.tell(set.news);
                    0
                });
                (found, self.reference.set_timer(port, due, periodic))
            }
            Step::CancelTimer(port) => (
                timers.cancel(events, port).map(u32::from),
                self.reference.cancel_timer(port),
            ),
            Step::Take(vcpu) => {
                let own = |port| self.reference.vcpu_of(port) == Some(vcpu);
                let taken = self.world.take(vcpu, own);
                assert_eq!(taken, self.reference.take(vcpu));
                self.notified[vcpu as usize] = false;
                (Ok(0), Ok(0))
            }
            Step::MaskInMemory(port) => {
                if self.reference.mask(port).is_ok() {
                    event_protocol::mask(&self.world.pages.ports(), port as usize);
                }
                (Ok(0), Ok(0))
            }
        };
        assert_eq!(found, expected);
        assert_eq!(self.world.words(), self.reference.words());
    }

    /// Nobody has to be told of what is not told yet.
    fn check(&self) {
        let words = self.world.words();
        for port in self.world.due() {
            let vcpu = self.reference.vcpu_of(port).unwrap() as usize;
            assert_ne!(words.vcpus[vcpu].0 & 1 << (port / 64), 0);
            assert!(words.vcpus[vcpu].1 && self.notified[vcpu]);
            assert!(self.world.events.is_pending(port));
            assert!(self.world.events.upcall_pending(vcpu as u32));
        }
        for port in (0..8).chain([4095, 4096, u32::MAX]) {
            let expected = match self.reference.vcpu_of(port) {
                Some(_) => Ok(()),
                None if port > 4095 => Err(Errno::EINVAL),
                None => Err(Errno::ENOENT),
            };
            assert_eq!(self.world.events.check_port(port), expected);
        }
    }
}

proptest! {
    #[test]
    fn ports_are_as_the_reference_says(steps in vec(step(), 1..120)) {
        let mut compared = Compared::new();
        for step in steps {
            compared.run(step);
            compared.check();
        }
    }
}

#[test]
fn there_are_1024_timers() {
    let world = World::new();
    let bind = |priority| world.events.bind_timer(&world.timers, 0, priority);
    for _ in 0..1000 {
        bind(1).unwrap();
    }
    for _ in 0..TIMERS_MAX - 1000 {
        bind(2).unwrap();
    }
    assert_eq!(bind(2), Err(Errno::ENOSPC));
    // There are ports left, and a timer is given back with its port.
    assert_eq!(world.events.alloc(0, 2), Ok(2048 + 24));
    world.events.close(&world.timers, 1024).unwrap();
    assert_eq!(bind(1), Ok(1024));
}

#[test]
fn a_guest_that_overwrites_everything_harms_its_own_events_alone() {
    let world = World::new();
    let port = world.events.alloc(1, 0).unwrap();
    let timer = world.events.bind_timer(&world.timers, 1, 0).unwrap();
    for garbage in [u64::MAX, 0, 0x5555_5555_5555_5555] {
        use event_protocol::{Ports, Target, Word};
        let pages = &world.pages;
        for index in 0..64 {
            pages.ports().pending(index).fetch_and(garbage);
            pages.ports().pending(index).fetch_or(garbage);
            pages.ports().mask(index).fetch_or(!garbage);
        }
        for vcpu in 0..VCPUS {
            pages.target(vcpu).selector().fetch_or(garbage);
            pages.target(vcpu).set_upcall_pending();
        }
        let _ = world.events.send(port);
        assert!(world.timers.set(&world.events, timer, 0, 0).is_ok());
        assert_eq!(world.events.check_port(timer + 1), Err(Errno::ENOENT));
        assert!(world.events.bind_vcpu(&world.timers, timer, 2).is_ok());
        assert!(world.events.bind_vcpu(&world.timers, timer, 1).is_ok());
    }
    // A port that is given is clean, whatever was in its place.
    let port = world.events.alloc(0, 3).unwrap();
    assert!(!world.events.is_pending(port));
    assert_eq!(world.events.send(port).map(|news| news.pending), Ok(true));
}
