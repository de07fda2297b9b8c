//! Events: ports, and taking what has become pending.
//!
//! A [`Port`] becomes pending when somebody sends to it or its source has something to say, and
//! its vCPU is told. [`Events`] then yields what is pending, lowest port first. Looking,
//! masking and taking are memory operations; only what another vCPU must hear of is a call.
//! The protocol is [`pv_abi::event`]'s.

#![allow(unsafe_code)]

use crate::{hypercall::raw, start_info, vcpu};
use core::marker::PhantomData;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use pv_abi::Errno;
use pv_abi::event::{
    EVENT_PORTS, EVENT_SOURCE_CONSOLE, EVENT_SOURCE_DEVICE, EVENT_SOURCE_GRANT, EVENT_SOURCE_QUEUE,
    EVENT_SOURCE_RESTORED, EVENT_SOURCE_SHUTDOWN, EventPage,
};
use pv_abi::event_protocol::{self as protocol, Ports, Target, Word};
use pv_abi::vcpu_page::VcpuPage;

/// The vCPU of each port. A port that is bound to another vCPU has the new one here before the
/// VMM knows it: the VMM tells that one then of what the old one passes over.
static VCPU_OF: [AtomicU16; EVENT_PORTS] = [const { AtomicU16::new(0) }; EVENT_PORTS];

/// The priority of a port: of several events, those of the highest come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Before all others.
    Highest = 0,
    /// The one that is meant when none is named.
    #[default]
    High = 1,
    /// After those.
    Low = 2,
    /// When there is nothing else to do.
    Lowest = 3,
}

/// What the VMM can tell of. Each source has at most one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Bytes can be read from the console, or its input has ended.
    Console,
    /// Somebody asks the guest to shut down.
    Shutdown,
    /// Another guest has granted memory to this one, or taken a grant back.
    Grant,
    /// The VM goes on from a snapshot: see [`restored`](crate::restored).
    Restored,
    /// The device of this number has a new configuration, or needs a reset.
    Device(u32),
    /// The device has used buffers of the queue with this doorbell.
    Queue(u32),
}

impl Source {
    fn number(self) -> u32 {
        match self {
            Self::Console => EVENT_SOURCE_CONSOLE,
            Self::Shutdown => EVENT_SOURCE_SHUTDOWN,
            Self::Grant => EVENT_SOURCE_GRANT,
            Self::Restored => EVENT_SOURCE_RESTORED,
            Self::Device(number) => EVENT_SOURCE_DEVICE.saturating_add(number),
            Self::Queue(doorbell) => EVENT_SOURCE_QUEUE.saturating_add(doorbell),
        }
    }
}

/// A port. It is closed when this is dropped.
#[derive(Debug)]
pub struct Port {
    number: u32,
}

impl Port {
    /// A port that [`Port::send`] raises, and whatever else it is given to. `vcpu` is the
    /// number of the vCPU that is told.
    ///
    /// # Errors
    ///
    /// Those of `event_alloc`: no such vCPU, or no port of this priority is free.
    pub fn new(vcpu: u32, priority: Priority) -> Result<Self, Errno> {
        Self::taken(raw::event_alloc(vcpu, priority as u32)?, vcpu)
    }

    /// A port for interrupts from vCPU to vCPU: it stays with its vCPU.
    ///
    /// # Errors
    ///
    /// As [`Port::new`].
    pub fn for_ipi(vcpu: u32, priority: Priority) -> Result<Self, Errno> {
        Self::taken(raw::event_bind_ipi(vcpu, priority as u32)?, vcpu)
    }

    /// A port that the VMM raises.
    ///
    /// # Errors
    ///
    /// As [`Port::new`], and [`Errno::EBUSY`] when the source has a port.
    pub fn for_source(source: Source, vcpu: u32, priority: Priority) -> Result<Self, Errno> {
        let number = raw::event_bind_source(source.number(), vcpu, priority as u32)?;
        Self::taken(number, vcpu)
    }

    /// A port with a timer: a [`Timer`](crate::time::Timer) owns it.
    pub(crate) fn for_timer(vcpu: u32, priority: Priority) -> Result<Self, Errno> {
        Self::taken(raw::event_bind_timer(vcpu, priority as u32)?, vcpu)
    }

    fn taken(number: u32, vcpu: u32) -> Result<Self, Errno> {
        let port = Self { number };
        port.belongs_to(vcpu);
        // It may have been raised before its vCPU knew that it is its own.
        port.tell_if_pending();
        Ok(port)
    }

    fn belongs_to(&self, vcpu: u32) {
        VCPU_OF[self.index()].store(vcpu as u16, Ordering::SeqCst);
    }

    fn index(&self) -> usize {
        self.number as usize % EVENT_PORTS
    }

    /// Its number, as [`Events`] yields it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The vCPU that is told of it.
    pub fn vcpu(&self) -> u32 {
        vcpu_of(self.index())
    }

    /// Has another vCPU told of it from now on, also if it is pending already.
    ///
    /// # Errors
    ///
    /// Those of `event_bind_vcpu`: no such vCPU, or it is a port of [`Port::for_ipi`].
    pub fn bind_vcpu(&self, vcpu: u32) -> Result<(), Errno> {
        let before = self.vcpu();
        self.belongs_to(vcpu);
        let bound = raw::event_bind_vcpu(self.number, vcpu).map(drop);
        if bound.is_err() {
            self.belongs_to(before);
            self.tell_if_pending();
        }
        bound
    }

    /// Raises it: whether it became pending, and was not so before.
    ///
    /// # Errors
    ///
    /// [`Errno::EPERM`] for a port with a source of its own.
    pub fn send(&self) -> Result<bool, Errno> {
        Ok(raw::event_send(self.number)? != 0)
    }

    /// Whether it is pending.
    pub fn is_pending(&self) -> bool {
        protocol::is_pending(&SharedPorts, self.index())
    }

    /// Makes it not pending: whether it was. Who gets `true` has the event.
    pub fn take(&self) -> bool {
        protocol::clear(&SharedPorts, self.index())
    }

    /// Masks it: it may become pending, and nobody is told.
    pub fn mask(&self) {
        protocol::mask(&SharedPorts, self.index());
    }

    /// Unmasks it. If it is pending its vCPU is told.
    pub fn unmask(&self) {
        let (word, bit) = protocol::place(self.index());
        SharedPorts.mask(word).fetch_and(!bit);
        self.tell_if_pending();
    }

    /// Tells the port's vCPU if it is pending and not masked.
    fn tell_if_pending(&self) {
        let (word, bit) = protocol::place(self.index());
        if SharedPorts.pending(word).load() & !SharedPorts.mask(word).load() & bit == 0 {
            return;
        }
        // With upcalls masked nothing moves this code to another vCPU, and whoever unmasks them
        // looks at `upcall_pending`.
        if upcalls_masked() && self.vcpu() == vcpu::id() {
            protocol::retell(&SharedPorts, self.index(), || ThisVcpu(vcpu::page()));
        } else {
            // It cannot fail: the port is ours.
            let _ = raw::event_unmask(self.number);
        }
    }

    /// Gives the number without closing the port.
    pub fn into_number(self) -> u32 {
        let number = self.number;
        core::mem::forget(self);
        number
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // It cannot fail: the port is ours.
        let _ = raw::event_close(self.number);
    }
}

/// The vCPU that a port belongs to, as far as this guest has bound it.
fn vcpu_of(port: usize) -> u32 {
    VCPU_OF[port % EVENT_PORTS].load(Ordering::SeqCst).into()
}

/// The events of the running vCPU, as port numbers, lowest first. Each is taken when it is
/// yielded.
///
/// When it yields `None`, [`upcall_pending`] says whether more have come meanwhile.
#[derive(Debug)]
pub struct Events {
    taker: Option<protocol::Taker>,
    here: ThisVcpu,
    // It is of this vCPU.
    _not_send: PhantomData<*mut ()>,
}

impl Events {
    /// Begins to take the events of the running vCPU. Upcalls stay masked until this is dropped:
    /// then the code stays on this vCPU, and whoever unmasks them finds what was left.
    pub fn begin() -> Self {
        let here = ThisVcpu(vcpu::page());
        Self {
            taker: Some(protocol::Taker::new(&here)),
            here,
            _not_send: PhantomData,
        }
    }
}

impl Iterator for Events {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let taker = self.taker.as_mut()?;
        taker.next(&SharedPorts, &self.here).map(|port| port as u32)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(taker) = self.taker.take() {
            taker.abandon(&self.here);
        }
    }
}

/// Whether the running vCPU has been told of events that it has not begun to take.
pub fn upcall_pending() -> bool {
    let pending: u8;
    // SAFETY: the GS base is the vCPU's page.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[{offset}]",
            out(reg_byte) pending,
            offset = const offset_of!(VcpuPage, upcall_pending),
            // The VMM changes it, so it is no pure function of this guest's memory.
            options(nostack, preserves_flags),
        );
    }
    pending != 0
}

/// Whether upcalls are masked on the running vCPU.
pub fn upcalls_masked() -> bool {
    let masked: u8;
    // SAFETY: the GS base is the vCPU's page.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[{offset}]",
            out(reg_byte) masked,
            offset = const offset_of!(VcpuPage, upcall_mask),
            options(nostack, preserves_flags),
        );
    }
    masked != 0
}

/// Masks upcalls on the running vCPU: whether they were.
///
/// A thread that is moved to another vCPU in here was not masked on the one, and masks the other.
#[inline]
pub fn mask_upcalls() -> bool {
    let masked: u8;
    // SAFETY: the GS base is the vCPU's page, whose field is the guest's to write.
    unsafe {
        core::arch::asm!(
            "mov {masked}, gs:[{offset}]",
            "mov byte ptr gs:[{offset}], 1",
            masked = out(reg_byte) masked,
            offset = const offset_of!(VcpuPage, upcall_mask),
            options(nostack, preserves_flags),
        );
    }
    masked != 0
}

/// Unmasks upcalls on the running vCPU: whether events wait that nobody will be told of any
/// more. Then the caller takes them.
///
/// There is no fence between both instructions: the VMM looks at the mask on this vCPU's own
/// thread, when it has left the guest. If it left between them, what it has set by then is read;
/// if it left behind them, it sees that upcalls are not masked.
#[inline]
#[must_use = "events that came while upcalls were masked are this caller's to take"]
pub fn unmask_upcalls() -> bool {
    let pending: u8;
    // SAFETY: as in `mask_upcalls`.
    unsafe {
        core::arch::asm!(
            "mov byte ptr gs:[{mask}], 0",
            "mov {pending}, gs:[{offset}]",
            pending = out(reg_byte) pending,
            mask = const offset_of!(VcpuPage, upcall_mask),
            offset = const offset_of!(VcpuPage, upcall_pending),
            options(nostack, preserves_flags),
        );
    }
    pending != 0
}

/// A word of memory that guest and VMM share.
struct SharedWord(*const AtomicU64);

impl SharedWord {
    fn word(&self) -> &AtomicU64 {
        // SAFETY: it is a word of the event page or of a vCPU page, mapped for ever, and
        // everyone changes it by atomic instructions.
        unsafe { &*self.0 }
    }
}

impl Word for SharedWord {
    fn load(&self) -> u64 {
        self.word().load(Ordering::SeqCst)
    }

    fn fetch_or(&self, bits: u64) -> u64 {
        self.word().fetch_or(bits, Ordering::SeqCst)
    }

    fn fetch_and(&self, bits: u64) -> u64 {
        self.word().fetch_and(bits, Ordering::SeqCst)
    }
}

/// The event page.
struct SharedPorts;

impl SharedPorts {
    fn word(&self, offset: usize, index: usize) -> SharedWord {
        let page = start_info::get().page().event_page as usize;
        SharedWord(core::ptr::with_exposed_provenance(
            page + offset + index * size_of::<u64>(),
        ))
    }
}

impl Ports for SharedPorts {
    fn pending(&self, index: usize) -> impl Word {
        self.word(offset_of!(EventPage, pending), index)
    }

    fn mask(&self, index: usize) -> impl Word {
        self.word(offset_of!(EventPage, mask), index)
    }
}

/// The page of the vCPU that runs this code, as long as nothing moves it to another.
#[derive(Debug)]
struct ThisVcpu(*mut VcpuPage);

impl ThisVcpu {
    fn upcall_pending(&self) -> &AtomicU8 {
        // SAFETY: vCPU pages are mapped for ever, and everyone changes this byte by atomic
        // instructions.
        unsafe { AtomicU8::from_ptr(&raw mut (*self.0).upcall_pending) }
    }
}

impl Target for ThisVcpu {
    fn selector(&self) -> impl Word {
        // SAFETY: the page is mapped for ever.
        SharedWord(unsafe { (&raw const (*self.0).event_selector).cast() })
    }

    fn set_upcall_pending(&self) -> bool {
        self.upcall_pending().swap(1, Ordering::SeqCst) != 0
    }

    fn clear_upcall_pending(&self) {
        self.upcall_pending().store(0, Ordering::SeqCst);
    }

    fn own(&self, index: usize, ports: u64) -> u64 {
        // SAFETY: the page is mapped for ever.
        let id = unsafe { (&raw const (*self.0).vcpu_id).read_volatile() };
        let mut own = 0;
        let mut rest = ports;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            if vcpu_of(index * 64 + bit.trailing_zeros() as usize) == id {
                own |= bit;
            }
            rest &= !bit;
        }
        own
    }
}
