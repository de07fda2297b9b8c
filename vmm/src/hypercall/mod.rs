//! Hypercalls: decoding, dispatch, counting. The handler of a call is the function of its
//! name in the file of its group.
//!
//! The way of a call: [`crate::vcpu`] takes the call word and the arguments from the exit,
//! [`dispatch`] decodes the word and looks the call up in the table that [`table`] makes
//! from the ABI's definitions, and the handler answers a value or an [`Errno`].

pub mod page;

mod core;
mod debug;
mod io;
mod sched;
pub mod stats;
mod table;
mod trap;

use crate::carrier::Mode;
use crate::console::Console;
use crate::memory::Ram;
use crate::monitor::state::Monitor;
use pv_abi::convention::ARGUMENTS;
use pv_abi::crash::CrashReport;
use pv_abi::trap::TrapFrame;
use pv_abi::{CallWord, Errno, Features, Gpa};
use stats::{CallStats, timestamp};
use std::sync::Mutex;

/// What the calls of all vCPUs of a VM share.
#[derive(Debug)]
pub struct Services {
    /// RAM.
    pub ram: Ram,
    /// The console.
    pub console: Console,
    /// The features that are offered.
    pub features: Features,
    /// How the guest runs and calls.
    pub mode: Mode,
    /// What the guest said last about a crash.
    pub crash_report: Mutex<Option<GuestReport>>,
    /// What the guest may have logged.
    pub trace_limit: debug::TraceLimit,
}

/// A crash report, taken out of the guest's memory.
#[derive(Clone, Debug)]
pub struct GuestReport {
    /// The report as the guest wrote it.
    pub report: CrashReport,
    /// Its message.
    pub message: String,
}

/// What a call asks of the vCPU loop beside its result.
#[derive(Clone, Debug)]
pub enum Action {
    /// End the VM with this exit code.
    Shutdown(u8),
    /// Start the VM again.
    Reboot,
    /// End the VM as crashed.
    Crash,
    /// Load all registers and go on there.
    Resume(Box<TrapFrame>),
    /// Set the FS base.
    SetTls(u64),
    /// The VM is being stopped while the call waited: do not enter the guest again.
    Interrupted,
}

/// What a handler works with.
#[derive(Debug)]
pub struct CallContext<'a> {
    /// What the VM's vCPUs share.
    pub services: &'a Services,
    /// The calling vCPU's monitor.
    pub monitor: &'a Monitor,
    /// The calling vCPU's counters.
    pub stats: &'a mut CallStats,
    /// Set by a handler that wants more than an answer.
    pub action: Option<Action>,
}

/// The argument registers of a call, in the order RDI, RSI, RDX, R10, R8, R9.
pub type Arguments = [u64; ARGUMENTS];

/// Carries out the call that RAX and the argument registers name, and returns what goes
/// into RAX. Whatever the registers hold, the guest gets an answer.
#[inline]
pub fn dispatch(context: &mut CallContext<'_>, word: u64, arguments: &Arguments) -> i64 {
    let start = timestamp();
    let entry = match lookup(word) {
        Ok(entry) => entry,
        Err(errno) => {
            context.stats.record_unknown();
            return errno.to_result();
        }
    };
    let result = (entry.run)(context, arguments);
    context
        .stats
        .record(entry.index, timestamp().wrapping_sub(start));
    if result.is_err() {
        context.stats.failed += 1;
    }
    to_register(result)
}

#[inline]
fn lookup(word: u64) -> Result<&'static table::Entry, Errno> {
    // The word of a call that is not repeated is its number, so a word that is in the table
    // has no reserved bit and no count.
    match table::TABLE.get(word as usize) {
        Some(Some(entry)) => Ok(entry),
        _ => Err(refusal(word)),
    }
}

/// Why a word that is not in the table is refused.
#[cold]
fn refusal(word: u64) -> Errno {
    match CallWord::decode(word) {
        None => Errno::EINVAL,
        Some(decoded) => {
            let entry = table::TABLE.get(usize::from(decoded.number));
            // None of the calls of this version is repeated.
            if entry.is_some_and(Option::is_some) {
                Errno::EINVAL
            } else {
                Errno::ENOSYS
            }
        }
    }
}

#[inline]
fn to_register(result: Result<u32, Errno>) -> i64 {
    match result {
        Ok(value) => i64::from(value & pv_abi::convention::MAX_RESULT),
        Err(errno) => errno.to_result(),
    }
}

/// Runs `step` over a guest's buffer in pieces that fit on the stack.
fn in_pieces(
    gpa: Gpa,
    size: u32,
    mut step: impl FnMut(Gpa, &mut [u8]) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut piece = [0; 512];
    let mut done = 0;
    while done < size {
        let length = (size - done).min(piece.len() as u32);
        step(Gpa(gpa.0 + u64::from(done)), &mut piece[..length as usize])?;
        done += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
