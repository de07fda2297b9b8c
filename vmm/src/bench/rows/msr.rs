//! Model-specific registers.

use super::{Exits, Group, Instruction, Native, Operation, Row, Trap};
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::layout::DATA_XSAVE;
use crate::bench::raw::vm::Config;

const USER: Config = Config {
    user_msrs: true,
    ..Config::new(0)
};

pub const GROUP: Group = Group {
    title: "model-specific registers",
    rows: &[
        Row {
            exitless: Some(Operation::new("tls_read")),
            ..Row::new(
                "rdmsr-kernel",
                "RDMSR of IA32_TSC_ADJUST, which KVM answers",
                Native::Code(Instruction::with(
                    fragment!("mov ecx, 0x3b"),
                    fragment!("rdmsr"),
                    Exits::both(1.0),
                )),
                "TLS is read as memory; the rest is in start-info and the vCPU page",
            )
        },
        Row {
            hypercall: Some(Operation::new("trap_set_tls")),
            ..Row::new(
                "wrmsr-kernel",
                "WRMSR of IA32_TSC_ADJUST, which KVM answers",
                Native::Code(Instruction::with(
                    fragment!("mov ecx, 0x3b", "xor eax, eax", "xor edx, edx"),
                    fragment!("wrmsr"),
                    Exits::both(1.0),
                )),
                "trap_set_tls (FS base), trap_set_syscall (LSTAR)",
            )
        },
        Row {
            exitless: Some(Operation::new("tls_read")),
            ..Row::new(
                "rdmsr-user",
                "RDMSR that the VMM answers",
                Native::Code(Instruction {
                    config: USER,
                    ..Instruction::with(
                        fragment!("mov ecx, 0x4b564d"),
                        fragment!("rdmsr"),
                        Exits::both(1.0),
                    )
                }),
                "TLS is read as memory; the rest is in start-info and the vCPU page",
            )
        },
        Row {
            hypercall: Some(Operation::new("trap_set_syscall")),
            ..Row::new(
                "wrmsr-user",
                "WRMSR that the VMM answers",
                Native::Code(Instruction {
                    config: USER,
                    ..Instruction::with(
                        fragment!("mov ecx, 0x4b564d", "xor eax, eax", "xor edx, edx"),
                        fragment!("wrmsr"),
                        Exits::both(1.0),
                    )
                }),
                "trap_set_tls (FS base), trap_set_syscall (LSTAR)",
            )
        },
        Row {
            hypercall: Some(Operation::new("core_stats")),
            ..Row::new(
                "rdpmc",
                "RDPMC",
                Native::Code(Instruction::with(
                    fragment!("xor ecx, ecx"),
                    fragment!("rdpmc"),
                    Exits::UNKNOWN,
                )),
                "counters in the vCPU page; core_stats",
            )
        },
        Row::new(
            "swapgs",
            "SWAPGS",
            Native::Code(Instruction::timed(
                Timed {
                    // Two leave the base as it was.
                    ..Timed::new(fragment!("swapgs"))
                },
                Exits::both(0.0),
            )),
            "nothing: in the kernel GS is the vCPU page",
        ),
        Row {
            // VMX exits at any CPL, and KVM injects the fault.
            trap: Trap::Same(Exits::of(2.0, 1.0)),
            ..Row::new(
                "xsetbv",
                "XSETBV",
                Native::Code(Instruction {
                    config: Config {
                        cr4: 1 << 18,
                        ..Config::new(0)
                    },
                    ..Instruction::with(
                        fragment!("xor ecx, ecx", "mov eax, 3", "xor edx, edx"),
                        fragment!("xsetbv"),
                        // QEMU's SVM does not intercept it, AMD's does.
                        Exits {
                            vmx: Some(1.0),
                            svm: None,
                        },
                    )
                }),
                "nothing: XCR0 is set before the entry",
            )
        },
        Row {
            // Without CR4.OSXSAVE, which a VMM leaves clear, it is #UD, and KVM intercepts that.
            trap: Trap::Same(Exits::both(2.0)),
            ..Row::new(
                "xsaves",
                "XSAVES",
                Native::Code(Instruction {
                    config: Config {
                        cr4: 1 << 18,
                        ..Config::new(0)
                    },
                    ..Instruction::with(
                        fragment!("xor eax, eax", "xor edx, edx"),
                        fragment!("xsaves [r14 + {xsave}]"; xsave = DATA_XSAVE),
                        Exits::both(0.0),
                    )
                }),
                "nothing: XSAVE is native at any CPL",
            )
        },
    ],
};
