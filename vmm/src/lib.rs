//! The Paravane VMM: a paravirtualizing hypervisor on Linux KVM.
//!
//! docs/architecture.md is the map; the ABI is in the crate `pv_abi`.

pub mod bench;
pub mod carrier;
pub mod console;
pub mod crash;
pub mod device;
pub mod entropy;
pub mod event;
pub mod grant;
pub mod hypercall;
pub mod image;
pub mod layout;
pub mod memory;
pub mod monitor;
pub mod paging;
pub mod ports;
pub mod process;
pub mod sandbox;
pub mod size;
pub mod snapshot;
pub mod space;
mod sync;
pub mod time;
pub mod vcpu;
pub mod vm;
