//! The thread pointer.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure_eq, tests};
use crate::provoke;
use crate::selftest::catch::Handlers;
use alloc::format;
use core::arch::asm;
use paravane_sdk::hypercall::raw;
use paravane_sdk::trap::{Resume, Vector};
use paravane_sdk::{Errno, tls};

pub const GROUP: Group = Group {
    name: "tls",
    tests: tests![fs_is_where_it_was_set, it_survives, upper_half_is_refused],
};

/// The word at the beginning of the memory that FS points to.
fn first_word() -> u64 {
    let word;
    // SAFETY: the callers have set the FS base to readable memory.
    unsafe { asm!("mov {}, fs:[0]", out(reg) word, options(nostack, readonly)) };
    word
}

/// Runs with the FS base at a block that begins with this word.
fn with_block(word: u64, body: impl FnOnce() -> Outcome) -> Outcome {
    let block = [word, 0];
    // SAFETY: no code but `first_word` uses FS.
    unsafe { tls::set_base(&raw const block as u64) }
        .map_err(|error| format!("tls::set_base: {error}"))?;
    let outcome = body();
    // SAFETY: as above.
    unsafe { tls::set_base(0) }.map_err(|error| format!("tls::set_base(0): {error}"))?;
    outcome
}

fn fs_is_where_it_was_set() -> Outcome {
    for word in [0x1111, 0x2222] {
        with_block(word, || {
            ensure_eq!(first_word(), word, "fs:[0]");
            Ok(())
        })?;
    }
    Ok(())
}

fn it_survives() -> Outcome {
    with_block(0x3333, || {
        // It fails nowhere.
        let _ = raw::core_noop();
        ensure_eq!(first_word(), 0x3333, "fs:[0] behind a call");
        let handlers = Handlers::set(&[(Vector::BP, |_| Resume::Resume)]);
        provoke::breakpoint();
        drop(handlers);
        ensure_eq!(first_word(), 0x3333, "fs:[0] behind a trap");
        Ok(())
    })
}

fn upper_half_is_refused() -> Outcome {
    for base in [1 << 47, 1 << 63, u64::MAX] {
        // SAFETY: the VMM refuses it.
        let result = unsafe { raw::trap_set_tls(base) };
        ensure_eq!(result, Err(Errno::EINVAL), "trap_set_tls({base:#x})");
    }
    Ok(())
}
