//! Calls that no guest should make. Each must answer an error, and none may hurt the VMM.

#![allow(unsafe_code)]

mod race;

use crate::command_line::Misuse;
use crate::provoke;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use core::sync::atomic::{AtomicI64, Ordering};
use paravane_sdk::abi::address_space::{MONITOR_BASE, PAGE_SIZE, SHARED_PAGES_BASE};
use paravane_sdk::abi::calls::{CALL_NUMBERS, number};
use paravane_sdk::abi::crash::{CRASH_PANIC, CrashReport};
use paravane_sdk::abi::mapping::{Mapping, Range};
use paravane_sdk::abi::start_info::RIGHT_READ;
use paravane_sdk::abi::stats::{BATCH_MAX, BATCH_STOP_ON_ERROR, BatchEntry};
use paravane_sdk::abi::trap::{TrapFrame as Frame, TrapHandler};
use paravane_sdk::hypercall::invoke;
use paravane_sdk::trap::{self, Resume, TrapFrame, Vector};
use paravane_sdk::{Errno, address, println, start_info};

/// A call that should fail.
struct Attempt {
    name: &'static str,
    word: u64,
    arguments: [u64; 6],
}

/// Makes all of them, printing each one's name and result; or has vCPUs race.
pub fn run(argument: Option<&str>) -> Result<i32, Misuse> {
    match argument {
        None => {}
        Some("race") => return Ok(race::run()),
        Some(other) => return Err(Misuse(format!("there is no \"{other}\"; there is =race"))),
    }
    for attempt in attempts() {
        // SAFETY: the VMM refuses each of these calls, or writes to `scratch` below.
        let result = unsafe { invoke(attempt.word, attempt.arguments) };
        show(attempt.name, result);
    }
    random_words();
    show("unknown-call-in-handler", call_in_handler());
    println!("hostile: done");
    Ok(0)
}

fn show(name: &str, result: i64) {
    match Errno::from_result(result) {
        Ok(value) => println!("{name}: {value}"),
        Err(error) => println!("{name}: {}", error.name()),
    }
}

/// The physical address of a value that lives for ever.
fn leak<T: 'static>(value: T) -> u64 {
    let value = Box::leak(Box::new(value));
    let gpa = address::virt_to_phys(value, size_of::<T>());
    gpa.expect("the heap is in the linear map").0
}

fn attempts() -> impl Iterator<Item = Attempt> {
    let ram = start_info::get().ram_size();
    // Memory of our own, for what is wrong in some other way.
    let scratch = leak([0_u64; 512]);
    let batch_in_batch = leak([BatchEntry {
        word: u64::from(number::core_batch),
        arguments: [scratch, 1, 0, 0, 0, 0],
        result: 0,
    }]);
    let lasting_calls = leak(
        [
            number::sched_yield,
            number::sched_shutdown,
            number::sched_reboot,
            number::sched_crash,
            number::trap_set_tls,
            number::trap_return,
            number::debug_crash_report,
            0x1ff,
        ]
        .map(|number| BatchEntry {
            word: u64::from(number),
            ..BatchEntry::default()
        }),
    );
    let upper_handler = leak([TrapHandler {
        handler: 1 << 63,
        flags: 0,
    }]);
    let flagged_handler = leak([TrapHandler {
        handler: 0x20_0000,
        flags: 1,
    }]);
    let upper_frame = leak(Frame {
        rip: 1 << 63,
        ..Frame::default()
    });
    let upper_stack = leak(Frame {
        rip: 0x20_0000,
        rsp: 1 << 63,
        ..Frame::default()
    });
    let report = CrashReport {
        kind: CRASH_PANIC,
        ..CrashReport::default()
    };
    let unknown_kind = leak(CrashReport { kind: 99, ..report });
    let reserved_field = leak(CrashReport {
        reserved: 1,
        ..report
    });
    let long_message = leak(CrashReport {
        message_size: 1025,
        message_gpa: scratch,
        ..report
    });
    let lost_message = leak(CrashReport {
        message_size: 8,
        message_gpa: ram,
        ..report
    });
    let no_boolean = leak(CrashReport {
        frame_valid: 2,
        ..report
    });

    let mapping = Mapping {
        address: 0x6d00_0000_0000,
        size: PAGE_SIZE,
        rights: RIGHT_READ,
        ..Mapping::default()
    };
    // The VMM's pages are behind RAM.
    let tables = leak(Mapping {
        gpa: ram,
        ..mapping
    });
    let monitor = leak(Mapping {
        address: MONITOR_BASE,
        ..mapping
    });
    let low = leak(Mapping {
        address: 0,
        ..mapping
    });
    let wrapping = leak(Mapping {
        gpa: 0_u64.wrapping_sub(PAGE_SIZE),
        size: 2 * PAGE_SIZE,
        ..mapping
    });
    let all_rights = leak(Mapping {
        rights: 7,
        ..mapping
    });
    let shared_pages = leak(Range {
        start: SHARED_PAGES_BASE,
        size: PAGE_SIZE,
    });
    // Repeated calls, with one element.
    let one = |number: u16| u64::from(number) | 1 << 32;
    let map = one(number::as_map);
    let unmap = one(number::as_unmap);
    let seal = one(number::as_seal);
    let switch = u64::from(number::as_switch);
    let destroy = u64::from(number::as_destroy);

    let version = u64::from(number::core_version);
    let features = u64::from(number::core_features);
    let batch = u64::from(number::core_batch);
    let noop = u64::from(number::core_noop);
    let entropy = u64::from(number::core_entropy);
    let stats = u64::from(number::core_stats);
    let set_table = u64::from(number::trap_set_table);
    let set_syscall = u64::from(number::trap_set_syscall);
    let set_tls = u64::from(number::trap_set_tls);
    let trap_return = u64::from(number::trap_return);
    let shutdown = u64::from(number::sched_shutdown);
    let write = u64::from(number::io_console_write);
    let read = u64::from(number::io_console_read);
    let print = u64::from(number::debug_print);
    let crash_report = u64::from(number::debug_crash_report);
    let mark = u64::from(number::debug_trace_mark);

    let all: [(&'static str, u64, &[u64]); _] = [
        // The call word.
        ("unknown-call-0x1f", 0x1f, &[]),
        ("unknown-call-0x47", 0x47, &[]),
        ("unknown-call-0x1ff", 0x1ff, &[]),
        ("unknown-call-0x200", 0x200, &[]),
        ("unknown-call-0xffff", 0xffff, &[]),
        ("unknown-call-all-ones", u64::MAX, &[u64::MAX; 6]),
        ("reserved-bit-16", version | 1 << 16, &[]),
        ("reserved-bit-31", version | 1 << 31, &[]),
        ("reserved-bit-44", version | 1 << 44, &[]),
        ("reserved-bit-47", version | 1 << 47, &[]),
        ("reserved-bit-60", version | 1 << 60, &[]),
        ("reserved-bit-63", version | 1 << 63, &[]),
        ("count-of-single-call", noop | 1 << 32, &[]),
        ("start-of-single-call", noop | 1 << 48, &[]),
        // Pointers.
        ("features-at-end-of-ram", features, &[ram]),
        ("features-across-end-of-ram", features, &[ram - 4]),
        ("features-at-last-address", features, &[u64::MAX - 7]),
        ("features-wrapping", features, &[u64::MAX - 3]),
        ("features-unaligned", features, &[scratch + 4]),
        ("features-in-upper-half", features, &[1 << 63]),
        ("stats-unaligned", stats, &[scratch + 1, 32]),
        ("stats-across-end-of-ram", stats, &[ram - 8, 32]),
        ("entropy-across-end-of-ram", entropy, &[ram - 8, 16]),
        ("entropy-wrapping", entropy, &[u64::MAX - 7, 16]),
        ("write-past-end-of-ram", write, &[ram, 1]),
        ("write-across-end-of-ram", write, &[ram - 1, 2]),
        ("write-wrapping", write, &[u64::MAX, 2]),
        ("write-huge", write, &[ram - 4096, 0xffff_ffff]),
        ("read-past-end-of-ram", read, &[ram, 1, 0]),
        ("read-wrapping", read, &[u64::MAX, 4096, 0]),
        ("set-table-past-end-of-ram", set_table, &[ram, 1]),
        ("set-table-unaligned", set_table, &[scratch + 4, 1]),
        ("trap-return-past-end-of-ram", trap_return, &[ram]),
        ("trap-return-unaligned", trap_return, &[scratch + 1]),
        ("crash-report-past-end-of-ram", crash_report, &[ram]),
        ("crash-report-unaligned", crash_report, &[scratch + 4]),
        (
            "crash-report-message-past-end-of-ram",
            crash_report,
            &[lost_message],
        ),
        // Address spaces.
        ("map-without-count", map & 0xffff, &[0, tables]),
        ("map-array-past-end-of-ram", map, &[0, ram]),
        ("map-array-unaligned", map, &[0, scratch + 4]),
        ("map-page-tables", map, &[0, tables]),
        ("map-over-the-monitor", map, &[0, monitor]),
        ("map-null", map, &[0, low]),
        ("map-wrapping", map, &[0, wrapping]),
        ("map-writable-and-executable", map, &[0, all_rights]),
        ("map-in-unknown-space", map, &[1023, tables]),
        ("unmap-shared-pages", unmap, &[0, shared_pages]),
        ("seal-shared-pages", seal, &[0, shared_pages]),
        ("switch-to-unknown-space", switch, &[1023]),
        ("destroy-kernels-space", destroy, &[0]),
        // Sizes.
        ("entropy-257", entropy, &[scratch, 257]),
        ("entropy-u32-max", entropy, &[scratch, 0xffff_ffff]),
        ("stats-size-31", stats, &[scratch, 31]),
        ("stats-size-0", stats, &[scratch, 0]),
        ("print-41", print, &[41]),
        ("print-u32-max", print, &[0xffff_ffff]),
        ("set-table-33", set_table, &[scratch, 33]),
        ("set-table-u32-max", set_table, &[scratch, 0xffff_ffff]),
        ("crash-report-message-1025", crash_report, &[long_message]),
        // Arguments of 32 bits with more than that.
        (
            "high-bits-in-entropy-size",
            entropy,
            &[scratch, 1 << 32 | 8],
        ),
        ("high-bits-in-exit-code", shutdown, &[1 << 32]),
        ("high-bits-in-mark", mark, &[1 << 63, 0]),
        (
            "high-bits-in-batch-count",
            batch,
            &[scratch, 1 << 32 | 1, 0],
        ),
        // Values.
        ("exit-code-120", shutdown, &[120]),
        ("exit-code-u32-max", shutdown, &[0xffff_ffff]),
        ("tls-in-upper-half", set_tls, &[1 << 47]),
        ("tls-not-canonical", set_tls, &[1 << 62]),
        ("syscall-handler-in-upper-half", set_syscall, &[1 << 47]),
        ("trap-handler-in-upper-half", set_table, &[upper_handler, 1]),
        ("trap-handler-flags", set_table, &[flagged_handler, 1]),
        ("trap-return-rip-in-upper-half", trap_return, &[upper_frame]),
        ("trap-return-rsp-in-upper-half", trap_return, &[upper_stack]),
        ("crash-report-unknown-kind", crash_report, &[unknown_kind]),
        ("crash-report-reserved", crash_report, &[reserved_field]),
        ("crash-report-no-boolean", crash_report, &[no_boolean]),
        // Batches.
        ("batch-of-0", batch, &[scratch, 0, 0]),
        (
            "batch-of-513",
            batch,
            &[scratch, u64::from(BATCH_MAX) + 1, 0],
        ),
        ("batch-of-u32-max", batch, &[scratch, 0xffff_ffff, 0]),
        ("batch-flags", batch, &[scratch, 1, 2]),
        ("batch-unaligned", batch, &[scratch + 4, 1, 0]),
        ("batch-across-end-of-ram", batch, &[ram - 64, 2, 0]),
        ("batch-wrapping", batch, &[u64::MAX - 63, 2, 0]),
        ("batch-in-batch", batch, &[batch_in_batch, 1, 0]),
        (
            "batch-of-what-may-not-be-in-one",
            batch,
            &[lasting_calls, 8, 0],
        ),
        (
            "batch-that-stops-at-once",
            batch,
            &[lasting_calls, 8, u64::from(BATCH_STOP_ON_ERROR)],
        ),
    ];
    let all = all.map(|(name, word, given)| {
        let mut arguments = [0; 6];
        arguments[..given.len()].copy_from_slice(given);
        Attempt {
            name,
            word,
            arguments,
        }
    });
    all.into_iter()
}

/// Calls that nobody thought of: numbers that no call will ever have, with reserved bits and
/// arguments of all kinds.
fn random_words() {
    const CALLS: usize = 500;
    let ram = start_info::get().ram_size();
    let interesting = vec![
        0,
        1,
        7,
        8,
        4096,
        ram - 1,
        ram,
        ram + 1,
        1 << 47,
        1 << 63,
        u64::MAX,
    ];
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut succeeded = 0;
    for _ in 0..CALLS {
        let word = random.next() | CALL_NUMBERS as u64;
        let arguments =
            core::array::from_fn(|_| interesting[random.next() as usize % interesting.len()]);
        // SAFETY: no call has such a number, so that nothing happens.
        let result = unsafe { invoke(word, arguments) };
        succeeded += usize::from(result >= 0);
    }
    println!("random-words: {succeeded} of {CALLS} succeeded");
}

/// A small generator of numbers that are the same in each run (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

static RESULT_IN_HANDLER: AtomicI64 = AtomicI64::new(0);

/// The result of an unknown call from within a trap handler.
fn call_in_handler() -> i64 {
    trap::set_handler(Vector::BP, |_: &mut TrapFrame| {
        // SAFETY: no call has this number.
        let result = unsafe { invoke(0x1ff, [u64::MAX; 6]) };
        RESULT_IN_HANDLER.store(result, Ordering::Relaxed);
        Resume::Resume
    });
    provoke::breakpoint();
    trap::clear_handler(Vector::BP);
    RESULT_IN_HANDLER.load(Ordering::Relaxed)
}
