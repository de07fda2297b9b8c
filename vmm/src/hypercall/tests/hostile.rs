//! Hostile guests: random calls on random memory, each watched from all sides.

use super::generate::{
    Call, Memory, any_call, batch_call, call, memory, memory_with_a_long_batch, mode,
};
use super::model::Model;
use super::world::{RAM_SIZE, VCPUS, World, answer};
use crate::carrier::Mode;
use crate::hypercall::Action;
use crate::monitor::code::{self, Entry};
use proptest::collection::vec;
use proptest::prelude::*;
use pv_abi::Errno;
use pv_abi::address_space::LOWER_HALF_END;
use pv_abi::calls::{by_number, number};
use pv_abi::trap::{TRAP_VECTORS, VECTOR_DF, VECTOR_PF};

/// A world and the model of it.
struct Watched {
    world: World,
    model: Model,
    private: Vec<u8>,
    /// Where each vCPU's monitor is.
    monitors: Vec<Vec<u64>>,
}

impl Watched {
    fn new(mode: Mode, memory: &Memory, typed: &[u8]) -> Self {
        let mut world = World::in_mode(mode);
        // Nobody types while a test runs, so no call may wait.
        let _ = world.call(number::io_console_read, &[0, 100, 0]);
        world.live = Default::default();
        world.input.push(typed);
        world.input.close();
        memory.put(&world);
        Self {
            model: Model::of(&world, typed),
            private: world.private_but_handlers(),
            monitors: (0..VCPUS).map(|vcpu| world.monitor_pages(vcpu)).collect(),
            world,
        }
    }

    /// Makes a call. `false`: what it did could not be foreseen, and nothing after it can.
    fn call(&mut self, call: &Call) -> bool {
        let rax = self.world.dispatch(call.word, &call.arguments);
        let after = self.world.ram();
        self.check_answer(call, rax);
        let expected = self.model.dispatch(call.word, &call.arguments, rax);
        self.model.adopt_random_bytes(&after);
        if self.model.unforeseeable {
            return false;
        }
        self.check_safety(call);
        assert_eq!(rax, expected);
        if let Some(gpa) = first_difference(&after, &self.model.ram) {
            panic!("the byte at {gpa:#x} of RAM is not what it should be");
        }
        self.check_effects();
        true
    }

    /// Makes a call of which only that it does no harm is known.
    fn call_blindly(&mut self, call: &Call) {
        let rax = self.world.dispatch(call.word, &call.arguments);
        self.check_answer(call, rax);
        if let Some(Action::Interrupted) = self.world.action {
            assert!([number::sched_block, number::sched_poll].contains(&(call.word as u16)));
        }
        let monitors: Vec<_> = (0..VCPUS)
            .map(|vcpu| self.world.monitor_pages(vcpu))
            .collect();
        assert!(self.monitors == monitors);
    }

    /// What holds whatever a modelled call does.
    fn check_safety(&self, call: &Call) {
        let after = self.world.private_but_handlers();
        if let Some(at) = first_difference(&after, &self.private) {
            panic!("{call:?} has changed the byte at {at:#x} of the private pages");
        }
    }

    /// What holds whatever a call does.
    fn check_answer(&self, call: &Call, rax: i64) {
        let made = by_number(call.word as u16);
        if let Err(errno) = answer(rax) {
            let common = matches!(errno, Errno::EINVAL | Errno::ENOSYS);
            let documented = made.is_some_and(|made| made.errors.iter().any(|e| e.0 == errno));
            assert!(common || documented, "no one expects {}", errno.name());
        }
        assert_eq!(self.world.services.ram.size(), RAM_SIZE);
        assert!(
            self.world
                .handlers()
                .iter()
                .all(|&handler| handler < LOWER_HALF_END)
        );
        let owner = match self.world.action {
            None => return,
            Some(Action::Shutdown(_)) => number::sched_shutdown,
            Some(Action::Reboot) => number::sched_reboot,
            Some(Action::Crash) => number::sched_crash,
            Some(Action::Resume(_)) => number::trap_return,
            Some(Action::SetTls(_)) => number::trap_set_tls,
            Some(Action::SetDebug(_)) => number::trap_set_debug,
            Some(Action::StopVcpu) => number::vcpu_stop,
            Some(Action::SetRoots { .. }) => number::as_switch,
            // What waits ends when the VM does.
            // Nobody pauses it.
            Some(Action::Interrupted | Action::Repeat { .. }) => return,
        };
        assert_eq!(call.word, u64::from(owner));
    }

    /// Beside the answer and RAM, everything is as the model has it.
    fn check_effects(&self) {
        let (world, model) = (&self.world, &self.model);
        assert_eq!(world.handlers(), model.handlers);
        assert_eq!(world.gates(), self.expected_gates());
        assert!(world.output() == model.output);
        assert_eq!(world.event_words(), model.ports.words());
        assert_eq!(world.report(), format!("{:?}", model.report));
        assert_eq!(format!("{:?}", world.action), format!("{:?}", model.action));
        let stats = &world.stats();
        assert_eq!(stats.exits(), model.stats.exits);
        assert_eq!(stats.hypercalls(), model.stats.hypercalls);
        assert_eq!(stats.failed, model.stats.failed_hypercalls);
        assert_eq!(stats.batched, model.stats.batched_calls);
        assert_eq!(stats.unknown, model.unknown);
        let summary = stats.summary(1).into_iter();
        let mut made: Vec<_> = summary.map(|call| (call.name, call.count)).collect();
        made.sort_unstable();
        assert!(made.into_iter().eq(model.made.clone()));
    }

    fn expected_gates(&self) -> Vec<u64> {
        let syscall_faults = self.world.services.mode.syscall_faults;
        let gate = |vector: usize| match vector as u32 {
            VECTOR_DF => code::offset(Entry::DoubleFault),
            VECTOR_PF if syscall_faults => code::offset(Entry::FaultOrSyscall),
            _ if self.model.handlers[vector] != 0 => code::trap_entry(vector).unwrap(),
            _ => code::unhandled_entry(vector).unwrap(),
        };
        (0..TRAP_VECTORS).map(gate).collect()
    }
}

fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    assert_eq!(left.len(), right.len());
    if left == right {
        return None;
    }
    left.iter()
        .zip(right)
        .position(|(left, right)| left != right)
}

proptest! {
    #[test]
    fn a_call_does_what_the_reference_says_and_no_more(
        mode in mode(),
        memory in memory(),
        typed in vec(any::<u8>(), 0..100),
        call in call(),
    ) {
        Watched::new(mode, &memory, &typed).call(&call);
    }

    #[test]
    fn so_does_a_batch_of_any_length(
        mode in mode(),
        memory in memory_with_a_long_batch(),
        call in batch_call(0),
    ) {
        Watched::new(mode, &memory, b"").call(&call);
    }

    #[test]
    fn so_does_each_of_a_sequence_of_calls(
        mode in mode(),
        memory in memory(),
        typed in vec(any::<u8>(), 0..10_000),
        calls in vec(call(), 1..50),
    ) {
        let mut watched = Watched::new(mode, &memory, &typed);
        for call in &calls {
            if !watched.call(call) {
                break;
            }
        }
    }

    #[test]
    fn no_sequence_of_any_calls_harms_anybody(
        mode in mode(),
        memory in memory(),
        calls in vec(any_call(), 1..50),
    ) {
        let mut watched = Watched::new(mode, &memory, b"typed");
        // The VM is ending, so that no call waits for what never comes.
        watched.world.services.vcpus.stop_all();
        for call in &calls {
            watched.call_blindly(call);
        }
    }
}
