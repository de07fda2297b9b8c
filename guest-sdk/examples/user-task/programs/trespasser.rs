//! Does what no task may, in one of four ways. None of them harms anybody else.

#![no_std]
#![no_main]

mod system;

use core::arch::asm;

#[unsafe(no_mangle)]
extern "C" fn _start(offence: u64) -> ! {
    // SAFETY: it is not: that is the point. Each of these ends this program.
    unsafe {
        match offence {
            // The kernel's memory: it is not there for a task.
            0 => core::ptr::with_exposed_provenance_mut::<u64>(0x4000_0000_0000).write_volatile(1),
            // Its own code: that can be executed, and so not be written.
            1 => (_start as *mut u8).write_volatile(0xcc),
            // An instruction of the kernel's.
            2 => asm!("cli"),
            // A port: the hypercalls' own, which the kernel has and a task has not.
            _ => asm!("in eax, 0x50", out("eax") _),
        }
    }
    println!("offence {offence} did nothing");
    system::exit()
}
