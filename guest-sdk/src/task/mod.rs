//! Tasks: programs that the guest runs at CPL 3, in address spaces of their own.
//!
//! [`Task::run`] enters a task and returns when it traps, makes a system call, or an event comes,
//! much as KVM_RUN does with a vCPU. What a system call means, which page faults are for a page
//! to be mapped, and which task runs next, is the guest kernel's to say:
//!
//! ```ignore
//! let mut memory = TaskMemory::new()?;
//! let entry = elf::load(&mut memory, program)?;
//! let mut task = Task::new(memory.space(), entry, stack_top);
//! loop {
//!     match task.run() {
//!         Exit::Syscall => {
//!             let result = system_call(&mut memory, task.registers());
//!             task.registers_mut().rax = result as u64;
//!         }
//!         Exit::Fault(fault) if memory.resolve(fault) => {}
//!         Exit::Fault(fault) => break Err(fault),
//!         Exit::Interrupted => {}
//!     }
//! }
//! ```
//!
//! A task may use x87 and SSE. Neither entering nor leaving it takes an exit.
//!
//! Needs [`Features::TASKS`](pv_abi::Features::TASKS), `ADDRESS_SPACES` and `SYSCALL_ENTRY`.

#![allow(unsafe_code)]

pub mod elf;
mod enter;
mod frame;
mod memory;

pub use memory::{MemoryError, TaskMemory};

use crate::space::AddressSpace;
use crate::trap::saved::Saved;
use crate::trap::{self, PageFault, Vector};
use crate::upcall::{self, Masked};
use crate::vcpu::PerVcpu;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::Cell;
use core::fmt;
use pv_abi::Errno;
use pv_abi::trap::TrapFrame as Registers;

pub(crate) use enter::init;

/// A task: the registers of a program, and the address space that it runs in.
pub struct Task {
    space: Arc<AddressSpace>,
    /// Boxed: the trap handler writes there.
    saved: Box<Saved>,
}

/// Why a task does not run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It executed SYSCALL: its registers hold number and arguments, but for RCX and R11, which
    /// SYSCALL has overwritten. It goes on behind the instruction.
    Syscall,
    /// It did something that the CPU does not allow. It goes on with the same instruction, or
    /// behind it after INT3 and the like.
    Fault(Fault),
    /// An event came, and its handlers were called. Nothing is wrong with the task.
    Interrupted,
}

/// An exception in a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which.
    pub vector: Vector,
    /// Its error code; 0 for one that has none.
    pub error: u64,
    /// The address whose access failed, of a #PF. DR6 of a #DB.
    pub address: u64,
}

impl Fault {
    /// What a #PF says; `None` for another vector.
    pub fn page_fault(&self) -> Option<PageFault> {
        (self.vector == Vector::PF).then(|| PageFault::new(self.address, self.error))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.page_fault() {
            Some(fault) => fault.fmt(f),
            None => write!(f, "{}, error code {:#x}", self.vector, self.error),
        }
    }
}

/// vCPUs on which system calls arrive at the SDK.
static SYSCALLS_ARRIVE: PerVcpu<Cell<bool>> = PerVcpu::new(|_| Cell::new(false));

/// Notes that this vCPU has just been started: it has no handlers yet.
pub(crate) fn vcpu_started() {
    SYSCALLS_ARRIVE.with(|arrive| arrive.set(false));
}

impl Task {
    /// A task that is to begin at `entry`, with a stack and otherwise empty registers. Several may
    /// share an address space.
    pub fn new(space: &Arc<AddressSpace>, entry: u64, stack_top: u64) -> Self {
        let mut saved = Box::new(Saved::new());
        saved.registers.rip = entry;
        saved.registers.rsp = stack_top;
        Self {
            space: Arc::clone(space),
            saved,
        }
    }

    /// The same registers in another address space: the other one of two tasks where there was
    /// one.
    pub fn fork(&self, space: &Arc<AddressSpace>) -> Self {
        Self {
            space: Arc::clone(space),
            saved: self.saved.clone(),
        }
    }

    /// Its registers: with which it goes on, and of the last exit.
    pub fn registers(&self) -> &Registers {
        &self.saved.registers
    }

    /// Its registers, to be changed. Whatever they are, they harm nobody but the task.
    pub fn registers_mut(&mut self) -> &mut Registers {
        &mut self.saved.registers
    }

    /// Runs it until it cannot go on by itself, or an event comes.
    ///
    /// With threads, the thread that runs it may make way for another before this returns.
    ///
    /// # Panics
    ///
    /// Where upcalls are masked: in a handler, or while a `SpinLock` is held. Without the
    /// features that tasks need.
    #[track_caller]
    pub fn run(&mut self) -> Exit {
        let masked = Masked::new();
        assert!(
            masked.depth() == 1,
            "a task cannot run while upcalls are masked"
        );
        if let Err(error) = self.prepare() {
            panic!("this VMM cannot run tasks: {error}");
        }
        // SAFETY: upcalls are masked, and the registers are the task's alone.
        unsafe { enter::enter(&raw mut *self.saved) };
        let registers = &self.saved.registers;
        let exit = match Vector(registers.vector as u32) {
            Vector::SYSCALL => Exit::Syscall,
            Vector::UPCALL => Exit::Interrupted,
            vector => Exit::Fault(Fault {
                vector,
                error: if has_error_code(vector) {
                    registers.error
                } else {
                    0
                },
                address: match vector {
                    Vector::PF | Vector::DB => registers.cr2,
                    _ => 0,
                },
            }),
        };
        if exit == Exit::Interrupted {
            upcall::take_events();
        }
        drop(masked);
        exit
    }

    /// Sees to it that this vCPU can enter the task.
    fn prepare(&self) -> Result<(), Errno> {
        trap::set_task_trap(enter::leave);
        SYSCALLS_ARRIVE.with(|arrive| {
            if !arrive.get() {
                trap::enable_syscall()?;
                arrive.set(true);
            }
            Ok::<(), Errno>(())
        })?;
        self.space.enter()
    }
}

/// Whether the CPU pushes an error code (Intel SDM vol. 3A, table 6-1).
fn has_error_code(vector: Vector) -> bool {
    matches!(
        vector,
        Vector::NP | Vector::SS | Vector::GP | Vector::PF | Vector::AC | Vector(8 | 10 | 21)
    )
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("space", &self.space.number())
            .field("registers", &self.saved.registers)
            .finish()
    }
}
