//! Page tables, translations and caches.

use super::interrupts::{ICR, IRQCHIP};
use super::{Exits, Group, Instruction, Native, Operation, Other, Row, Trap};
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::layout::{DATA_FLAG, DATA_ZEROS, OTHER_PAGE, PAGE, PT};
use crate::bench::raw::vm::Config;

const COHERENT: &str = "nothing: a guest's memory is always coherent";

pub const GROUP: Group = Group {
    title: "page tables and caches",
    rows: &[
        Row {
            trap: Trap::Absent(
                "a deprivileged kernel's page tables are shadowed by KVM itself, which is the \
                 first column",
            ),
            hypercall: Some(Operation::new("as_protect")),
            batch: Some("as_protect"),
            ..Row::new(
                "pte-write",
                "a page-table write, INVLPG and a touch",
                Native::Code(Instruction::timed(
                    Timed {
                        // The page at 0x20001000 becomes read-only and writable in turn.
                        before: fragment!("mov rbx, {page}"; page = PAGE),
                        ..Timed::new(fragment!(
                            "xor qword ptr [{pt} + 8], 2",
                            "invlpg [rbx]",
                            "mov al, [rbx]"; pt = PT))
                    },
                    Exits::UNKNOWN,
                )),
                "as_protect (as_map, as_unmap)",
            )
        },
        Row {
            hypercall: Some(Operation::new("as_protect")),
            ..Row::new(
                "invlpg",
                "INVLPG",
                Native::Code(Instruction::timed(
                    Timed {
                        before: fragment!("mov rbx, {page}"; page = PAGE),
                        ..Timed::new(fragment!("invlpg [rbx]"))
                    },
                    Exits::UNKNOWN,
                )),
                "part of as_map, as_unmap and as_protect",
            )
        },
        Row {
            // It is #UD where the CPU lacks it.
            trap: Trap::Same(Exits {
                vmx: Some(1.0),
                svm: None,
            }),
            hypercall: Some(Operation::new("as_switch")),
            ..Row::new(
                "invpcid",
                "INVPCID of all contexts",
                Native::Code(Instruction::with(
                    fragment!("mov eax, 2"),
                    fragment!("invpcid rax, [r14 + {zeros}]"; zeros = DATA_ZEROS),
                    Exits::UNKNOWN,
                )),
                "part of as_switch and as_destroy",
            )
        },
        Row {
            trap: Trap::Absent("it would be the rows of PTE writes and IPIs once more"),
            hypercall: Some(Operation::slow("as_unmap_running", 2, 2000)),
            ..Row::new(
                "tlb-shootdown",
                "TLB shootdown on one other vCPU",
                Native::Code(Instruction {
                    config: Config {
                        vcpus: 2,
                        ..IRQCHIP
                    },
                    // It forgets the page, says so, and EOI.
                    handler: Some((
                        0x40,
                        fragment!(
                            "invlpg [{page}]",
                            "mov qword ptr [r14 + {flag}], 1",
                            "mov ecx, 0x80b",
                            "xor eax, eax",
                            "xor edx, edx",
                            "wrmsr",
                            "iretq"; flag = DATA_FLAG, page = PAGE),
                    )),
                    other: Some(Other::Runs(fragment!("2:", "jmp 2b"))),
                    most: 2000,
                    ..Instruction::timed(
                        Timed {
                            before: fragment!("mov qword ptr [r14 + {flag}], 0"; flag = DATA_FLAG),
                            setup: ICR,
                            body: fragment!(
                                "wrmsr",
                                "invlpg [{page}]",
                                "2:",
                                "cmp qword ptr [r14 + {flag}], 0",
                                "je 2b"; flag = DATA_FLAG, page = PAGE),
                            ..Timed::new(fragment!("nop"))
                        },
                        Exits::UNKNOWN,
                    )
                }),
                "as_unmap",
            )
        },
        Row {
            trap: Trap::Absent("it would be the row of #PF once more"),
            hypercall: Some(Operation::slow("demand_page", 1, 4000)),
            ..Row::new(
                "demand-page",
                "a page fault whose handler maps the page",
                Native::Code(Instruction {
                    handler: Some((
                        14,
                        fragment!("add rsp, 8", "or qword ptr [{pt} + 16], 1", "iretq"; pt = PT),
                    )),
                    ..Instruction::timed(
                        Timed {
                            before: fragment!(
                                "mov rbx, {other}",
                                "and qword ptr [{pt} + 16], -2",
                                "invlpg [rbx]"; other = OTHER_PAGE, pt = PT),
                            ..Timed::new(fragment!("mov al, [rbx]"))
                        },
                        Exits::UNKNOWN,
                    )
                }),
                "a handler that calls as_map",
            )
        },
        Row::new(
            "invd",
            "INVD",
            Native::Code(Instruction::new(fragment!("invd"), Exits::both(1.0))),
            COHERENT,
        ),
        Row::new(
            "wbinvd",
            "WBINVD",
            Native::Code(Instruction::new(fragment!("wbinvd"), Exits::both(1.0))),
            COHERENT,
        ),
    ],
};
