//! The console.

#![allow(unsafe_code)]

use super::session::{Session, Trouble};
use super::{Operation, out};
use alloc::vec;
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Errno, Features, address};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("io_console_write", write)
        .needs(Features::CONSOLE)
        .sized(4096),
    Operation::new("io_console_read", read).needs(Features::CONSOLE),
    Operation::new("debug_print", print).sized(40),
];

/// Ends of lines, SIZE of them a call: no reader of this protocol minds an empty line.
fn write(session: &Session) -> Result<(), Trouble> {
    let size = session.size();
    let bytes = vec![b'\n'; size as usize];
    let gpa = address::of(&*bytes);
    session.each(|| match raw::io_console_write(gpa, size) {
        Ok(written) if written == size => Ok(()),
        Ok(_) => Err(Trouble::from("not all was written")),
        Err(errno) => Err(errno.into()),
    })
}

/// A look whether something was typed, which is usually not so.
fn read(session: &Session) -> Result<(), Trouble> {
    let mut byte = vec![0u8; 1];
    let out = out(&mut byte)?;
    // SAFETY: the call writes to the byte alone.
    session.each(|| match unsafe { raw::io_console_read(out, 1, 0) } {
        Ok(_) | Err(Errno::EAGAIN | Errno::EPIPE) => Ok(()),
        Err(errno) => Err(errno),
    })
}

/// SIZE bytes that travel in registers.
fn print(session: &Session) -> Result<(), Trouble> {
    const LINES: u64 = u64::from_le_bytes([b'\n'; 8]);
    let size = session.size();
    session.each(|| raw::debug_print(size, LINES, LINES, LINES, LINES, LINES).map(drop))
}
