//! The registers of a thread that does not run, and switching from one thread to another.
//!
//! A thread stops running in one of two ways, and that decides how it goes on:
//!
//! - It gives way itself, by a call. Then the callee-saved registers are all that its caller
//!   expects to find again (System V ABI, AMD64, 3.2.1); they are pushed onto its stack.
//! - It is preempted by an upcall, between any two instructions. Then all registers count. The
//!   trap entry has saved them on the trap stack; the handler copies them from there.

#![allow(unsafe_code)]

use crate::trap::saved::{self, Saved};
use crate::trap::{TrapFrame, VectorState};
use crate::vcpu::words::{MASK_BEFORE, MASK_DEPTH, UPCALL_MASK};
use core::arch::naked_asm;

/// RFLAGS bits that code behind a call expects to be clear or ignores: the arithmetic flags, TF,
/// DF, NT, RF and AC (Intel SDM vol. 1, 3.4.3).
const FLAGS_OF_THE_INTERRUPTED: u64 = 0x5_4dd5;

/// MXCSR and the x87 control word of a new thread, as [`switch_stacks`] pops them: all exceptions
/// masked (System V ABI, AMD64, 3.4.1).
const DEFAULT_CONTROL: u64 = 0x037f << 32 | 0x1f80;

/// The registers of a thread that does not run.
pub(super) struct Context {
    /// Those of a preempted thread.
    saved: Saved,
    /// RSP of a thread that gave way: where its registers were pushed. 0: it was preempted.
    rsp: u64,
}

impl Context {
    /// For code that runs now: it has no registers here.
    pub const fn new() -> Self {
        Self {
            saved: Saved::new(),
            rsp: 0,
        }
    }

    /// For a thread that has not run yet: it begins in [`begin`] on a stack.
    ///
    /// # Safety
    ///
    /// The stack, below its aligned top, is writable and the thread's alone.
    pub unsafe fn beginning(stack_top: *mut u8) -> Self {
        // What `switch_stacks` pops, lowest first.
        let pushed: [u64; 8] = [
            DEFAULT_CONTROL,
            0, // r15
            0, // r14
            0, // r13
            0, // r12
            0, // rbx
            0, // rbp
            begin as *const () as u64,
        ];
        // SAFETY: the caller's promise.
        let rsp = unsafe {
            let first = stack_top.cast::<u64>().sub(pushed.len());
            first.copy_from_nonoverlapping(pushed.as_ptr(), pushed.len());
            first
        };
        Self {
            rsp: rsp.expose_provenance() as u64,
            ..Self::new()
        }
    }
}

/// Saves the registers of a thread that an upcall interrupted, and replaces them by another
/// thread's: the trap entry then returns to that one.
///
/// # Safety
///
/// `frame` and `vector` are the upcall's. `from` is the context of the thread that it interrupted, and `to`
/// that of one that runs nowhere; nobody else accesses either.
pub(super) unsafe fn exchange(
    frame: &mut TrapFrame,
    vector: &mut VectorState,
    from: *mut Context,
    to: *mut Context,
) {
    // SAFETY: the caller's promise. Each thread goes on where it was interrupted, or behind its
    // call of `switch_stacks` or `switch_to_saved`.
    unsafe {
        let registers = frame.registers_mut();
        (*from).saved = Saved {
            vector: *vector,
            registers: *registers,
        };
        (*from).rsp = 0;
        match (*to).rsp {
            0 => {
                *registers = (*to).saved.registers;
                *vector = (*to).saved.vector;
            }
            rsp => {
                registers.rip = go_on as *const () as u64;
                registers.rsp = rsp;
                registers.rflags &= !FLAGS_OF_THE_INTERRUPTED;
                // Behind a call the x87 stack is empty.
                *vector = VectorState::new();
            }
        }
    }
}

/// Stops the running code, whose registers go to `from`, and goes on with `to`, both with the
/// scheduler locked. It returns when something switches to `from`: whether the scheduler is
/// locked then, by this vCPU, which may be another one.
///
/// # Safety
///
/// `from` is the running code's own context, and `to` that of one that runs nowhere; nobody else
/// accesses either. This is not the trap stack, and no handler uses that.
pub(super) unsafe fn switch(from: *mut Context, to: *mut Context, trap_stack_top: u64) -> bool {
    // SAFETY: the caller's promise. The trap stack is larger than what is saved on it, and unused.
    let locked = unsafe {
        match (*to).rsp {
            0 => {
                let saved = Saved::at_top_of(trap_stack_top);
                saved.write((*to).saved);
                switch_to_saved(&raw mut (*from).rsp, saved)
            }
            rsp => switch_stacks(&raw mut (*from).rsp, rsp),
        }
    };
    locked != 0
}

/// Pushes the callee-saved registers, notes RSP, and pops another thread's from its stack.
#[unsafe(naked)]
unsafe extern "C" fn switch_stacks(from: *mut u64, to: u64) -> u32 {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        ".cfi_adjust_cfa_offset 56",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "mov eax, 1",
        "jmp {pop}",
        ".cfi_endproc",
        pop = sym pop,
    )
}

/// The rest of a switch, on the new stack.
#[unsafe(naked)]
unsafe extern "C" fn pop() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_adjust_cfa_offset 56",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_adjust_cfa_offset -56",
        "ret",
        ".cfi_endproc",
    )
}

/// Where a thread that gave way goes on when the return from an upcall leads to it: with RSP
/// where its registers are, on any vCPU, and upcalls unmasked, which is to be undone before
/// anything else. Should it be preempted before, that does no harm.
#[unsafe(naked)]
unsafe extern "C" fn go_on() {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_adjust_cfa_offset 56",
        "mov byte ptr gs:[{mask}], 1",
        "inc dword ptr gs:[{depth}]",
        "mov dword ptr gs:[{before}], 0",
        "xor eax, eax",
        "jmp {pop}",
        ".cfi_endproc",
        mask = const UPCALL_MASK,
        depth = const MASK_DEPTH,
        before = const MASK_BEFORE,
        pop = sym pop,
    )
}

/// Pushes the callee-saved registers, notes RSP, and resumes a preempted thread whose registers
/// lie on the trap stack, as at the end of a trap.
#[unsafe(naked)]
unsafe extern "C" fn switch_to_saved(from: *mut u64, saved: *mut Saved) -> u32 {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        ".cfi_adjust_cfa_offset 56",
        "mov [rdi], rsp",
        // From here on nothing uses the stack of the thread that gave way.
        "mov rsp, rsi",
        ".cfi_undefined rip",
        "call {finish}",
        "jmp {resume}",
        ".cfi_endproc",
        finish = sym super::scheduler::finish_on_trap_stack,
        resume = sym saved::resume,
    )
}

/// Where a new thread begins, with EAX as [`switch`] returns it. No caller: a backtrace ends here.
#[unsafe(naked)]
unsafe extern "C" fn begin() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "xor ebp, ebp",
        "mov edi, eax",
        "call {started}",
        "ud2",
        ".cfi_endproc",
        started = sym super::scheduler::started,
    )
}
