//! Many calls in one exit.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use paravane_sdk::abi::calls::number;
use paravane_sdk::batch::{BATCH_MAX, Batch, BatchEntry, Call, Full, OnError, call};
use paravane_sdk::hypercall::raw;
use paravane_sdk::{Errno, address};

pub const GROUP: Group = Group {
    name: "batch",
    tests: tests![
        results_in_order,
        goes_on_behind_an_error,
        stops_behind_an_error,
        refuses_what_may_not_be_in_a_batch,
        takes_512,
        refuses_none_and_513,
        refuses_unknown_flags,
    ],
};

fn unknown_call() -> Call {
    // SAFETY: there is no such call.
    unsafe { Call::from_raw(0x1ff, [0; 6]) }
}

/// The results of a batch.
fn results(calls: &[Call], on_error: OnError) -> Result<Vec<Result<u32, Errno>>, String> {
    let mut entries = vec![BatchEntry::default(); calls.len()];
    let mut batch = Batch::new(&mut entries);
    for call in calls {
        batch.push(*call).map_err(|Full| "a batch is full")?;
    }
    let results = batch
        .run(on_error)
        .map_err(|error| format!("core_batch: {error}"))?;
    Ok(results.collect())
}

fn results_in_order() -> Outcome {
    let calls: Vec<Call> = (0..20)
        .map(|i| call::debug_echo(i, i, 0, 0, 0, 1))
        .collect();
    let expected: Vec<_> = (0..20).map(|i| Ok(3 * i + 6)).collect();
    ensure_eq!(results(&calls, OnError::Stop)?, expected, "the results");
    Ok(())
}

fn goes_on_behind_an_error() -> Outcome {
    let calls = [
        call::core_noop(),
        unknown_call(),
        call::debug_echo(7, 0, 0, 0, 0, 0),
    ];
    let expected = [Ok(0), Err(Errno::ENOSYS), Ok(7)];
    ensure_eq!(results(&calls, OnError::Continue)?, expected, "the results");
    Ok(())
}

fn stops_behind_an_error() -> Outcome {
    let calls = [
        call::core_noop(),
        unknown_call(),
        call::debug_echo(7, 0, 0, 0, 0, 0),
    ];
    let expected = [Ok(0), Err(Errno::ENOSYS)];
    ensure_eq!(results(&calls, OnError::Stop)?, expected, "the results");
    Ok(())
}

fn refuses_what_may_not_be_in_a_batch() -> Outcome {
    for number in [
        number::core_batch,
        number::trap_set_tls,
        number::trap_return,
        number::sched_yield,
        number::sched_shutdown,
        number::sched_reboot,
        number::sched_crash,
        number::io_console_read,
        number::debug_crash_report,
    ] {
        // SAFETY: the VMM refuses it.
        let refused = unsafe { Call::from_raw(u64::from(number), [0; 6]) };
        let found = results(&[refused, call::core_noop()], OnError::Continue)?;
        let expected = [Err(Errno::EPERM), Ok(0)];
        ensure_eq!(found, expected, "a batch with call {number:#x}");
    }
    Ok(())
}

fn takes_512() -> Outcome {
    let calls = vec![call::debug_echo(1, 0, 0, 0, 0, 0); BATCH_MAX as usize];
    let found = results(&calls, OnError::Stop)?;
    ensure_eq!(found.len(), BATCH_MAX as usize, "the number of results");
    ensure!(
        found.iter().all(|result| *result == Ok(1)),
        "one of 512 calls failed"
    );
    Ok(())
}

fn refuses_none_and_513() -> Outcome {
    let entries = vec![BatchEntry::default(); BATCH_MAX as usize + 1];
    let gpa = address::virt_to_phys(entries.as_ptr(), size_of_val(&*entries));
    let gpa = gpa.ok_or("the heap is nowhere")?;
    // SAFETY: the VMM refuses both.
    let (none, more) = unsafe {
        (
            raw::core_batch(gpa, 0, 0),
            raw::core_batch(gpa, BATCH_MAX + 1, 0),
        )
    };
    ensure_eq!(none, Err(Errno::EINVAL), "a batch of 0");
    ensure_eq!(more, Err(Errno::E2BIG), "a batch of 513");
    Ok(())
}

fn refuses_unknown_flags() -> Outcome {
    let entry = BatchEntry {
        word: u64::from(number::core_noop),
        ..BatchEntry::default()
    };
    let gpa = address::virt_to_phys(&raw const entry, size_of_val(&entry));
    let gpa = gpa.ok_or("the stack is nowhere")?;
    for bit in 1..32 {
        // SAFETY: the VMM refuses it.
        let result = unsafe { raw::core_batch(gpa, 1, 1 << bit) };
        ensure_eq!(result, Err(Errno::EINVAL), "a batch with flag bit {bit}");
    }
    Ok(())
}
