//! Memory that comes and goes, step by step, for somebody who watches the VMM's memory.

use crate::command_line::Misuse;
use alloc::format;
use alloc::vec::Vec;
use paravane_sdk::balloon;
use paravane_sdk::{console, println};

const MIB: usize = 1 << 20;

/// Touches so many MiB, releases them, reads them and populates them. It says so behind each step
/// and waits for a byte of input before the next.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let text = argument.unwrap_or("");
    let size = text
        .parse::<usize>()
        .ok()
        .and_then(|mib| mib.checked_mul(MIB));
    let size =
        size.ok_or_else(|| Misuse(format!("\"{text}\" is no number of MiB: balloon=64, say")))?;
    let mut memory = Vec::<u8>::new();
    if memory.try_reserve_exact(size).is_err() {
        return Err(Misuse(format!("there are no {size} bytes of memory")));
    }
    said("untouched");

    memory.resize(size, 1);
    said("touched");

    let released = match balloon::release(&mut memory) {
        Ok(released) => released,
        Err(error) => panic!("mem_release failed: {error}"),
    };
    said("released");

    // What is not a whole page is still there.
    let ones = memory.iter().filter(|&&byte| byte == 1).count();
    let zeros = memory.iter().filter(|&&byte| byte == 0).count();
    assert_eq!((ones, zeros), (size - released, released));
    said("read");

    match balloon::populate(&memory) {
        Ok(populated) => assert_eq!(populated, released),
        Err(error) => panic!("mem_populate failed: {error}"),
    }
    said("populated");
    Ok(0)
}

fn said(step: &str) {
    println!("{step}");
    // At the end of the input nobody watches.
    let _ = console::read(&mut [0]);
}
