//! The console: `println!`, and reading and writing bytes.

#![allow(unsafe_code)]

use crate::address;
use crate::hypercall::raw;
use crate::sync::SpinLock;
use core::fmt::{self, Write};
use core::time::Duration;
use pv_abi::{Errno, Gpa};

/// Formats text to the console. It is sent at the end of each line.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::console::print(::core::format_args!($($argument)*))
    };
}

/// Formats a line of text to the console.
#[macro_export]
macro_rules! println {
    () => {
        $crate::console::print(::core::format_args!("\n"))
    };
    ($($argument:tt)*) => {
        $crate::console::print(::core::format_args!(
            "{}\n",
            ::core::format_args!($($argument)*)
        ))
    };
}

/// Text that was printed and not sent yet.
static OUTPUT: SpinLock<Buffer<OUTPUT_SIZE>> = SpinLock::new(Buffer::new());

/// Few lines are longer; a longer one takes another call.
const OUTPUT_SIZE: usize = 256;

/// What `print!` and `println!` call.
///
/// A line is sent when it is complete, or when the buffer is full: one call for most lines.
/// Errors are ignored, as nothing is left to report them to.
pub fn print(text: fmt::Arguments<'_>) {
    match OUTPUT.lock_unless_held_here() {
        Some(mut output) => {
            // Writing to a buffer fails only when a `Display` does; then this much is printed.
            let _ = output.write_fmt(text);
            output.send_lines();
        }
        // We are in a trap handler, or a `Display`, in the middle of another `print`.
        None => {
            let mut direct = Buffer::<128>::new();
            let _ = direct.write_fmt(text);
            direct.send();
        }
    }
}

/// Sends what was printed since the last end of a line.
///
/// Reading from the console does this, and so does every orderly end of the guest.
pub fn flush() {
    if let Some(mut output) = OUTPUT.lock_unless_held_here() {
        output.send();
    }
}

/// Sends what was printed, even from under a `print` that this crash interrupted.
pub(crate) fn flush_last_words() {
    // SAFETY: the pointer is that of a static. Should another vCPU be printing, then at worst
    // the bytes that are sent are of two lines: each of them was initialized.
    unsafe {
        let output = OUTPUT.as_ptr();
        let used = (&raw const (*output).used).read_volatile();
        let first = (&raw const (*output).bytes).cast::<u8>();
        let _ = write_from(first, used.min(OUTPUT_SIZE));
    }
}

/// Writes all of the bytes to the console.
///
/// # Errors
///
/// [`Errno::EPIPE`] when nobody reads the console any more.
pub fn write(bytes: &[u8]) -> Result<(), Errno> {
    write_from(bytes.as_ptr(), bytes.len())
}

/// Writes bytes from memory that the guest need not have a reference to.
fn write_from(first: *const u8, size: usize) -> Result<(), Errno> {
    let gpa = address::virt_to_phys(first, size).ok_or(Errno::EFAULT)?;
    let mut written = 0;
    while written < size {
        let rest = u32::try_from(size - written).unwrap_or(u32::MAX);
        written += raw::io_console_write(Gpa(gpa.0 + written as u64), rest)? as usize;
    }
    Ok(())
}

/// Reads what was typed, at least one byte, and waits for that. 0 at the end of the input.
///
/// # Errors
///
/// Those of `io_console_read` but for the end of the input.
pub fn read(buffer: &mut [u8]) -> Result<usize, Errno> {
    read_until(buffer, u64::MAX)
}

/// As [`read`], but waits no longer than this.
///
/// # Errors
///
/// As [`read`], and [`Errno::EAGAIN`] when nothing was typed in time.
pub fn read_timeout(buffer: &mut [u8], timeout: Duration) -> Result<usize, Errno> {
    // The largest number means for ever; a timeout of 584 years is one nanosecond less.
    let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    read_until(buffer, nanoseconds.min(u64::MAX - 1))
}

fn read_until(buffer: &mut [u8], timeout: u64) -> Result<usize, Errno> {
    flush();
    let gpa = address::virt_to_phys(buffer.as_mut_ptr(), buffer.len()).ok_or(Errno::EFAULT)?;
    let size = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
    // SAFETY: the call writes to the buffer alone, which is ours.
    match unsafe { raw::io_console_read(gpa, size, timeout) } {
        Ok(read) => Ok(read as usize),
        Err(Errno::EPIPE) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Text on its way to the console.
struct Buffer<const SIZE: usize> {
    bytes: [u8; SIZE],
    used: usize,
}

impl<const SIZE: usize> Buffer<SIZE> {
    const fn new() -> Self {
        Self {
            bytes: [0; SIZE],
            used: 0,
        }
    }

    /// Sends everything.
    fn send(&mut self) {
        // Forgotten first: should sending it trap, it is not sent again.
        let size = core::mem::take(&mut self.used);
        let _ = write(&self.bytes[..size]);
    }

    /// Sends the complete lines and keeps the rest.
    fn send_lines(&mut self) {
        let text = &self.bytes[..self.used];
        let Some(last) = text.iter().rposition(|&byte| byte == b'\n') else {
            return;
        };
        let lines = ..last + 1;
        let _ = write(&self.bytes[lines]);
        self.bytes.copy_within(last + 1..self.used, 0);
        self.used -= last + 1;
    }
}

impl<const SIZE: usize> Write for Buffer<SIZE> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            if self.used == SIZE {
                self.send();
            }
            let size = rest.len().min(SIZE - self.used);
            let (now, later) = rest.split_at(size);
            self.bytes[self.used..self.used + size].copy_from_slice(now);
            self.used += size;
            rest = later;
        }
        Ok(())
    }
}
