//! Whether a trap keeps every register, and shows each to its handler.

#![allow(unsafe_code)]

use super::skip_undefined;
use crate::selftest::catch::{Handlers, Shared};
use crate::selftest::{Outcome, ensure_eq};
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::abi::trap::TrapFrame as Registers;
use paravane_sdk::trap::Vector;

/// RAX, RBX, RCX, RDX, RSI, RDI, RBP and R8 to R15, as they are before the trap and behind it.
static BEFORE: Shared<[u64; 15]> = Shared::new([0; 15]);
static BEHIND: Shared<[u64; 15]> = Shared::new([0; 15]);
/// The vector registers.
static VECTORS_BEFORE: Shared<[u128; 16]> = Shared::new([0; 16]);
static VECTORS_BEHIND: Shared<[u128; 16]> = Shared::new([0; 16]);
/// AH is what LAHF gives; the lowest byte is the overflow flag.
static FLAGS_BEHIND: AtomicU64 = AtomicU64::new(0);
/// RSP before the trap, and by how much it differs behind it.
static STACK: Shared<[u64; 2]> = Shared::new([0; 2]);
/// MXCSR before and behind the trap: rounding to zero instead of to nearest.
static CONTROL: Shared<[u32; 2]> = Shared::new([0; 2]);
const ROUND_TO_ZERO: u32 = 0x7f80;
/// What the handler saw.
static SEEN: Shared<Option<Registers>> = Shared::new(None);

pub fn all_registers_are_kept() -> Outcome {
    BEFORE.set(core::array::from_fn(|i| 0x0f0f_1234_0000_0000 + i as u64));
    VECTORS_BEFORE.set(core::array::from_fn(|i| {
        0x0f0f_5678_0000_0000_9999_0000_0000_0000 + i as u128
    }));
    CONTROL.set([ROUND_TO_ZERO, 0]);
    let handlers = Handlers::set(&[(Vector::UD, |frame| {
        SEEN.set(Some(**frame));
        spoil_registers();
        skip_undefined(frame)
    })]);
    trap_with_registers();
    drop(handlers);

    let expected = BEFORE.get();
    ensure_eq!(BEHIND.get(), expected, "the registers behind the trap");
    let seen = SEEN.get().ok_or("the handler was not entered")?;
    let seen_registers = [
        seen.rax, seen.rbx, seen.rcx, seen.rdx, seen.rsi, seen.rdi, seen.rbp, seen.r8, seen.r9,
        seen.r10, seen.r11, seen.r12, seen.r13, seen.r14, seen.r15,
    ];
    ensure_eq!(seen_registers, expected, "the registers in the handler");
    ensure_eq!(
        VECTORS_BEHIND.get(),
        VECTORS_BEFORE.get(),
        "the vector registers behind the trap"
    );
    let [rsp, difference] = STACK.get();
    ensure_eq!(seen.rsp, rsp, "RSP in the handler");
    ensure_eq!(difference, 0, "the difference of RSP behind the trap");
    ensure_eq!(
        CONTROL.get(),
        [ROUND_TO_ZERO; 2],
        "MXCSR before and behind the trap"
    );
    // Carry, parity, auxiliary carry, zero and sign, with the bit that is always 1.
    ensure_eq!(FLAGS_BEHIND.load(Ordering::Relaxed), 0xd701, "the flags");
    Ok(())
}

/// Traps by a UD2 that the handler skips, with `BEFORE` and `VECTORS_BEFORE` in the registers
/// and all arithmetic flags set, and writes to `BEHIND` and its like what is there behind it.
#[unsafe(naked)]
extern "C" fn trap_with_registers() {
    naked_asm!(
        ".cfi_startproc",
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        ".cfi_adjust_cfa_offset 48",
        "ldmxcsr [rip + {control}]",
        "lea rax, [rip + {vectors_before}]",
        "movups xmm0, [rax]",
        "movups xmm1, [rax + 0x10]",
        "movups xmm2, [rax + 0x20]",
        "movups xmm3, [rax + 0x30]",
        "movups xmm4, [rax + 0x40]",
        "movups xmm5, [rax + 0x50]",
        "movups xmm6, [rax + 0x60]",
        "movups xmm7, [rax + 0x70]",
        "movups xmm8, [rax + 0x80]",
        "movups xmm9, [rax + 0x90]",
        "movups xmm10, [rax + 0xa0]",
        "movups xmm11, [rax + 0xb0]",
        "movups xmm12, [rax + 0xc0]",
        "movups xmm13, [rax + 0xd0]",
        "movups xmm14, [rax + 0xe0]",
        "movups xmm15, [rax + 0xf0]",
        // Overflow by an addition; the others by SAHF.
        "mov al, 0x7f",
        "add al, 1",
        "mov ah, 0xd5",
        "sahf",
        "mov rax, [rip + {before}]",
        "mov rbx, [rip + {before} + 0x08]",
        "mov rcx, [rip + {before} + 0x10]",
        "mov rdx, [rip + {before} + 0x18]",
        "mov rsi, [rip + {before} + 0x20]",
        "mov rdi, [rip + {before} + 0x28]",
        "mov rbp, [rip + {before} + 0x30]",
        "mov r8, [rip + {before} + 0x38]",
        "mov r9, [rip + {before} + 0x40]",
        "mov r10, [rip + {before} + 0x48]",
        "mov r11, [rip + {before} + 0x50]",
        "mov r12, [rip + {before} + 0x58]",
        "mov r13, [rip + {before} + 0x60]",
        "mov r14, [rip + {before} + 0x68]",
        "mov r15, [rip + {before} + 0x70]",
        "mov [rip + {stack}], rsp",
        "ud2",
        "mov [rip + {behind}], rax",
        "mov [rip + {behind} + 0x08], rbx",
        "mov [rip + {behind} + 0x10], rcx",
        "mov [rip + {behind} + 0x18], rdx",
        "mov [rip + {behind} + 0x20], rsi",
        "mov [rip + {behind} + 0x28], rdi",
        "mov [rip + {behind} + 0x30], rbp",
        "mov [rip + {behind} + 0x38], r8",
        "mov [rip + {behind} + 0x40], r9",
        "mov [rip + {behind} + 0x48], r10",
        "mov [rip + {behind} + 0x50], r11",
        "mov [rip + {behind} + 0x58], r12",
        "mov [rip + {behind} + 0x60], r13",
        "mov [rip + {behind} + 0x68], r14",
        "mov [rip + {behind} + 0x70], r15",
        "lahf",
        "seto al",
        "movzx eax, ax",
        "mov [rip + {flags}], rax",
        "mov rax, rsp",
        "sub rax, [rip + {stack}]",
        "mov [rip + {stack} + 8], rax",
        "stmxcsr [rip + {control} + 4]",
        "lea rax, [rip + {vectors_behind}]",
        "movups [rax], xmm0",
        "movups [rax + 0x10], xmm1",
        "movups [rax + 0x20], xmm2",
        "movups [rax + 0x30], xmm3",
        "movups [rax + 0x40], xmm4",
        "movups [rax + 0x50], xmm5",
        "movups [rax + 0x60], xmm6",
        "movups [rax + 0x70], xmm7",
        "movups [rax + 0x80], xmm8",
        "movups [rax + 0x90], xmm9",
        "movups [rax + 0xa0], xmm10",
        "movups [rax + 0xb0], xmm11",
        "movups [rax + 0xc0], xmm12",
        "movups [rax + 0xd0], xmm13",
        "movups [rax + 0xe0], xmm14",
        "movups [rax + 0xf0], xmm15",
        "ldmxcsr [rip + {default_control}]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        ".cfi_adjust_cfa_offset -48",
        "ret",
        ".cfi_endproc",
        control = sym CONTROL,
        default_control = sym DEFAULT_CONTROL,
        before = sym BEFORE,
        behind = sym BEHIND,
        vectors_before = sym VECTORS_BEFORE,
        vectors_behind = sym VECTORS_BEHIND,
        flags = sym FLAGS_BEHIND,
        stack = sym STACK,
    )
}

/// MXCSR as a program finds it.
static DEFAULT_CONTROL: u32 = 0x1f80;

/// Overwrites all registers that a function may.
#[unsafe(naked)]
extern "C" fn spoil_registers() {
    naked_asm!(
        ".cfi_startproc",
        "mov rax, -1",
        "mov rcx, rax",
        "mov rdx, rax",
        "mov rsi, rax",
        "mov rdi, rax",
        "mov r8, rax",
        "mov r9, rax",
        "mov r10, rax",
        "mov r11, rax",
        "movq xmm0, rax",
        "movups xmm1, xmm0",
        "movups xmm2, xmm0",
        "movups xmm3, xmm0",
        "movups xmm4, xmm0",
        "movups xmm5, xmm0",
        "movups xmm6, xmm0",
        "movups xmm7, xmm0",
        "movups xmm8, xmm0",
        "movups xmm9, xmm0",
        "movups xmm10, xmm0",
        "movups xmm11, xmm0",
        "movups xmm12, xmm0",
        "movups xmm13, xmm0",
        "movups xmm14, xmm0",
        "movups xmm15, xmm0",
        "ret",
        ".cfi_endproc",
    )
}
