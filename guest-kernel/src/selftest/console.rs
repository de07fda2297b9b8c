//! The console.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use core::fmt;
use core::time::Duration;
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Errno, address, console, print, println};

pub const GROUP: Group = Group {
    name: "console",
    tests: tests![
        write_tells_how_much,
        write_nothing,
        a_line_in_pieces,
        a_long_line,
        printing_within_printing,
        read_nothing,
        read_without_waiting,
    ],
};

fn write_tells_how_much() -> Outcome {
    let line = b"     (a line by io_console_write)\n";
    console::flush();
    let written = raw::io_console_write(address::of(line), line.len() as u32);
    ensure_eq!(written, Ok(line.len() as u32), "io_console_write");
    Ok(())
}

fn write_nothing() -> Outcome {
    let written = raw::io_console_write(address::of(&0_u8), 0);
    ensure_eq!(written, Ok(0), "a write of 0 bytes");
    Ok(())
}

fn a_line_in_pieces() -> Outcome {
    print!("     (one line");
    print!(" of {} ", 3);
    println!("pieces)");
    Ok(())
}

/// A line that does not fit the buffer of `println!`.
fn a_long_line() -> Outcome {
    println!("     ({:.>280})", "280 characters");
    Ok(())
}

fn printing_within_printing() -> Outcome {
    struct Prints;
    impl fmt::Display for Prints {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            println!("     (a line from within a line)");
            f.write_str("from within")
        }
    }
    println!("     (a line with one {Prints})");
    Ok(())
}

fn read_nothing() -> Outcome {
    let mut byte = [0_u8];
    let gpa = address::virt_to_phys(byte.as_mut_ptr(), 1).ok_or("the stack is nowhere")?;
    // SAFETY: the call writes nothing.
    let result = unsafe { raw::io_console_read(gpa, 0, 0) };
    ensure_eq!(result, Ok(0), "a read of 0 bytes");
    Ok(())
}

fn read_without_waiting() -> Outcome {
    let mut byte = [0_u8];
    let result = console::read_timeout(&mut byte, Duration::ZERO);
    ensure!(
        matches!(result, Ok(0 | 1) | Err(Errno::EAGAIN)),
        "a read without waiting gave {result:?}"
    );
    Ok(())
}
