//! The code at which every trap arrives.

#![allow(unsafe_code)]

use super::{TrapFrame, VectorState};
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::convention::TRAP_RETURN_OFFSET;
use pv_abi::trap::{TrapFrame as Frame, TrapState};
use pv_abi::vcpu_page::VcpuPage;

/// Address of the trap-return entry of the hypercall page. In memory, because a jump there
/// with all registers restored has none left to hold it.
pub(super) static RETURN_ENTRY: AtomicU64 = AtomicU64::new(0);

/// Notes where the hypercall page is.
pub(super) fn init(hypercall_page: u64) {
    RETURN_ENTRY.store(hypercall_page + TRAP_RETURN_OFFSET, Ordering::Relaxed);
}

/// Address of the code at which traps arrive.
pub(super) fn address() -> u64 {
    arrive as *const () as u64
}

// Below the frame lies the vector state, in the layout of FXSAVE64.
const VECTOR_STATE: usize = 512;
/// Above the frame: `upcall_mask` as it was, and whether a task was interrupted.
const MASK: usize = VECTOR_STATE + size_of::<Frame>();
const FROM_TASK: usize = MASK + 8;
/// Size of all, with what keeps the vector state aligned to 16 bytes.
const SAVED: usize = (FROM_TASK + 8).next_multiple_of(16);
/// Bytes below RSP that the interrupted code may use (System V ABI, AMD64, 3.2.2).
const RED_ZONE: usize = 128;
/// MXCSR as a program finds it (System V ABI, AMD64, 3.4.1): all exceptions masked.
static DEFAULT_MXCSR: u32 = 0x1f80;

const TRAP: usize = offset_of!(VcpuPage, trap);
const GUEST_WORDS: usize = offset_of!(VcpuPage, guest);

/// Arrives here as `pv_abi::trap` says: all registers, RSP included, are the interrupted
/// code's, and another trap would be the guest's end until `busy` is cleared.
///
/// Two registers go to words of the vCPU page. Then the trap stack is the stack: from its top,
/// or, in a trap within a handler, from below what the handler uses of it. A handler that has
/// overflown the trap stack has RSP in the guard page at most, since Rust probes each page of
/// a frame; it counts as on the stack, so that it cannot start over from the top, for ever.
#[unsafe(naked)]
unsafe extern "C" fn arrive() {
    core::arch::naked_asm!(
        ".cfi_startproc simple",
        ".cfi_signal_frame",
        // Up to here everything is where it was, but where the return address is no stack knows.
        ".cfi_def_cfa rsp, 0",
        ".cfi_undefined rip",
        "mov gs:[{word0}], rax",
        "mov gs:[{word1}], rcx",
        "mov rax, gs:[{trap_rsp}]",
        // A task's RSP is whatever the task wants it to be.
        "cmp qword ptr gs:[{trap_from_task}], 0",
        "jne 2f",
        "mov rcx, gs:[{stack_size}]",
        "add rcx, {guard}",
        "neg rcx",
        "add rcx, gs:[{stack_top}]",
        // rcx is the lowest address that counts as on the trap stack.
        "cmp rax, rcx",
        "jb 2f",
        "lea rsp, [rax - {red_zone}]",
        "cmp rax, gs:[{stack_top}]",
        "jbe 3f",
        "2:",
        "mov rsp, gs:[{stack_top}]",
        "3:",
        "and rsp, -16",
        "sub rsp, {saved}",
        "mov [rsp + {r15}], r15",
        "mov [rsp + {r14}], r14",
        "mov [rsp + {r13}], r13",
        "mov [rsp + {r12}], r12",
        "mov [rsp + {r11}], r11",
        "mov [rsp + {r10}], r10",
        "mov [rsp + {r9}], r9",
        "mov [rsp + {r8}], r8",
        "mov [rsp + {rdi}], rdi",
        "mov [rsp + {rsi}], rsi",
        "mov [rsp + {rbp}], rbp",
        "mov [rsp + {rbx}], rbx",
        "mov [rsp + {rdx}], rdx",
        "mov [rsp + {rsp}], rax",
        "mov rax, gs:[{word1}]",
        "mov [rsp + {rcx}], rax",
        "mov rax, gs:[{word0}]",
        "mov [rsp + {rax}], rax",
        "mov eax, gs:[{trap_vector}]",
        "mov [rsp + {vector}], rax",
        "mov rax, gs:[{trap_cr2}]",
        "mov [rsp + {cr2}], rax",
        "mov rax, gs:[{trap_error}]",
        "mov [rsp + {error}], rax",
        "mov rax, gs:[{trap_rip}]",
        "mov [rsp + {rip}], rax",
        "mov rax, gs:[{trap_cs}]",
        "mov [rsp + {cs}], rax",
        "mov rax, gs:[{trap_rflags}]",
        "mov [rsp + {rflags}], rax",
        "mov rax, gs:[{trap_ss}]",
        "mov [rsp + {ss}], rax",
        "mov rax, gs:[{trap_from_task}]",
        "mov [rsp + {from_task}], rax",
        // The handler is not to be interrupted: its stack is the vCPU's.
        "movzx eax, byte ptr gs:[{upcall_mask}]",
        "mov [rsp + {mask}], rax",
        "mov byte ptr gs:[{upcall_mask}], 1",
        "fxsave64 [rsp]",
        // All is saved. From here on a trap may come.
        "mov dword ptr gs:[{busy}], 0",
        // A backtrace goes on from here with the registers of the frame.
        ".cfi_def_cfa rsp, {saved}",
        ".cfi_offset rip, {rip} - {saved}",
        ".cfi_offset rsp, {rsp} - {saved}",
        ".cfi_offset rax, {rax} - {saved}",
        ".cfi_offset rcx, {rcx} - {saved}",
        ".cfi_offset rdx, {rdx} - {saved}",
        ".cfi_offset rbx, {rbx} - {saved}",
        ".cfi_offset rbp, {rbp} - {saved}",
        ".cfi_offset rsi, {rsi} - {saved}",
        ".cfi_offset rdi, {rdi} - {saved}",
        ".cfi_offset r8, {r8} - {saved}",
        ".cfi_offset r9, {r9} - {saved}",
        ".cfi_offset r10, {r10} - {saved}",
        ".cfi_offset r11, {r11} - {saved}",
        ".cfi_offset r12, {r12} - {saved}",
        ".cfi_offset r13, {r13} - {saved}",
        ".cfi_offset r14, {r14} - {saved}",
        ".cfi_offset r15, {r15} - {saved}",
        "ldmxcsr [rip + {default_mxcsr}]",
        "lea rdi, [rsp + {vector_state}]",
        "mov rsi, rsp",
        "mov rdx, [rsp + {mask}]",
        "mov rcx, [rsp + {from_task}]",
        "call {dispatch}",
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
        word0 = const GUEST_WORDS,
        word1 = const GUEST_WORDS + 8,
        stack_top = const offset_of!(VcpuPage, trap_stack_top),
        stack_size = const offset_of!(VcpuPage, trap_stack_size),
        guard = const PAGE_SIZE,
        red_zone = const RED_ZONE,
        saved = const SAVED,
        vector_state = const VECTOR_STATE,
        trap_rsp = const TRAP + offset_of!(TrapState, rsp),
        trap_vector = const TRAP + offset_of!(TrapState, vector),
        trap_cr2 = const TRAP + offset_of!(TrapState, cr2),
        trap_error = const TRAP + offset_of!(TrapState, error),
        trap_rip = const TRAP + offset_of!(TrapState, rip),
        trap_cs = const TRAP + offset_of!(TrapState, cs),
        trap_rflags = const TRAP + offset_of!(TrapState, rflags),
        trap_ss = const TRAP + offset_of!(TrapState, ss),
        trap_from_task = const TRAP + offset_of!(TrapState, from_task),
        upcall_mask = const offset_of!(VcpuPage, upcall_mask),
        mask = const MASK,
        from_task = const FROM_TASK,
        busy = const TRAP + offset_of!(TrapState, busy),
        r15 = const VECTOR_STATE + offset_of!(Frame, r15),
        r14 = const VECTOR_STATE + offset_of!(Frame, r14),
        r13 = const VECTOR_STATE + offset_of!(Frame, r13),
        r12 = const VECTOR_STATE + offset_of!(Frame, r12),
        r11 = const VECTOR_STATE + offset_of!(Frame, r11),
        r10 = const VECTOR_STATE + offset_of!(Frame, r10),
        r9 = const VECTOR_STATE + offset_of!(Frame, r9),
        r8 = const VECTOR_STATE + offset_of!(Frame, r8),
        rdi = const VECTOR_STATE + offset_of!(Frame, rdi),
        rsi = const VECTOR_STATE + offset_of!(Frame, rsi),
        rbp = const VECTOR_STATE + offset_of!(Frame, rbp),
        rbx = const VECTOR_STATE + offset_of!(Frame, rbx),
        rdx = const VECTOR_STATE + offset_of!(Frame, rdx),
        rcx = const VECTOR_STATE + offset_of!(Frame, rcx),
        rax = const VECTOR_STATE + offset_of!(Frame, rax),
        vector = const VECTOR_STATE + offset_of!(Frame, vector),
        cr2 = const VECTOR_STATE + offset_of!(Frame, cr2),
        error = const VECTOR_STATE + offset_of!(Frame, error),
        rip = const VECTOR_STATE + offset_of!(Frame, rip),
        cs = const VECTOR_STATE + offset_of!(Frame, cs),
        rflags = const VECTOR_STATE + offset_of!(Frame, rflags),
        rsp = const VECTOR_STATE + offset_of!(Frame, rsp),
        ss = const VECTOR_STATE + offset_of!(Frame, ss),
        default_mxcsr = sym DEFAULT_MXCSR,
        dispatch = sym dispatch,
        return_entry = sym RETURN_ENTRY,
    )
}

/// From the assembly to the handler.
///
/// # Safety
///
/// The frame and the vector state are on the trap stack, and nobody else's.
unsafe extern "C" fn dispatch(
    frame: *mut TrapFrame,
    vector_state: *mut VectorState,
    mask: u64,
    from_task: u64,
) {
    // SAFETY: the caller's promise.
    let (frame, vector_state) = unsafe { (&mut *frame, &mut *vector_state) };
    super::arrived(frame, vector_state, mask != 0, from_task != 0);
}
