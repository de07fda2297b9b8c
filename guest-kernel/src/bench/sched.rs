//! The group `sched`: giving way, and waiting that ends at once.

use super::Operation;
use super::session::{Session, Trouble};
use alloc::vec;
use paravane_sdk::event::{Events, Port, Priority};
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Errno, Features, address, vcpu};

const BLOCKING: Features = Features::BLOCKING.union(Features::EVENTS);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("sched_yield", give_way),
    Operation::new("sched_spin", spin).needs(BLOCKING),
    Operation::new("sched_kick", kick).needs(BLOCKING),
    Operation::new("sched_block", block).needs(BLOCKING),
    Operation::new("sched_poll", poll).needs(BLOCKING),
];

fn give_way(session: &Session) -> Result<(), Trouble> {
    session.each(|| raw::sched_yield().map(drop))
}

fn spin(session: &Session) -> Result<(), Trouble> {
    session.each(|| raw::sched_spin(1).map(drop))
}

/// Of this vCPU.
fn kick(session: &Session) -> Result<(), Trouble> {
    let vcpu = vcpu::id();
    let measured = session.each(|| raw::sched_kick(vcpu).map(drop));
    // The last one is still to be noticed.
    raw::sched_block()?;
    measured
}

/// With an event that waits.
fn block(session: &Session) -> Result<(), Trouble> {
    let port = Port::new(vcpu::id(), Priority::High).map_err(Trouble::call("event_alloc"))?;
    // Upcalls are masked, so it goes on waiting.
    port.send()?;
    let measured = session.each(|| raw::sched_block().map(drop));
    Events::begin().for_each(drop);
    measured
}

/// Of a port that is not pending, until a time that has passed.
fn poll(session: &Session) -> Result<(), Trouble> {
    let port = Port::new(vcpu::id(), Priority::High).map_err(Trouble::call("event_alloc"))?;
    let ports = vec![u64::from(port.number())];
    let gpa = address::of(&*ports);
    session.each(|| match raw::sched_poll(gpa, 1, 0) {
        Err(Errno::ETIMEDOUT) => Ok(()),
        Err(errno) => Err(Trouble::from(errno)),
        Ok(_) => Err("a port is pending that nobody raised".into()),
    })
}
