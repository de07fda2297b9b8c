//! The calling convention: versions, arguments, results and each error.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use core::arch::asm;
use paravane_sdk::abi::calls::number;
use paravane_sdk::abi::{ABI_MAJOR, ABI_MINOR, Gpa};
use paravane_sdk::hypercall::{invoke, raw};
use paravane_sdk::{Errno, address, start_info};

pub const GROUP: Group = Group {
    name: "abi",
    tests: tests![
        version,
        features,
        all_six_arguments_arrive,
        registers_are_kept,
        unknown_calls,
        reserved_bits_of_the_call_word,
        bad_pointers,
        high_halves_of_arguments,
        sizes,
        exit_codes,
        trace_mark,
    ],
};

fn version() -> Outcome {
    let (major, minor) = start_info::get().abi_version();
    ensure_eq!(major, ABI_MAJOR, "the start-info page's major version");
    ensure!(
        (major, minor) >= (ABI_MAJOR, ABI_MINOR),
        "the VMM's minor version is {minor}, below {ABI_MINOR}"
    );
    let expected = u32::from(major) << 16 | u32::from(minor);
    ensure_eq!(raw::core_version(), Ok(expected), "core_version");
    Ok(())
}

fn features() -> Outcome {
    let mut word = 0_u64;
    let gpa = address::virt_to_phys(&raw mut word, 8).ok_or("the stack is in no region")?;
    // SAFETY: the call writes to `word` alone.
    let result = unsafe { raw::core_features(gpa) };
    ensure_eq!(result, Ok(0), "core_features");
    // SAFETY: the call has written it.
    let word = unsafe { (&raw const word).read_volatile() };
    ensure_eq!(
        word,
        start_info::get().features().0,
        "what core_features wrote"
    );
    Ok(())
}

fn all_six_arguments_arrive() -> Outcome {
    let sum = raw::debug_echo(1, 10, 100, 1_000, 10_000, 100_000);
    ensure_eq!(sum, Ok(654_321), "the weighted sum of the arguments");
    let wide = raw::debug_echo(1 << 63, 1 << 40, 5, 1 << 33, 0, 1 << 62);
    ensure_eq!(wide, Ok(15), "the sum modulo 2^31");
    Ok(())
}

/// All registers but RAX, RCX and R11 are the same behind a call.
fn registers_are_kept() -> Outcome {
    let before: [u64; 12] = core::array::from_fn(|i| 0x0101_0101_0101_0101 * (i as u64 + 1));
    let mut after = before;
    let entry = start_info::get().page().hypercall_page;
    // SAFETY: a no-op call; every register that it may change, and each that is compared, is an
    // operand, or (RBX and RBP, which cannot be) saved around it.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "push r12",
            "mov rbx, rdi",
            "mov rbp, rsi",
            "call r12",
            "cmp rbx, rdi",
            "jne 2f",
            "cmp rbp, rsi",
            "je 3f",
            "2:",
            "xor edi, edi",
            "3:",
            "pop r12",
            "pop rbp",
            "pop rbx",
            inlateout("rax") u64::from(number::core_noop) => _,
            inlateout("rdi") before[0] => after[0],
            inlateout("rsi") before[1] => after[1],
            inlateout("rdx") before[2] => after[2],
            inlateout("r8") before[3] => after[3],
            inlateout("r9") before[4] => after[4],
            inlateout("r10") before[5] => after[5],
            inlateout("r13") before[6] => after[6],
            inlateout("r14") before[7] => after[7],
            inlateout("r15") before[8] => after[8],
            in("r12") entry,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    ensure_eq!(after, before, "the registers behind a call");
    Ok(())
}

fn unknown_calls() -> Outcome {
    for word in [0x1f, 0x1ff, 0x200, 0xffff] {
        // SAFETY: there is no such call.
        let result = unsafe { invoke(word, [u64::MAX; 6]) };
        ensure_eq!(
            Errno::from_result(result),
            Err(Errno::ENOSYS),
            "call {word:#x}"
        );
    }
    Ok(())
}

fn reserved_bits_of_the_call_word() -> Outcome {
    for bit in (16..32).chain(44..48).chain(60..64).chain([32, 43, 48, 59]) {
        let word = u64::from(number::core_noop) | 1 << bit;
        // SAFETY: a no-op, if it is not refused.
        let result = unsafe { invoke(word, [0; 6]) };
        ensure_eq!(
            Errno::from_result(result),
            Err(Errno::EINVAL),
            "core_noop with bit {bit} of the call word set"
        );
    }
    Ok(())
}

fn bad_pointers() -> Outcome {
    let ram = start_info::get().ram_size();
    for gpa in [ram, ram - 4, u64::MAX - 7, u64::MAX, 1 << 63, 1, 4] {
        // SAFETY: the VMM refuses each of these addresses.
        let result = unsafe { raw::core_features(Gpa(gpa)) };
        ensure_eq!(result, Err(Errno::EFAULT), "core_features at {gpa:#x}");
    }
    for (gpa, size) in [(ram, 1), (ram - 1, 2), (u64::MAX, 2), (u64::MAX - 4, 4096)] {
        let result = raw::io_console_write(Gpa(gpa), size);
        ensure_eq!(
            result,
            Err(Errno::EFAULT),
            "io_console_write of {size} bytes at {gpa:#x}"
        );
    }
    Ok(())
}

fn high_halves_of_arguments() -> Outcome {
    // SAFETY: a trace mark changes nothing.
    let result = unsafe {
        invoke(
            u64::from(number::debug_trace_mark),
            [1 << 32, 0, 0, 0, 0, 0],
        )
    };
    ensure_eq!(
        Errno::from_result(result),
        Err(Errno::EINVAL),
        "debug_trace_mark with an id of 33 bits"
    );
    Ok(())
}

fn sizes() -> Outcome {
    let long = raw::debug_print(41, 0, 0, 0, 0, 0);
    ensure_eq!(long, Err(Errno::E2BIG), "debug_print of 41 bytes");
    let empty = raw::debug_print(0, 0, 0, 0, 0, 0);
    ensure_eq!(empty, Ok(0), "debug_print of 0 bytes");
    Ok(())
}

fn exit_codes() -> Outcome {
    for code in [120, 256, u32::MAX] {
        let result = raw::sched_shutdown(code);
        ensure_eq!(result, Err(Errno::EINVAL), "sched_shutdown({code})");
    }
    Ok(())
}

fn trace_mark() -> Outcome {
    let result = raw::debug_trace_mark(1, 0x5e1f_7e57);
    ensure_eq!(result, Ok(0), "debug_trace_mark");
    Ok(())
}
