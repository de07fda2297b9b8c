//! Telling the time.

use super::{Exits, Group, Instruction, Native, Operation, Row, Trap};
use crate::bench::raw::code::{Timed, fragment};

const CLOCK: &str = "clock in the vCPU page";

pub const GROUP: Group = Group {
    title: "time",
    rows: &[
        Row {
            trap: Trap::Same(Exits::both(0.0)),
            exitless: Some(Operation::new("clock_read")),
            ..Row::new(
                "rdtsc",
                "RDTSC",
                Native::Code(Instruction::new(fragment!("rdtsc"), Exits::both(0.0))),
                CLOCK,
            )
        },
        Row {
            trap: Trap::Same(Exits::both(0.0)),
            exitless: Some(Operation::new("clock_read")),
            ..Row::new(
                "rdtscp",
                "RDTSCP",
                Native::Code(Instruction::timed(
                    Timed::new(fragment!("rdtscp")),
                    Exits::both(0.0),
                )),
                CLOCK,
            )
        },
        Row {
            // Two instructions.
            trap: Trap::Same(Exits::both(2.0)),
            hypercall: Some(Operation::new("time_wallclock")),
            ..Row::new(
                "rtc",
                "reading a register of the RTC",
                Native::Code(Instruction::new(
                    fragment!("xor eax, eax", "out 0x70, al", "in al, 0x71"),
                    Exits::both(2.0),
                )),
                "time_wallclock",
            )
        },
    ],
};
