//! The group `core`: the smallest calls, and many in one.

#![allow(unsafe_code)]

use super::session::{Session, Trouble};
use super::{Operation, out};
use alloc::vec;
use paravane_sdk::batch::{BATCH_MAX, BatchEntry};
use paravane_sdk::hypercall::raw;
use paravane_sdk::stats::Stats;
use paravane_sdk::{Features, abi};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("core_noop", noop),
    Operation::new("core_version", version),
    Operation::new("core_features", features),
    Operation::new("core_entropy", entropy).needs(Features::ENTROPY),
    Operation::new("core_stats", stats),
    Operation::new("core_batch", batch)
        .needs(Features::BATCH)
        .sized(BATCH_MAX),
];

fn noop(session: &Session) -> Result<(), Trouble> {
    session.each(|| raw::core_noop().map(drop))
}

fn version(session: &Session) -> Result<(), Trouble> {
    session.each(|| raw::core_version().map(drop))
}

fn features(session: &Session) -> Result<(), Trouble> {
    let mut word = vec![0u64; 1];
    let out = out(&mut word)?;
    // SAFETY: the call writes to the word alone.
    session.each(|| unsafe { raw::core_features(out) }.map(drop))
}

/// As many bytes as a key has.
fn entropy(session: &Session) -> Result<(), Trouble> {
    let mut key = vec![0u8; 16];
    let out = out(&mut key)?;
    // SAFETY: the call writes to the key alone.
    session.each(|| unsafe { raw::core_entropy(out, 16) }.map(drop))
}

fn stats(session: &Session) -> Result<(), Trouble> {
    let mut stats = vec![Stats::default()];
    let out = out(&mut stats)?;
    // SAFETY: the call writes to the counters alone.
    session.each(|| unsafe { raw::core_stats(out, size_of::<Stats>() as u32) }.map(drop))
}

/// SIZE no-ops in one call, each an operation.
fn batch(session: &Session) -> Result<(), Trouble> {
    let noop = BatchEntry {
        word: abi::CallWord::single(abi::calls::number::core_noop).encode(),
        ..BatchEntry::default()
    };
    let size = session.size();
    let mut entries = vec![noop; size as usize];
    let gpa = out(&mut entries)?;
    session.of_size(size, || {
        // SAFETY: the call writes to the entries alone, and its elements do nothing.
        match unsafe { raw::core_batch(gpa, size, 0) } {
            Ok(done) if done == size => Ok(()),
            Ok(_) => Err(Trouble::from("the batch stopped early")),
            Err(errno) => Err(errno.into()),
        }
    })
}
