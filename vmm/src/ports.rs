//! The I/O ports of hypercalls, of the monitor and of devices.
//!
//! Those of calls and traps lie below 0x100, so that they fit the instruction and no register is spent on them,
//! and none is a port that an in-kernel PIC (0x20, 0xa0), PIT (0x40 to 0x43) or PC speaker
//! (0x61) answers.

/// IN: a hypercall; the VMM's answer is the value read.
pub const HYPERCALL: u8 = 0x50;
/// OUT: a trap without a handler.
pub const UNHANDLED_TRAP: u8 = 0x54;
/// OUT: a trap before the handler of the one before had saved its state.
pub const DOUBLE_TRAP: u8 = 0x55;
/// OUT: #DF.
pub const DOUBLE_FAULT: u8 = 0x56;
/// OUT: a task is about to be entered, and an upcall is due.
pub const UPCALL: u8 = 0x57;

/// OUT of a byte: the first of the doorbells, which KVM turns into an eventfd. They are the only
/// ports that a guest names, by its start-info page.
pub const DOORBELLS: u16 = 0x100;
