// Not a module: the source of the program that the tests of this directory crash. A
// chain of calls, one of them inlined and one recursive, ends in a failed bounds
// check; the panic handler writes the registers and the stack to the output. The
// tests find the lines by the comments at their ends.
#![no_std]
#![no_main]
use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

const STACK: usize = 32768;
#[repr(C, align(16))]
struct Bytes(core::cell::UnsafeCell<[u8; STACK]>); // SAFETY: one thread, which uses it as its stack
unsafe impl Sync for Bytes {}
#[unsafe(no_mangle)]
static GUEST_STACK: Bytes = Bytes(core::cell::UnsafeCell::new([0; STACK]));
#[unsafe(no_mangle)]
static GUEST_REGISTERS: Bytes = Bytes(core::cell::UnsafeCell::new([0; STACK]));

global_asm!(
    ".globl _start",
    "_start:",
    "lea rsp, [rip + GUEST_STACK + 32768]",
    "mov edi, 7",
    "xor ebp, ebp",
    "call {main}",
    "ud2",
    ".globl dump",
    "dump:",
    "mov [rip + GUEST_REGISTERS + 8], rsp",
    "mov [rip + GUEST_REGISTERS + 16], rbp",
    "mov [rip + GUEST_REGISTERS + 24], rbx",
    "mov [rip + GUEST_REGISTERS + 32], r12",
    "mov [rip + GUEST_REGISTERS + 40], r13",
    "mov [rip + GUEST_REGISTERS + 48], r14",
    "mov [rip + GUEST_REGISTERS + 56], r15",
    "lea rsi, [rip + dump]",
    "mov [rip + GUEST_REGISTERS], rsi",
    "lea rsi, [rip + GUEST_STACK]",
    "mov [rip + GUEST_REGISTERS + 64], rsi",
    "mov eax, 1",
    "mov edi, 1",
    "lea rsi, [rip + GUEST_REGISTERS]",
    "mov edx, 72",
    "syscall",
    "mov eax, 1",
    "lea rsi, [rip + GUEST_STACK]",
    "mov edx, 32768",
    "syscall",
    "mov eax, 60",
    "xor edi, edi",
    "syscall",
    main = sym main,
);

// A crash in the middle of a trap: `trap` runs with a frame as the CPU pushes it, of
// which its call frame information tells, and `interrupted` is where that returns.
global_asm!(
    ".globl interrupted",
    "interrupted:",
    ".cfi_startproc",
    "ud2",
    ".cfi_endproc",
    ".globl trap",
    "trap:",
    ".cfi_startproc",
    ".cfi_signal_frame",
    "mov rax, rsp",
    "push 0",
    "push rax",
    "pushfq",
    "push 0",
    "lea rcx, [rip + interrupted]",
    "push rcx",
    ".cfi_def_cfa rsp, 40",
    ".cfi_offset rip, -40",
    ".cfi_offset rsp, -16",
    "call dump",
    "ud2",
    ".cfi_endproc",
);

unsafe extern "C" {
    fn dump() -> !;
    fn trap() -> !;
}

pub struct Table([u64; 4]);

impl Table {
    #[inline(always)]
    fn look_up(&self, index: usize) -> u64 {
        self.0[index] // the crash
    }
}

#[inline(never)]
fn deep(table: &Table, depth: usize) -> u64 {
    if depth == 0 {
        return table.look_up(core::hint::black_box(9)); // the look-up
    }
    deep(core::hint::black_box(table), depth - 1).wrapping_mul(3) // the recursion
}

extern "C" fn main(seed: u64) -> ! {
    let table = core::hint::black_box(Table([seed; 4])); // SAFETY of ud2: it ends the program
    core::hint::black_box(deep(&table, 2)); // the outermost call
    unsafe { asm!("ud2", options(noreturn)) }
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! { // SAFETY: both end the program, which has one thread
    if cfg!(trap) {
        unsafe { trap() }
    }
    unsafe { dump() }
}
