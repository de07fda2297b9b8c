//! Tests that boot guests: one suite, run on every KVM.
//!
//! [`suite`] is the suite; each of its tests runs the real `paravane` program as a user does.
//! `tests/local.rs` runs it on this machine's KVM and `tests/lanes.rs` on the stock KVMs of
//! [`lanes`], where the program `paravane-suite` is what runs it inside.

pub mod figures;
pub mod guests;
pub mod lanes;
pub mod modes;
pub mod program;
pub mod suite;
pub mod vm_process;
pub mod workspace;
