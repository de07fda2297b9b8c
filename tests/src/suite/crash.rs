//! A crash is readable: cause, registers, a backtrace with names, and what to do next.

use super::InMode;
use crate::modes::Mode;
use crate::program::{Ended, exit_code, guest};

pub(super) const IN_EVERY_MODE: &[InMode] = &[
    ("a_panic_shows_where", a_panic_shows_where),
    (
        "a_jump_to_null_shows_who_jumped",
        a_jump_to_null_shows_who_jumped,
    ),
    ("a_wild_jump_shows_where_to", a_wild_jump_shows_where_to),
    (
        "a_stack_overflow_is_called_one",
        a_stack_overflow_is_called_one,
    ),
    (
        "a_threads_stack_overflow_names_the_thread",
        a_threads_stack_overflow_names_the_thread,
    ),
    ("text_cannot_be_written", text_cannot_be_written),
    ("constants_cannot_be_written", constants_cannot_be_written),
    ("an_unhandled_trap_is_named", an_unhandled_trap_is_named),
    (
        "a_trap_without_any_handler_is_named",
        a_trap_without_any_handler_is_named,
    ),
    ("a_double_trap_is_named", a_double_trap_is_named),
    (
        "a_privileged_instruction_ends_the_guest",
        a_privileged_instruction_ends_the_guest,
    ),
    (
        "broken_cpu_tables_end_the_guest",
        broken_cpu_tables_end_the_guest,
    ),
];

fn crash(way: &str, mode: Mode) -> Ended {
    guest(way, &mode.options())
        .exits(exit_code::GUEST_CRASH)
        .says("paravane: the guest crashed: ")
        .says("RIP ")
        .says("stack backtrace:")
        .says("what to do: ")
}

fn a_panic_shows_where(mode: Mode) {
    crash("panic", mode)
        .says("panicked at src/demo.rs:")
        .says("the command line asked for a panic")
        .says("paravane_guest_kernel::demo::panic")
        .says("at src/demo.rs:");
}

fn a_jump_to_null_shows_who_jumped(mode: Mode) {
    crash("crash=null-call", mode)
        .says("#PF: jump to 0x0 (the null page)")
        .says("paravane_guest_kernel::crash::run");
}

fn a_wild_jump_shows_where_to(mode: Mode) {
    crash("crash=wild-jump", mode)
        .says("0x123456789000")
        .says("paravane_guest_kernel::crash::run");
}

fn a_stack_overflow_is_called_one(mode: Mode) {
    crash("crash=stack-overflow", mode)
        .says("stack overflow")
        .says("paravane_guest_kernel::crash::overflow_stack")
        .says("times more)");
}

fn a_threads_stack_overflow_names_the_thread(mode: Mode) {
    crash("crash=thread-overflow", mode)
        .says("the stack of thread 2 \"deep\", of 64 KiB, is full")
        .says("paravane_guest_kernel::crash::overflow_stack");
}

fn text_cannot_be_written(mode: Mode) {
    crash("crash=write-text", mode)
        .says("#PF: write to 0x")
        .says("(the image's r-x segment)");
}

fn constants_cannot_be_written(mode: Mode) {
    crash("crash=write-rodata", mode)
        .says("#PF: write to 0x")
        .says("(the image's r-- segment)");
}

fn an_unhandled_trap_is_named(mode: Mode) {
    crash("crash=ud", mode)
        .says("unhandled #UD")
        .says("paravane_guest_kernel::provoke::undefined");
    crash("crash=div", mode)
        .says("unhandled #DE")
        .says("paravane_guest_kernel::provoke::divide");
}

fn a_trap_without_any_handler_is_named(mode: Mode) {
    crash("crash=no-handler", mode)
        .says("a trap that the guest has no handler for: #UD at 0x")
        .says("paravane_guest_kernel::provoke::undefined");
}

fn a_double_trap_is_named(mode: Mode) {
    crash("crash=double-trap", mode)
        .says("double trap: ")
        .says("the first was #UD, the second #UD at 0x");
}

fn a_privileged_instruction_ends_the_guest(mode: Mode) {
    let ended = crash("crash=privileged", mode).says("paravane_deliberate_hlt");
    match mode.privilege {
        "ring0" => ended.says("the guest executed HLT"),
        _ => ended.says("#GP"),
    };
}

fn broken_cpu_tables_end_the_guest(mode: Mode) {
    let ended = crash("crash=triple", mode);
    match mode.privilege {
        "ring0" => ended.says("triple fault"),
        _ => ended.says("#GP"),
    };
}
