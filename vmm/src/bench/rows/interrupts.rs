//! Interrupts: from where they are made to where they are noticed.

use super::{Group, Native, Operation, Row, Trap};
use crate::bench::events::Event;

const BY_PARTS: Trap =
    Trap::Absent("its parts are rows: a trapped WRMSR of the ICR, and an interrupt's injection");

pub const GROUP: Group = Group {
    title: "interrupts",
    rows: &[
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::new("time_oneshot_past")),
            ..Row::new(
                "external-interrupt",
                "an exit, KVM_INTERRUPT, the handler and back",
                Native::Event(Event::ExternalInterrupt),
                "an upcall: time_oneshot of a past deadline",
            )
        },
        Row {
            trap: BY_PARTS,
            ..Row::new(
                "nmi",
                "an exit, KVM_NMI, the handler and back",
                Native::Event(Event::Nmi),
                "nothing: no event ignores the mask",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::new("event_send_self")),
            ..Row::new(
                "self-ipi",
                "an IPI to oneself, the handler, EOI and back",
                Native::Event(Event::SelfIpi),
                "event_send",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("event_to_running_vcpu", 2, 2000)),
            ..Row::new(
                "ipi-running",
                "an IPI to the handler of a running vCPU",
                Native::Event(Event::IpiRunning),
                "event_send",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("event_to_blocked_vcpu", 2, 2000)),
            ..Row::new(
                "ipi-halted",
                "an IPI to the handler of a halted vCPU",
                Native::Event(Event::IpiHalted),
                "event_send",
            )
        },
        Row {
            trap: BY_PARTS,
            exitless: Some(Operation::new("event_clear")),
            ..Row::new(
                "eoi",
                "EOI (x2APIC)",
                Native::Event(Event::Eoi),
                "pending bit in the event page",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("timer_lateness_running", 1, 1000)),
            ..Row::new(
                "apic-timer",
                "lateness of a timer of 1 ms (APIC against PV), the vCPU runs",
                Native::Event(Event::ApicTimer),
                "time_oneshot",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("timer_lateness_blocked", 1, 1000)),
            ..Row::new(
                "apic-timer-halted",
                "lateness of a timer of 1 ms (APIC against PV), the vCPU waits",
                Native::Event(Event::ApicTimerHalted),
                "time_oneshot",
            )
        },
    ],
};
