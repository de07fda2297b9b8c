//! The sensitive instructions that this kernel contains on purpose: to show what becomes of a
//! guest that executes one.
//!
//! The test that looks for sensitive instructions in the linked image allows exactly the
//! symbols that begin with `paravane_deliberate_`.

#![allow(unsafe_code)]

use core::arch::naked_asm;

/// HLT: #GP at CPL 3. At CPL 0 it is an exit that ends the guest.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn paravane_deliberate_hlt() {
    naked_asm!(".cfi_startproc", "hlt", "ret", ".cfi_endproc")
}

/// An interrupt table without entries, then a breakpoint: at CPL 0 that is a triple fault, which
/// no handler of the guest's sees. At CPL 3 already the first instruction is a #GP.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn paravane_deliberate_triple_fault() {
    naked_asm!(
        ".cfi_startproc",
        "lidt [rip + {no_table}]",
        "int3",
        "ret",
        ".cfi_endproc",
        no_table = sym NO_TABLE,
    )
}

/// What LIDT takes: limit and base.
static NO_TABLE: [u8; 10] = [0; 10];

/// SYSCALL, which arrives at the handler that `trap_set_syscall` registered.
///
/// Calls with its argument in RDI and returns what the handler leaves in RAX.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn paravane_deliberate_syscall(_argument: u64) -> u64 {
    naked_asm!(".cfi_startproc", "syscall", "ret", ".cfi_endproc")
}

/// Sets TF, so that a #DB comes behind the next instruction; its handler clears TF again. No more
/// of RFLAGS is changed, wherever PUSHF tells the truth and where it does not: what it tells
/// wrongly, POPF does not change.
#[unsafe(naked)]
#[unsafe(no_mangle)]
pub extern "C" fn paravane_deliberate_step() {
    naked_asm!(
        ".cfi_startproc",
        "pushfq",
        ".cfi_adjust_cfa_offset 8",
        "or qword ptr [rsp], 0x100",
        "popfq",
        ".cfi_adjust_cfa_offset -8",
        "nop",
        "ret",
        ".cfi_endproc",
    )
}
