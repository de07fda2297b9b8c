//! Tests that boot guests: one suite, run on every KVM.
//!
//! [`suite`] is the suite; its tests run the real `paravane` program as a user does, or a VM in their
//! own process ([`hosted`]) as a program does that embeds the VMM.
//! `tests/local.rs` runs it on this machine's KVM and `tests/lanes.rs` on the stock KVMs of
//! [`lanes`], where the program `paravane-suite` is what runs it inside. What is installed is tried
//! in a [`system`] of its own.

pub mod daemon;
pub mod document;
pub mod figures;
pub mod guests;
pub mod hosted;
pub mod lanes;
pub mod modes;
pub mod processes;
pub mod program;
pub mod suite;
pub mod system;
pub mod vm_process;
pub mod workspace;
