//! Waiting, interrupt flag, random numbers: what a kernel does with its processor.

use super::{Exits, Group, Instruction, Native, Operation, Row, Silent, Trap};
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::layout::DATA_ANSWER;

const MASK: &str = "upcall mask in the vCPU page";
const IF: u64 = 1 << 9;

pub const GROUP: Group = Group {
    title: "the processor",
    rows: &[
        Row {
            // Two instructions.
            trap: Trap::Same(Exits::both(2.0)),
            exitless: Some(Operation::new("upcall_mask_unmask")),
            ..Row::new(
                "cli-sti",
                "CLI and STI",
                Native::Code(Instruction::new(fragment!("cli", "sti"), Exits::both(0.0))),
                MASK,
            )
        },
        Row {
            exitless: Some(Operation::new("upcall_mask_unmask")),
            trap: Trap::Silent(Silent {
                probe: fragment!("pushfq", "pop rax", "mov [r14 + {answer}], rax"; answer = DATA_ANSWER),
                wrong: |cpu, answer| (answer & IF != 0) != cpu.interrupts,
            }),
            ..Row::new(
                "pushf",
                "PUSHF",
                Native::Code(Instruction::new(
                    fragment!("pushfq", "lea rsp, [rsp + 8]"),
                    Exits::both(0.0),
                )),
                MASK,
            )
        },
        Row {
            exitless: Some(Operation::new("upcall_mask_unmask")),
            trap: Trap::Silent(Silent {
                // It sets IF, which the virtual CPU has clear.
                probe: fragment!(
                    "pushfq",
                    "or qword ptr [rsp], 0x200",
                    "popfq",
                    "mov qword ptr [r14 + {answer}], 0"; answer = DATA_ANSWER),
                wrong: |cpu, _| !cpu.interrupts,
            }),
            ..Row::new(
                "popf",
                "POPF",
                Native::Code(Instruction::timed(
                    Timed {
                        setup: fragment!("pushfq"),
                        instead: fragment!("lea rsp, [rsp + 8]"),
                        ..Timed::new(fragment!("popfq"))
                    },
                    Exits::both(0.0),
                )),
                MASK,
            )
        },
        Row {
            hypercall: Some(Operation::new("sched_block")),
            ..Row::new(
                "hlt",
                "HLT, and at once awake again",
                Native::Code(Instruction::new(fragment!("hlt"), Exits::both(1.0))),
                "sched_block, sched_poll",
            )
        },
        Row {
            // Two instructions, each #UD at CPL 3, which KVM intercepts.
            trap: Trap::Same(Exits::both(4.0)),
            hypercall: Some(Operation::new("sched_poll")),
            ..Row::new(
                "mwait",
                "MONITOR and MWAIT",
                Native::Code(Instruction::timed(
                    Timed {
                        setup: fragment!("lea rax, [r14]", "xor ecx, ecx", "xor edx, edx"),
                        ..Timed::new(fragment!("monitor", "xor eax, eax", "mwait"))
                    },
                    Exits::both(2.0),
                )),
                "sched_poll",
            )
        },
        Row {
            hypercall: Some(Operation::new("sched_yield")),
            trap: Trap::Absent("PAUSE traps nowhere"),
            ..Row::new(
                "pause",
                "a loop of 1,000 PAUSEs",
                Native::Code(Instruction {
                    most: 2000,
                    ..Instruction::with(
                        fragment!("mov ecx, 1000"),
                        fragment!("2:", "pause", "sub ecx, 1", "jnz 2b"),
                        Exits::UNKNOWN,
                    )
                }),
                "sched_yield, sched_yield_to",
            )
        },
        Row {
            trap: Trap::Same(Exits::both(0.0)),
            hypercall: Some(Operation::new("core_entropy")),
            ..Row::new(
                "rdrand",
                "RDRAND",
                Native::Code(Instruction::new(fragment!("rdrand rax"), Exits::both(0.0))),
                "nothing: it is native; core_entropy where there is none",
            )
        },
        Row {
            trap: Trap::Same(Exits::both(0.0)),
            hypercall: Some(Operation::new("core_entropy")),
            ..Row::new(
                "rdseed",
                "RDSEED",
                Native::Code(Instruction::new(fragment!("rdseed rax"), Exits::both(0.0))),
                "nothing: it is native; core_entropy where there is none",
            )
        },
    ],
};
