//! Everything at once, on real threads: no event is lost, none is taken twice, and a port that
//! is closed stays silent.

use super::world::{VCPUS, World};
use crate::event::port::Source;
use pv_abi::Errno;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::thread;

/// Rounds of each thread. Two processors do them in less than a second.
const ROUNDS: u32 = 1_000_000;

/// Ports that share words: two in one, and two others in another.
const PORTS: usize = 4;

/// A port of the guest, with what happened to it.
#[derive(Debug, Default)]
struct Port {
    number: u32,
    /// As the guest keeps it: it changes before the VMM is told.
    vcpu: AtomicU32,
    became_pending: AtomicU64,
    taken: AtomicU64,
}

/// Ends the threads that go on until something is done, also when a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// A generator of numbers without a pattern (xorshift32).
fn random(state: &mut u32) -> u32 {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    *state
}

fn take(world: &World, ports: &[Port], vcpu: u32) {
    let of = |number| ports.iter().find(|port| port.number == number);
    let own = |number| of(number).is_some_and(|port| port.vcpu.load(SeqCst) == vcpu);
    for number in world.take(vcpu, own) {
        of(number).unwrap().taken.fetch_add(1, SeqCst);
    }
}

#[test]
fn every_event_is_taken_once() {
    let world = &World::new();
    let ports: &[Port; PORTS] = &std::array::from_fn(|index| Port {
        number: world.events.alloc(0, index as u32 / 2).unwrap(),
        ..Port::default()
    });
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        let ends = Done(done);
        for vcpu in 0..VCPUS {
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    take(world, ports, vcpu);
                }
            });
        }
        let raisers = (1..4).map(|seed| {
            scope.spawn(move || {
                let mut state = seed;
                for _ in 0..ROUNDS {
                    let port = &ports[random(&mut state) as usize % PORTS];
                    if world.events.send(port.number).unwrap().pending {
                        port.became_pending.fetch_add(1, SeqCst);
                    }
                }
            })
        });
        let masker = scope.spawn(move || {
            let mut state = 5;
            for _ in 0..ROUNDS {
                let port = &ports[random(&mut state) as usize % PORTS];
                world.events.mask(port.number).unwrap();
                let _ = world.events.unmask(port.number).unwrap();
            }
        });
        let binder = scope.spawn(move || {
            let mut state = 7;
            for _ in 0..ROUNDS {
                let port = &ports[random(&mut state) as usize % PORTS];
                let vcpu = random(&mut state) % VCPUS;
                port.vcpu.store(vcpu, SeqCst);
                let bound = world.events.bind_vcpu(&world.timers, port.number, vcpu);
                let _ = bound.unwrap();
            }
        });
        let actors: Vec<_> = raisers.chain([masker, binder]).collect();
        for actor in actors {
            actor.join().unwrap();
        }
        drop(ends);
    });
    // Every vCPU that was told looks once more.
    for vcpu in 0..VCPUS {
        while world.events.upcall_pending(vcpu) {
            take(world, ports, vcpu);
        }
    }
    assert!(world.due().is_empty());
    for port in ports {
        let [became_pending, taken] =
            [&port.became_pending, &port.taken].map(|count| count.load(SeqCst));
        assert_eq!(became_pending, taken);
        assert!(taken > 0);
    }
}

#[test]
fn a_closed_port_stays_silent() {
    let world = &World::new();
    let done = &AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    match world.events.send(1) {
                        Ok(_) => {}
                        Err(errno) => assert!(matches!(errno, Errno::ENOENT | Errno::EPERM)),
                    }
                    world.events.raise_source(&world.vcpus, Source::Grant);
                    let _ = world.timers.set(&world.events, 1, 0, 0);
                }
            });
        }
        let _ends = Done(done);
        for round in 0..ROUNDS / 50 {
            let given = match round % 3 {
                0 => world.events.alloc(0, 0),
                1 => world.events.bind_timer(&world.timers, 1, 0),
                _ => world.events.bind_source(Source::Grant, 2, 0),
            };
            assert_eq!(given, Ok(1));
            if round % 3 == 1 {
                let _ = world.timers.set(&world.events, 1, u64::MAX, 0).unwrap();
            }
            // Now and then the others get the time to raise it, so that they run at all.
            while round % 64 == 0 && !world.events.is_pending(1) {
                thread::yield_now();
            }
            world.events.close(&world.timers, 1).unwrap();
            for _ in 0..10 {
                assert!(!world.events.is_pending(1));
            }
            assert_eq!(world.timers.next_deadline(1), None);
        }
    });
}
