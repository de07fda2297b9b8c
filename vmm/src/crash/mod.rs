//! Explaining a crash: what happened, where, how the guest got there, and what to do next.

mod cause;
mod debug_image;
mod dwarf;
mod registers;

pub mod backtrace;
pub mod symbolize;
pub mod unwind;

#[cfg(test)]
mod tests;

use crate::hypercall::GuestReport;
use crate::image::Image;
use crate::vcpu::CrashState;
use backtrace::Backtrace;
use registers::CrashRegisters;
use serde::Serialize;
use std::fmt;

/// The most frames of a backtrace.
const FRAMES: usize = 64;

/// What there is to know about a crash.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// What happened, in one sentence.
    pub cause: String,
    /// The trap that it was, where it was one, and what lies at the address.
    pub trap: Option<String>,
    /// The registers of the guest's code.
    pub registers: CrashRegisters,
    /// How it got there.
    pub backtrace: Backtrace,
    /// What to do next.
    pub advice: String,
}

/// Explains a crash of a guest that runs `image`.
///
/// `read_virtual` reads eight bytes of the guest's memory by virtual address. Everything but
/// `state.exit` may be the guest's invention.
pub fn explain(
    image: &Image,
    state: &CrashState,
    report: Option<&GuestReport>,
    read_virtual: &dyn Fn(u64) -> Option<u64>,
) -> Explanation {
    // A report counts only when the guest ended itself: after it, it may have gone on, and
    // what ended it then is what KVM or the monitor said.
    let report = report.filter(|_| state.exit.is_none());
    let registers = CrashRegisters::of_guest_code(state, report, read_virtual);
    let backtrace = Backtrace::capture(
        image.bytes(),
        &registers.for_unwinding(),
        read_virtual,
        FRAMES,
    );
    let (cause, advice) = cause::describe(image, state, report, &registers);
    let trap = registers
        .trapped
        .then(|| cause::trap(image, &registers.frame).0);
    Explanation {
        cause,
        trap,
        registers,
        backtrace,
        advice,
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the guest crashed: {}", self.cause)?;
        writeln!(f)?;
        write!(f, "{}", self.registers)?;
        if let Some(trap) = &self.trap {
            writeln!(f, "  {trap}")?;
        }
        writeln!(f)?;
        write!(f, "{}", self.backtrace)?;
        writeln!(f)?;
        write!(f, "what to do: {}", self.advice)
    }
}
