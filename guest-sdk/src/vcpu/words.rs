//! What the SDK keeps in the guest's words of the vCPU page: state of the running vCPU that has
//! to be reached by one instruction.
//!
//! One instruction matters. A thread can be preempted between any two, and go on on another
//! vCPU; so an address of this vCPU's state, once it is in a register, may be another's. What is
//! accessed through GS is always the running vCPU's own.

#![allow(unsafe_code)]

use core::arch::asm;
use core::mem::offset_of;
use pv_abi::vcpu_page::VcpuPage;

const GUEST: usize = offset_of!(VcpuPage, guest);

// Words 0 and 1 are the trap entry's.

/// Offset of the pointer to the running thread; 0 where there is none.
pub(crate) const THREAD: usize = GUEST + 16;
/// Offset of how often upcalls have been masked and not unmasked, 32 bits.
pub(crate) const MASK_DEPTH: usize = GUEST + 24;
/// Offset of `upcall_mask` as it was before that, 32 bits.
pub(crate) const MASK_BEFORE: usize = GUEST + 28;
/// Offset of a flag, 32 bits: whether the running thread is to make way for another.
pub(crate) const RESCHEDULE: usize = GUEST + 32;
/// Offset of the number of the current address space, 32 bits.
pub(crate) const SPACE: usize = GUEST + 36;

/// Offset of the RSP of the kernel code that has entered a task.
pub(crate) const KERNEL_RSP: usize = GUEST + 40;
/// Offset of the pointer to the registers of the task that runs.
pub(crate) const TASK: usize = GUEST + 48;
/// Offset of the lowest address of the stack that this vCPU was started on; 0 for the first vCPU.
pub(crate) const STACK: usize = GUEST + 56;

/// Offset of the vCPU page's `upcall_mask`.
pub(crate) const UPCALL_MASK: usize = offset_of!(VcpuPage, upcall_mask);
/// Reads the byte at an offset of the running vCPU's page.
#[inline(always)]
pub(crate) fn load8<const OFFSET: usize>() -> u8 {
    let value: u32;
    // SAFETY: as in `load`.
    unsafe {
        asm!("movzx {:e}, byte ptr gs:[{}]", out(reg) value, const OFFSET,
            options(nostack, preserves_flags));
    }
    value as u8
}

/// Reads the word at an offset of the running vCPU's page.
#[inline(always)]
pub(crate) fn load<const OFFSET: usize>() -> u64 {
    let value;
    // SAFETY: the GS base is the vCPU page's address from the entry on.
    unsafe {
        asm!("mov {}, gs:[{}]", out(reg) value, const OFFSET, options(nostack, preserves_flags));
    }
    value
}

/// Reads the 32-bit word at an offset of the running vCPU's page.
#[inline(always)]
pub(crate) fn load32<const OFFSET: usize>() -> u32 {
    let value;
    // SAFETY: as in `load`.
    unsafe {
        asm!("mov {:e}, gs:[{}]", out(reg) value, const OFFSET, options(nostack, preserves_flags));
    }
    value
}

/// Writes the word at an offset of the running vCPU's page.
///
/// # Safety
///
/// The offset is one of this module's, and the value what its users expect there.
#[inline(always)]
pub(crate) unsafe fn store<const OFFSET: usize>(value: u64) {
    // SAFETY: the GS base is the vCPU page's; the rest is the caller's promise.
    unsafe {
        asm!("mov gs:[{}], {}", const OFFSET, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Writes the 32-bit word at an offset of the running vCPU's page.
///
/// # Safety
///
/// As [`store`].
#[inline(always)]
pub(crate) unsafe fn store32<const OFFSET: usize>(value: u32) {
    // SAFETY: as in `store`.
    unsafe {
        asm!("mov gs:[{}], {:e}", const OFFSET, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Writes the byte at an offset of the running vCPU's page.
///
/// # Safety
///
/// As [`store`].
#[inline(always)]
pub(crate) unsafe fn store8<const OFFSET: usize, const VALUE: u8>() {
    // SAFETY: as in `store`.
    unsafe {
        asm!("mov byte ptr gs:[{}], {}", const OFFSET, const VALUE,
            options(nostack, preserves_flags));
    }
}

/// Adds 1 to the 32-bit word at an offset of the running vCPU's page.
///
/// # Safety
///
/// As [`store`].
#[inline(always)]
pub(crate) unsafe fn increment<const OFFSET: usize>() {
    // SAFETY: as in `store`.
    unsafe { asm!("inc dword ptr gs:[{}]", const OFFSET, options(nostack)) }
}

/// Subtracts 1 from the 32-bit word at an offset of the running vCPU's page; whether it is 0 now.
///
/// # Safety
///
/// As [`store`].
#[inline(always)]
pub(crate) unsafe fn decrement<const OFFSET: usize>() -> bool {
    let zero: u8;
    // SAFETY: as in `store`.
    unsafe {
        asm!("dec dword ptr gs:[{}]", "setz {}", const OFFSET, out(reg_byte) zero,
            options(nostack));
    }
    zero != 0
}
