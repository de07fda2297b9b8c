//! Where the VMM puts its own pages: guest-physically behind RAM, virtually in the windows
//! that `pv_abi::address_space` names.

use pv_abi::address_space::{MONITOR_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use pv_abi::vcpu_page::VCPU_PAGE_SIZE;

/// The largest number of vCPUs of a VM.
pub const MAX_VCPUS: u32 = 64;

/// The start-info page.
pub const START_INFO: u64 = SHARED_PAGES_BASE;
/// The command line, directly behind the start-info page.
pub const COMMAND_LINE: u64 = SHARED_PAGES_BASE + PAGE_SIZE;
/// The hypercall page.
pub const HYPERCALL_PAGE: u64 = SHARED_PAGES_BASE + 2 * PAGE_SIZE;
/// The event page.
pub const EVENT_PAGE: u64 = SHARED_PAGES_BASE + 3 * PAGE_SIZE;
/// The list of devices.
pub const DEVICE_LIST: u64 = SHARED_PAGES_BASE + 4 * PAGE_SIZE;
/// The vCPU pages.
pub const VCPU_PAGES: u64 = SHARED_PAGES_BASE + 0x10_0000;

/// Size of the window that the monitor has for each vCPU.
pub const MONITOR_STRIDE: u64 = 0x8000;
/// Offset of the monitor's data in its window.
pub const MONITOR_DATA: u64 = 0x2000;
/// Offset of the IDT in the monitor's window.
pub const MONITOR_IDT: u64 = 0x3000;
/// Offset of the monitor's alias of the vCPU page in its window.
pub const MONITOR_VCPU_PAGE: u64 = 0x4000;

/// Size of the trap stack of each vCPU.
pub const TRAP_STACK_SIZE: u64 = 32 << 10;

/// The vCPU page of a vCPU, as the guest sees it.
pub const fn vcpu_page(vcpu: u32) -> u64 {
    VCPU_PAGES + vcpu as u64 * VCPU_PAGE_SIZE
}

/// The monitor's window of a vCPU.
pub const fn monitor_window(vcpu: u32) -> u64 {
    MONITOR_BASE + vcpu as u64 * MONITOR_STRIDE
}
