//! Traps to the kernel's own handler and back.
//!
//! There is no software interrupt among them: the ABI has no vector for INT n to arrive at.
//! SYSCALL is what it has instead.

#![allow(unsafe_code)]

use super::Operation;
use super::session::{Session, Trouble};
use crate::{deliberate, provoke};
use paravane_sdk::hypercall::raw;
use paravane_sdk::trap::{self, Handler, Resume, TrapFrame, Vector};
use paravane_sdk::{Errno, Features};

const TABLE: Features = Features::TRAP_TABLE;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("trap_ud", undefined).needs(TABLE),
    Operation::new("trap_bp", breakpoint).needs(TABLE),
    Operation::new("trap_gp", general_protection).needs(TABLE),
    Operation::new("trap_pf", page_fault).needs(TABLE),
    Operation::new("trap_db", single_step).needs(TABLE),
    Operation::new("trap_syscall", syscall).needs(Features::SYSCALL_ENTRY),
];

/// RFLAGS.TF.
const TRAP_FLAG: u64 = 1 << 8;

/// Calls something while traps have a handler.
pub(super) fn with_handler<R>(vector: Vector, handler: Handler, body: impl FnOnce() -> R) -> R {
    let before = trap::set_handler(vector, handler);
    let result = body();
    match before {
        Some(before) => trap::set_handler(vector, before),
        None => trap::clear_handler(vector),
    };
    result
}

/// Measures something that traps once.
fn provoked(
    session: &Session,
    vector: Vector,
    handler: Handler,
    mut provocation: impl FnMut(),
) -> Result<(), Trouble> {
    with_handler(vector, handler, || {
        session.each(|| {
            provocation();
            Ok::<(), Errno>(())
        })
    })
}

/// UD2, which the handler skips.
fn undefined(session: &Session) -> Result<(), Trouble> {
    provoked(
        session,
        Vector::UD,
        |frame| skip(frame, provoke::UNDEFINED_SIZE),
        || {
            provoke::undefined(0);
        },
    )
}

fn breakpoint(session: &Session) -> Result<(), Trouble> {
    provoked(
        session,
        Vector::BP,
        |_| Resume::Resume,
        || {
            provoke::breakpoint();
        },
    )
}

/// A read at an address that is not canonical, which the handler skips.
fn general_protection(session: &Session) -> Result<(), Trouble> {
    provoked(
        session,
        Vector::GP,
        |frame| skip(frame, provoke::READ_SIZE),
        || {
            provoke::read(0x8000_0000_0000_0000);
        },
    )
}

/// A read where nothing is mapped, which the handler skips.
fn page_fault(session: &Session) -> Result<(), Trouble> {
    provoked(
        session,
        Vector::PF,
        |frame| skip(frame, provoke::READ_SIZE),
        || {
            provoke::read(0x1234_5678_9ab8);
        },
    )
}

fn skip(frame: &mut TrapFrame, size: u64) -> Resume {
    // SAFETY: the instruction is the first of a function of `provoke`, and the code behind it
    // expects to be reached.
    unsafe { frame.registers_mut() }.rip += size;
    Resume::Resume
}

/// One instruction with TF set.
fn single_step(session: &Session) -> Result<(), Trouble> {
    provoked(
        session,
        Vector::DB,
        |frame| {
            // SAFETY: the code goes on where it was.
            unsafe { frame.registers_mut() }.rflags &= !TRAP_FLAG;
            Resume::Resume
        },
        || deliberate::paravane_deliberate_step(),
    )
}

/// SYSCALL from the kernel to the kernel.
fn syscall(session: &Session) -> Result<(), Trouble> {
    trap::enable_syscall().map_err(Trouble::call("trap_set_syscall"))?;
    let measured = provoked(
        session,
        Vector::SYSCALL,
        |_| Resume::Resume,
        || {
            deliberate::paravane_deliberate_syscall(0);
        },
    );
    // SAFETY: without a handler there is nothing that could go wrong but a later SYSCALL.
    unsafe { raw::trap_set_syscall(0) }.map_err(Trouble::call("trap_set_syscall"))?;
    measured
}
