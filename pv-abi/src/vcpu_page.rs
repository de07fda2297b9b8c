//! The vCPU page: one per vCPU, read-write for the guest, found through the GS base.
//!
//! Each field is marked by who writes it. The VMM trusts nothing that it reads here.

use crate::pin_layout;
use crate::trap::TrapState;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Distance between two vCPU pages, and the size of one, in bytes.
pub const VCPU_PAGE_SIZE: u64 = 4096;

/// The clock of a vCPU, in the layout of `struct pvclock_vcpu_time_info`
/// (Linux, `arch/x86/include/asm/pvclock-abi.h`). All zero while no clock is offered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Clock {
    /// Odd while the VMM updates the fields.
    pub version: u32,
    /// Zero.
    pub reserved: u32,
    /// TSC at `system_time`.
    pub tsc_timestamp: u64,
    /// Nanoseconds at `tsc_timestamp`.
    pub system_time: u64,
    /// Multiplier from TSC cycles to nanoseconds, 32.32 fixed point, after the shift.
    pub tsc_to_system_mul: u32,
    /// Left shift of the TSC difference, right shift if negative.
    pub tsc_shift: i8,
    /// Flags of pvclock.
    pub flags: u8,
    /// Zero.
    pub padding: [u8; 2],
}

/// The vCPU page.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct VcpuPage {
    /// VMM: virtual address of this page, so that `mov rax, gs:[0]` finds it.
    pub self_address: u64,
    /// VMM: number of this vCPU.
    pub vcpu_id: u32,
    /// Guest: non-zero while no upcall may be delivered.
    pub upcall_mask: u8,
    /// VMM: non-zero when an event waits.
    pub upcall_pending: u8,
    /// Zero.
    pub reserved0: u16,
    /// Zero; room for the event selector, run state, steal time and deadline slots.
    pub reserved1: [u64; 6],
    /// VMM: the clock.
    pub clock: Clock,
    /// Zero.
    pub reserved2: [u64; 4],
    /// VMM: top of the boot stack (RSP at entry).
    pub boot_stack_top: u64,
    /// VMM: size of the boot stack in bytes; a guard page lies below it.
    pub boot_stack_size: u64,
    /// VMM: top of the trap stack. Nothing switches to it but the guest's own handlers.
    pub trap_stack_top: u64,
    /// VMM: size of the trap stack in bytes; a guard page lies below it.
    pub trap_stack_size: u64,
    /// Guest: eight words that the VMM never touches, for per-vCPU pointers and for the
    /// registers that a trap handler needs before it has a stack.
    pub guest: [u64; 8],
    /// Hypercall page: the call word and the arguments of the call under way, then zero. They
    /// are its own way to the VMM; a guest leaves them alone.
    pub call: [u64; 8],
    /// CPU and monitor: the trap that is being delivered.
    pub trap: TrapState,
}

pin_layout!(Clock, size 32 {
    version @ 0,
    tsc_timestamp @ 8,
    system_time @ 16,
    tsc_to_system_mul @ 24,
    tsc_shift @ 28,
    flags @ 29,
});
pin_layout!(VcpuPage, size 400 {
    self_address @ 0,
    vcpu_id @ 8,
    upcall_mask @ 12,
    upcall_pending @ 13,
    clock @ 64,
    boot_stack_top @ 128,
    boot_stack_size @ 136,
    trap_stack_top @ 144,
    trap_stack_size @ 152,
    guest @ 160,
    call @ 224,
    trap @ 288,
});
