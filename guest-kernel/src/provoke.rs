//! Instructions that trap, each the first of its function unless that says otherwise, so that
//! the function's address is where the trap has to be reported.

#![allow(unsafe_code)]

use core::arch::naked_asm;

/// A breakpoint. Returns the RAX that the handler leaves, 0 if it leaves it alone.
pub fn breakpoint() -> u64 {
    breakpoint_at()
}

/// INT3; the trap is reported behind it. RAX is 0 before it.
#[unsafe(naked)]
pub extern "C" fn breakpoint_at() -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "xor eax, eax",
        "int3",
        "ret",
        ".cfi_endproc"
    )
}

/// Offset from [`breakpoint_at`] at which its trap is reported.
pub const BREAKPOINT_OFFSET: u64 = 3;

/// UD2. Returns 0x77 if the handler skips it.
#[unsafe(naked)]
pub extern "C" fn undefined(_unused: u64) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "ud2",
        "mov eax, 0x77",
        "ret",
        ".cfi_endproc"
    )
}

/// Size of a UD2.
pub const UNDEFINED_SIZE: u64 = 2;

/// Divides 100 by a number.
#[unsafe(naked)]
pub extern "C" fn divide(_divisor: u64) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "mov eax, 100",
        "xor edx, edx",
        "div rdi",
        "ret",
        ".cfi_endproc",
    )
}

/// The bytes of the DIV in [`divide`].
pub const DIVIDE_INSTRUCTION: [u8; 3] = [0x48, 0xf7, 0xf7];

/// Reads eight bytes. Wherever that does not trap it is harmless.
#[unsafe(naked)]
pub extern "C" fn read(_address: u64) -> u64 {
    naked_asm!(".cfi_startproc", "mov rax, [rdi]", "ret", ".cfi_endproc")
}

/// Size of the MOV in [`read`].
pub const READ_SIZE: u64 = 3;

/// Writes eight bytes, with what is there already: harmless where it does not trap.
///
/// Only for what can be read: where nothing is mapped, emulators report the read.
#[unsafe(naked)]
pub extern "C" fn write(_address: u64) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "or qword ptr [rdi], 0",
        "xor eax, eax",
        "ret",
        ".cfi_endproc",
    )
}

/// Writes eight zero bytes.
///
/// # Safety
///
/// If it does not trap, what is there must be the caller's to overwrite.
#[unsafe(naked)]
pub unsafe extern "C" fn clear(_address: u64) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "mov qword ptr [rdi], 0",
        "xor eax, eax",
        "ret",
        ".cfi_endproc",
    )
}

/// Calls an address; the trap is reported there.
///
/// # Safety
///
/// If it does not trap, what is there must be code that may be called.
#[unsafe(naked)]
pub unsafe extern "C" fn execute(_address: u64) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        "mov rbp, rsp",
        "call rdi",
        "pop rbp",
        ".cfi_adjust_cfa_offset -8",
        "ret",
        ".cfi_endproc",
    )
}

/// UD2 with RSP where there is no stack.
///
/// # Safety
///
/// The handler must not go on with this RSP.
#[unsafe(naked)]
pub unsafe extern "C" fn undefined_without_stack(_rsp: u64) -> u64 {
    naked_asm!(".cfi_startproc", "mov rsp, rdi", "ud2", ".cfi_endproc")
}
