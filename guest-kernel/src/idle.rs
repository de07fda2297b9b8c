//! Nothing to do, on all vCPUs.

use crate::command_line::Misuse;
use crate::devices;
use alloc::format;
use core::hint::spin_loop;
use paravane_sdk::vcpu::{self, State};
use paravane_sdk::{console, println, thread};

/// Has nothing to do, without devices or with the drivers of some.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    match argument {
        None => Ok(vcpus()),
        Some("devices") => Ok(devices::idle::run()),
        Some(other) => Err(Misuse(format!(
            "\"{other}\" is nothing that can be idle; =devices has drivers that are"
        ))),
    }
}

/// Runs threads on all vCPUs, says "idle" when there is nothing left to do for any but the one that
/// says so, and ends with the console's input, for which that one waits.
fn vcpus() -> i32 {
    thread::run(|| {
        // Each vCPU has had something to do, and has it no longer.
        let threads: alloc::vec::Vec<_> = (0..vcpu::count())
            .map(|_| thread::spawn(thread::yield_now))
            .collect();
        for thread in threads {
            thread.join();
        }
        let here = vcpu::id();
        while !(0..vcpu::count()).all(|id| id == here || vcpu::state(id) == State::Blocked) {
            spin_loop();
        }
        println!("idle");
        let mut buffer = [0; 64];
        while !matches!(console::read(&mut buffer), Ok(0) | Err(_)) {}
    });
    0
}
