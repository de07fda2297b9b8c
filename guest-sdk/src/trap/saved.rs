//! What the trap entry saves of interrupted code, and how that code goes on.

#![allow(unsafe_code)]

use super::entry::RETURN_ENTRY;
use core::arch::naked_asm;
use core::mem::offset_of;
use pv_abi::trap::TrapFrame as Registers;

/// The vector state of interrupted code, x87 and SSE, in the layout of FXSAVE64 (Intel SDM vol. 1,
/// 10.5.1).
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct VectorState(pub [u8; 512]);

impl VectorState {
    /// What a program begins with: all exceptions masked (System V ABI, AMD64, 3.4.1), and 0 in
    /// all registers.
    pub const fn new() -> Self {
        let mut image = [0; 512];
        // FCW, and MXCSR at 24.
        image[0] = 0x7f;
        image[1] = 0x03;
        image[24] = 0x80;
        image[25] = 0x1f;
        Self(image)
    }
}

impl Default for VectorState {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for VectorState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VectorState").finish_non_exhaustive()
    }
}

/// All registers of interrupted code, as they lie on the trap stack while its trap is handled,
/// lowest first.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct Saved {
    /// The vector registers.
    pub vector: VectorState,
    /// All others.
    pub registers: Registers,
}

impl Saved {
    /// No registers yet.
    pub const fn new() -> Self {
        Self {
            vector: VectorState::new(),
            registers: Registers {
                r15: 0,
                r14: 0,
                r13: 0,
                r12: 0,
                r11: 0,
                r10: 0,
                r9: 0,
                r8: 0,
                rdi: 0,
                rsi: 0,
                rbp: 0,
                rbx: 0,
                rdx: 0,
                rcx: 0,
                rax: 0,
                vector: 0,
                cr2: 0,
                error: 0,
                rip: 0,
                cs: 0,
                rflags: 0,
                rsp: 0,
                ss: 0,
            },
        }
    }

    /// Where it lies when it is first on a trap stack.
    pub fn at_top_of(trap_stack_top: u64) -> *mut Self {
        core::ptr::with_exposed_provenance_mut::<Self>(trap_stack_top as usize).wrapping_sub(1)
    }
}

/// Goes on with what RSP points to, a [`Saved`] on the trap stack: so an upcall that comes before
/// the last instruction finds RSP there, and leaves what lies above it alone.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn resume() -> ! {
    naked_asm!(
        ".cfi_startproc simple",
        ".cfi_signal_frame",
        ".cfi_def_cfa rsp, {size}",
        ".cfi_offset rip, {rip} - {size}",
        ".cfi_offset rsp, {rsp} - {size}",
        ".cfi_offset rbp, {rbp} - {size}",
        "fxrstor64 [rsp]",
        "mov r15, [rsp + {r15}]",
        "mov r14, [rsp + {r14}]",
        "mov r13, [rsp + {r13}]",
        "mov r12, [rsp + {r12}]",
        "mov r11, [rsp + {r11}]",
        "mov r10, [rsp + {r10}]",
        "mov r9, [rsp + {r9}]",
        "mov r8, [rsp + {r8}]",
        "mov rdi, [rsp + {rdi}]",
        "mov rsi, [rsp + {rsi}]",
        "mov rbp, [rsp + {rbp}]",
        "mov rbx, [rsp + {rbx}]",
        "mov rdx, [rsp + {rdx}]",
        "mov rcx, [rsp + {rcx}]",
        "mov rax, [rsp + {rax}]",
        // The end of the frame is the one that the trap-return entry takes.
        "lea rsp, [rsp + {rip}]",
        "jmp qword ptr [rip + {return_entry}]",
        ".cfi_endproc",
        size = const size_of::<Saved>(),
        r15 = const REGISTERS + offset_of!(Registers, r15),
        r14 = const REGISTERS + offset_of!(Registers, r14),
        r13 = const REGISTERS + offset_of!(Registers, r13),
        r12 = const REGISTERS + offset_of!(Registers, r12),
        r11 = const REGISTERS + offset_of!(Registers, r11),
        r10 = const REGISTERS + offset_of!(Registers, r10),
        r9 = const REGISTERS + offset_of!(Registers, r9),
        r8 = const REGISTERS + offset_of!(Registers, r8),
        rdi = const REGISTERS + offset_of!(Registers, rdi),
        rsi = const REGISTERS + offset_of!(Registers, rsi),
        rbp = const REGISTERS + offset_of!(Registers, rbp),
        rbx = const REGISTERS + offset_of!(Registers, rbx),
        rdx = const REGISTERS + offset_of!(Registers, rdx),
        rcx = const REGISTERS + offset_of!(Registers, rcx),
        rax = const REGISTERS + offset_of!(Registers, rax),
        rip = const REGISTERS + offset_of!(Registers, rip),
        rsp = const REGISTERS + offset_of!(Registers, rsp),
        return_entry = sym RETURN_ENTRY,
    )
}

const REGISTERS: usize = offset_of!(Saved, registers);
