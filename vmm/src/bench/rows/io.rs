//! Ports and memory-mapped registers.

use super::{Exits, Group, Instruction, Native, Operation, Row, Trap};
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::layout::{DATA_BYTES, KERNEL_PORT, MMIO, USER_PORT};
use crate::bench::raw::vm::Config;

pub const GROUP: Group = Group {
    title: "input and output",
    rows: &[
        Row {
            hypercall: Some(Operation::sized("io_console_write", 1)),
            ..Row::new(
                "out-user",
                "OUT that the VMM answers",
                Native::Code(Instruction::new(
                    fragment!("out {port}, al"; port = USER_PORT),
                    Exits::both(1.0),
                )),
                "io_console_write",
            )
        },
        Row {
            hypercall: Some(Operation::new("core_noop")),
            ..Row::new(
                "in-user",
                "IN that the VMM answers",
                Native::Code(Instruction::new(
                    fragment!("in al, {port}"; port = USER_PORT),
                    Exits::both(1.0),
                )),
                "a call, whose result is a word",
            )
        },
        Row {
            exitless: Some(Operation::new("deferred_queue")),
            ..Row::new(
                "out-kernel",
                "OUT that KVM hands to an eventfd",
                Native::Code(Instruction {
                    config: Config {
                        doorbell: true,
                        ..Config::new(0)
                    },
                    ..Instruction::new(
                        fragment!("out {port}, al"; port = KERNEL_PORT),
                        Exits::both(1.0),
                    )
                }),
                "a deferred call",
            )
        },
        Row {
            trap: Trap::Absent("it would be the row of OUT once more"),
            ..Row::new(
                "in-kernel",
                "IN that KVM answers (the PIC's mask)",
                Native::Code(Instruction {
                    config: Config {
                        irqchip: true,
                        ..Config::new(0)
                    },
                    ..Instruction::new(fragment!("in al, 0x21"), Exits::both(1.0))
                }),
                "nothing: there is no such device",
            )
        },
        Row {
            hypercall: Some(Operation::sized("io_console_write", 64)),
            ..Row::new(
                "string-io",
                "REP OUTSB of 64 bytes",
                Native::Code(Instruction::with(
                    fragment!("lea rsi, [r14 + {bytes}]", "mov ecx, 64", "mov edx, {port}"; bytes = DATA_BYTES, port = USER_PORT),
                    fragment!("rep outsb"),
                    // KVM takes many bytes of REP INSB at once, and each of OUTSB alone.
                    Exits::both(65.0),
                )),
                "io_console_write of 64 bytes",
            )
        },
        Row {
            trap: Trap::Absent("it exits by itself at any CPL, so there is nothing to trap"),
            ..Row::new(
                "mmio-read",
                "MMIO read",
                Native::Code(Instruction::timed(
                    Timed {
                        setup: fragment!("mov ebx, {mmio}"; mmio = MMIO),
                        ..Timed::new(fragment!("mov eax, [rbx]"))
                    },
                    Exits::both(1.0),
                )),
                "a call; queues in memory",
            )
        },
        Row {
            trap: Trap::Absent("it exits by itself at any CPL, so there is nothing to trap"),
            hypercall: Some(Operation::new("core_noop")),
            ..Row::new(
                "mmio-write",
                "MMIO write",
                Native::Code(Instruction::timed(
                    Timed {
                        setup: fragment!("mov ebx, {mmio}"; mmio = MMIO),
                        ..Timed::new(fragment!("mov [rbx], eax"))
                    },
                    Exits::both(1.0),
                )),
                "a call; queues in memory",
            )
        },
    ],
};
