//! The verbs that need no file of their own.

use crate::command_line::{Misuse, Usage};
use alloc::format;
use core::str::FromStr;
use paravane_sdk::hypercall::raw;
use paravane_sdk::{console, println, sched};

/// Largest exit code of a guest.
const EXIT_CODE_MAX: i32 = 119;

pub fn help(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    println!("the command line is one of{Usage}");
    Ok(0)
}

pub fn hello(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    println!("hello from paravane-guest-kernel");
    Ok(0)
}

pub fn exit(argument: Option<&str>) -> Result<i32, Misuse> {
    exit_code(argument.unwrap_or(""))
}

/// The exit code that a user asked for.
pub fn exit_code(text: &str) -> Result<i32, Misuse> {
    number(text)
        .filter(|code| (0..=EXIT_CODE_MAX).contains(code))
        .ok_or_else(|| Misuse(format!("\"{text}\" is no exit code: those are 0 to 119")))
}

pub fn panic(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    panic!("the command line asked for a panic");
}

pub fn endless_loop(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    println!("looping");
    loop {
        core::hint::spin_loop();
    }
}

pub fn flood(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    const LINES: usize = 64;
    let line = b"All work and no play makes Jack a dull boy. All work and no play\n";
    let lines = line.repeat(LINES);
    // Until nobody reads any more.
    while console::write(&lines).is_ok() {}
    Ok(0)
}

pub fn echo(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    let mut buffer = [0; 1024];
    loop {
        match console::read(&mut buffer) {
            Ok(0) => return Ok(0),
            Ok(size) => {
                if console::write(&buffer[..size]).is_err() {
                    return Ok(0);
                }
            }
            Err(error) => panic!("cannot read from the console: {error}"),
        }
    }
}

pub fn reboot(argument: Option<&str>) -> Result<i32, Misuse> {
    Misuse::unless_none(argument)?;
    println!("rebooting");
    sched::reboot()
}

pub fn noop(argument: Option<&str>) -> Result<i32, Misuse> {
    let text = argument.unwrap_or("");
    let count: u64 = number(text)
        .ok_or_else(|| Misuse(format!("\"{text}\" is no number of calls: noop=1000, say")))?;
    for _ in 0..count {
        // It fails nowhere.
        let _ = raw::core_noop();
    }
    Ok(0)
}

fn number<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}
