//! Traps: what a handler sees, and each way in which it can let the interrupted code go on.

#![allow(unsafe_code)]

mod registers;

use super::catch::{Handlers, Shared, catch};
use super::{Group, Outcome, ensure, ensure_eq, tests};
use crate::{deliberate, provoke};
use alloc::format;
use alloc::string::String;
use core::arch::naked_asm;
use core::sync::atomic::{AtomicU64, Ordering};
use paravane_sdk::abi::trap::TrapFrame as Registers;
use paravane_sdk::hypercall::raw;
use paravane_sdk::start_info::{self, Privilege};
use paravane_sdk::sync::SpinLock;
use paravane_sdk::trap::{self, Resume, TrapFrame, Vector};
use paravane_sdk::{Features, address, vcpu};
use registers::all_registers_are_kept;

pub const GROUP: Group = Group {
    name: "traps",
    tests: tests![
        divide_error,
        invalid_opcode,
        breakpoint,
        page_fault,
        general_protection,
        privileged_instruction,
        without_a_stack,
        resume_with_a_changed_register,
        skip_an_instruction,
        redirect,
        all_registers_are_kept,
        red_zone_is_kept,
        trap_in_a_handler,
        call_in_a_handler,
        return_by_a_call,
        syscall,
        many,
    ],
};

/// What a function's trap looked like, or what happened instead.
fn caught(
    function: unsafe extern "C" fn(u64) -> u64,
    argument: u64,
    vector: Vector,
) -> Result<Registers, String> {
    // SAFETY: the functions that are given here own nothing, and access nothing that is used.
    match unsafe { catch(function, argument) } {
        Ok(caught) if caught.vector == vector => Ok(caught.registers),
        Ok(caught) => Err(format!("{} instead of {vector}", caught.vector)),
        Err(result) => Err(format!("no {vector}, but the result {result:#x}")),
    }
}

fn address_of(function: extern "C" fn(u64) -> u64) -> u64 {
    function as *const () as u64
}

fn divide_error() -> Outcome {
    let registers = caught(provoke::divide, 0, Vector::DE)?;
    ensure_eq!(registers.rax, 100, "RAX of the division");
    ensure_eq!(registers.rdi, 0, "the divisor");
    let instruction: [u8; 3] = core::array::from_fn(|i| {
        let address = registers.rip as usize + i;
        // SAFETY: the instruction that trapped is in this image.
        unsafe { core::ptr::with_exposed_provenance::<u8>(address).read() }
    });
    ensure_eq!(instruction, provoke::DIVIDE_INSTRUCTION, "what is at RIP");
    Ok(())
}

fn invalid_opcode() -> Outcome {
    let registers = caught(provoke::undefined, 0x1234, Vector::UD)?;
    ensure_eq!(registers.rip, address_of(provoke::undefined), "RIP");
    ensure_eq!(registers.rdi, 0x1234, "RDI");
    let stack = vcpu::boot_stack();
    ensure!(
        stack.contains(&registers.rsp),
        "RSP is {:#x}, the stack {stack:#x?}",
        registers.rsp
    );
    Ok(())
}

fn breakpoint() -> Outcome {
    extern "C" fn breakpoint(_unused: u64) -> u64 {
        provoke::breakpoint_at()
    }
    let registers = caught(breakpoint, 0, Vector::BP)?;
    ensure_eq!(
        registers.rip,
        provoke::breakpoint_at as *const () as u64 + provoke::BREAKPOINT_OFFSET,
        "RIP"
    );
    Ok(())
}

fn page_fault() -> Outcome {
    // Nothing is mapped there: each access has an address of its own.
    for address in [0x1234_5678_9ab8, 0x10, 0x3fff_ffff_fff8] {
        let registers = caught(provoke::read, address, Vector::PF)?;
        ensure_eq!(registers.rip, address_of(provoke::read), "RIP");
        ensure_eq!(registers.cr2, address, "CR2");
        ensure_eq!(registers.error & 0b1_1011, 0, "the error code of a read");
        let registers = caught(provoke::clear, address, Vector::PF)?;
        ensure_eq!(registers.rip, provoke::clear as *const () as u64, "RIP");
        ensure_eq!(registers.cr2, address, "CR2");
        ensure_eq!(registers.error & 0b1_1011, 2, "the error code of a write");
        let user = registers.error & 4 != 0;
        let deprivileged = start_info::get().privilege() == Privilege::Ring3;
        ensure_eq!(user, deprivileged, "whether the access was user mode's");
    }
    Ok(())
}

fn general_protection() -> Outcome {
    // Not canonical.
    let registers = caught(provoke::read, 0x8000_0000_0000_0000, Vector::GP)?;
    ensure_eq!(registers.rip, address_of(provoke::read), "RIP");
    ensure_eq!(registers.error, 0, "the error code");
    Ok(())
}

/// At CPL 0 a privileged instruction does what it does, which is not for a test to try.
fn privileged_instruction() -> Outcome {
    if start_info::get().privilege() == Privilege::Ring0 {
        return Ok(());
    }
    extern "C" fn halt(_unused: u64) -> u64 {
        deliberate::paravane_deliberate_hlt();
        0
    }
    let registers = caught(halt, 0, Vector::GP)?;
    ensure_eq!(
        registers.rip,
        deliberate::paravane_deliberate_hlt as *const () as u64,
        "RIP"
    );
    ensure_eq!(registers.error, 0, "the error code");
    Ok(())
}

fn without_a_stack() -> Outcome {
    for rsp in [0, 0x10, 0x1234_5678_9000, vcpu::boot_stack().start] {
        let registers = caught(provoke::undefined_without_stack, rsp, Vector::UD)?;
        ensure_eq!(registers.rsp, rsp, "RSP");
    }
    Ok(())
}

fn resume_with_a_changed_register() -> Outcome {
    let handlers = Handlers::set(&[(Vector::DE, |frame| {
        // SAFETY: the code is `provoke::divide`, whose divisor this is.
        unsafe { frame.registers_mut() }.rdi = 4;
        Resume::Resume
    })]);
    let quotient = provoke::divide(0);
    drop(handlers);
    ensure_eq!(quotient, 25, "100 divided by what the handler made of 0");
    Ok(())
}

fn skip_an_instruction() -> Outcome {
    let handlers = Handlers::set(&[(Vector::UD, skip_undefined)]);
    let result = provoke::undefined(0);
    drop(handlers);
    ensure_eq!(result, 0x77, "the result behind the instruction");
    Ok(())
}

fn skip_undefined(frame: &mut TrapFrame) -> Resume {
    // SAFETY: the instruction is a UD2, and the code behind it expects to be reached.
    unsafe { frame.registers_mut() }.rip += provoke::UNDEFINED_SIZE;
    Resume::Resume
}

fn redirect() -> Outcome {
    #[unsafe(naked)]
    extern "C" fn elsewhere() -> u64 {
        naked_asm!(".cfi_startproc", "mov eax, 0x55", "ret", ".cfi_endproc")
    }
    let handlers = Handlers::set(&[(Vector::UD, |frame| {
        // SAFETY: the code there returns to the caller of `provoke::undefined`.
        unsafe { frame.registers_mut() }.rip = elsewhere as *const () as u64;
        Resume::Resume
    })]);
    let result = provoke::undefined(0);
    drop(handlers);
    ensure_eq!(result, 0x55, "the result of where it was redirected");
    Ok(())
}

fn red_zone_is_kept() -> Outcome {
    /// Fills the 128 bytes below RSP, traps, and counts those that changed.
    #[unsafe(naked)]
    extern "C" fn changed_words() -> u64 {
        naked_asm!(
            ".cfi_startproc",
            "mov rcx, -16",
            "2:",
            "mov [rsp + rcx * 8], rcx",
            "inc rcx",
            "jnz 2b",
            "int3",
            "xor eax, eax",
            "mov rcx, -16",
            "3:",
            "cmp [rsp + rcx * 8], rcx",
            "je 4f",
            "inc eax",
            "4:",
            "inc rcx",
            "jnz 3b",
            "ret",
            ".cfi_endproc",
        )
    }
    let handlers = Handlers::set(&[(Vector::BP, |_| {
        // A call needs a stack, and may use no part of the interrupted one.
        let _ = raw::core_noop();
        Resume::Resume
    })]);
    let changed = changed_words();
    drop(handlers);
    ensure_eq!(changed, 0, "the number of changed words below RSP");
    Ok(())
}

fn trap_in_a_handler() -> Outcome {
    static SEEN: Shared<Option<Registers>> = Shared::new(None);
    let handlers = Handlers::set(&[
        (Vector::UD, |frame| {
            let before = **frame;
            SEEN.set(None);
            provoke::breakpoint();
            if frame.rip != before.rip || frame.rsp != before.rsp {
                return Resume::Unhandled;
            }
            skip_undefined(frame)
        }),
        (Vector::BP, |frame| {
            SEEN.set(Some(**frame));
            Resume::Resume
        }),
    ]);
    let result = provoke::undefined(0);
    drop(handlers);
    ensure_eq!(result, 0x77, "the result behind the outer trap");
    let inner = SEEN.get().ok_or("there was no inner trap")?;
    ensure_eq!(inner.vector, 3, "the vector of the inner trap");
    ensure!(
        vcpu::trap_stack().contains(&inner.rsp),
        "RSP of the inner trap is {:#x}, not on the trap stack",
        inner.rsp
    );
    Ok(())
}

fn call_in_a_handler() -> Outcome {
    static SUM: AtomicU64 = AtomicU64::new(0);
    let handlers = Handlers::set(&[(Vector::BP, |_| {
        let sum = raw::debug_echo(1, 2, 3, 4, 5, 6).unwrap_or(0);
        SUM.store(sum.into(), Ordering::Relaxed);
        Resume::Resume
    })]);
    provoke::breakpoint();
    drop(handlers);
    ensure_eq!(SUM.load(Ordering::Relaxed), 91, "the result in the handler");
    Ok(())
}

/// Where [`go_back`] goes back to.
static BACK: SpinLock<Option<Registers>> = SpinLock::new(None);

/// Resumes what a handler has put into [`BACK`].
extern "C" fn go_back() -> ! {
    let registers = BACK.lock().unwrap_or_default();
    // SAFETY: the frame is that of interrupted code, which expects any RAX and is one call away
    // from code that keeps nothing in vector registers.
    let result = unsafe { raw::trap_return(address::of(&registers)) };
    panic!("trap_return returned {result:?}");
}

/// The call, instead of the hypercall page's entry that the SDK uses. The handler itself returns
/// as any other does: what it has begun is to end.
fn return_by_a_call() -> Outcome {
    let handlers = Handlers::set(&[(Vector::BP, |frame| {
        *BACK.lock() = Some(Registers {
            rax: 0x99,
            ..**frame
        });
        // SAFETY: the function expects no register but RSP, as a call leaves it, below the red
        // zone of what was interrupted.
        let registers = unsafe { frame.registers_mut() };
        registers.rip = go_back as *const () as u64;
        registers.rsp = ((registers.rsp - 256) & !15) - 8;
        Resume::Resume
    })]);
    let result = provoke::breakpoint();
    drop(handlers);
    ensure_eq!(result, 0x99, "RAX behind trap_return");
    Ok(())
}

fn syscall() -> Outcome {
    if !start_info::get()
        .features()
        .contains(Features::SYSCALL_ENTRY)
    {
        return Ok(());
    }
    trap::enable_syscall().map_err(|error| format!("trap_set_syscall: {error}"))?;
    let handlers = Handlers::set(&[(Vector::SYSCALL, |frame| {
        let argument = frame.rdi;
        // SAFETY: the code is `paravane_deliberate_syscall`, whose result this is.
        unsafe { frame.registers_mut() }.rax = argument + 1;
        Resume::Resume
    })]);
    let result = deliberate::paravane_deliberate_syscall(41);
    drop(handlers);
    ensure_eq!(result, 42, "the result of a SYSCALL");
    // SAFETY: without a handler there is nothing that could go wrong but a later SYSCALL.
    let removed = unsafe { raw::trap_set_syscall(0) };
    ensure_eq!(removed, Ok(0), "trap_set_syscall(0)");
    Ok(())
}

/// Nothing is used up by a trap.
fn many() -> Outcome {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.store(0, Ordering::Relaxed);
    let handlers = Handlers::set(&[(Vector::BP, |_| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        Resume::Resume
    })]);
    for _ in 0..1000 {
        provoke::breakpoint();
    }
    drop(handlers);
    ensure_eq!(COUNT.load(Ordering::Relaxed), 1000, "the number of traps");
    Ok(())
}
