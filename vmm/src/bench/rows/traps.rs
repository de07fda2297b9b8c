//! Exceptions and software interrupts, to the kernel's handler and back; system calls.

use super::{Exits, Group, Instruction, Native, Operation, Row, Trap};
use crate::bench::raw::code::{Fragment, Timed, fragment};
use crate::bench::raw::layout::UNMAPPED;
use crate::bench::raw::vm::Config;

/// Returns behind an instruction of two bytes.
const SKIP_TWO: Fragment = fragment!("add qword ptr [rsp], 2", "iretq");
/// The same for an exception with an error code.
const SKIP_TWO_AND_ERROR: Fragment = fragment!("add rsp, 8", "add qword ptr [rsp], 2", "iretq");
const RETURN: Fragment = fragment!("iretq");

const HANDLER: &str = "handlers of trap_set_table, entered without an exit";

/// What provokes an exception, with its handler.
const fn provoke(timed: Timed, vector: u8, handler: Fragment, exits: Exits) -> Native {
    Native::Code(Instruction {
        handler: Some((vector, handler)),
        ..Instruction::timed(timed, exits)
    })
}

pub const GROUP: Group = Group {
    title: "traps and system calls",
    rows: &[
        Row {
            exitless: Some(Operation::new("trap_syscall")),
            ..Row::new(
                "int-n",
                "INT n to the handler and back",
                provoke(
                    Timed::new(fragment!("int 0x30")),
                    0x30,
                    RETURN,
                    Exits::both(0.0),
                ),
                "SYSCALL to the handler of trap_set_syscall, without an exit",
            )
        },
        Row {
            exitless: Some(Operation::new("trap_ud")),
            trap: Trap::Same(Exits::UNKNOWN),
            ..Row::new(
                "ud",
                "#UD to the handler and back",
                provoke(Timed::new(fragment!("ud2")), 6, SKIP_TWO, Exits::UNKNOWN),
                HANDLER,
            )
        },
        Row {
            exitless: Some(Operation::new("trap_gp")),
            ..Row::new(
                "gp",
                "#GP to the handler and back",
                provoke(
                    Timed {
                        setup: fragment!("mov rbx, 0x8000000000000000"),
                        ..Timed::new(fragment!("mov al, [rbx]"))
                    },
                    13,
                    SKIP_TWO_AND_ERROR,
                    Exits::UNKNOWN,
                ),
                HANDLER,
            )
        },
        Row {
            exitless: Some(Operation::new("trap_pf")),
            trap: Trap::Same(Exits::UNKNOWN),
            ..Row::new(
                "pf",
                "#PF to the handler and back",
                provoke(
                    Timed {
                        // Behind what the page tables map.
                        setup: fragment!("mov ebx, {unmapped}"; unmapped = UNMAPPED),
                        ..Timed::new(fragment!("mov al, [rbx]"))
                    },
                    14,
                    SKIP_TWO_AND_ERROR,
                    Exits::UNKNOWN,
                ),
                HANDLER,
            )
        },
        Row {
            exitless: Some(Operation::new("trap_db")),
            trap: Trap::Same(Exits::UNKNOWN),
            ..Row::new(
                "db",
                "#DB to the handler and back",
                // By a single step.
                provoke(
                    Timed {
                        setup: fragment!("pushfq", "or qword ptr [rsp], 0x100"),
                        instead: fragment!("lea rsp, [rsp + 8]"),
                        ..Timed::new(fragment!("popfq", "nop"))
                    },
                    1,
                    fragment!("and qword ptr [rsp + 16], -0x101", "iretq"),
                    Exits::UNKNOWN,
                ),
                HANDLER,
            )
        },
        Row {
            hypercall: Some(Operation::new("trap_return")),
            trap: Trap::Absent("IRETQ that stays at CPL 3 does not trap, and loses IF in silence"),
            ..Row::new(
                "iret",
                "IRETQ",
                Native::Code(Instruction::timed(
                    Timed {
                        // The frame, whose RIP is behind the IRETQ.
                        setup: fragment!(
                            "mov rax, rsp",
                            "push 0x10",
                            "push rax",
                            "push 2",
                            "push 8",
                            "lea rax, [rip + 3]",
                            "push rax"
                        ),
                        instead: fragment!("lea rsp, [rsp + 40]"),
                        ..Timed::new(fragment!("iretq"))
                    },
                    Exits::both(0.0),
                )),
                "IRETQ in the hypercall page; trap_return",
            )
        },
        Row {
            exitless: Some(Operation::new("user_syscall")),
            trap: Trap::Same(Exits::UNKNOWN),
            ..Row::new(
                "user-syscall",
                "a user task's system call: SYSCALL and SYSRET",
                Native::Code(Instruction {
                    config: Config::new(3),
                    // What LSTAR leads to.
                    handler: Some((0x31, fragment!("sysretq"))),
                    ..Instruction::new(fragment!("syscall"), Exits::both(0.0))
                }),
                "SYSCALL of a task, entered without an exit",
            )
        },
        Row {
            exitless: Some(Operation::new("user_trap")),
            trap: Trap::Absent("it would be the row of #UD once more"),
            ..Row::new(
                "user-trap",
                "a user task's #UD to the kernel and back",
                Native::Code(Instruction {
                    config: Config::new(3),
                    handler: Some((6, SKIP_TWO)),
                    ..Instruction::new(fragment!("ud2"), Exits::UNKNOWN)
                }),
                HANDLER,
            )
        },
    ],
};
