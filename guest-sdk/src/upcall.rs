//! Upcalls: how a vCPU is told of events, and how it puts that off.
//!
//! [`enable`] has the upcalls of the running vCPU arrive at the SDK, which calls the handlers of
//! the ports that are pending ([`set_handler`]). A handler runs between any two instructions of
//! whatever the vCPU was doing, on the trap stack, with upcalls masked; so it must not wait.
//!
//! Masking needs no exit: it is a byte of the vCPU page. What became pending meanwhile is taken
//! when the last [`Masked`] is dropped. A guest that has upcalls arrive at a handler of its own
//! ([`trap::set_upcall_handler`]) finds them masked by the SDK's locks too, and takes events
//! itself that came meanwhile.

#![allow(unsafe_code)]

use crate::event::{self, Events};
use crate::sync::SpinLock;
use crate::thread;
use crate::trap::{self, TrapFrame, VectorState};
use crate::vcpu::words::{self, MASK_BEFORE, MASK_DEPTH, RESCHEDULE, UPCALL_MASK};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::marker::PhantomData;
use pv_abi::event::{EVENT_PORTS, EVENT_WORDS};

/// Upcalls are masked on this vCPU while it lives, and no thread is preempted.
///
/// They nest, and may be dropped in any order.
#[derive(Debug)]
#[must_use]
pub struct Masked(
    /// It belongs to the vCPU that made it.
    PhantomData<*mut ()>,
);

impl Masked {
    /// Masks upcalls.
    #[inline]
    #[expect(clippy::new_without_default, reason = "it has an effect")]
    pub fn new() -> Self {
        // A thread's mask is the same on whatever vCPU it runs, so this may be read before.
        let before = words::load8::<UPCALL_MASK>();
        // SAFETY: from the mask on this code stays on this vCPU; `drop` counts down.
        unsafe {
            words::store8::<UPCALL_MASK, 1>();
            if words::load32::<MASK_DEPTH>() == 0 {
                words::store32::<MASK_BEFORE>(before.into());
            }
            words::increment::<MASK_DEPTH>();
        }
        Self(PhantomData)
    }

    /// One whose `new` somebody else has carried out.
    ///
    /// # Safety
    ///
    /// Upcalls have been masked once more than they will be unmasked.
    pub(crate) unsafe fn adopt() -> Self {
        Self(PhantomData)
    }

    /// How many of them there are on this vCPU. A handler of a trap or an event counts as one.
    pub(crate) fn depth(&self) -> u32 {
        words::load32::<MASK_DEPTH>()
    }
}

impl Drop for Masked {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: `new` counted up.
        let last = unsafe { words::decrement::<MASK_DEPTH>() };
        if last && words::load32::<MASK_BEFORE>() == 0 {
            unmask();
        }
    }
}

/// Unmasks upcalls, and does what could not be done while they were masked.
fn unmask() {
    loop {
        if words::load32::<RESCHEDULE>() != 0 {
            while_masked(thread::make_way);
        }
        // From behind this on it may be another vCPU, at which to look does no harm.
        if !event::unmask_upcalls() || !trap::is_upcall_handler(arrived) {
            return;
        }
        event::mask_upcalls();
        while_masked(take_events);
    }
}

/// Calls something that expects to be below a [`Masked`], where upcalls are masked without one.
pub(crate) fn while_masked(body: impl FnOnce()) {
    // SAFETY: it is counted down again below.
    unsafe { words::increment::<MASK_DEPTH>() };
    body();
    // SAFETY: it was counted up above.
    unsafe { words::decrement::<MASK_DEPTH>() };
}

/// Calls something with upcalls masked on this vCPU.
pub fn masked<R>(body: impl FnOnce() -> R) -> R {
    let _masked = Masked::new();
    body()
}

/// Has the upcalls of this vCPU arrive at the SDK from now on.
///
/// Needs [`Features::EVENTS`](pv_abi::Features::EVENTS). vCPUs that [`vcpu::start`] starts have
/// it done.
///
/// [`vcpu::start`]: crate::vcpu::start
///
/// # Panics
///
/// Without that feature.
pub fn enable() {
    let masked = Masked::new();
    trap::set_upcall_handler(arrived);
    if let Err(error) = trap::enable_upcalls() {
        panic!("trap_set_upcall failed: {error}");
    }
    // SAFETY: their handler is there.
    unsafe { words::store32::<MASK_BEFORE>(0) };
    drop(masked);
}

/// Has no upcalls arrive at this vCPU from now on. Events still become pending.
pub fn disable() {
    let masked = Masked::new();
    // SAFETY: they stay masked when `masked` is dropped.
    unsafe { words::store32::<MASK_BEFORE>(1) };
    drop(masked);
}

/// Whether upcalls of this vCPU arrive at the SDK, when they are not masked.
pub fn is_enabled() -> bool {
    let masked = Masked::new();
    let before = words::load32::<MASK_BEFORE>();
    drop(masked);
    before == 0 && trap::is_upcall_handler(arrived)
}

/// The handler of upcalls.
fn arrived(frame: &mut TrapFrame, vector: &mut VectorState) {
    take_events();
    // The trap stack is no place to switch at: a thread goes on elsewhere.
    if words::load32::<RESCHEDULE>() != 0 && !frame.is_trap_code() {
        thread::preempt(frame, vector);
    }
}

/// What is called for an event, with its port.
type Handler = Arc<dyn Fn(u32) + Send + Sync>;

/// The handlers of the ports of one word of the event page.
type Word = SpinLock<Option<Box<[Option<Handler>; PORTS_PER_WORD]>>>;

const PORTS_PER_WORD: usize = EVENT_PORTS / EVENT_WORDS;

static HANDLERS: [Word; EVENT_WORDS] = [const { SpinLock::new(None) }; EVENT_WORDS];

/// Sets what is called when a port's event is taken, by the vCPU that the port is bound to.
///
/// Without a handler an event is taken and forgotten: mask a port that is only polled.
///
/// # Panics
///
/// Where there is no such port.
pub fn set_handler(port: u32, handler: impl Fn(u32) + Send + Sync + 'static) {
    let (word, bit) = place(port);
    // Allocated and freed where the lock is not held.
    let mut spare = Some(Box::new([const { None }; PORTS_PER_WORD]));
    let handler: Handler = Arc::new(handler);
    let mut handlers = word.lock();
    if handlers.is_none() {
        *handlers = spare.take();
    }
    let before = handlers
        .as_mut()
        .and_then(|handlers| handlers[bit].replace(handler));
    drop(handlers);
    drop((before, spare));
}

/// Has nothing called for a port any more. Another vCPU may still be calling its handler.
///
/// # Panics
///
/// Where there is no such port.
pub fn clear_handler(port: u32) {
    let (word, bit) = place(port);
    let before = word
        .lock()
        .as_mut()
        .and_then(|handlers| handlers[bit].take());
    drop(before);
}

fn place(port: u32) -> (&'static Word, usize) {
    let port = port as usize;
    assert!(port < EVENT_PORTS, "there is no port {port}");
    (&HANDLERS[port / PORTS_PER_WORD], port % PORTS_PER_WORD)
}

/// Takes the events of this vCPU and calls their handlers. Upcalls are masked.
pub(crate) fn take_events() {
    loop {
        for port in Events::begin() {
            let (word, bit) = place(port);
            let handler = word
                .lock()
                .as_ref()
                .and_then(|handlers| handlers[bit].clone());
            if let Some(handler) = handler {
                handler(port);
            }
        }
        if !event::upcall_pending() {
            return;
        }
    }
}
