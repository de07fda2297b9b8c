//! Catching a trap: calling something that traps, and going on behind the call.

#![allow(unsafe_code)]

use alloc::format;
use alloc::string::String;
use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::abi::trap::TrapFrame as Registers;
use paravane_sdk::sync::SpinLock;
use paravane_sdk::trap::{self, Handler, PageFault, Resume, TrapFrame, Vector};

/// The frame of the last trap that was caught.
static CAUGHT: SpinLock<Option<Caught>> = SpinLock::new(None);

/// Where a caught trap goes on, and with which RSP.
static ESCAPE_RIP: AtomicU64 = AtomicU64::new(0);
static ESCAPE_RSP: AtomicU64 = AtomicU64::new(0);

/// Vectors that can be caught.
const VECTORS: [Vector; 5] = [Vector::DE, Vector::UD, Vector::BP, Vector::GP, Vector::PF];

/// What the handler of a caught trap saw.
#[derive(Clone, Copy, Debug)]
pub struct Caught {
    pub registers: Registers,
    pub vector: Vector,
    pub page_fault: Option<PageFault>,
}

/// Sets handlers for as long as it lives.
pub struct Handlers(alloc::vec::Vec<(Vector, Option<Handler>)>);

impl Handlers {
    pub fn set(handlers: &[(Vector, Handler)]) -> Self {
        Self(
            handlers
                .iter()
                .map(|&(vector, handler)| (vector, trap::set_handler(vector, handler)))
                .collect(),
        )
    }
}

impl Drop for Handlers {
    fn drop(&mut self) {
        for &(vector, before) in self.0.iter().rev() {
            match before {
                Some(handler) => trap::set_handler(vector, handler),
                None => trap::clear_handler(vector),
            };
        }
    }
}

/// Calls a function with an argument. `Ok` is the trap that it ended in, `Err` the result of
/// one that did not trap.
///
/// # Safety
///
/// The function may be called with that argument, and abandoned where it traps: it owns
/// nothing that a later drop would have to free.
pub unsafe fn catch(
    function: unsafe extern "C" fn(u64) -> u64,
    argument: u64,
) -> Result<Caught, u64> {
    let handlers = Handlers::set(&VECTORS.map(|vector| (vector, escape as Handler)));
    *CAUGHT.lock() = None;
    // SAFETY: the caller's promise.
    let result = unsafe { call_with_escape(function, argument) };
    drop(handlers);
    CAUGHT.lock().take().ok_or(result)
}

/// The page fault of a function, or what happened instead.
///
/// # Safety
///
/// As [`catch`].
pub unsafe fn catch_page_fault(
    function: unsafe extern "C" fn(u64) -> u64,
    argument: u64,
) -> Result<PageFault, String> {
    // SAFETY: the caller's promise.
    match unsafe { catch(function, argument) } {
        Ok(Caught {
            page_fault: Some(fault),
            ..
        }) => Ok(fault),
        Ok(caught) => Err(format!(
            "the access to {argument:#x} gave {} at {:#x} instead of #PF",
            caught.vector, caught.registers.rip
        )),
        Err(_) => Err(format!("the access to {argument:#x} did not trap")),
    }
}

/// The handler: notes the trap, and goes on in [`call_with_escape`].
fn escape(frame: &mut TrapFrame) -> Resume {
    *CAUGHT.lock() = Some(Caught {
        registers: **frame,
        vector: frame.vector(),
        page_fault: frame.page_fault(),
    });
    // SAFETY: the code there restores the registers that its caller expects to be kept.
    let registers = unsafe { frame.registers_mut() };
    registers.rip = ESCAPE_RIP.load(Ordering::Relaxed);
    registers.rsp = ESCAPE_RSP.load(Ordering::Relaxed);
    Resume::Resume
}

/// Calls a function with an argument; a caught trap goes on here as if it had returned.
#[unsafe(naked)]
unsafe extern "C" fn call_with_escape(
    _function: unsafe extern "C" fn(u64) -> u64,
    _argument: u64,
) -> u64 {
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_adjust_cfa_offset 8",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rbp",
        "mov [rip + {escape_rsp}], rsp",
        "lea rax, [rip + 2f]",
        "mov [rip + {escape_rip}], rax",
        "mov rax, rdi",
        "mov rdi, rsi",
        "call rax",
        "2:",
        "pop rbp",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
        escape_rip = sym ESCAPE_RIP,
        escape_rsp = sym ESCAPE_RSP,
    )
}

/// Memory that assembly and Rust both access, one after the other.
#[repr(transparent)]
pub struct Shared<T>(UnsafeCell<T>);

// SAFETY: the self-tests run on one vCPU, one after the other.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T: Copy> Shared<T> {
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    pub fn get(&self) -> T {
        // SAFETY: nothing else accesses it now, see `Sync`.
        unsafe { self.0.get().read_volatile() }
    }

    pub fn set(&self, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.0.get().write_volatile(value) }
    }
}
