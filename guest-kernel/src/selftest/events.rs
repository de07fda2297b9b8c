//! Events: ports, what makes them pending, and taking them.
//!
//! Upcalls stay masked: what an upcall would tell, these tests read where it stands.

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use paravane_sdk::Errno;
use paravane_sdk::abi::event::{EVENT_PORTS, EVENT_PORTS_PER_PRIORITY};
use paravane_sdk::event::{
    Events, Port, Priority, Source, mask_upcalls, unmask_upcalls, upcall_pending,
};
use paravane_sdk::hypercall::raw;
use paravane_sdk::{start_info, vcpu};

pub const GROUP: Group = Group {
    name: "events",
    tests: tests![
        what_is_sent_is_pending_until_it_is_taken,
        a_vcpu_is_told_once_of_many_events,
        a_masked_port_is_told_when_it_is_unmasked,
        a_port_can_be_unmasked_by_a_call,
        events_come_by_priority,
        an_event_that_comes_meanwhile_has_its_turn,
        what_is_left_is_told_again,
        a_closed_port_is_free,
        the_lowest_free_port_is_given,
        an_event_is_its_own_vcpus,
        a_source_has_one_port,
        wrong_arguments_are_refused,
    ],
};

/// Upcalls are masked, and nothing waits, until this is dropped.
pub struct Quiet {
    was_masked: bool,
}

impl Quiet {
    pub fn begin() -> Self {
        let was_masked = mask_upcalls();
        taken();
        Self { was_masked }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        taken();
        if !self.was_masked {
            // All ports of the tests are closed, so nothing is left to be told of.
            let _ = unmask_upcalls();
        }
    }
}

/// Takes all events that wait.
pub fn taken() -> Vec<u32> {
    Events::begin().collect()
}

/// A port of this vCPU.
fn port(priority: Priority) -> Result<Port, String> {
    Port::new(vcpu::id(), priority).map_err(|error| format!("event_alloc: {error}"))
}

fn what_is_sent_is_pending_until_it_is_taken() -> Outcome {
    let _quiet = Quiet::begin();
    let port = port(Priority::High)?;
    ensure!(!port.is_pending(), "a new port is pending");
    ensure!(!upcall_pending(), "an upcall is pending for no event");
    ensure_eq!(port.send(), Ok(true), "the first send");
    ensure!(port.is_pending(), "it is not pending");
    ensure!(upcall_pending(), "the vCPU was not told");
    ensure_eq!(port.send(), Ok(false), "the second send");
    ensure_eq!(taken(), [port.number()], "the events");
    ensure!(!port.is_pending(), "it is pending though it was taken");
    ensure_eq!(taken(), [], "the events after that");
    ensure_eq!(port.send(), Ok(true), "the third send");
    ensure!(port.take(), "it could not be taken by itself");
    ensure!(!port.take(), "it could be taken twice");
    Ok(())
}

fn a_vcpu_is_told_once_of_many_events() -> Outcome {
    let _quiet = Quiet::begin();
    let [one, other] = [port(Priority::High)?, port(Priority::Low)?];
    ensure_eq!(one.send(), Ok(true), "a send");
    ensure_eq!(other.send(), Ok(true), "a send to the other");
    ensure_eq!(taken(), [one.number(), other.number()], "the events");
    ensure!(!upcall_pending(), "an upcall is pending, and no event is");
    Ok(())
}

fn a_masked_port_is_told_when_it_is_unmasked() -> Outcome {
    let _quiet = Quiet::begin();
    let port = port(Priority::High)?;
    port.mask();
    ensure_eq!(port.send(), Ok(true), "a send");
    ensure!(port.is_pending(), "it is not pending");
    ensure!(!upcall_pending(), "the vCPU was told of a masked port");
    ensure_eq!(taken(), [], "the events while it is masked");
    port.unmask();
    ensure!(upcall_pending(), "the vCPU was not told after the unmask");
    ensure_eq!(taken(), [port.number()], "the events");
    port.unmask();
    ensure!(
        !upcall_pending(),
        "the vCPU was told of what is not pending"
    );
    Ok(())
}

fn a_port_can_be_unmasked_by_a_call() -> Outcome {
    let _quiet = Quiet::begin();
    let port = port(Priority::High)?;
    ensure_eq!(raw::event_mask(port.number()), Ok(0), "event_mask");
    ensure_eq!(port.send(), Ok(true), "a send");
    ensure_eq!(taken(), [], "the events while it is masked");
    ensure_eq!(raw::event_unmask(port.number()), Ok(0), "event_unmask");
    ensure!(upcall_pending(), "the vCPU was not told");
    ensure_eq!(taken(), [port.number()], "the events");
    Ok(())
}

fn events_come_by_priority() -> Outcome {
    let _quiet = Quiet::begin();
    let ports = [
        port(Priority::Lowest)?,
        port(Priority::Highest)?,
        port(Priority::Low)?,
        port(Priority::High)?,
        port(Priority::Highest)?,
    ];
    for port in &ports {
        let priority = port.number() as usize / EVENT_PORTS_PER_PRIORITY;
        ensure!(priority < 4, "port {} is in no class", port.number());
        ensure_eq!(port.send(), Ok(true), "a send");
    }
    let mut numbers: Vec<_> = ports.iter().map(Port::number).collect();
    ensure_eq!(numbers[1] / 1024, 0, "the class of the highest priority");
    ensure_eq!(numbers[0] / 1024, 3, "the class of the lowest priority");
    numbers.sort_unstable();
    ensure_eq!(taken(), numbers, "the events");
    Ok(())
}

fn an_event_that_comes_meanwhile_has_its_turn() -> Outcome {
    let _quiet = Quiet::begin();
    let [first, second, last] = [
        port(Priority::Highest)?,
        port(Priority::High)?,
        port(Priority::Low)?,
    ];
    ensure_eq!(second.send(), Ok(true), "a send");
    ensure_eq!(last.send(), Ok(true), "a send");
    let mut events = Events::begin();
    ensure_eq!(events.next(), Some(second.number()), "the first event");
    ensure_eq!(first.send(), Ok(true), "a send meanwhile");
    ensure_eq!(events.next(), Some(first.number()), "the second event");
    ensure_eq!(events.next(), Some(last.number()), "the third event");
    ensure_eq!(events.next(), None, "the fourth event");
    Ok(())
}

fn what_is_left_is_told_again() -> Outcome {
    let _quiet = Quiet::begin();
    let [one, other] = [port(Priority::High)?, port(Priority::Low)?];
    ensure_eq!(one.send(), Ok(true), "a send");
    ensure_eq!(other.send(), Ok(true), "a send to the other");
    let first = Events::begin().next();
    ensure_eq!(first, Some(one.number()), "the first event");
    ensure!(upcall_pending(), "nobody will look at the other");
    ensure_eq!(taken(), [other.number()], "the other events");
    Ok(())
}

fn a_closed_port_is_free() -> Outcome {
    let _quiet = Quiet::begin();
    let port = port(Priority::High)?;
    ensure_eq!(port.send(), Ok(true), "a send");
    let number = port.number();
    drop(port);
    ensure_eq!(taken(), [], "the events of a closed port");
    ensure_eq!(raw::event_send(number), Err(Errno::ENOENT), "a send");
    ensure_eq!(raw::event_mask(number), Err(Errno::ENOENT), "a mask");
    ensure_eq!(raw::event_unmask(number), Err(Errno::ENOENT), "an unmask");
    ensure_eq!(raw::event_close(number), Err(Errno::ENOENT), "a close");
    let bound = raw::event_bind_vcpu(number, 0);
    ensure_eq!(bound, Err(Errno::ENOENT), "event_bind_vcpu");
    Ok(())
}

fn the_lowest_free_port_is_given() -> Outcome {
    let [low, high] = [port(Priority::Low)?, port(Priority::Low)?];
    ensure!(low.number() < high.number(), "the second port is lower");
    let number = low.number();
    drop(low);
    ensure_eq!(port(Priority::Low)?.number(), number, "the next port");
    Ok(())
}

fn an_event_is_its_own_vcpus() -> Outcome {
    const OTHER: u32 = 1;
    if start_info::get().vcpus() <= OTHER {
        return Ok(());
    }
    let _quiet = Quiet::begin();
    let theirs = Port::new(OTHER, Priority::High).map_err(|error| format!("{error}"))?;
    let ours = port(Priority::High)?;
    ensure_eq!(theirs.send(), Ok(true), "a send to the other vCPU");
    ensure!(!upcall_pending(), "this vCPU was told");
    ensure_eq!(ours.send(), Ok(true), "a send");
    ensure_eq!(taken(), [ours.number()], "the events of this vCPU");
    ensure!(theirs.is_pending(), "the other vCPU's event was taken");
    ensure_eq!(theirs.bind_vcpu(vcpu::id()), Ok(()), "event_bind_vcpu");
    ensure!(upcall_pending(), "this vCPU was not told of its new port");
    ensure_eq!(taken(), [theirs.number()], "the events after that");
    let ipi = Port::for_ipi(OTHER, Priority::High).map_err(|error| format!("{error}"))?;
    ensure_eq!(ipi.bind_vcpu(0), Err(Errno::EPERM), "moving an IPI's port");
    ensure_eq!(ipi.vcpu(), OTHER, "the vCPU of the port");
    Ok(())
}

fn a_source_has_one_port() -> Outcome {
    let _quiet = Quiet::begin();
    let bind = || Port::for_source(Source::Shutdown, vcpu::id(), Priority::Low);
    let port = bind().map_err(|error| format!("event_bind_source: {error}"))?;
    ensure_eq!(bind().err(), Some(Errno::EBUSY), "binding it twice");
    ensure_eq!(port.send(), Err(Errno::EPERM), "sending to it");
    drop(port);
    ensure_eq!(bind().err(), None, "binding it again");
    Ok(())
}

fn wrong_arguments_are_refused() -> Outcome {
    let vcpus = start_info::get().vcpus();
    let past = EVENT_PORTS as u32;
    for (what, result) in [
        ("a priority of 4", raw::event_alloc(0, 4)),
        ("no such vCPU", raw::event_alloc(vcpus, 0)),
        ("no such vCPU for a timer", raw::event_bind_timer(vcpus, 0)),
        ("no such vCPU for an IPI", raw::event_bind_ipi(vcpus, 0)),
        ("no such source", raw::event_bind_source(0, 0, 0)),
        ("no such port", raw::event_send(past)),
        ("no such port to mask", raw::event_mask(past)),
        ("no such port to unmask", raw::event_unmask(past)),
        ("no such port to close", raw::event_close(past)),
        ("no such port to bind", raw::event_bind_vcpu(past, 0)),
    ] {
        ensure_eq!(result, Err(Errno::EINVAL), "{what}");
    }
    ensure_eq!(raw::event_send(0), Err(Errno::ENOENT), "a send to port 0");
    Ok(())
}
