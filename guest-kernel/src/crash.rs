//! The ways to crash, each without a handler, to show what the VMM says of them.

#![allow(unsafe_code)]

use crate::command_line::Misuse;
use crate::{deliberate, provoke};
use alloc::format;
use core::arch::naked_asm;
use core::fmt;
use core::hint::black_box;
use paravane_sdk::abi::trap::{TRAP_VECTORS, TrapHandler};
use paravane_sdk::hypercall::raw;
use paravane_sdk::trap::{self, Resume, Vector};
use paravane_sdk::{address, println, thread};

/// The argument of the verb, as in a usage line.
pub const ARGUMENT: &str = "=null-call|wild-jump|ud|div|stack-overflow|thread-overflow|\
                            write-text|write-rodata|privileged|triple|double-trap|\
                            no-handler|bad-return|handler-overflow|panic-in-print|panic-in-panic";

/// Crashes in the way that the argument names.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let way = argument.unwrap_or("");
    match way {
        // SAFETY: nothing is mapped there, so the call traps.
        "null-call" => unsafe { provoke::execute(0) },
        // SAFETY: as above.
        "wild-jump" => unsafe { provoke::execute(0x1234_5678_9000) },
        "ud" => provoke::undefined(0),
        "div" => provoke::divide(0),
        "stack-overflow" => overflow_stack(0),
        "thread-overflow" => {
            let recursive = || {
                thread::Builder::new()
                    .name("deep")
                    .spawn(|| overflow_stack(0))
            };
            thread::run(|| recursive().join())
        }
        "write-text" => provoke::write(provoke::write as *const () as u64),
        "write-rodata" => provoke::write(&raw const RODATA as u64),
        "privileged" => {
            deliberate::paravane_deliberate_hlt();
            0
        }
        "triple" => {
            deliberate::paravane_deliberate_triple_fault();
            0
        }
        "double-trap" => {
            set_handlers(trap_again as *const () as u64);
            provoke::undefined(0)
        }
        "no-handler" => {
            set_handlers(0);
            provoke::undefined(0)
        }
        "bad-return" => {
            trap::set_handler(Vector::BP, |frame| {
                // SAFETY: no code can be there, so that none goes on.
                unsafe { frame.registers_mut() }.rip = 1 << 63;
                Resume::Resume
            });
            provoke::breakpoint()
        }
        "handler-overflow" => {
            trap::set_handler(Vector::BP, |_| {
                black_box(overflow_stack(0));
                Resume::Resume
            });
            provoke::breakpoint()
        }
        "panic-in-print" => {
            println!("the beginning of a line, and then {Panics}");
            0
        }
        "panic-in-panic" => panic!("the beginning of a panic, and then {Panics}"),
        _ => {
            return Err(Misuse(format!(
                "\"{way}\" is no way to crash: use crash{ARGUMENT}"
            )));
        }
    };
    panic!("crash={way} did not crash");
}

/// Panics when it is formatted.
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a panic while text was formatted")
    }
}

/// Read-only data.
static RODATA: u64 = 0x7261_7661_7061_6e65;

/// Recursion whose end no stack has room for.
fn overflow_stack(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    match depth {
        u64::MAX => 0,
        _ => overflow_stack(depth + 1) + frame[0],
    }
}

/// A trap handler that traps before it says that it is done with the first trap.
#[unsafe(naked)]
extern "C" fn trap_again() {
    naked_asm!(".cfi_startproc", "ud2", ".cfi_endproc")
}

/// Sets one handler for all vectors in place of the SDK's; 0 is none.
fn set_handlers(handler: u64) {
    let table = [TrapHandler { handler, flags: 0 }; TRAP_VECTORS];
    // SAFETY: the next trap, which this guest is about to cause, is meant to be its end.
    let set = unsafe { raw::trap_set_table(address::of(&table), TRAP_VECTORS as u32) };
    set.expect("the table is valid");
}
