//! Programs for tasks to run.

use alloc::format;
use alloc::string::String;
use paravane_sdk::abi::address_space::PAGE_SIZE;
use paravane_sdk::space::{Rights, TASK_AREA};
use paravane_sdk::task::{Exit, Task, TaskMemory};

/// Defines functions that give the machine code of programs, written in assembly.
macro_rules! programs {
    ($($(#[$attribute:meta])* fn $name:ident { $($line:literal)* })*) => {
        $($(#[$attribute])*
        #[inline(never)]
        fn $name() -> &'static [u8] {
            let (start, end): (*const u8, *const u8);
            // SAFETY: the code is not executed here, but put aside; only its address is taken.
            unsafe {
                core::arch::asm!(
                    "lea {start}, [rip + 22f]",
                    "lea {end}, [rip + 33f]",
                    ".pushsection .rodata.task_program, \"a\"",
                    "22:",
                    $($line,)*
                    "33:",
                    ".popsection",
                    start = out(reg) start,
                    end = out(reg) end,
                    options(nomem, nostack, preserves_flags),
                );
                core::slice::from_raw_parts(start, end.offset_from_unsigned(start))
            }
        })*
    };
}
pub(super) use programs;

/// Where a program's code is.
pub const CODE: u64 = TASK_AREA.start + 0x40_0000;
/// Where its data are, if it uses some.
pub const DATA: u64 = CODE + 0x10_0000;
/// One past the end of its stack.
pub const STACK_TOP: u64 = CODE + 0x20_0000;
/// Pages of its data, and of its stack.
pub const PAGES: u64 = 16;

/// A task that is about to begin with a program.
pub struct Process {
    pub memory: TaskMemory,
    pub task: Task,
}

impl Process {
    pub fn new(code: &[u8]) -> Result<Self, String> {
        let mut memory = TaskMemory::new().map_err(|error| format!("as_create: {error}"))?;
        let size = PAGES * PAGE_SIZE;
        let end = CODE + (code.len() as u64).next_multiple_of(PAGE_SIZE);
        memory
            .load(CODE..end, Rights::READ_EXECUTE, 0, code)
            .and_then(|()| memory.reserve(DATA..DATA + size, Rights::READ_WRITE))
            .and_then(|()| memory.reserve(STACK_TOP - size..STACK_TOP, Rights::READ_WRITE))
            .map_err(|error| format!("{error}"))?;
        let task = Task::new(memory.space(), CODE, STACK_TOP);
        Ok(Self { memory, task })
    }

    /// Another task with a copy of the memory.
    pub fn fork(&mut self) -> Result<Self, String> {
        let memory = self
            .memory
            .fork()
            .map_err(|error| format!("fork: {error}"))?;
        let task = self.task.fork(memory.space());
        Ok(Self { memory, task })
    }

    /// Runs it until it makes a system call or faults in earnest. Pages that it is to have, it
    /// gets; events change nothing.
    pub fn run(&mut self) -> Result<Exit, String> {
        loop {
            match self.task.run() {
                Exit::Interrupted => {}
                Exit::Fault(fault) => {
                    let resolved = self.memory.resolve(fault);
                    if !resolved.map_err(|error| format!("resolve: {error}"))? {
                        return Ok(Exit::Fault(fault));
                    }
                }
                Exit::Syscall => return Ok(Exit::Syscall),
            }
        }
    }

    /// Runs it until it makes a system call, and returns RAX and RDI.
    pub fn run_to_syscall(&mut self) -> Result<(u64, u64), String> {
        match self.run()? {
            Exit::Syscall => {
                let registers = self.task.registers();
                Ok((registers.rax, registers.rdi))
            }
            exit => Err(format!("{exit:x?} instead of a system call")),
        }
    }
}
