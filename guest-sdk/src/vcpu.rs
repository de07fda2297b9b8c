//! The running vCPU: its page, which the GS base holds.

#![allow(unsafe_code)]

use core::mem::offset_of;
use core::ops::Range;
use pv_abi::vcpu_page::VcpuPage;

/// The page of the running vCPU.
///
/// The VMM changes fields of it at any time: read them by volatile reads.
pub fn page() -> *mut VcpuPage {
    let address: usize;
    // SAFETY: the GS base is the vCPU page's address from the entry on, and its first word
    // holds that address.
    unsafe {
        core::arch::asm!(
            "mov {}, gs:[{own_address}]",
            out(reg) address,
            own_address = const offset_of!(VcpuPage, self_address),
            options(nostack, preserves_flags, readonly),
        );
    }
    core::ptr::with_exposed_provenance_mut(address)
}

/// The number of the running vCPU.
pub fn id() -> u32 {
    let id;
    // SAFETY: as in `page`.
    unsafe {
        core::arch::asm!(
            "mov {:e}, gs:[{vcpu_id}]",
            out(reg) id,
            vcpu_id = const offset_of!(VcpuPage, vcpu_id),
            options(nostack, preserves_flags, readonly),
        );
    }
    id
}

/// The addresses of the running vCPU's boot stack. Below them lies a guard page.
pub fn boot_stack() -> Range<u64> {
    let page = page();
    // SAFETY: the page is mapped for as long as the vCPU runs.
    let (top, size) = unsafe {
        (
            (&raw const (*page).boot_stack_top).read_volatile(),
            (&raw const (*page).boot_stack_size).read_volatile(),
        )
    };
    top - size..top
}

/// The addresses of the running vCPU's trap stack. Below them lies a guard page.
pub fn trap_stack() -> Range<u64> {
    let page = page();
    // SAFETY: the page is mapped for as long as the vCPU runs.
    let (top, size) = unsafe {
        (
            (&raw const (*page).trap_stack_top).read_volatile(),
            (&raw const (*page).trap_stack_size).read_volatile(),
        )
    };
    top - size..top
}
