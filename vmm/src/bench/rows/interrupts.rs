//! Interrupts: from where they are made to where they are noticed.

use super::{Exits, Group, Instruction, Native, Operation, Other, Row, Trap};
use crate::bench::raw::code::{Fragment, Timed, fragment};
use crate::bench::raw::layout::{DATA_FLAG, INTERRUPT_PORT, NMI_PORT, NOTICED};
use crate::bench::raw::vm::Config;

const BY_PARTS: Trap =
    Trap::Absent("its parts are rows: a trapped WRMSR of the ICR, and an interrupt's injection");

/// A VM with KVM's own APIC, and interrupts on.
pub const IRQCHIP: Config = Config {
    irqchip: true,
    interrupts: true,
    ..Config::new(0)
};

/// A VM whose VMM injects interrupts.
const INJECTED: Config = Config {
    interrupts: true,
    ..Config::new(0)
};

/// The x2APIC's ICR: a fixed interrupt with vector 0x40 to the APIC with ID 1.
pub const ICR: Fragment = fragment!("mov ecx, 0x830", "mov eax, 0x40", "mov edx, 1");

/// Sets the flag, EOI, and back.
const FLAG: Fragment = fragment!(
    "mov qword ptr [r14 + {flag}], 1",
    "mov ecx, 0x80b",
    "xor eax, eax",
    "xor edx, edx",
    "wrmsr",
    "iretq"; flag = DATA_FLAG);

/// Notes the time, EOI, and back. The upper half is stored first, for whoever waits for the lower.
const NOTE: Fragment = fragment!(
    "rdtsc",
    "mov [{noticed} + 4], edx",
    "mov [{noticed}], eax",
    "mov ecx, 0x80b",
    "xor eax, eax",
    "xor edx, edx",
    "wrmsr",
    "iretq"; noticed = NOTICED);

/// Forgets what was noted, and gives the other vCPU the time to do again what it does: a million
/// ticks, after which KVM does not poll any more for a halted one to be woken (halt_poll_ns).
pub const SETTLE: Fragment = fragment!(
    "mov qword ptr [{noticed}], 0",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "lea rbx, [rax + 1000000]",
    "2:",
    "rdtsc",
    "shl rdx, 32",
    "or rax, rdx",
    "cmp rax, rbx",
    "jb 2b"; noticed = NOTICED);

/// One-shot mode with vector 0x40 and a divisor of 1, and no flag yet.
const TIMER: Fragment = fragment!(
    "mov ecx, 0x832",
    "mov eax, 0x40",
    "xor edx, edx",
    "wrmsr",
    "mov ecx, 0x83e",
    "mov eax, 0xb",
    "wrmsr",
    "mov qword ptr [r14 + {flag}], 0"; flag = DATA_FLAG);

/// A timer of a millisecond: KVM's APIC timer ticks once a nanosecond.
const fn timer(wait: Fragment) -> Native {
    Native::Code(Instruction {
        config: IRQCHIP,
        handler: Some((0x40, FLAG)),
        waits: 1_000_000,
        most: 1000,
        ..Instruction::timed(
            Timed {
                before: TIMER,
                // The initial count.
                setup: fragment!("mov ecx, 0x838", "mov eax, 1000000", "xor edx, edx"),
                ..Timed::new(wait)
            },
            Exits::UNKNOWN,
        )
    })
}

const fn ipi(other: Fragment) -> Native {
    Native::Code(Instruction {
        config: Config {
            vcpus: 2,
            ..IRQCHIP
        },
        handler: Some((0x40, NOTE)),
        other: Some(Other::Runs(other)),
        most: 2000,
        ..Instruction::timed(
            Timed {
                before: SETTLE,
                setup: ICR,
                noticed: true,
                ..Timed::new(fragment!("wrmsr"))
            },
            Exits::UNKNOWN,
        )
    })
}

pub const GROUP: Group = Group {
    title: "interrupts",
    rows: &[
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::new("timer_past")),
            ..Row::new(
                "external-interrupt",
                "an exit, KVM_INTERRUPT, the handler and back",
                Native::Code(Instruction {
                    config: INJECTED,
                    handler: Some((0x40, fragment!("iretq"))),
                    ..Instruction::new(
                        fragment!("out {port}, al"; port = INTERRUPT_PORT),
                        Exits::UNKNOWN,
                    )
                }),
                "an upcall: time_oneshot of a past deadline",
            )
        },
        Row {
            trap: BY_PARTS,
            ..Row::new(
                "nmi",
                "an exit, KVM_NMI, the handler and back",
                Native::Code(Instruction {
                    config: INJECTED,
                    handler: Some((2, fragment!("iretq"))),
                    ..Instruction::new(fragment!("out {port}, al"; port = NMI_PORT), Exits::UNKNOWN)
                }),
                "nothing: no event ignores the mask",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::new("event_to_self")),
            ..Row::new(
                "self-ipi",
                "an IPI to oneself, the handler, EOI and back",
                Native::Code(Instruction {
                    config: IRQCHIP,
                    handler: Some((0x40, FLAG)),
                    ..Instruction::timed(
                        Timed {
                            before: fragment!("mov qword ptr [r14 + {flag}], 0"; flag = DATA_FLAG),
                            setup: fragment!("mov ecx, 0x83f", "mov eax, 0x40", "xor edx, edx"),
                            // A software KVM may deliver it some instructions later.
                            ..Timed::new(fragment!(
                                "wrmsr",
                                "2:",
                                "cmp qword ptr [r14 + {flag}], 0",
                                "je 2b";
                                flag = DATA_FLAG
                            ))
                        },
                        Exits::UNKNOWN,
                    )
                }),
                "event_send",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("event_to_running", 2, 2000)),
            ..Row::new(
                "ipi-running",
                "an IPI to the handler of a running vCPU",
                ipi(fragment!("2:", "jmp 2b")),
                "event_send",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("event_to_blocked", 2, 2000)),
            ..Row::new(
                "ipi-halted",
                "an IPI to the handler of a halted vCPU",
                ipi(fragment!("2:", "hlt", "jmp 2b")),
                "event_send",
            )
        },
        Row {
            trap: BY_PARTS,
            exitless: Some(Operation::new("event_clear")),
            ..Row::new(
                "eoi",
                "EOI (x2APIC)",
                Native::Code(Instruction {
                    config: IRQCHIP,
                    ..Instruction::with(
                        fragment!("mov ecx, 0x80b", "xor eax, eax", "xor edx, edx"),
                        fragment!("wrmsr"),
                        Exits::UNKNOWN,
                    )
                }),
                "pending bit in the event page",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("timer_running", 1, 1000)),
            ..Row::new(
                "apic-timer",
                "lateness of a timer of 1 ms (APIC against PV), the vCPU runs",
                timer(fragment!(
                    "wrmsr",
                    "2:",
                    "cmp qword ptr [r14 + {flag}], 0",
                    "je 2b"; flag = DATA_FLAG)),
                "time_oneshot",
            )
        },
        Row {
            trap: BY_PARTS,
            hypercall: Some(Operation::slow("timer_blocked", 1, 1000)),
            ..Row::new(
                "apic-timer-halted",
                "lateness of a timer of 1 ms (APIC against PV), the vCPU waits",
                timer(fragment!(
                    "wrmsr",
                    "2:",
                    "cli",
                    "cmp qword ptr [r14 + {flag}], 0",
                    "jne 3f",
                    "sti",
                    "hlt",
                    "jmp 2b",
                    "3:",
                    "sti"; flag = DATA_FLAG)),
                "time_oneshot",
            )
        },
    ],
};
