//! Traps: how a fault reaches the guest's handler, and how the handler returns.
//!
//! A handler registered by `trap_set_table` is entered without an exit, at the guest
//! kernel's own privilege level, with
//!
//! - RIP at the handler, all flags clear (IF may read as set, and has no meaning for a
//!   guest), every other register as it was when the trap
//!   happened, RSP included (so below RSP there may be a red zone, or no stack at all);
//! - the vCPU page's [`TrapState`] filled in, and its `busy` set to 1.
//!
//! The handler saves the state and then clears `busy`. Until then another trap cannot be
//! delivered: it is a *double trap*, and ends the guest as a crash.

use crate::pin_layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of vectors that `trap_set_table` takes handlers for (Intel SDM vol. 3A, 6.3.1).
pub const TRAP_VECTORS: usize = 32;

/// [`TrapState::vector`] of a SYSCALL instruction (see `trap_set_syscall`).
pub const SYSCALL_VECTOR: u32 = 0x100;

/// [`TrapState::vector`] of an upcall (see `trap_set_upcall`).
pub const UPCALL_VECTOR: u32 = 0x101;

/// #DE, divide error.
pub const VECTOR_DE: u32 = 0;
/// #DB, debug exception.
pub const VECTOR_DB: u32 = 1;
/// #BP, breakpoint.
pub const VECTOR_BP: u32 = 3;
/// #OF, overflow.
pub const VECTOR_OF: u32 = 4;
/// #BR, BOUND range exceeded.
pub const VECTOR_BR: u32 = 5;
/// #UD, invalid opcode.
pub const VECTOR_UD: u32 = 6;
/// #NM, device not available.
pub const VECTOR_NM: u32 = 7;
/// #DF, double fault.
pub const VECTOR_DF: u32 = 8;
/// #TS, invalid TSS.
pub const VECTOR_TS: u32 = 10;
/// #NP, segment not present.
pub const VECTOR_NP: u32 = 11;
/// #SS, stack-segment fault.
pub const VECTOR_SS: u32 = 12;
/// #GP, general protection.
pub const VECTOR_GP: u32 = 13;
/// #PF, page fault.
pub const VECTOR_PF: u32 = 14;
/// #MF, x87 floating-point error.
pub const VECTOR_MF: u32 = 16;
/// #AC, alignment check.
pub const VECTOR_AC: u32 = 17;
/// #XM, SIMD floating-point exception.
pub const VECTOR_XM: u32 = 19;

/// The mnemonic of an exception vector, for example `#PF`; `None` for a reserved one.
pub const fn vector_name(vector: u32) -> Option<&'static str> {
    Some(match vector {
        VECTOR_DE => "#DE",
        VECTOR_DB => "#DB",
        2 => "NMI",
        VECTOR_BP => "#BP",
        VECTOR_OF => "#OF",
        VECTOR_BR => "#BR",
        VECTOR_UD => "#UD",
        VECTOR_NM => "#NM",
        VECTOR_DF => "#DF",
        VECTOR_TS => "#TS",
        VECTOR_NP => "#NP",
        VECTOR_SS => "#SS",
        VECTOR_GP => "#GP",
        VECTOR_PF => "#PF",
        VECTOR_MF => "#MF",
        VECTOR_AC => "#AC",
        18 => "#MC",
        VECTOR_XM => "#XM",
        20 => "#VE",
        21 => "#CP",
        SYSCALL_VECTOR => "SYSCALL",
        UPCALL_VECTOR => "upcall",
        _ => return None,
    })
}

/// The trap that is being delivered, at the end of the vCPU page's defined part.
///
/// The CPU itself pushes `error` to `ss` here: the monitor's stack ends where this ends.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TrapState {
    /// 1 from the trap on until the handler clears it.
    pub busy: u32,
    /// The vector: 0 to 31, [`SYSCALL_VECTOR`] or [`UPCALL_VECTOR`].
    pub vector: u32,
    /// CR2, the faulting linear address, of a #PF; DR6 of a #DB. Other vectors leave it alone.
    pub cr2: u64,
    /// The monitor's.
    pub reserved: u64,
    /// 1 when a task was interrupted, 0 when it was the kernel.
    pub from_task: u64,
    /// The monitor's.
    pub reserved1: [u64; 4],
    /// The error code of a vector that has one; otherwise undefined.
    pub error: u64,
    /// Where the trap happened, or the next instruction, as the vector has it.
    pub rip: u64,
    /// Code segment selector, to be handed back unchanged.
    pub cs: u64,
    /// RFLAGS at the trap. A software KVM may report IF and IOPL wrongly.
    pub rflags: u64,
    /// RSP at the trap.
    pub rsp: u64,
    /// Stack segment selector, to be handed back unchanged.
    pub ss: u64,
}

/// One entry of the table that `trap_set_table` takes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TrapHandler {
    /// Virtual address of the handler; 0 for none (such a trap ends the guest as a crash).
    pub handler: u64,
    /// Zero.
    pub flags: u64,
}

/// Breakpoints: what `trap_set_debug` takes (Intel SDM vol. 3B, 18.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct DebugRegisters {
    /// DR0 to DR3: linear addresses.
    pub address: [u64; 4],
    /// DR7: L0 to L3 enable a breakpoint; R/W0 to R/W3 and LEN0 to LEN3 say of what kind it is.
    /// All other bits are zero, but for bit 10, which is ignored.
    pub control: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

/// All registers of interrupted code: what a handler saves, what `trap_return` restores
/// and what a crash report shows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct TrapFrame {
    /// General-purpose register.
    pub r15: u64,
    /// General-purpose register.
    pub r14: u64,
    /// General-purpose register.
    pub r13: u64,
    /// General-purpose register.
    pub r12: u64,
    /// General-purpose register.
    pub r11: u64,
    /// General-purpose register.
    pub r10: u64,
    /// General-purpose register.
    pub r9: u64,
    /// General-purpose register.
    pub r8: u64,
    /// General-purpose register.
    pub rdi: u64,
    /// General-purpose register.
    pub rsi: u64,
    /// General-purpose register.
    pub rbp: u64,
    /// General-purpose register.
    pub rbx: u64,
    /// General-purpose register.
    pub rdx: u64,
    /// General-purpose register.
    pub rcx: u64,
    /// General-purpose register.
    pub rax: u64,
    /// The vector, see [`TrapState::vector`].
    pub vector: u64,
    /// CR2 of a #PF.
    pub cr2: u64,
    /// The error code of a vector that has one.
    pub error: u64,
    /// Instruction pointer.
    pub rip: u64,
    /// Code segment selector. `trap_return` ignores it.
    pub cs: u64,
    /// Flags. `trap_return` restores the arithmetic flags, DF, TF, RF, AC and ID.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment selector. `trap_return` ignores it.
    pub ss: u64,
}

pin_layout!(TrapState, size 112 {
    busy @ 0,
    vector @ 4,
    cr2 @ 8,
    from_task @ 24,
    error @ 64,
    rip @ 72,
    cs @ 80,
    rflags @ 88,
    rsp @ 96,
    ss @ 104,
});
pin_layout!(DebugRegisters, size 64 { address @ 0, control @ 32, reserved @ 40 });
pin_layout!(TrapHandler, size 16 { handler @ 0, flags @ 8 });
pin_layout!(TrapFrame, size 184 {
    r15 @ 0,
    r14 @ 8,
    r13 @ 16,
    r12 @ 24,
    r11 @ 32,
    r10 @ 40,
    r9 @ 48,
    r8 @ 56,
    rdi @ 64,
    rsi @ 72,
    rbp @ 80,
    rbx @ 88,
    rdx @ 96,
    rcx @ 104,
    rax @ 112,
    vector @ 120,
    cr2 @ 128,
    error @ 136,
    rip @ 144,
    cs @ 152,
    rflags @ 160,
    rsp @ 168,
    ss @ 176,
});

// The CPU aligns the stack to 16 bytes before it pushes (Intel SDM vol. 3A, 6.14.2), so
// the end of the trap state must be so aligned or the frame lands elsewhere.
const _: () = assert!(
    (core::mem::offset_of!(crate::vcpu_page::VcpuPage, trap) + size_of::<TrapState>())
        .is_multiple_of(16)
);
