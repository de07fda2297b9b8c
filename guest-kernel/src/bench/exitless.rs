//! What takes no exit: shared memory.

#![allow(unsafe_code)]

use super::peer::{PEER, run_state};
use super::session::{Session, Trouble};
use super::{Operation, ticks};
use core::arch::asm;
use core::hint::black_box;
use paravane_sdk::event::{self, Events, Port, Priority};
use paravane_sdk::time::Instant;
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::{Features, start_info, tls, vcpu};

const EVENTS: Features = Features::EVENTS;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("empty", empty),
    Operation::new("start_info", features),
    Operation::new("clock_read", clock).needs(Features::CLOCK),
    Operation::new("upcall_mask_unmask", mask_unmask).needs(EVENTS),
    Operation::new("upcall_masked_scope", masked_scope).needs(EVENTS),
    Operation::new("upcall_pending", pending).needs(EVENTS),
    Operation::new("event_clear", clear).needs(EVENTS),
    Operation::new("event_take_none", take_none).needs(EVENTS),
    Operation::new("port_mask_unmask", port_mask_unmask).needs(EVENTS),
    Operation::new("run_state", state).with_a_peer(),
    Operation::new("steal_time", steal_time),
    Operation::new("tls_read", tls_read).needs(Features::TLS),
    Operation::new("vcpu_id", vcpu_id),
    Operation::new("trap_cr2", cr2),
];

/// Nothing: twice the same measurement.
fn empty(session: &Session) -> Result<(), Trouble> {
    session.many(ticks::nothing)
}

/// The features, which elsewhere CPUID tells.
fn features(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        black_box(start_info::get().features());
    })
}

fn clock(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        black_box(Instant::now());
    })
}

/// As bare as CLI and STI.
fn mask_unmask(session: &Session) -> Result<(), Trouble> {
    upcall::enable();
    let measured = session.many(|| {
        event::mask_upcalls();
        // There is no port, so nothing waits.
        let _ = event::unmask_upcalls();
    });
    upcall::disable();
    measured
}

/// As locks do it, which count.
fn masked_scope(session: &Session) -> Result<(), Trouble> {
    upcall::enable();
    let measured = session.many(|| drop(Masked::new()));
    upcall::disable();
    measured
}

fn pending(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        event::upcall_pending();
    })
}

/// Clearing a port's pending bit, as an EOI does.
fn clear(session: &Session) -> Result<(), Trouble> {
    let port = port()?;
    session.many(|| {
        black_box(port.take());
    })
}

/// A look for events when there is none.
fn take_none(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        black_box(Events::begin().next());
    })
}

fn port_mask_unmask(session: &Session) -> Result<(), Trouble> {
    let port = port()?;
    session.many(|| {
        port.mask();
        port.unmask();
    })
}

fn port() -> Result<Port, Trouble> {
    Port::new(vcpu::id(), Priority::High).map_err(Trouble::call("event_alloc"))
}

/// Of another vCPU.
fn state(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        run_state(PEER);
    })
}

fn steal_time(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        // SAFETY: the page is mapped for ever; the VMM changes the field at any time.
        unsafe { (&raw const (*vcpu::page()).steal_time).read_volatile() };
    })
}

/// A load through the thread pointer.
fn tls_read(session: &Session) -> Result<(), Trouble> {
    let block = [0x1234_u64, 0];
    // SAFETY: no code but this function uses FS.
    unsafe { tls::set_base(&raw const block as u64) }?;
    let measured = session.many(|| {
        let word: u64;
        // SAFETY: the FS base is the block's address.
        unsafe { asm!("mov {}, fs:[0]", out(reg) word, options(nostack, preserves_flags)) };
        let _ = word;
    });
    // SAFETY: as above.
    unsafe { tls::set_base(0) }?;
    measured
}

fn vcpu_id(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        vcpu::id();
    })
}

/// The address of the last page fault, as a handler reads it.
fn cr2(session: &Session) -> Result<(), Trouble> {
    session.many(|| {
        // SAFETY: the page is mapped for ever; a trap changes the field.
        unsafe { (&raw const (*vcpu::page()).trap.cr2).read_volatile() };
    })
}
