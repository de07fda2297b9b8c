//! The vCPU page: one per vCPU, read-write for the guest, found through the GS base.
//!
//! Each field is marked by who writes it. The VMM trusts nothing that it reads here.

use crate::pin_layout;
use crate::stats::BatchEntry;
use crate::trap::TrapState;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Distance between two vCPU pages, and the size of one, in bytes.
pub const VCPU_PAGE_SIZE: u64 = 4096;

/// How many calls can be deferred.
pub const DEFERRED_CALLS: usize = 32;

/// [`VcpuPage::run_state`]: the vCPU has not been started, or was stopped.
pub const RUN_STATE_STOPPED: u32 = 0;
/// [`VcpuPage::run_state`]: it is in the guest, or a call of its own is being carried out.
pub const RUN_STATE_RUNNING: u32 = 1;
/// [`VcpuPage::run_state`]: it could run, and waits for a processor of the host.
pub const RUN_STATE_RUNNABLE: u32 = 2;
/// [`VcpuPage::run_state`]: it waits inside a call.
pub const RUN_STATE_BLOCKED: u32 = 3;

/// A task that is about to be entered: what the task entry of the hypercall page takes from here.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TaskState {
    /// Guest: RIP of the task, in the lower half.
    pub rip: u64,
    /// Guest: its flags; the arithmetic flags, DF, TF, RF, AC and ID are taken.
    pub rflags: u64,
    /// Guest: its RSP.
    pub rsp: u64,
    /// Guest: its RCX, which the entry needs itself.
    pub rcx: u64,
    /// Guest: its R11, likewise.
    pub r11: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

/// The clock of a vCPU, in the layout of `struct pvclock_vcpu_time_info`
/// (Linux, `arch/x86/include/asm/pvclock-abi.h`).
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
    /// Guest: non-zero while no upcall may be delivered. 1 at entry; the VMM sets it to 1 when it
    /// delivers an upcall and when a task is interrupted, and 0 when a task is entered.
    pub upcall_mask: u8,
    /// VMM: non-zero when an event waits.
    pub upcall_pending: u8,
    /// Zero.
    pub reserved0: u16,
    /// VMM sets, guest clears: the words of the event page with ports to look at.
    pub event_selector: u64,
    /// Guest: until when `sched_block` waits, in nanoseconds of the clock; 0: no deadline.
    pub deadline: u64,
    /// VMM: nanoseconds that this vCPU could have run and the host ran something else. It is
    /// brought up to date now and then.
    pub steal_time: u64,
    /// VMM: `RUN_STATE_*`.
    pub run_state: u32,
    /// VMM: how often the VM has gone on from a snapshot. Others may go on from the same one: a
    /// guest that sees this change has random numbers, keys and names that are not its own any
    /// more.
    pub restored: u32,
    /// Zero.
    pub reserved3: [u64; 2],
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
    /// Guest: the task that is about to be entered.
    pub task: TaskState,
    /// Guest: how many elements of `deferred` wait. The VMM carries them out, in their
    /// order, before the next call of this vCPU, and sets this to 0.
    pub deferred_count: u32,
    /// Zero.
    pub reserved4: u32,
    /// Zero.
    pub reserved5: [u64; 197],
    /// Guest: calls that can wait. The VMM writes the result of each into it.
    pub deferred: [BatchEntry; DEFERRED_CALLS],
}

pin_layout!(Clock, size 32 {
    version @ 0,
    tsc_timestamp @ 8,
    system_time @ 16,
    tsc_to_system_mul @ 24,
    tsc_shift @ 28,
    flags @ 29,
});
pin_layout!(TaskState, size 64 { rip @ 0, rflags @ 8, rsp @ 16, rcx @ 24, r11 @ 32 });
pin_layout!(VcpuPage, size 4096 {
    self_address @ 0,
    vcpu_id @ 8,
    upcall_mask @ 12,
    upcall_pending @ 13,
    event_selector @ 16,
    deadline @ 24,
    steal_time @ 32,
    run_state @ 40,
    restored @ 44,
    clock @ 64,
    boot_stack_top @ 128,
    boot_stack_size @ 136,
    trap_stack_top @ 144,
    trap_stack_size @ 152,
    guest @ 160,
    call @ 224,
    trap @ 288,
    task @ 400,
    deferred_count @ 464,
    deferred @ 2048,
});
