//! A service: it sleeps until an event comes, handles it, and ends when somebody asks it to.

use crate::command_line::Misuse;
use alloc::format;
use core::time::Duration;
use paravane_sdk::event::{Events, Port, Priority, Source, mask_upcalls};
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Errno, console, println, vcpu};

/// Copies the console's input to its output as it comes, until somebody asks the guest to shut
/// down.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    let obeys = match argument {
        None => true,
        Some("stubborn") => false,
        Some(other) => {
            return Err(Misuse(format!(
                "there is no service \"{other}\"; =stubborn ignores requests to shut down"
            )));
        }
    };
    // It looks at `upcall_pending` itself, and `sched_block` does not wait when that is set.
    mask_upcalls();
    let bind = |source| match Port::for_source(source, vcpu::id(), Priority::High) {
        Ok(port) => port,
        Err(error) => panic!("cannot bind {source:?}: {error}"),
    };
    let [input, shutdown] = [bind(Source::Console), bind(Source::Shutdown)];
    println!("serving");
    loop {
        for port in Events::begin() {
            if port == input.number() {
                copy();
            } else if port == shutdown.number() {
                if obeys {
                    println!("shutting down");
                    return Ok(0);
                }
                println!("not now");
            }
        }
        if let Err(error) = raw::sched_block() {
            panic!("cannot wait: {error}");
        }
    }
}

/// Copies what is there: an event tells that there is something, not how much.
fn copy() {
    let mut buffer = [0; 1024];
    loop {
        match console::read_timeout(&mut buffer, Duration::ZERO) {
            // The end of the input, and nobody reads the output any more, are not the end.
            Ok(0) | Err(Errno::EAGAIN) => return,
            Ok(size) => {
                if console::write(&buffer[..size]).is_err() {
                    return;
                }
            }
            Err(error) => panic!("cannot read from the console: {error}"),
        }
    }
}
