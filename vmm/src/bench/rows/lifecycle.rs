//! What happens to a whole VM or vCPU.

use super::{Group, Native, Operation, Row, Trap};
use crate::bench::lifecycle::Lifecycle;

const OUTSIDE: Trap = Trap::Absent("nothing of it happens in a guest");

pub const GROUP: Group = Group {
    title: "VMs and vCPUs",
    rows: &[
        Row {
            trap: OUTSIDE,
            hypercall: Some(Operation::slow("vcpu_start", 2, 1000)),
            ..Row::new(
                "vcpu-start",
                "starting a vCPU, to its first instruction",
                Native::Lifecycle(Lifecycle::StartVcpu),
                "vcpu_start",
            )
        },
        Row {
            trap: OUTSIDE,
            ..Row::new(
                "vm-create",
                "a VM: created, entered, left",
                Native::Lifecycle(Lifecycle::Create),
                "the same with an image and its first call",
            )
        },
        Row {
            trap: OUTSIDE,
            ..Row::new(
                "vm-destroy",
                "a VM: destroyed",
                Native::Lifecycle(Lifecycle::Destroy),
                "the same with all that belongs to a guest",
            )
        },
        Row {
            trap: OUTSIDE,
            ..Row::new(
                "triple-fault",
                "a triple fault, and back to the first instruction",
                Native::Lifecycle(Lifecycle::TripleFault),
                "sched_reboot: the VM is built anew",
            )
        },
    ],
};
