//! What every program has: the system calls, and an end for panics.

#![allow(dead_code)]

use core::arch::asm;
use core::fmt::{self, Write};

/// Makes a system call. SYSCALL leaves RIP and RFLAGS in RCX and R11.
fn call(number: u64, first: u64, second: u64) -> i64 {
    let result;
    // SAFETY: the kernel changes no memory of ours by any of its calls.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second,
            lateout("rcx") _, lateout("r11") _);
    }
    result
}

pub fn exit() -> ! {
    loop {
        call(0, 0, 0);
    }
}

pub fn write(text: &[u8]) -> i64 {
    call(1, text.as_ptr() as u64, text.len() as u64)
}

pub fn give_way() {
    call(2, 0, 0);
}

/// Nanoseconds since the start of the VM.
pub fn time() -> u64 {
    call(3, 0, 0) as u64
}

/// Makes a second process of this one: its number, or 0 in the new one.
pub fn fork() -> i64 {
    call(4, 0, 0)
}

/// Collects a line and writes it by one system call.
pub struct Line {
    bytes: [u8; 120],
    size: usize,
}

impl Line {
    pub fn print(text: fmt::Arguments<'_>) {
        let mut line = Line {
            bytes: [0; 120],
            size: 0,
        };
        let _ = line.write_fmt(text);
        write(&line.bytes[..line.size]);
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            *self.bytes.get_mut(self.size).ok_or(fmt::Error)? = byte;
            self.size += 1;
        }
        Ok(())
    }
}

#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::system::Line::print(format_args!("{}\n", format_args!($($argument)*)))
    };
}

#[panic_handler]
fn panicked(_: &core::panic::PanicInfo<'_>) -> ! {
    write(b"a program panicked\n");
    exit()
}
