//! VMs with a few instructions in them and nothing else: what KVM alone makes of an instruction,
//! at CPL 0 and at CPL 3.

pub mod code;
pub mod floor;
pub mod layout;
pub mod measure;
pub mod other;
pub mod run;
pub mod vm;
