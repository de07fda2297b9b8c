//! The VMM's counters.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use paravane_sdk::abi::Gpa;
use paravane_sdk::batch::{Batch, BatchEntry, OnError, call};
use paravane_sdk::hypercall::{invoke, raw};
use paravane_sdk::stats::{self, Stats};
use paravane_sdk::{Errno, address};

pub const GROUP: Group = Group {
    name: "stats",
    tests: tests![
        calls_are_counted,
        failures_are_counted,
        batched_calls_are_counted,
        no_more_is_written_than_asked_for,
        size_has_a_minimum,
    ],
};

/// By how much the counters grew, the call that reads them included.
fn growth(body: impl FnOnce()) -> Result<Stats, String> {
    let read = || stats::read().map_err(|error| format!("core_stats: {error}"));
    let before = read()?;
    body();
    let after = read()?;
    Ok(Stats {
        exits: after.exits - before.exits,
        hypercalls: after.hypercalls - before.hypercalls,
        failed_hypercalls: after.failed_hypercalls - before.failed_hypercalls,
        batched_calls: after.batched_calls - before.batched_calls,
    })
}

fn calls_are_counted() -> Outcome {
    let growth = growth(|| {
        for _ in 0..100 {
            // It fails nowhere.
            let _ = raw::core_noop();
        }
    })?;
    ensure_eq!(growth.hypercalls, 101, "the growth by 100 calls and one");
    ensure!(
        growth.exits >= growth.hypercalls,
        "{} exits carried {} calls",
        growth.exits,
        growth.hypercalls
    );
    ensure_eq!(growth.failed_hypercalls, 0, "the growth of failures");
    ensure_eq!(growth.batched_calls, 0, "the growth of batched calls");
    Ok(())
}

fn failures_are_counted() -> Outcome {
    let growth = growth(|| {
        for _ in 0..10 {
            // SAFETY: there is no such call.
            unsafe { invoke(0x1ff, [0; 6]) };
        }
    })?;
    ensure_eq!(growth.hypercalls, 11, "the growth by 10 calls and one");
    ensure_eq!(growth.failed_hypercalls, 10, "the growth of failures");
    Ok(())
}

fn batched_calls_are_counted() -> Outcome {
    let growth = growth(|| {
        let mut entries = [BatchEntry::default(); 5];
        let mut batch = Batch::new(&mut entries);
        while batch.push(call::core_noop()).is_ok() {}
        // The counters say whether it went well.
        let _ = batch.run(OnError::Stop).map(Iterator::count);
    })?;
    ensure_eq!(growth.hypercalls, 2, "the growth by a batch and one call");
    ensure_eq!(growth.batched_calls, 5, "the growth of batched calls");
    Ok(())
}

fn at_page() -> Result<(&'static mut [u64; 512], Gpa), String> {
    let page = alloc::boxed::Box::leak(alloc::boxed::Box::new([u64::MAX; 512]));
    let gpa = address::virt_to_phys(page.as_mut_ptr(), 4096).ok_or("the heap is nowhere")?;
    Ok((page, gpa))
}

fn no_more_is_written_than_asked_for() -> Outcome {
    let (page, gpa) = at_page()?;
    // SAFETY: the call writes to the page alone.
    let written = unsafe { raw::core_stats(gpa, 32) };
    ensure_eq!(written, Ok(32), "core_stats of 32 bytes");
    ensure_eq!(page[4], u64::MAX, "the word behind them");
    // A guest built for a later ABI asks for more than this VMM may have.
    // SAFETY: as above.
    let written = unsafe { raw::core_stats(gpa, 4096) };
    let written = written.map_err(|error| format!("core_stats of 4096 bytes: {error}"))?;
    ensure!(
        (32..=4096).contains(&written),
        "core_stats of 4096 bytes wrote {written}"
    );
    Ok(())
}

fn size_has_a_minimum() -> Outcome {
    let (page, gpa) = at_page()?;
    // SAFETY: the VMM refuses it.
    let result = unsafe { raw::core_stats(gpa, 31) };
    ensure_eq!(result, Err(Errno::EINVAL), "core_stats of 31 bytes");
    ensure_eq!(page[0], u64::MAX, "what it was to write to");
    Ok(())
}
