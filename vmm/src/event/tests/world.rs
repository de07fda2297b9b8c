//! The events of a VM whose guest is the test.

use crate::event::Events;
use crate::event::pages::Pages;
use crate::event::reference::Words;
use crate::memory::PrivateMemory;
use crate::time::clock::Clock;
use crate::time::timers::Timers;
use crate::vcpu::shared::Vcpus;
use pv_abi::event::EVENT_WORDS;
use pv_abi::event_protocol::{Taker, Target, Word};
use std::sync::Arc;

pub const VCPUS: u32 = 3;

pub struct World {
    pub events: Events,
    pub timers: Timers,
    pub vcpus: Vcpus,
    /// The same pages, as the guest has them.
    pub pages: Pages,
}

impl World {
    pub fn new() -> Self {
        let memory = Arc::new(PrivateMemory::new(0x10_0000, 1 + u64::from(VCPUS)).unwrap());
        let event_page = memory.allocate(1).unwrap();
        let vcpu_pages: Vec<_> = (0..VCPUS).map(|_| memory.allocate(1).unwrap()).collect();
        Self {
            events: Events::new(Arc::clone(&memory), event_page, &vcpu_pages),
            timers: Timers::new(Clock::start(1_000_000_000, 0), VCPUS),
            vcpus: Vcpus::new(VCPUS),
            pages: Pages::new(memory, event_page, &vcpu_pages),
        }
    }

    pub fn words(&self) -> Words {
        Words::of(&self.pages)
    }

    /// What a vCPU of the guest takes, when `vcpu_of` says whose each port is.
    pub fn take(&self, vcpu: u32, vcpu_of: impl Fn(u32) -> bool) -> Vec<u32> {
        let here = Here {
            world: self,
            vcpu,
            is_own: vcpu_of,
        };
        let mut taker = Taker::new(&here);
        std::iter::from_fn(|| taker.next(&self.pages.ports(), &here))
            .map(|port| port as u32)
            .collect()
    }

    /// The ports that are pending and not masked, of which a vCPU has to know.
    pub fn due(&self) -> Vec<u32> {
        let words = self.words();
        (0..EVENT_WORDS as u32 * 64)
            .filter(|port| {
                let (word, bit) = (*port as usize / 64, 1 << (port % 64));
                words.pending[word] & !words.mask[word] & bit != 0
            })
            .collect()
    }
}

/// A vCPU of the guest that takes events.
struct Here<'a, F> {
    world: &'a World,
    vcpu: u32,
    is_own: F,
}

impl<F: Fn(u32) -> bool> Target for Here<'_, F> {
    fn selector(&self) -> impl Word {
        Selector(self.world.pages.target(self.vcpu))
    }

    fn set_upcall_pending(&self) -> bool {
        self.world.pages.target(self.vcpu).set_upcall_pending()
    }

    fn clear_upcall_pending(&self) {
        self.world.pages.target(self.vcpu).clear_upcall_pending();
    }

    fn own(&self, index: usize, ports: u64) -> u64 {
        (0..64)
            .filter(|bit| ports & 1 << bit != 0 && (self.is_own)(index as u32 * 64 + bit))
            .fold(0, |own, bit| own | 1 << bit)
    }
}

/// The selector of a target that lives no longer than this.
struct Selector<T>(T);

impl<T: Target> Word for Selector<T> {
    fn load(&self) -> u64 {
        self.0.selector().load()
    }

    fn fetch_or(&self, bits: u64) -> u64 {
        self.0.selector().fetch_or(bits)
    }

    fn fetch_and(&self, bits: u64) -> u64 {
        self.0.selector().fetch_and(bits)
    }
}
