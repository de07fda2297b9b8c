//! The event protocol under a model checker: every interleaving of a few parties, up to a number
//! of preemptions, loses no event and delivers none twice.
//!
//! The words are loom's atomics, and each operation is one that reads and writes. Loom does not
//! model sequential consistency of plain loads and stores, but lets such an operation see
//! the last value always; so what is explored are the interleavings that the protocol promises to
//! work under.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use loom::thread;
use pv_abi::event_protocol::{
    Ports, Raised, Taker, Target, Word, mask, place, raise, retell, unmask,
};

const VCPUS: usize = 2;
/// Two ports of one word.
const PORTS: [usize; 2] = [1, 2];

struct Shared<'a>(&'a AtomicU64);

impl Word for Shared<'_> {
    fn load(&self) -> u64 {
        self.0.fetch_or(0, SeqCst)
    }

    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.fetch_or(bits, SeqCst)
    }

    fn fetch_and(&self, bits: u64) -> u64 {
        self.0.fetch_and(bits, SeqCst)
    }
}

/// A vCPU with the words of its page.
#[derive(Default)]
struct Vcpu {
    selector: AtomicU64,
    upcall_pending: AtomicU64,
    upcall_mask: AtomicU64,
    /// The VMM is about to deliver an upcall.
    notified: AtomicU64,
}

/// A VM: one word of ports, which belong to vCPUs.
#[derive(Default)]
struct Vm {
    pending: AtomicU64,
    mask: AtomicU64,
    vcpus: [Vcpu; VCPUS],
    /// The vCPU of each of [`PORTS`].
    vcpu_of: [AtomicUsize; 2],
    /// How often each of [`PORTS`] became pending, and was taken.
    raised: [AtomicUsize; 2],
    taken: [AtomicUsize; 2],
}

impl Ports for Vm {
    fn pending(&self, index: usize) -> impl Word {
        assert_eq!(index, 0);
        Shared(&self.pending)
    }

    fn mask(&self, index: usize) -> impl Word {
        assert_eq!(index, 0);
        Shared(&self.mask)
    }
}

/// A vCPU as the target of events.
struct Here<'a> {
    vm: &'a Vm,
    number: usize,
}

impl Here<'_> {
    fn vcpu(&self) -> &Vcpu {
        &self.vm.vcpus[self.number]
    }
}

impl Target for Here<'_> {
    fn selector(&self) -> impl Word {
        Shared(&self.vcpu().selector)
    }

    fn set_upcall_pending(&self) -> bool {
        self.vcpu().upcall_pending.swap(1, SeqCst) != 0
    }

    fn clear_upcall_pending(&self) {
        self.vcpu().upcall_pending.swap(0, SeqCst);
    }

    fn own(&self, _index: usize, ports: u64) -> u64 {
        let mut own = 0;
        for (which, port) in PORTS.into_iter().enumerate() {
            if ports & place(port).1 != 0 && self.vm.vcpu_of(which) == self.number {
                own |= place(port).1;
            }
        }
        own
    }
}

impl Vm {
    fn vcpu_of(&self, which: usize) -> usize {
        self.vcpu_of[which].fetch_or(0, SeqCst)
    }

    fn target(&self, which: usize) -> Here<'_> {
        Here {
            vm: self,
            number: self.vcpu_of(which),
        }
    }

    /// What `event_send` does with one of [`PORTS`].
    fn send(&self, which: usize) {
        let mut told = 0;
        let raised = raise(self, PORTS[which], || {
            let target = self.target(which);
            told = target.number;
            target
        });
        if raised != Raised::Was {
            self.raised[which].fetch_add(1, SeqCst);
        }
        self.notify(told, raised);
    }

    /// What `event_unmask` does.
    fn unmask(&self, which: usize) {
        let mut told = 0;
        let raised = unmask(self, PORTS[which], || {
            let target = self.target(which);
            told = target.number;
            target
        });
        self.notify(told, raised.unwrap_or(Raised::Was));
    }

    /// What `event_bind_vcpu` does.
    fn bind(&self, which: usize, vcpu: usize) {
        self.vcpu_of[which].swap(vcpu, SeqCst);
        let mut told = 0;
        let raised = retell(self, PORTS[which], || {
            let target = self.target(which);
            told = target.number;
            target
        });
        self.notify(told, raised.unwrap_or(Raised::Was));
    }

    /// What the VMM does about [`Raised::Notify`]: nothing while upcalls are masked.
    fn notify(&self, vcpu: usize, raised: Raised) {
        let vcpu = &self.vcpus[vcpu];
        if raised == Raised::Notify && vcpu.upcall_mask.fetch_or(0, SeqCst) == 0 {
            vcpu.notified.swap(1, SeqCst);
        }
    }

    /// Takes at most `most` events of a vCPU.
    fn take(&self, number: usize, most: usize) {
        let here = Here { vm: self, number };
        let mut taker = Taker::new(&here);
        for _ in 0..most {
            let Some(port) = taker.next(self, &here) else {
                return;
            };
            let which = PORTS.iter().position(|&other| other == port).unwrap();
            self.taken[which].fetch_add(1, SeqCst);
        }
        taker.abandon(&here);
    }

    /// What a guest does in an upcall, and also without one: masks upcalls, takes at most `most`
    /// events, unmasks upcalls, and takes the rest if there is any.
    fn poll(&self, number: usize, most: usize) {
        let vcpu = &self.vcpus[number];
        vcpu.upcall_mask.swap(1, SeqCst);
        self.take(number, most);
        vcpu.upcall_mask.swap(0, SeqCst);
        while vcpu.upcall_pending.fetch_or(0, SeqCst) != 0 {
            self.take(number, usize::MAX);
        }
    }

    /// Nobody else does anything any more. Every vCPU that was notified gets its upcall, and
    /// then every event that a vCPU is to know of has been taken, once.
    fn settle(&self) {
        for (number, vcpu) in self.vcpus.iter().enumerate() {
            if vcpu.notified.swap(0, SeqCst) != 0 {
                self.poll(number, usize::MAX);
            }
        }
        let pending = self.pending.load(SeqCst);
        assert_eq!(pending & !self.mask.load(SeqCst), 0, "an event is lost");
        for (which, port) in PORTS.into_iter().enumerate() {
            let masked = usize::from(pending & place(port).1 != 0);
            let taken = self.taken[which].load(SeqCst);
            assert_eq!(self.raised[which].load(SeqCst), taken + masked);
        }
    }
}

type Party = fn(&Vm);

/// Explores what can happen when each of the parties does its part at the same time, after
/// `before` was done.
fn explore(before: Party, parties: &[Party]) {
    let mut model = loom::model::Builder::new();
    // Every mistake that was made on purpose showed with two. LOOM_MAX_PREEMPTIONS takes more;
    // three take twenty times as long.
    model.preemption_bound.get_or_insert(2);
    let parties = parties.to_vec();
    model.check(move || {
        let vm = Arc::new(Vm::default());
        before(&vm);
        let threads: Vec<_> = parties
            .iter()
            .map(|&party| {
                let vm = Arc::clone(&vm);
                thread::spawn(move || party(&vm))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        vm.settle();
    });
}

#[test]
fn two_raise_the_same_port() {
    explore(
        |_| {},
        &[|vm| vm.send(0), |vm| vm.send(0), |vm| vm.poll(0, 9)],
    );
}

#[test]
fn two_raise_different_ports_of_a_word() {
    explore(
        |_| {},
        &[|vm| vm.send(0), |vm| vm.send(1), |vm| vm.poll(0, 9)],
    );
}

#[test]
fn one_raises_again_what_was_taken() {
    let twice: Party = |vm| {
        vm.send(0);
        vm.send(0);
    };
    explore(|_| {}, &[twice, |vm| vm.poll(0, 9)]);
}

#[test]
fn a_taker_stops_before_the_end() {
    let both: Party = |vm| {
        vm.send(0);
        vm.send(1);
        // That upcall is the one in which the taker stops.
        vm.vcpus[0].notified.swap(0, SeqCst);
    };
    explore(both, &[|vm| vm.send(0), |vm| vm.poll(0, 1)]);
}

#[test]
fn one_masks_and_unmasks_meanwhile() {
    let masker: Party = |vm| {
        mask(vm, PORTS[0]);
        vm.unmask(0);
    };
    explore(|_| {}, &[|vm| vm.send(0), masker, |vm| vm.poll(0, 9)]);
}

#[test]
fn what_stays_masked_stays_pending() {
    explore(
        |vm| vm.send(1),
        &[|vm| vm.send(0), |vm| mask(vm, PORTS[0]), |vm| vm.poll(0, 9)],
    );
}

#[test]
fn the_port_goes_to_another_vcpu_while_it_is_raised() {
    let takes_on_0: Party = |vm| vm.poll(0, 9);
    explore(|_| {}, &[|vm| vm.send(0), |vm| vm.bind(0, 1), takes_on_0]);
}

#[test]
fn the_port_goes_to_another_vcpu_which_takes() {
    let takes_on_1: Party = |vm| vm.poll(1, 9);
    explore(|_| {}, &[|vm| vm.send(0), |vm| vm.bind(0, 1), takes_on_1]);
}

#[test]
fn the_port_goes_to_another_vcpu_while_it_is_unmasked() {
    let before: Party = |vm| {
        mask(vm, PORTS[0]);
        vm.send(0);
    };
    explore(
        before,
        &[|vm| vm.unmask(0), |vm| vm.bind(0, 1), |vm| vm.poll(0, 9)],
    );
}

#[test]
fn two_vcpus_take_from_one_word() {
    explore(
        |vm| {
            vm.bind(1, 1);
            vm.send(1);
        },
        &[|vm| vm.send(0), |vm| vm.poll(0, 9), |vm| vm.poll(1, 9)],
    );
}
