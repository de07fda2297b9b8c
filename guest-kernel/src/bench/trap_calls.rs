//! The group `trap`: who handles a trap, the thread pointer, breakpoints, and the way back by a
//! call.

#![allow(unsafe_code)]

use super::session::{Session, Trouble};
use super::{Operation, out};
use alloc::vec;
use core::arch::naked_asm;
use core::mem::offset_of;
use paravane_sdk::abi::trap::{DebugRegisters, TRAP_VECTORS, TrapFrame as Registers, TrapHandler};
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Features, address, tls, trap};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("trap_set_table", set_table)
        .needs(Features::TRAP_TABLE)
        .sized(TRAP_VECTORS as u32),
    Operation::new("trap_set_upcall", set_upcall).needs(Features::EVENTS),
    Operation::new("trap_set_syscall", set_syscall).needs(Features::SYSCALL_ENTRY),
    Operation::new("trap_set_tls", set_tls).needs(Features::TLS),
    Operation::new("trap_set_debug", set_debug).needs(Features::DEBUG_REGISTERS),
    Operation::new("trap_return", return_by_call),
];

/// A table of SIZE entries, all empty: no trap comes meanwhile.
fn set_table(session: &Session) -> Result<(), Trouble> {
    let size = session.size();
    let table = vec![TrapHandler::default(); size as usize];
    let gpa = address::of(&*table);
    // SAFETY: without a handler there is nothing that could go wrong but a trap, which ends the
    // guest.
    let measured = session.each(|| unsafe { raw::trap_set_table(gpa, size) }.map(drop));
    trap::register();
    measured
}

fn set_upcall(session: &Session) -> Result<(), Trouble> {
    // SAFETY: without a handler no upcall is delivered.
    session.each(|| unsafe { raw::trap_set_upcall(0) }.map(drop))
}

fn set_syscall(session: &Session) -> Result<(), Trouble> {
    // SAFETY: the kernel executes no SYSCALL, and runs no task here.
    session.each(|| unsafe { raw::trap_set_syscall(0) }.map(drop))
}

/// One block and the other, in turn.
fn set_tls(session: &Session) -> Result<(), Trouble> {
    let blocks = [[0u64; 2]; 2];
    let mut turn = 0;
    let measured = session.each(|| {
        turn ^= 1;
        // SAFETY: nothing uses FS.
        unsafe { tls::set_base(&raw const blocks[turn] as u64) }
    });
    // SAFETY: nothing uses FS.
    unsafe { tls::set_base(0) }?;
    measured
}

/// A breakpoint that nobody reaches, and none, in turn.
fn set_debug(session: &Session) -> Result<(), Trouble> {
    /// DR7: L0, a breakpoint of an instruction.
    const L0: u64 = 1;
    let none = DebugRegisters::default();
    let mut one = DebugRegisters {
        control: L0,
        ..none
    };
    // Nothing is executed there.
    one.address[0] = 8;
    let registers = [none, one];
    let places = [address::of(&registers[0]), address::of(&registers[1])];
    let mut turn = 0;
    let measured = session.each(|| {
        turn ^= 1;
        // SAFETY: no breakpoint is reached.
        unsafe { raw::trap_set_debug(places[turn]) }.map(drop)
    });
    // SAFETY: as above.
    unsafe { raw::trap_set_debug(places[0]) }?;
    measured
}

/// To the instruction behind, with all registers: what the hypercall page's entry does without an
/// exit, see `trap_bp`.
fn return_by_call(session: &Session) -> Result<(), Trouble> {
    let mut frame = vec![Registers::default()];
    let (registers, gpa) = (frame.as_mut_ptr(), out(&mut frame)?.0);
    session.each(|| {
        // SAFETY: the frame is this function's.
        unsafe { resume_behind(registers, gpa) };
        Ok::<(), Trouble>(())
    })
}

/// Returns by `trap_return`: the frame gets the registers that this function's caller expects to
/// be kept.
///
/// # Safety
///
/// The frame is the caller's, and lies at `gpa`.
#[unsafe(naked)]
unsafe extern "C" fn resume_behind(_frame: *mut Registers, _gpa: u64) {
    naked_asm!(
        ".cfi_startproc",
        "mov [rdi + {rbx}], rbx",
        "mov [rdi + {rbp}], rbp",
        "mov [rdi + {r12}], r12",
        "mov [rdi + {r13}], r13",
        "mov [rdi + {r14}], r14",
        "mov [rdi + {r15}], r15",
        "mov rax, [rsp]",
        "mov [rdi + {rip}], rax",
        "lea rax, [rsp + 8]",
        "mov [rdi + {rsp}], rax",
        // The bit that is always set.
        "mov qword ptr [rdi + {rflags}], 2",
        "mov rdi, rsi",
        "jmp {resume}",
        ".cfi_endproc",
        rbx = const offset_of!(Registers, rbx),
        rbp = const offset_of!(Registers, rbp),
        r12 = const offset_of!(Registers, r12),
        r13 = const offset_of!(Registers, r13),
        r14 = const offset_of!(Registers, r14),
        r15 = const offset_of!(Registers, r15),
        rip = const offset_of!(Registers, rip),
        rsp = const offset_of!(Registers, rsp),
        rflags = const offset_of!(Registers, rflags),
        resume = sym resume,
    )
}

extern "C" fn resume(gpa: u64) -> ! {
    // SAFETY: `resume_behind` has filled the frame with what its caller expects.
    let result = unsafe { raw::trap_return(paravane_sdk::Gpa(gpa)) };
    panic!("trap_return returned {result:?}");
}
