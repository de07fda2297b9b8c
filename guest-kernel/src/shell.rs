//! A small shell on the console.

use crate::command_line::Misuse;
use crate::demo::exit_code;
use crate::{provoke, report, selftest};
use alloc::format;
use paravane_sdk::line_reader::LineReader;
use paravane_sdk::trap::{self, Resume, TrapFrame, Vector};
use paravane_sdk::{print, println};

const HELP: &str = "\
help     this text
info     the machine
mem      the memory map and the heap
trap     cause a breakpoint trap, and show what its handler sees
selftest [GROUP,...]
         run the self-tests, or those of some groups
panic    panic
exit N   end with exit code N, 0 if it is left out; so does the end of the input";

/// The shell, until `exit` or the end of the input.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let echo = match argument {
        None => false,
        Some("echo") => true,
        Some(other) => {
            return Err(Misuse(format!(
                "\"{other}\" is no way to run it: use shell or shell=echo"
            )));
        }
    };
    report::boot_log();
    println!("type help for a list of commands");
    let mut reader = LineReader::new(echo);
    let mut buffer = [0; 256];
    loop {
        print!("paravane> ");
        let line = match reader.read_line(&mut buffer) {
            Ok(Some(line)) => line,
            Ok(None) => {
                println!();
                return Ok(0);
            }
            Err(error) => panic!("cannot read from the console: {error}"),
        };
        let Ok(line) = str::from_utf8(line) else {
            println!("that line is not UTF-8");
            continue;
        };
        if let Some(code) = execute(line) {
            return Ok(code);
        }
    }
}

/// Carries out a line; `Some` is the exit code of one that ends the shell.
fn execute(line: &str) -> Option<i32> {
    let mut words = line.split_whitespace();
    let command = words.next()?;
    let argument = words.next();
    match command {
        "help" => println!("{HELP}"),
        "info" => report::info(),
        "mem" => {
            report::map();
            report::heap();
        }
        "trap" => cause_trap(),
        "selftest" => {
            if let Err(misuse) = selftest::run(argument) {
                println!("selftest: {misuse}");
            }
        }
        "panic" => panic!("the shell was asked for a panic"),
        "exit" => match exit_code(argument.unwrap_or("0")) {
            Ok(code) => return Some(code),
            Err(misuse) => println!("exit: {misuse}"),
        },
        _ => println!("unknown command \"{command}\"; help lists those that there are"),
    }
    None
}

fn cause_trap() {
    let before = trap::set_handler(Vector::BP, show_trap);
    provoke::breakpoint();
    match before {
        Some(handler) => trap::set_handler(Vector::BP, handler),
        None => trap::clear_handler(Vector::BP),
    };
    println!("back again");
}

fn show_trap(frame: &mut TrapFrame) -> Resume {
    println!("{} at {:#018x}", frame.vector(), frame.rip);
    for row in [
        [("rax", frame.rax), ("rbx", frame.rbx), ("rcx", frame.rcx)],
        [("rdx", frame.rdx), ("rsi", frame.rsi), ("rdi", frame.rdi)],
        [("rbp", frame.rbp), ("rsp", frame.rsp), ("r8 ", frame.r8)],
        [("r9 ", frame.r9), ("r10", frame.r10), ("r11", frame.r11)],
        [("r12", frame.r12), ("r13", frame.r13), ("r14", frame.r14)],
        [("r15", frame.r15), ("efl", frame.rflags), ("cs ", frame.cs)],
    ] {
        for (name, value) in row {
            print!("  {name} {value:#018x}");
        }
        println!();
    }
    Resume::Resume
}
