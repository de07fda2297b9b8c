//! memcpy and its kin, which the compiler calls and a host target expects of a C library.
//!
//! They are assembly because a compiler knows loops like these, and would turn them into calls
//! to themselves. Short ones, which formatting makes by the thousand, are done by overlapping
//! loads and stores; long ones by string instructions, which are fast from there on. The System
//! V calling convention holds: destination in RDI, source in RSI, size in RDX.

#![allow(unsafe_code)]

use core::arch::naked_asm;

#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(_to: *mut u8, _from: *const u8, _size: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        "cmp rdx, 32",
        "jbe {copy_short}",
        "mov rcx, rdx",
        "rep movsb",
        "ret",
        ".cfi_endproc",
        copy_short = sym copy_short,
    )
}

/// As memcpy, for regions that may overlap.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(_to: *mut u8, _from: *const u8, _size: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, rdi",
        "cmp rdx, 32",
        "jbe {copy_short}",
        // Forward, unless the destination begins within the source.
        "mov rcx, rdi",
        "sub rcx, rsi",
        "cmp rcx, rdx",
        "jb 2f",
        "mov rcx, rdx",
        "rep movsb",
        "ret",
        // Backward by 16 bytes; at most 15 are left at the beginning.
        "2:",
        "sub rdx, 16",
        "movups xmm0, [rsi + rdx]",
        "movups [rdi + rdx], xmm0",
        "cmp rdx, 16",
        "jae 2b",
        "jmp {copy_short}",
        ".cfi_endproc",
        copy_short = sym copy_short,
    )
}

/// Copies up to 32 bytes, which may overlap: all is loaded before anything is stored.
/// RAX is the caller's result and kept.
#[unsafe(naked)]
unsafe extern "C" fn copy_short() {
    naked_asm!(
        ".cfi_startproc",
        "cmp edx, 16",
        "jb 2f",
        "movups xmm0, [rsi]",
        "movups xmm1, [rsi + rdx - 16]",
        "movups [rdi], xmm0",
        "movups [rdi + rdx - 16], xmm1",
        "ret",
        "2:",
        "cmp edx, 8",
        "jb 3f",
        "mov rcx, [rsi]",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], r8",
        "ret",
        "3:",
        "cmp edx, 4",
        "jb 4f",
        "mov ecx, [rsi]",
        "mov r8d, [rsi + rdx - 4]",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], r8d",
        "ret",
        "4:",
        "cmp edx, 2",
        "jb 5f",
        "movzx ecx, word ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "mov [rdi], cx",
        "mov [rdi + rdx - 1], r8b",
        "ret",
        "5:",
        "test edx, edx",
        "jz 6f",
        "movzx ecx, byte ptr [rsi]",
        "mov [rdi], cl",
        "6:",
        "ret",
        ".cfi_endproc",
    )
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(_to: *mut u8, _byte: i32, _size: usize) -> *mut u8 {
    naked_asm!(
        ".cfi_startproc",
        "mov r8, rdi",
        "movzx eax, sil",
        "cmp rdx, 8",
        "jb 3f",
        "cmp rdx, 64",
        "ja 3f",
        // Eight copies of the byte. The last eight bytes may overlap those before them.
        "mov rcx, 0x0101010101010101",
        "imul rax, rcx",
        "mov [rdi + rdx - 8], rax",
        "2:",
        "mov [rdi], rax",
        "add rdi, 8",
        "sub rdx, 8",
        "cmp rdx, 8",
        "jae 2b",
        "mov rax, r8",
        "ret",
        "3:",
        "mov rcx, rdx",
        "rep stosb",
        "mov rax, r8",
        "ret",
        ".cfi_endproc",
    )
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(_left: *const u8, _right: *const u8, _size: usize) -> i32 {
    naked_asm!(
        ".cfi_startproc",
        "xor ecx, ecx",
        // Eight bytes at a time, as numbers whose first byte is the most significant.
        "2:",
        "lea r8, [rcx + 8]",
        "cmp r8, rdx",
        "ja 3f",
        "mov rax, [rdi + rcx]",
        "mov r9, [rsi + rcx]",
        "mov rcx, r8",
        "cmp rax, r9",
        "je 2b",
        "bswap rax",
        "bswap r9",
        "cmp rax, r9",
        // -1 where the left one is less, otherwise 1.
        "sbb eax, eax",
        "or eax, 1",
        "ret",
        "3:",
        "xor eax, eax",
        "cmp rcx, rdx",
        "jae 4f",
        "movzx eax, byte ptr [rdi + rcx]",
        "movzx r8d, byte ptr [rsi + rcx]",
        "inc rcx",
        "sub eax, r8d",
        "je 3b",
        "4:",
        "ret",
        ".cfi_endproc",
    )
}

/// As memcmp, but for the sign of what is not zero.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(_left: *const u8, _right: *const u8, _size: usize) -> i32 {
    naked_asm!(
        ".cfi_startproc",
        "jmp {memcmp}",
        ".cfi_endproc",
        memcmp = sym memcmp,
    )
}

#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(_text: *const u8) -> usize {
    naked_asm!(
        ".cfi_startproc",
        "xor eax, eax",
        "cmp byte ptr [rdi], 0",
        "je 3f",
        "2:",
        "inc rax",
        "cmp byte ptr [rdi + rax], 0",
        "jne 2b",
        "3:",
        "ret",
        ".cfi_endproc",
    )
}
