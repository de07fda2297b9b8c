//! The ports of a VM as the ABI's reference describes them, written down a second time, without
//! any concurrency: what the tests compare with.

use super::pages::Pages;
use super::port::{Kind, Source};
use pv_abi::Errno::{self, EBUSY, EINVAL, ENOENT, ENOSPC, EPERM};
use pv_abi::event::{EVENT_PORTS, EVENT_PORTS_PER_PRIORITY, EVENT_WORDS, TIMERS_MAX};
use pv_abi::event_protocol::{Ports, Target, Word};
use std::collections::{BTreeMap, BTreeSet};

/// A port that is not free.
#[derive(Clone, Copy, Debug)]
struct Port {
    kind: Kind,
    vcpu: u32,
    /// Its timer is set, to a time that does not come.
    set: bool,
}

/// The words that VMM and guest share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub pending: [u64; EVENT_WORDS],
    pub mask: [u64; EVENT_WORDS],
    /// The selector of each vCPU, and whether its `upcall_pending` is set.
    pub vcpus: Vec<(u64, bool)>,
}

impl Words {
    /// Those of a VM.
    pub fn of(pages: &Pages) -> Self {
        let ports = pages.ports();
        let vcpu = |number| {
            let target = pages.target(number);
            (target.selector().load(), target.upcall_pending())
        };
        Self {
            pending: std::array::from_fn(|index| ports.pending(index).load()),
            mask: std::array::from_fn(|index| ports.mask(index).load()),
            vcpus: (0..pages.vcpus()).map(vcpu).collect(),
        }
    }
}

/// The ports of a VM.
#[derive(Clone, Debug)]
pub struct Reference {
    ports: BTreeMap<u32, Port>,
    pending: BTreeSet<u32>,
    masked: BTreeSet<u32>,
    vcpus: Vec<(u64, bool)>,
}

impl Reference {
    pub fn new(vcpus: u32) -> Self {
        Self {
            ports: BTreeMap::new(),
            pending: BTreeSet::new(),
            masked: BTreeSet::new(),
            vcpus: vec![(0, false); vcpus as usize],
        }
    }

    fn find(&self, port: u32) -> Result<Port, Errno> {
        match self.ports.get(&port) {
            Some(port) => Ok(*port),
            None if port as usize >= EVENT_PORTS => Err(EINVAL),
            None => Err(ENOENT),
        }
    }

    fn check_vcpu(&self, vcpu: u32) -> Result<(), Errno> {
        match self.vcpus.get(vcpu as usize) {
            Some(_) => Ok(()),
            None => Err(EINVAL),
        }
    }

    fn lowest(&self, priority: u32) -> Result<u32, Errno> {
        if priority > 3 {
            return Err(EINVAL);
        }
        let first = priority * EVENT_PORTS_PER_PRIORITY as u32;
        (first.max(1)..first + EVENT_PORTS_PER_PRIORITY as u32)
            .find(|port| !self.ports.contains_key(port))
            .ok_or(ENOSPC)
    }

    /// `event_alloc` and all `event_bind_*` that give a port.
    pub fn give(&mut self, kind: Kind, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        self.check_vcpu(vcpu)?;
        let port = self.lowest(priority)?;
        let same = self.ports.values().filter(|port| port.kind == kind);
        match (kind, same.count()) {
            (Kind::Source(_), 1..) => return Err(EBUSY),
            (Kind::Timer, TIMERS_MAX..) => return Err(ENOSPC),
            _ => {}
        }
        let given = Port {
            kind,
            vcpu,
            set: false,
        };
        self.ports.insert(port, given);
        self.pending.remove(&port);
        self.masked.remove(&port);
        Ok(port)
    }

    fn tell(&mut self, port: u32) {
        if self.pending.contains(&port) && !self.masked.contains(&port) {
            let vcpu = self.ports[&port].vcpu;
            self.vcpus[vcpu as usize].0 |= 1 << (port / 64);
            self.vcpus[vcpu as usize].1 = true;
        }
    }

    fn raise(&mut self, port: u32) -> bool {
        let became = self.pending.insert(port);
        if became {
            self.tell(port);
        }
        became
    }

    pub fn bind_vcpu(&mut self, port: u32, vcpu: u32) -> Result<u32, Errno> {
        let found = self.find(port).map_err(|error| match error {
            // Both are wrong.
            ENOENT if self.check_vcpu(vcpu).is_err() => EINVAL,
            error => error,
        })?;
        self.check_vcpu(vcpu)?;
        if found.kind == Kind::Ipi {
            return Err(EPERM);
        }
        self.ports.insert(port, Port { vcpu, ..found });
        self.tell(port);
        Ok(0)
    }

    pub fn send(&mut self, port: u32) -> Result<u32, Errno> {
        match self.find(port)?.kind {
            Kind::Alloc | Kind::Ipi => Ok(self.raise(port).into()),
            _ => Err(EPERM),
        }
    }

    /// Whether the source has a port.
    pub fn raise_source(&mut self, source: Source) -> bool {
        let mut ports = self.ports.iter();
        let found = ports.find(|(_, port)| port.kind == Kind::Source(source));
        match found {
            Some((&port, _)) => {
                self.raise(port);
                true
            }
            None => false,
        }
    }

    pub fn mask(&mut self, port: u32) -> Result<u32, Errno> {
        self.find(port)?;
        self.masked.insert(port);
        Ok(0)
    }

    pub fn unmask(&mut self, port: u32) -> Result<u32, Errno> {
        self.find(port)?;
        self.masked.remove(&port);
        self.tell(port);
        Ok(0)
    }

    pub fn close(&mut self, port: u32) -> Result<u32, Errno> {
        self.find(port)?;
        self.ports.remove(&port);
        self.pending.remove(&port);
        Ok(0)
    }

    fn timer(&mut self, port: u32) -> Result<&mut Port, Errno> {
        self.find(port)?;
        let found = self.ports.get_mut(&port).ok_or(ENOENT)?;
        match found.kind {
            Kind::Timer => Ok(found),
            _ => Err(EINVAL),
        }
    }

    /// Sets a timer to a time that has come, or to one that does not. A periodic one that was due
    /// is set to another.
    pub fn set_timer(&mut self, port: u32, due: bool, periodic: bool) -> Result<u32, Errno> {
        self.timer(port)?.set = periodic || !due;
        if due {
            self.raise(port);
        }
        Ok(0)
    }

    pub fn cancel_timer(&mut self, port: u32) -> Result<u32, Errno> {
        let timer = self.timer(port)?;
        Ok(std::mem::take(&mut timer.set).into())
    }

    /// What a guest takes on a vCPU when it looks at its own ports alone.
    pub fn take(&mut self, vcpu: u32) -> Vec<u32> {
        let words = self.vcpus[vcpu as usize].0;
        self.vcpus[vcpu as usize] = (0, false);
        let due = |port: &u32| {
            let own = self.ports.get(port).is_some_and(|port| port.vcpu == vcpu);
            own && words & 1 << (port / 64) != 0 && !self.masked.contains(port)
        };
        let taken: Vec<_> = self.pending.iter().copied().filter(due).collect();
        for port in &taken {
            self.pending.remove(port);
        }
        taken
    }

    /// The vCPU of a port.
    pub fn vcpu_of(&self, port: u32) -> Option<u32> {
        self.ports.get(&port).map(|port| port.vcpu)
    }

    pub fn words(&self) -> Words {
        let bits = |ports: &BTreeSet<u32>| {
            let mut words = [0; EVENT_WORDS];
            for port in ports {
                words[*port as usize / 64] |= 1 << (port % 64);
            }
            words
        };
        Words {
            pending: bits(&self.pending),
            mask: bits(&self.masked),
            vcpus: self.vcpus.clone(),
        }
    }
}
