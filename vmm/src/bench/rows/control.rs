//! Control and debug registers.

use super::{Exits, Group, Instruction, NEVER, Native, Operation, Row, Silent, Trap};
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::layout::DATA_ANSWER;

const MASK: &str = "upcall mask in the vCPU page";

/// VMX exits before it looks at the CPL (SDM vol. 3, 26.1.1), so KVM injects the fault.
const DR_AT_CPL3: Exits = Exits::of(2.0, 1.0);

pub const GROUP: Group = Group {
    title: "control and debug registers",
    rows: &[
        Row::new(
            "mov-from-cr0",
            "MOV from CR0",
            // KVM lets the guest read it from a shadow.
            Native::Code(Instruction::new(
                fragment!("mov rax, cr0"),
                Exits::of(0.0, 0.0),
            )),
            NEVER,
        ),
        Row::new(
            "mov-to-cr0",
            "MOV to CR0, changing TS",
            Native::Code(Instruction::timed(
                Timed {
                    before: fragment!("mov rbx, cr0", "xor rbx, 8"),
                    ..Timed::new(fragment!("mov cr0, rbx"))
                },
                Exits::UNKNOWN,
            )),
            "nothing: the FPU is always on, and XSAVE is native",
        ),
        Row::new(
            "clts",
            "CLTS",
            Native::Code(Instruction::new(fragment!("clts"), Exits::of(0.0, 0.0))),
            "nothing: the FPU is always on, and XSAVE is native",
        ),
        Row::new(
            "lmsw",
            "LMSW",
            Native::Code(Instruction::with(
                fragment!("mov eax, 0x33"),
                fragment!("lmsw ax"),
                Exits::UNKNOWN,
            )),
            NEVER,
        ),
        Row {
            trap: Trap::Silent(Silent {
                probe: fragment!("smsw rax", "mov [r14 + {answer}], rax"; answer = DATA_ANSWER),
                wrong: |cpu, answer| answer & 0xffff != cpu.cr[0] & 0xffff,
            }),
            ..Row::new(
                "smsw",
                "SMSW",
                Native::Code(Instruction::new(fragment!("smsw rax"), Exits::of(0.0, 0.0))),
                NEVER,
            )
        },
        Row {
            exitless: Some(Operation::new("trap_cr2")),
            ..Row::new(
                "mov-from-cr2",
                "MOV from CR2",
                Native::Code(Instruction::new(
                    fragment!("mov rax, cr2"),
                    Exits::both(0.0),
                )),
                "fault address in the vCPU page",
            )
        },
        Row::new(
            "mov-to-cr2",
            "MOV to CR2",
            Native::Code(Instruction::new(
                fragment!("mov cr2, rax"),
                Exits::both(0.0),
            )),
            "nothing: only traps set the fault address",
        ),
        Row::new(
            "mov-from-cr3",
            "MOV from CR3",
            Native::Code(Instruction::new(fragment!("mov rax, cr3"), Exits::UNKNOWN)),
            "nothing: a kernel knows which space it switched to",
        ),
        Row {
            hypercall: Some(Operation::new("as_switch")),
            ..Row::new(
                "mov-to-cr3",
                "MOV to CR3",
                Native::Code(Instruction::timed(
                    Timed {
                        before: fragment!("mov rbx, cr3"),
                        ..Timed::new(fragment!("mov cr3, rbx"))
                    },
                    Exits::UNKNOWN,
                )),
                "as_switch",
            )
        },
        Row::new(
            "mov-from-cr4",
            "MOV from CR4",
            // KVM does not read it for the guest on SVM alone (svm.c, INTERCEPT_CR4_READ).
            Native::Code(Instruction::new(
                fragment!("mov rax, cr4"),
                Exits::of(0.0, 1.0),
            )),
            NEVER,
        ),
        Row::new(
            "mov-to-cr4",
            "MOV to CR4, changing PGE",
            Native::Code(Instruction::timed(
                Timed {
                    before: fragment!("mov rbx, cr4", "xor rbx, 0x80"),
                    ..Timed::new(fragment!("mov cr4, rbx"))
                },
                Exits::UNKNOWN,
            )),
            NEVER,
        ),
        Row {
            exitless: Some(Operation::new("upcall_mask_unmask")),
            ..Row::new(
                "mov-from-cr8",
                "MOV from CR8",
                Native::Code(Instruction::new(fragment!("mov rax, cr8"), Exits::UNKNOWN)),
                MASK,
            )
        },
        Row {
            exitless: Some(Operation::new("upcall_mask_unmask")),
            ..Row::new(
                "mov-to-cr8",
                "MOV to CR8",
                Native::Code(Instruction::with(
                    fragment!("xor ebx, ebx"),
                    fragment!("mov cr8, rbx"),
                    Exits::UNKNOWN,
                )),
                MASK,
            )
        },
        Row {
            trap: Trap::Same(DR_AT_CPL3),
            ..Row::new(
                "mov-from-dr",
                "MOV from DR7",
                Native::Code(Instruction::new(fragment!("mov rax, dr7"), Exits::UNKNOWN)),
                "debug registers in the trap state",
            )
        },
        Row {
            trap: Trap::Same(DR_AT_CPL3),
            hypercall: Some(Operation::new("trap_set_debug")),
            ..Row::new(
                "mov-to-dr",
                "MOV to DR7",
                Native::Code(Instruction::timed(
                    Timed {
                        before: fragment!("mov rbx, dr7"),
                        ..Timed::new(fragment!("mov dr7, rbx"))
                    },
                    Exits::UNKNOWN,
                )),
                "trap_set_debug",
            )
        },
    ],
};
