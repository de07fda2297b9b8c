//! Events: the ports of a VM, what raises them, and the memory that they share with the guest.
//!
//! The protocol is [`pv_abi::event_protocol`]'s. Raising a port can be done by any thread: it takes
//! no lock and allocates nothing. What a port is changes under one lock ([`Events::table`]);
//! [`port`] says how the two get on with each other.

mod free;
pub(crate) mod pages;
pub mod port;
#[cfg(test)]
pub(crate) mod reference;
pub mod saved;

use crate::memory::PrivateMemory;
use crate::sync::lock;
use crate::time::timers::Timers;
use crate::vcpu::shared::Vcpus;
use free::FreePorts;
use pages::{Pages, VcpuWords};
use port::{Hold, Kind, Port, Source};
use pv_abi::Errno;
use pv_abi::event::{EVENT_PORTS, TIMERS_MAX};
use pv_abi::event_protocol::{self as protocol, Raised};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::{hint, thread};
use zerocopy::FromZeros;

/// The ports of a VM.
#[derive(Debug)]
pub struct Events {
    pages: Pages,
    ports: Box<[Port]>,
    /// The port of each source, 0 for none.
    sources: Box<[AtomicU32]>,
    table: Mutex<Table>,
}

/// What changes when ports are given and taken back.
#[derive(Debug)]
struct Table {
    free: FreePorts,
    timers: usize,
}

/// What the vCPUs' threads have to be told about ports that were raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct News {
    /// A port has become pending.
    pub pending: bool,
    /// The vCPU that has something to look at now, and had nothing before.
    pub notify: Option<u32>,
}

impl News {
    /// Of a port that was raised, and the vCPU that was told of it.
    fn of_raised(raised: Raised, vcpu: u32) -> Self {
        Self {
            pending: raised != Raised::Was,
            notify: (raised == Raised::Notify).then_some(vcpu),
        }
    }

    /// Of a port that was pending already.
    fn of_told(raised: Option<Raised>, vcpu: u32) -> Self {
        Self {
            pending: false,
            notify: (raised == Some(Raised::Notify)).then_some(vcpu),
        }
    }

    /// Both together. Of two vCPUs only the later is kept: both are of the same.
    pub fn and(self, other: Self) -> Self {
        Self {
            pending: self.pending || other.pending,
            notify: other.notify.or(self.notify),
        }
    }

    /// Tells the vCPUs' threads. `caller` is the vCPU whose own thread this is.
    pub fn tell(self, vcpus: &Vcpus, caller: Option<u32>) {
        match self.notify {
            // It looks before it enters the guest again, and needs no signal for it.
            Some(vcpu) if caller == Some(vcpu) => {
                if let Some(shared) = vcpus.get(vcpu) {
                    shared.note_attention();
                }
            }
            Some(vcpu) => vcpus.notify(vcpu),
            None => {}
        }
        if self.pending {
            vcpus.wake_pollers();
        }
    }
}

impl Events {
    /// All ports are free. `event_page` and `vcpu_pages` are the guest-physical addresses of
    /// private pages that the guest sees as such.
    pub fn new(memory: Arc<PrivateMemory>, event_page: u64, vcpu_pages: &[u64]) -> Self {
        let ports = <[Port]>::new_box_zeroed_with_elems(EVENT_PORTS)
            .unwrap_or_else(|_| (0..EVENT_PORTS).map(|_| Port::default()).collect());
        Self {
            pages: Pages::new(memory, event_page, vcpu_pages),
            ports,
            sources: (0..Source::COUNT).map(|_| AtomicU32::new(0)).collect(),
            table: Mutex::new(Table {
                free: FreePorts::new(),
                timers: 0,
            }),
        }
    }

    fn port(&self, port: u32) -> Result<&Port, Errno> {
        self.ports.get(port as usize).ok_or(Errno::EINVAL)
    }

    fn check_vcpu(&self, vcpu: u32) -> Result<(), Errno> {
        if vcpu < self.pages.vcpus() {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// What raises a port, and the vCPU that it belongs to.
    ///
    /// # Errors
    ///
    /// EINVAL when there is no such port, ENOENT when it is free.
    pub fn owner(&self, port: u32) -> Result<(Kind, u32), Errno> {
        match self.port(port)?.read() {
            (Kind::Free, _) => Err(Errno::ENOENT),
            owner => Ok(owner),
        }
    }

    /// Whether a port can be waited for.
    ///
    /// # Errors
    ///
    /// As [`Events::owner`].
    pub fn check_port(&self, port: u32) -> Result<(), Errno> {
        self.owner(port).map(drop)
    }

    /// Whether a port is pending, masked or not. The guest can make it so, and not so.
    pub fn is_pending(&self, port: u32) -> bool {
        self.port(port).is_ok() && protocol::is_pending(&self.pages.ports(), port as usize)
    }

    /// Whether a vCPU has been told of an event that it has not begun to take.
    pub fn upcall_pending(&self, vcpu: u32) -> bool {
        self.check_vcpu(vcpu).is_ok() && self.pages.target(vcpu).upcall_pending()
    }

    /// Gives a free port to what raises it: unmasked, and not pending.
    fn give(&self, table: &mut Table, kind: Kind, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        self.check_vcpu(vcpu)?;
        let port = table.free.lowest(priority)?;
        table.free.take(port);
        protocol::reset(&self.pages.ports(), port as usize);
        self.port(port)?.set(kind, vcpu);
        Ok(port)
    }

    /// `event_alloc`: a port that the guest raises.
    pub fn alloc(&self, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        self.give(&mut lock(&self.table), Kind::Alloc, vcpu, priority)
    }

    /// `event_bind_ipi`: a port that the guest raises and that stays with its vCPU.
    pub fn bind_ipi(&self, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        self.give(&mut lock(&self.table), Kind::Ipi, vcpu, priority)
    }

    /// `event_bind_timer`: a port that its timer raises.
    pub fn bind_timer(&self, timers: &Timers, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        let mut table = lock(&self.table);
        self.check_vcpu(vcpu)?;
        table.free.lowest(priority)?;
        if table.timers == TIMERS_MAX {
            return Err(Errno::ENOSPC);
        }
        timers.make_room(vcpu);
        let port = self.give(&mut table, Kind::Timer, vcpu, priority)?;
        table.timers += 1;
        Ok(port)
    }

    /// `event_bind_source`: a port that the VMM raises. What has happened before is not told.
    pub fn bind_source(&self, source: Source, vcpu: u32, priority: u32) -> Result<u32, Errno> {
        let mut table = lock(&self.table);
        self.check_vcpu(vcpu)?;
        table.free.lowest(priority)?;
        let slot = self.source(source);
        if slot.load(Ordering::SeqCst) != 0 {
            return Err(Errno::EBUSY);
        }
        let port = self.give(&mut table, Kind::Source(source), vcpu, priority)?;
        slot.store(port, Ordering::SeqCst);
        Ok(port)
    }

    fn source(&self, source: Source) -> &AtomicU32 {
        &self.sources[source.index()]
    }

    /// `event_bind_vcpu`: gives a port, with its timer, to another vCPU.
    pub fn bind_vcpu(&self, timers: &Timers, port: u32, vcpu: u32) -> Result<News, Errno> {
        let _table = lock(&self.table);
        let state = self.port(port)?;
        self.check_vcpu(vcpu)?;
        let (kind, before) = self.owner(port)?;
        match kind {
            Kind::Ipi => return Err(Errno::EPERM),
            Kind::Timer => timers.rebind(port, before, vcpu, || state.set(kind, vcpu)),
            _ => state.set(kind, vcpu),
        }
        let mut told = 0;
        let raised = protocol::retell(&self.pages.ports(), port as usize, || {
            self.target_of(state, &mut told)
        });
        Ok(News::of_told(raised, told))
    }

    /// `event_send`: raises a port of the guest's own; whether it became pending.
    #[inline]
    pub fn send(&self, port: u32) -> Result<News, Errno> {
        self.raise(port, Kind::is_sent).map_err(|kind| match kind {
            None => Errno::EINVAL,
            Some(Kind::Free) => Errno::ENOENT,
            Some(_) => Errno::EPERM,
        })
    }

    /// Raises the port of a timer, if it is one.
    pub fn raise_timer(&self, port: u32) -> News {
        self.raise(port, |kind| kind == Kind::Timer)
            .unwrap_or_default()
    }

    /// Something has happened that a source is about: raises its port, on any thread. Whether it
    /// has one.
    pub fn raise_source(&self, vcpus: &Vcpus, source: Source) -> bool {
        let port = self.source(source).load(Ordering::SeqCst);
        // The port may be something else by now.
        match self.raise(port, |kind| kind == Kind::Source(source)) {
            Ok(news) => {
                news.tell(vcpus, None);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether a source has a port.
    pub fn is_bound(&self, source: Source) -> bool {
        self.source(source).load(Ordering::SeqCst) != 0
    }

    /// Raises a port if it is of a kind that is wanted; otherwise what it is, `None` for no port.
    #[inline]
    fn raise(&self, port: u32, wanted: impl Fn(Kind) -> bool) -> Result<News, Option<Kind>> {
        let state = self.port(port).map_err(|_| None)?;
        let _held = state.hold(wanted).map_err(Some)?;
        let mut told = 0;
        let raised = protocol::raise(&self.pages.ports(), port as usize, || {
            self.target_of(state, &mut told)
        });
        Ok(News::of_raised(raised, told))
    }

    /// The vCPU that a port belongs to now, noted in `vcpu`.
    #[inline]
    fn target_of(&self, state: &Port, vcpu: &mut u32) -> VcpuWords<'_> {
        *vcpu = state.read().1;
        self.pages.target(*vcpu)
    }

    /// `event_mask`.
    pub fn mask(&self, port: u32) -> Result<(), Errno> {
        let _held = Self::hold(self.port(port)?)?;
        protocol::mask(&self.pages.ports(), port as usize);
        Ok(())
    }

    /// `event_unmask`.
    pub fn unmask(&self, port: u32) -> Result<News, Errno> {
        let state = self.port(port)?;
        let _held = Self::hold(state)?;
        let mut told = 0;
        let raised = protocol::unmask(&self.pages.ports(), port as usize, || {
            self.target_of(state, &mut told)
        });
        Ok(News::of_told(raised, told))
    }

    fn hold(state: &Port) -> Result<Hold<'_>, Errno> {
        state
            .hold(|kind| kind != Kind::Free)
            .map_err(|_| Errno::ENOENT)
    }

    /// `event_close`: frees a port. When this returns it is not pending, and nothing raises it.
    pub fn close(&self, timers: &Timers, port: u32) -> Result<(), Errno> {
        let mut table = lock(&self.table);
        let state = self.port(port)?;
        let (kind, vcpu) = self.owner(port)?;
        if let Kind::Source(source) = kind {
            self.source(source).store(0, Ordering::SeqCst);
        }
        let mut looks = 0;
        state.close(|| {
            // Those who hold it are a few instructions from the end, unless they have lost their
            // processor.
            looks += 1;
            if looks % 100 == 0 {
                thread::yield_now();
            } else {
                hint::spin_loop();
            }
        });
        if kind == Kind::Timer {
            timers.forget(vcpu, port);
            table.timers -= 1;
        }
        protocol::clear(&self.pages.ports(), port as usize);
        table.free.give_back(port);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
