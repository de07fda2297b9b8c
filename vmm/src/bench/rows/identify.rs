//! Leaving the guest, and asking who is there.

use super::{Exits, Group, Instruction, Native, Operation, Row, Trap};
use crate::bench::raw::code::{Timed, fragment};

pub const GROUP: Group = Group {
    title: "leaving and asking",
    rows: &[
        Row::new(
            "floor",
            "the smallest exit to a VMM and back",
            Native::Floor,
            "nothing: it is what a call costs at least",
        ),
        Row {
            trap: Trap::Absent("there is no instruction to emulate"),
            hypercall: Some(Operation::new("core_noop")),
            batch: Some("core_batch"),
            ..Row::new(
                "noop",
                "a call that does nothing",
                Native::Absent("it is the row of the smallest exit"),
                "core_noop, core_batch",
            )
        },
        Row {
            hypercall: Some(Operation::new("core_features")),
            exitless: Some(Operation::new("start_info")),
            ..Row::new(
                "cpuid",
                "CPUID",
                Native::Code(Instruction::with(
                    fragment!("mov eax, 1"),
                    fragment!("cpuid"),
                    // Unconditional (SDM vol. 3, 26.1.2); KVM intercepts it on SVM.
                    Exits::both(1.0),
                )),
                "start-info page; core_features",
            )
        },
        Row {
            // It does not trap: KVM answers CPL 3 too, that it may not (EPERM). Where VMCALL is
            // another vendor's, it is #UD first, and KVM patches it each time anew.
            trap: Trap::Same(Exits::of(1.0, 2.0)),
            hypercall: Some(Operation::new("core_noop")),
            ..Row::new(
                "vmcall",
                "VMCALL or VMMCALL that KVM answers",
                Native::Code(Instruction::timed(
                    Timed {
                        // No KVM hypercall has this number.
                        setup: fragment!("mov eax, 0x7fffffff"),
                        ..Timed::new(fragment!("vmcall"))
                    },
                    Exits::both(1.0),
                )),
                "core_noop",
            )
        },
    ],
};
