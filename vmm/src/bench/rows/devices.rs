//! Devices, whose requests are in memory.

use super::{Group, Native, Operation, Row, Trap};

pub const GROUP: Group = Group {
    title: "devices",
    rows: &[
        Row {
            trap: Trap::Absent("it would be the row of that OUT once more"),
            hypercall: Some(Operation::with_device("io_queue_notify")),
            exitless: Some(Operation::with_device("doorbell")),
            ..Row::new(
                "doorbell",
                "telling a device of requests",
                Native::Absent("it is an OUT that KVM hands to an eventfd, a row of its own"),
                "OUT to a doorbell; io_queue_notify",
            )
        },
        Row {
            trap: Trap::Absent("no device is emulated"),
            hypercall: Some(Operation::with_device("entropy_request")),
            ..Row::new(
                "device-request",
                "8 random bytes from a device, with its event",
                Native::Absent(
                    "no device is emulated; an exit with an interrupt is the row external-interrupt",
                ),
                "a doorbell, the device's thread, an event; sched_block meanwhile",
            )
        },
    ],
};
