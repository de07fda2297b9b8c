//! Into a task and back.

#![allow(unsafe_code)]

use crate::trap::saved::Saved;
use crate::trap::{TrapFrame, VectorState};
use crate::vcpu::words::{self, KERNEL_RSP, TASK};
use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
use pv_abi::convention::TASK_ENTRY_OFFSET;
use pv_abi::trap::TrapFrame as Registers;
use pv_abi::vcpu_page::{TaskState, VcpuPage};

/// Address of the task entry of the hypercall page. In memory, because a jump there with all
/// registers loaded has none left to hold it.
static TASK_ENTRY: AtomicU64 = AtomicU64::new(0);

/// Notes where the hypercall page is.
pub(crate) fn init(hypercall_page: u64) {
    TASK_ENTRY.store(hypercall_page + TASK_ENTRY_OFFSET, Ordering::Relaxed);
}

/// Enters a task with these registers. It returns when the task has trapped, with its registers
/// there again, on this vCPU and with upcalls masked.
///
/// # Safety
///
/// Upcalls are masked. [`leave`] is where the traps of tasks go. Nobody else uses the registers.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn enter(_saved: *mut Saved) {
    naked_asm!(
        ".cfi_startproc",
        // What the caller expects to find again, for `come_back`.
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 56",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov gs:[{kernel_rsp}], rsp",
        "mov gs:[{task}], rdi",
        // What the entry itself needs registers for goes through the vCPU page.
        "mov rax, [rdi + {rip}]",
        "mov gs:[{task_rip}], rax",
        "mov rax, [rdi + {rflags}]",
        "mov gs:[{task_rflags}], rax",
        "mov rax, [rdi + {rsp}]",
        "mov gs:[{task_rsp}], rax",
        "mov rax, [rdi + {rcx}]",
        "mov gs:[{task_rcx}], rax",
        "mov rax, [rdi + {r11}]",
        "mov gs:[{task_r11}], rax",
        "fxrstor64 [rdi]",
        "mov r15, [rdi + {r15}]",
        "mov r14, [rdi + {r14}]",
        "mov r13, [rdi + {r13}]",
        "mov r12, [rdi + {r12}]",
        "mov r10, [rdi + {r10}]",
        "mov r9, [rdi + {r9}]",
        "mov r8, [rdi + {r8}]",
        "mov rsi, [rdi + {rsi}]",
        "mov rbp, [rdi + {rbp}]",
        "mov rbx, [rdi + {rbx}]",
        "mov rdx, [rdi + {rdx}]",
        "mov rax, [rdi + {rax}]",
        "mov rdi, [rdi + {rdi}]",
        "jmp qword ptr [rip + {entry}]",
        ".cfi_endproc",
        kernel_rsp = const KERNEL_RSP,
        task = const TASK,
        task_rip = const TASK_STATE + offset_of!(TaskState, rip),
        task_rflags = const TASK_STATE + offset_of!(TaskState, rflags),
        task_rsp = const TASK_STATE + offset_of!(TaskState, rsp),
        task_rcx = const TASK_STATE + offset_of!(TaskState, rcx),
        task_r11 = const TASK_STATE + offset_of!(TaskState, r11),
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
        rflags = const REGISTERS + offset_of!(Registers, rflags),
        rsp = const REGISTERS + offset_of!(Registers, rsp),
        entry = sym TASK_ENTRY,
    )
}

const TASK_STATE: usize = offset_of!(VcpuPage, task);
const REGISTERS: usize = offset_of!(Saved, registers);

/// Where the traps of tasks go: keeps the registers, and has [`enter`] return.
pub(super) fn leave(frame: &mut TrapFrame, vector: &mut VectorState) -> ! {
    let task: *mut Saved = core::ptr::with_exposed_provenance_mut(words::load::<TASK>() as usize);
    // SAFETY: `enter` noted where its caller wants the registers, and that caller waits.
    unsafe {
        (*task).registers = **frame;
        (*task).vector = *vector;
        come_back()
    }
}

/// Returns from [`enter`], with the control words as its caller had them and an empty x87 stack.
#[unsafe(naked)]
unsafe extern "C" fn come_back() -> ! {
    naked_asm!(
        ".cfi_startproc",
        ".cfi_undefined rip",
        "mov rsp, gs:[{kernel_rsp}]",
        // Without waiting for an exception that the task may have left.
        "fninit",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
        ".cfi_endproc",
        kernel_rsp = const KERNEL_RSP,
    )
}
