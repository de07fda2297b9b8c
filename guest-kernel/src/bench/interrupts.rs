//! The group `event`: what interrupts and their controllers are for elsewhere.

use super::notice::{NOTICED, forget, notice, wait, wait_until};
use super::peer::{PEER, Peer, is_to_stop};
use super::session::{Session, Trouble};
use super::{Operation, ticks};
use core::hint::spin_loop;
use core::sync::atomic::Ordering;
use paravane_sdk::abi::vcpu_page::{RUN_STATE_BLOCKED, RUN_STATE_RUNNING};
use paravane_sdk::event::{Events, Port, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::{Features, vcpu};

const EVENTS: Features = Features::EVENTS;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("event_send", send).needs(EVENTS),
    Operation::new("event_mask", mask).needs(EVENTS),
    Operation::new("event_unmask", unmask).needs(EVENTS),
    Operation::new("event_bind_vcpu", bind_vcpu).needs(EVENTS),
    Operation::new("event_alloc_close", alloc_close).needs(EVENTS),
    Operation::new("event_to_self", to_self)
        .needs(EVENTS)
        .needs(Features::CLOCK),
    Operation::new("event_to_running", to_running)
        .needs(EVENTS)
        .with_a_peer(),
    Operation::new("event_to_blocked", to_blocked)
        .needs(EVENTS)
        .needs(Features::BLOCKING)
        .with_a_peer(),
];

fn port() -> Result<Port, Trouble> {
    Port::new(vcpu::id(), Priority::High).map_err(Trouble::call("event_alloc"))
}

/// The call alone: the port is pending already, and nobody is told.
fn send(session: &Session) -> Result<(), Trouble> {
    let port = port()?;
    port.mask();
    port.send()?;
    session.each(|| port.send().map(drop))
}

fn mask(session: &Session) -> Result<(), Trouble> {
    let port = port()?;
    session.each(|| raw::event_mask(port.number()).map(drop))
}

fn unmask(session: &Session) -> Result<(), Trouble> {
    let port = port()?;
    session.each(|| raw::event_unmask(port.number()).map(drop))
}

fn bind_vcpu(session: &Session) -> Result<(), Trouble> {
    let port = port()?;
    session.each(|| raw::event_bind_vcpu(port.number(), vcpu::id()).map(drop))
}

/// Two calls.
fn alloc_close(session: &Session) -> Result<(), Trouble> {
    let vcpu = vcpu::id();
    session.each(|| {
        let port = raw::event_alloc(vcpu, Priority::High as u32)?;
        raw::event_close(port).map(drop)
    })
}

/// Calls something with a port whose handler notices the event, and with upcalls enabled here.
fn with_noticing_port(
    vcpu: u32,
    body: impl FnOnce(&Port) -> Result<(), Trouble>,
) -> Result<(), Trouble> {
    let port = Port::for_ipi(vcpu, Priority::High).map_err(Trouble::call("event_bind_ipi"))?;
    upcall::set_handler(port.number(), |_| notice());
    upcall::enable();
    let result = body(&port);
    upcall::disable();
    upcall::clear_handler(port.number());
    result
}

/// From the call until the handler has run and the interrupted code goes on.
fn to_self(session: &Session) -> Result<(), Trouble> {
    with_noticing_port(vcpu::id(), |port| {
        session.samples(1, || {
            forget();
            let begun = ticks::begin();
            port.send()?;
            wait("the handler")?;
            Ok(ticks::end().saturating_sub(begun))
        })
    })
}

/// From the call to the handler on a vCPU that goes on meanwhile.
fn to_running(session: &Session) -> Result<(), Trouble> {
    to_peer(session, spin, RUN_STATE_RUNNING)
}

/// From the call to a vCPU that waits for the event, and takes it itself.
fn to_blocked(session: &Session) -> Result<(), Trouble> {
    to_peer(session, block, RUN_STATE_BLOCKED)
}

fn spin() {
    while !is_to_stop() {
        spin_loop();
    }
}

fn block() {
    let masked = Masked::new();
    while !is_to_stop() {
        // It fails nowhere.
        let _ = raw::sched_block();
        let now = ticks::end();
        if Events::begin().count() > 0 {
            NOTICED.store(now, Ordering::Release);
        }
    }
    drop(masked);
}

/// Sends events to the other vCPU, each when that does again what it is to do.
fn to_peer(session: &Session, occupation: fn(), state: u32) -> Result<(), Trouble> {
    with_noticing_port(PEER, |port| {
        let peer = Peer::start(occupation)?;
        session.samples(1, || {
            peer.wait_for_state(state)?;
            wait_until("the end of a handler", || {
                (!port.is_pending()).then_some(())
            })?;
            forget();
            let begun = ticks::begin();
            port.send()?;
            Ok(wait("an event")?.saturating_sub(begun))
        })
    })
}
