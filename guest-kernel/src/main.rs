//! The reference guest: a minimal kernel written only against the SDK.
//!
//! It contains no sensitive instruction but those of [`deliberate`], so the same image runs at
//! CPL 0 and at CPL 3. Its command line chooses what it does, see [`command_line`].

#![no_std]
#![no_main]

extern crate alloc;

mod balloon;
mod bench;
mod command_line;
mod crash;
mod deliberate;
mod demo;
mod devices;
mod hostile;
mod idle;
mod neighbour;
mod provoke;
mod report;
mod restored;
mod selftest;
mod service;
mod shell;

use paravane_sdk::{entry, println, start_info};

entry!(main, vcpus(1, 64));

/// Exit code of a command line that this kernel does not understand.
const EXIT_USAGE: i32 = 2;

fn main() -> i32 {
    match command_line::parse(start_info::get().command_line()) {
        Ok((verb, argument)) => match (verb.run)(argument) {
            Ok(code) => return code,
            Err(misuse) => println!("paravane-guest-kernel: {}: {misuse}", verb.name),
        },
        Err(error) => println!("paravane-guest-kernel: {error}"),
    }
    EXIT_USAGE
}
