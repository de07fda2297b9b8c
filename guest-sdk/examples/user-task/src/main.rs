//! A small kernel: it runs programs as tasks, at CPL 3, each in an address space of its own.
//!
//! ```sh
//! cargo build --release
//! paravane run target/release/user-task
//! ```
//!
//! The programs are in `programs/`. They can do nothing but compute and make system calls, of which
//! there are five. A page of memory they get when they first touch it; after a fork, parent and
//! child share all pages until one of them writes.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec;
use paravane_sdk::space::Rights;
use paravane_sdk::task::{Exit, Task, TaskMemory, elf};
use paravane_sdk::time::Instant;
use paravane_sdk::{Errno, Features, console, entry, println};

entry!(
    main,
    requires(
        Features::TASKS
            .union(Features::ADDRESS_SPACES)
            .union(Features::SYSCALL_ENTRY)
            .union(Features::EVENTS)
            .union(Features::CLOCK)
    )
);

/// ELF files, which the build script has compiled.
const TALKER: &[u8] = include_bytes!(env!("TASK_PROGRAM_TALKER"));
const FORKER: &[u8] = include_bytes!(env!("TASK_PROGRAM_FORKER"));
const TRESPASSER: &[u8] = include_bytes!(env!("TASK_PROGRAM_TRESPASSER"));

/// One past the end of a program's stack, and its size.
const STACK_TOP: u64 = 0x90_0000_0000;
const STACK_SIZE: u64 = 1 << 20;

/// The system calls: RAX is the number, RDI and RSI are arguments, RAX the result.
const SYS_EXIT: u64 = 0;
const SYS_WRITE: u64 = 1;
const SYS_YIELD: u64 = 2;
const SYS_TIME: u64 = 3;
const SYS_FORK: u64 = 4;

/// A program that runs.
struct Process {
    number: u32,
    task: Task,
    memory: TaskMemory,
}

/// What a process wants after a system call.
enum Next {
    /// To go on.
    Run,
    /// Others to go on first.
    Wait,
    /// A child that is as itself.
    Fork,
    /// No more.
    End,
}

fn main() -> i32 {
    match run() {
        Ok(()) => 0,
        Err(error) => {
            println!("{error}");
            1
        }
    }
}

fn run() -> Result<(), String> {
    let mut kernel = Kernel::default();
    // Each program finds its argument in RDI.
    for (file, argument) in [(TALKER, 1), (TALKER, 2), (FORKER, 0)] {
        kernel.spawn(file, argument)?;
    }
    for offence in 0..4 {
        kernel.spawn(TRESPASSER, offence)?;
    }
    kernel.run()
}

#[derive(Default)]
struct Kernel {
    /// Those that can go on, in turn.
    ready: VecDeque<Process>,
    processes: u32,
}

impl Kernel {
    fn spawn(&mut self, file: &[u8], argument: u64) -> Result<(), String> {
        let mut memory = TaskMemory::new().map_err(|error| error.to_string())?;
        let entry = elf::load(&mut memory, file).map_err(|error| error.to_string())?;
        // Nothing is mapped there yet: pages come when they are used.
        memory
            .reserve(STACK_TOP - STACK_SIZE..STACK_TOP, Rights::READ_WRITE)
            .map_err(|error| error.to_string())?;
        // As behind a call, where RSP is 8 below a multiple of 16.
        let mut task = Task::new(memory.space(), entry, STACK_TOP - 8);
        task.registers_mut().rdi = argument;
        self.add(task, memory);
        Ok(())
    }

    fn add(&mut self, task: Task, memory: TaskMemory) {
        self.processes += 1;
        let number = self.processes;
        self.ready.push_back(Process {
            number,
            task,
            memory,
        });
    }

    /// Runs all processes to their ends.
    fn run(&mut self) -> Result<(), String> {
        while let Some(mut process) = self.ready.pop_front() {
            match process.run() {
                Next::End => println!("[{}] has ended", process.number),
                Next::Fork => {
                    let memory = process.memory.fork().map_err(|error| error.to_string())?;
                    let mut child = process.task.fork(memory.space());
                    child.registers_mut().rax = 0;
                    self.add(child, memory);
                    process.task.registers_mut().rax = self.processes.into();
                    self.ready.push_front(process);
                }
                Next::Run | Next::Wait => self.ready.push_back(process),
            }
        }
        Ok(())
    }
}

impl Process {
    /// Runs it until it is another one's turn.
    fn run(&mut self) -> Next {
        loop {
            match self.task.run() {
                Exit::Syscall => match self.system_call() {
                    Next::Run => {}
                    next => return next,
                },
                // A page that it has not used before, or shares with another process?
                Exit::Fault(fault) => match self.memory.resolve(fault) {
                    Ok(true) => {}
                    Ok(false) => {
                        let rip = self.task.registers().rip;
                        println!("[{}] is ended at {rip:#x}: {fault}", self.number);
                        return Next::End;
                    }
                    Err(error) => {
                        println!("[{}] is ended: {error}", self.number);
                        return Next::End;
                    }
                },
                // An event came. This kernel takes it for the end of a time slice.
                Exit::Interrupted => return Next::Wait,
            }
        }
    }

    fn system_call(&mut self) -> Next {
        let registers = self.task.registers();
        let result = match registers.rax {
            SYS_EXIT => return Next::End,
            SYS_FORK => return Next::Fork,
            SYS_WRITE => self.write(registers.rdi, registers.rsi),
            SYS_TIME => Ok(Instant::now().as_nanos()),
            SYS_YIELD => {
                self.task.registers_mut().rax = 0;
                return Next::Wait;
            }
            _ => Err(Errno::ENOSYS),
        };
        self.task.registers_mut().rax = match result {
            Ok(value) => value,
            Err(error) => error.to_result() as u64,
        };
        Next::Run
    }

    /// Writes bytes of the process to the console. Whatever it passes as an address, the kernel
    /// looks it up in the process's memory, and never follows it.
    fn write(&mut self, address: u64, size: u64) -> Result<u64, Errno> {
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX).min(1024)];
        self.memory
            .read(address, &mut bytes)
            .map_err(|_| Errno::EFAULT)?;
        console::flush();
        console::write(&bytes)?;
        Ok(bytes.len() as u64)
    }
}
