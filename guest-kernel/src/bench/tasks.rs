//! Tasks: from the kernel into a program at CPL 3 and back.

use super::Operation;
use super::session::{Session, Trouble};
use alloc::format;
use paravane_sdk::Features;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::space::{Rights, TASK_AREA};
use paravane_sdk::task::{Exit, Task, TaskMemory};
use paravane_sdk::trap::Vector;

const TASKS: Features = Features::TASKS
    .union(Features::ADDRESS_SPACES)
    .union(Features::SYSCALL_ENTRY)
    .union(Features::EVENTS);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("user_syscall", syscall).needs(TASKS),
    Operation::new("user_trap", trap).needs(TASKS),
];

/// Where a program's code is.
const CODE: u64 = TASK_AREA.start + 0x40_0000;

/// `2: syscall; jmp 2b`
const SYSCALLS: [u8; 4] = [0x0f, 0x05, 0xeb, 0xfc];
/// `ud2`
const UNDEFINED: [u8; 2] = [0x0f, 0x0b];

/// A system call that does nothing.
fn syscall(session: &Session) -> Result<(), Trouble> {
    run(session, &SYSCALLS, |exit| exit == Exit::Syscall)
}

/// #UD, at which the task stays.
fn trap(session: &Session) -> Result<(), Trouble> {
    run(
        session,
        &UNDEFINED,
        |exit| matches!(exit, Exit::Fault(fault) if fault.vector == Vector::UD),
    )
}

/// Measures from the kernel to a task and back.
fn run(session: &Session, code: &[u8], expected: fn(Exit) -> bool) -> Result<(), Trouble> {
    let mut memory = TaskMemory::new().map_err(Trouble::call("as_create"))?;
    memory
        .load(CODE..CODE + PAGE_SIZE, Rights::READ_EXECUTE, 0, code)
        .map_err(|error| format!("the program cannot be loaded: {error}"))?;
    // Neither program uses its stack.
    let mut task = Task::new(memory.space(), CODE, CODE);
    // The first time switches to its address space, and has system calls arrive.
    task.run();
    session.each(|| match task.run() {
        exit if expected(exit) => Ok(()),
        exit => Err(Trouble::from(format!("the task ended in {exit:x?}"))),
    })
}
