//! What happens to a whole VM or vCPU.

use super::interrupts::{IRQCHIP, SETTLE};
use super::{Exits, Group, Instruction, Native, Operation, Other, Row, Trap};
use crate::bench::lifecycle::Lifecycle;
use crate::bench::raw::code::{Timed, fragment};
use crate::bench::raw::vm::Config;

const OUTSIDE: Trap = Trap::Absent("nothing of it happens in a guest");

/// Samples of what takes milliseconds.
const FEW: u64 = 200;

pub const GROUP: Group = Group {
    title: "VMs and vCPUs",
    rows: &[
        Row {
            trap: OUTSIDE,
            hypercall: Some(Operation::slow("vcpu_start", 2, 1000)),
            ..Row::new(
                "vcpu-start",
                "starting a vCPU (INIT and SIPI), to its first instruction",
                Native::Code(Instruction {
                    config: Config {
                        vcpus: 2,
                        ..IRQCHIP
                    },
                    // In real mode: `rdtsc; mov [0xf204], edx; mov [0xf200], eax; cli; hlt`.
                    other: Some(Other::WaitsForSipi(fragment!(
                        ".byte 0x0f, 0x31",
                        ".byte 0x66, 0x89, 0x16, 0x04, 0xf2",
                        ".byte 0x66, 0xa3, 0x00, 0xf2",
                        ".byte 0xfa, 0xf4"
                    ))),
                    most: 1000,
                    ..Instruction::timed(
                        Timed {
                            before: SETTLE,
                            setup: fragment!("mov ecx, 0x830", "mov edx, 1"),
                            noticed: true,
                            // INIT, and SIPI to the page of OTHER_CODE.
                            ..Timed::new(fragment!(
                                "mov eax, 0x4500",
                                "wrmsr",
                                "mov eax, 0x4618",
                                "wrmsr"
                            ))
                        },
                        Exits::UNKNOWN,
                    )
                }),
                "vcpu_start",
            )
        },
        Row {
            trap: OUTSIDE,
            ..Row::new(
                "vm-create",
                "a VM: created, entered, left",
                Native::Lifecycle(Lifecycle::Create, FEW),
                "the same with an image, to its first byte",
            )
        },
        Row {
            trap: OUTSIDE,
            ..Row::new(
                "vm-destroy",
                "a VM: destroyed",
                Native::Lifecycle(Lifecycle::Destroy, FEW),
                "the same with all that belongs to a guest",
            )
        },
        Row {
            trap: OUTSIDE,
            ..Row::new(
                "triple-fault",
                "a triple fault, and back to the first instruction",
                Native::Lifecycle(Lifecycle::TripleFault, 2000),
                "sched_reboot: the VM is built anew, to its first byte",
            )
        },
    ],
};
