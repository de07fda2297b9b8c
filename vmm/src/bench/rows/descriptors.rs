//! Descriptor tables.

use super::{Exits, Group, Instruction, Native, Operation, Row, Silent, Trap};
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::layout::{DATA_ANSWER, DATA_IDTR, GDT, LDT_SELECTOR};

const TABLE: &str = "trap_set_table";
const NO_TABLE: &str = "nothing: there is no such table to look at";

pub const GROUP: Group = Group {
    title: "descriptor tables",
    rows: &[
        Row {
            hypercall: Some(Operation::new("trap_set_table")),
            ..Row::new(
                "lgdt",
                "LGDT",
                Native::Code(Instruction::new(fragment!("lgdt [r14]"), Exits::UNKNOWN)),
                "nothing: segments are flat; TLS is trap_set_tls",
            )
        },
        Row {
            hypercall: Some(Operation::new("trap_set_table")),
            ..Row::new(
                "lidt",
                "LIDT",
                Native::Code(Instruction::new(
                    fragment!("lidt [r14 + {idtr}]"; idtr = DATA_IDTR),
                    Exits::UNKNOWN,
                )),
                TABLE,
            )
        },
        Row::new(
            "lldt",
            "LLDT",
            Native::Code(Instruction::with(
                fragment!("mov eax, {ldt}"; ldt = LDT_SELECTOR),
                fragment!("lldt ax"),
                Exits::UNKNOWN,
            )),
            "nothing: segments are flat",
        ),
        Row {
            hypercall: Some(Operation::new("trap_set_table")),
            ..Row::new(
                "ltr",
                "LTR",
                Native::Code(Instruction::timed(
                    Timed {
                        // The descriptor at 0x18 of the GDT, not busy.
                        before: fragment!("mov byte ptr [{gdt} + 0x1d], 0x89"; gdt = GDT),
                        setup: fragment!("mov eax, 0x18"),
                        ..Timed::new(fragment!("ltr ax"))
                    },
                    Exits::UNKNOWN,
                )),
                TABLE,
            )
        },
        Row {
            trap: Trap::Silent(Silent {
                probe: fragment!("sgdt [r14 + {answer} - 2]"; answer = DATA_ANSWER),
                wrong: |cpu, answer| answer != cpu.gdtr.1,
            }),
            ..Row::new(
                "sgdt",
                "SGDT",
                Native::Code(Instruction::new(
                    fragment!("sgdt [r14 + {answer}]"; answer = DATA_ANSWER),
                    Exits::UNKNOWN,
                )),
                NO_TABLE,
            )
        },
        Row {
            trap: Trap::Silent(Silent {
                probe: fragment!("sidt [r14 + {answer} - 2]"; answer = DATA_ANSWER),
                wrong: |cpu, answer| answer != cpu.idtr.1,
            }),
            ..Row::new(
                "sidt",
                "SIDT",
                Native::Code(Instruction::new(
                    fragment!("sidt [r14 + {answer}]"; answer = DATA_ANSWER),
                    Exits::UNKNOWN,
                )),
                NO_TABLE,
            )
        },
        Row {
            trap: Trap::Silent(Silent {
                probe: fragment!("sldt rax", "mov [r14 + {answer}], rax"; answer = DATA_ANSWER),
                wrong: |cpu, answer| answer as u16 != cpu.ldtr,
            }),
            ..Row::new(
                "sldt",
                "SLDT",
                Native::Code(Instruction::new(fragment!("sldt rax"), Exits::UNKNOWN)),
                NO_TABLE,
            )
        },
        Row {
            trap: Trap::Silent(Silent {
                probe: fragment!("str rax", "mov [r14 + {answer}], rax"; answer = DATA_ANSWER),
                wrong: |cpu, answer| answer as u16 != cpu.tr,
            }),
            ..Row::new(
                "str",
                "STR",
                Native::Code(Instruction::new(fragment!("str rax"), Exits::UNKNOWN)),
                NO_TABLE,
            )
        },
    ],
};
