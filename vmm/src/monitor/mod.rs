//! The monitor: the little code below the guest kernel that owns IDT, GDT, TSS and LSTAR.
//!
//! It delivers traps to the guest's handlers without an exit and carries the hypercalls of
//! a deprivileged guest. It decides nothing: the VMM fills in its data.

pub mod code;
pub mod data;
pub mod state;
