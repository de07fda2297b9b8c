//! Every call of the ABI, defined once.
//!
//! [`for_each_call!`](crate::for_each_call) hands the definitions to a macro of the
//! caller's. That is how the VMM gets its dispatch table, the SDK its wrappers and this
//! crate [`CALLS`], from which the reference and the C header are rendered. To add a
//! call, define it here and write its handler in the VMM; nothing else knows it by name.
//!
//! A call's number is `group << 5 | index`, so that a group has room for 32.

/// Calls `$callback!` with the definition of every call.
///
/// A definition reads: prose, then `safe` or `unsafe` (for a guest that makes it with any
/// arguments), name, number, arguments with their types and meanings, result, errors
/// beside those that every call has, group, first version, cost class, whether a batch
/// may contain it, and what it replaces on bare hardware.
#[macro_export]
macro_rules! for_each_call {
    ($callback:ident) => {
        $callback! {
            /// Asks which version of the ABI the VMM speaks.
            safe fn core_version = 0x000 () -> "major version << 16 | minor version"
                errors []
                in Core, since (1, 0), cost UserExit, batch yes,
                replaces "CPUID of a hypervisor leaf";

            /// Writes the feature bits that the VMM offers, as one 64-bit word. They are
            /// in the start-info page too.
            unsafe fn core_features = 0x001 (
                out: Gpa = "where the word goes, 8-byte aligned",
            ) -> "0"
                errors [EFAULT = "`out` is not 8 bytes of RAM, 8-byte aligned"]
                in Core, since (1, 0), cost UserExit, batch yes,
                replaces "CPUID of a hypervisor leaf";

            /// Carries out many calls in one exit. `entries` is an array of `pv_batch_entry`;
            /// each result is written into its entry. The calls are carried out in order.
            /// An element that may not be in a batch fails with EPERM. With
            /// `BATCH_STOP_ON_ERROR` in `flags` the batch ends behind the first element that
            /// fails; otherwise it goes on.
            unsafe fn core_batch = 0x002 (
                entries: Gpa = "array of `pv_batch_entry`, 8-byte aligned",
                count: u32 = "number of elements, 1 to 512",
                flags: u32 = "0 or `BATCH_STOP_ON_ERROR`; other bits must be zero",
            ) -> "number of elements that were carried out, a failed one included"
                errors [
                    EFAULT = "the array is not in RAM or not 8-byte aligned",
                    E2BIG = "`count` is above 512",
                    EINVAL = "`count` is 0 or a reserved bit of `flags` is set"
                ]
                in Core, since (1, 0), cost UserExit, batch no,
                replaces "one exit for each operation";

            /// Does nothing. Its cost is the cost of a hypercall.
            safe fn core_noop = 0x003 () -> "0"
                errors []
                in Core, since (1, 0), cost UserExit, batch yes,
                replaces "nothing; it is there to be measured";

            /// Fills memory with random bytes from the host's generator.
            unsafe fn core_entropy = 0x004 (
                buffer: Gpa = "where the bytes go",
                size: u32 = "how many bytes, at most 256",
            ) -> "number of bytes written: `size`"
                errors [
                    EFAULT = "the buffer is not in RAM",
                    E2BIG = "`size` is above 256",
                    EIO = "the host's generator failed"
                ]
                in Core, since (1, 0), cost UserExit, batch yes,
                replaces "RDRAND and RDSEED where they cannot be trusted or trap";

            /// Writes the counters of the calling vCPU, a `pv_stats`. This call and its exit are not
            /// among them yet.
            unsafe fn core_stats = 0x005 (
                out: Gpa = "where the `pv_stats` goes, 8-byte aligned",
                size: u32 = "size of the guest's `pv_stats` in bytes; the VMM writes no more",
            ) -> "number of bytes written"
                errors [
                    EFAULT = "`out` is not in RAM or not 8-byte aligned",
                    EINVAL = "`size` is below 32, the first version's"
                ]
                in Core, since (1, 0), cost UserExit, batch yes,
                replaces "nothing; hardware does not count a guest's exits";

            /// Registers the handlers of exceptions, for this vCPU. The VMM copies the table:
            /// a later change to it has no effect. A vector past `count`, or with handler 0,
            /// has no handler; such a trap ends the guest as a crash. So does a #DF always: its
            /// handler is never entered.
            unsafe fn trap_set_table = 0x040 (
                table: Gpa = "array of `pv_trap_handler`, indexed by vector, 8-byte aligned",
                count: u32 = "number of elements, at most 32",
            ) -> "0"
                errors [
                    EFAULT = "the table is not in RAM or not 8-byte aligned",
                    E2BIG = "`count` is above 32",
                    EINVAL = "a handler is not in the lower half, or `flags` is not 0"
                ]
                in Trap, since (1, 0), cost UserExit, batch yes,
                replaces "LIDT, LGDT, LTR";

            /// Registers the handler of the SYSCALL instruction, for this vCPU. It is entered
            /// like that of a trap, with vector 0x100; RCX and R11 are clobbered as SYSCALL
            /// clobbers them. Without a handler a SYSCALL ends the guest as a crash.
            unsafe fn trap_set_syscall = 0x042 (
                handler: u64 = "virtual address of the handler, 0 for none",
            ) -> "0"
                errors [EINVAL = "the handler is not in the lower half"]
                in Trap, since (1, 0), cost UserExit, batch yes,
                replaces "WRMSR of STAR, LSTAR and SFMASK";

            /// Sets the FS base, the thread pointer, of this vCPU.
            unsafe fn trap_set_tls = 0x043 (
                base: u64 = "the new FS base, in the lower half",
            ) -> "0"
                errors [EINVAL = "`base` is not in the lower half"]
                in Trap, since (1, 0), cost UserExit, batch no,
                replaces "WRMSR of FS.base, WRFSBASE, SWAPGS";

            /// Resumes interrupted code: loads all registers from a `pv_trap_frame`. It does
            /// not return. The vector, the error code, CR2, CS and SS are ignored, and so is each
            /// bit of RFLAGS but the arithmetic flags, DF, TF, RF, AC and ID.
            /// The trap-return entry of the hypercall page is the cheaper way: it needs no exit.
            unsafe fn trap_return = 0x044 (
                frame: Gpa = "the `pv_trap_frame`, 8-byte aligned",
            ) -> "does not return"
                errors [
                    EFAULT = "the frame is not in RAM or not 8-byte aligned",
                    EINVAL = "RIP or RSP is not in the lower half"
                ]
                in Trap, since (1, 0), cost UserExit, batch no,
                replaces "IRET";

            /// Gives the rest of this vCPU's time slice to whoever waits for the processor.
            safe fn sched_yield = 0x0a0 () -> "0"
                errors []
                in Sched, since (1, 0), cost UserExit, batch no,
                replaces "PAUSE loops";

            /// Ends the VM. The exit code is what `paravane run` exits with.
            safe fn sched_shutdown = 0x0a5 (
                code: u32 = "exit code, 0 to 119; 0 is success",
            ) -> "does not return"
                errors [EINVAL = "`code` is above 119; those codes are the VMM's own"]
                in Sched, since (1, 0), cost UserExit, batch no,
                replaces "ACPI and reset ports";

            /// Starts the VM again, from its image, with fresh memory.
            safe fn sched_reboot = 0x0a6 () -> "does not return"
                errors []
                in Sched, since (1, 0), cost UserExit, batch no,
                replaces "the keyboard controller's reset, a triple fault";

            /// Ends the VM as crashed. The VMM shows the last crash report, or the registers
            /// of the caller where there is none.
            safe fn sched_crash = 0x0a7 () -> "does not return"
                errors []
                in Sched, since (1, 0), cost UserExit, batch no,
                replaces "a triple fault";

            /// Writes bytes to the console. A write larger than 4096 bytes is cut, so that
            /// each call does bounded work; the caller writes the rest with another call. The
            /// call waits while the reader of the console is slow.
            safe fn io_console_write = 0x100 (
                buffer: Gpa = "the bytes",
                size: u32 = "how many bytes",
            ) -> "number of bytes written, at most 4096"
                errors [
                    EFAULT = "the buffer is not in RAM",
                    EPIPE = "nobody reads the console any more"
                ]
                in Io, since (1, 0), cost UserExit, batch yes,
                replaces "OUT to a serial port";

            /// Reads bytes that were typed on the console, waiting for the first one for at
            /// most `timeout` nanoseconds.
            unsafe fn io_console_read = 0x101 (
                buffer: Gpa = "where the bytes go",
                size: u32 = "the most bytes to read; at most 4096 are",
                timeout: u64 = "how long to wait, in nanoseconds; 0: not at all; 2^64-1: for ever",
            ) -> "number of bytes read, at least 1 unless `size` is 0"
                errors [
                    EFAULT = "the buffer is not in RAM",
                    EAGAIN = "nothing was typed in time",
                    EPIPE = "the input has ended and all of it was read"
                ]
                in Io, since (1, 0), cost UserExit, batch no,
                replaces "IN from a serial port, and its interrupt";

            /// Writes up to 40 bytes that travel in registers to the console. It needs no buffer
            /// and no trap handler, so it works from a guest's first instruction on.
            safe fn debug_print = 0x120 (
                size: u32 = "how many bytes, at most 40",
                w0: u64 = "bytes 0 to 7, the first one in the lowest bits",
                w1: u64 = "bytes 8 to 15",
                w2: u64 = "bytes 16 to 23",
                w3: u64 = "bytes 24 to 31",
                w4: u64 = "bytes 32 to 39",
            ) -> "number of bytes written"
                errors [
                    E2BIG = "`size` is above 40",
                    EPIPE = "nobody reads the console any more"
                ]
                in Debug, since (1, 0), cost UserExit, batch yes,
                replaces "OUT to port 0xe9 or 0x80";

            /// Hands over what the guest knows about its crash. The VMM keeps the last report
            /// and shows it when the guest ends by `sched_crash`.
            safe fn debug_crash_report = 0x121 (
                report: Gpa = "the `pv_crash_report`, 8-byte aligned",
            ) -> "0"
                errors [
                    EFAULT = "the report or its message is not in RAM, or not 8-byte aligned",
                    EINVAL = "an unknown `kind`, a `frame_valid` above 1, or a reserved field that is not 0",
                    E2BIG = "`message_size` is above 1024"
                ]
                in Debug, since (1, 0), cost UserExit, batch no,
                replaces "a dump on a serial port";

            /// Puts a mark with a value into the VMM's trace. What a guest can log is
            /// limited; marks above the limit are only counted.
            safe fn debug_trace_mark = 0x122 (
                id: u32 = "which mark; the guest gives it its meaning",
                value: u64 = "any value",
            ) -> "0"
                errors []
                in Debug, since (1, 0), cost UserExit, batch yes,
                replaces "OUT to a debug port";

            /// Adds up its six arguments, so that the cost of a call whose arguments are
            /// all used can be measured, and that they arrive can be tested.
            safe fn debug_echo = 0x123 (
                a: u64 = "any value",
                b: u64 = "any value",
                c: u64 = "any value",
                d: u64 = "any value",
                e: u64 = "any value",
                f: u64 = "any value",
            ) -> "a + 2b + 3c + 4d + 5e + 6f, modulo 2^31"
                errors []
                in Debug, since (1, 0), cost UserExit, batch yes,
                replaces "nothing; it is there to be measured";
        }
    };
}

/// A group of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The ABI itself, and many calls in one.
    Core = 0,
    /// Address spaces.
    As = 1,
    /// Traps.
    Trap = 2,
    /// Events.
    Event = 3,
    /// Time.
    Time = 4,
    /// Scheduling, and the end of the VM.
    Sched = 5,
    /// vCPUs.
    Vcpu = 6,
    /// Memory.
    Mem = 7,
    /// Console and devices.
    Io = 8,
    /// Debugging and measuring.
    Debug = 9,
}

/// What a call costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// No exit: shared memory, or code in the hypercall page.
    NoExit,
    /// An exit that the host kernel handles.
    KernelExit,
    /// An exit to the VMM.
    UserExit,
}

/// An argument of a call.
#[derive(Clone, Copy, Debug)]
pub struct ArgumentSpec {
    /// Its name.
    pub name: &'static str,
    /// Its type in Rust: `u32`, `u64` or `Gpa`.
    pub rust_type: &'static str,
    /// Its type in C.
    pub c_type: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

/// The definition of a call, as data.
#[derive(Clone, Copy, Debug)]
pub struct CallSpec {
    /// Its name, group first.
    pub name: &'static str,
    /// Its number, bits 15:0 of the call word.
    pub number: u16,
    /// Its group.
    pub group: Group,
    /// The lines of its description.
    pub prose: &'static [&'static str],
    /// Whether a guest may make it with any arguments without breaking its own memory safety.
    pub safe: bool,
    /// Its arguments, in the order of their registers.
    pub arguments: &'static [ArgumentSpec],
    /// What it returns when it succeeds.
    pub result: &'static str,
    /// Errors and their reasons, beside those that every call has.
    pub errors: &'static [(crate::Errno, &'static str)],
    /// The first ABI version that has it: major, minor.
    pub since: (u16, u16),
    /// What it costs.
    pub cost: Cost,
    /// Whether a batch may contain it.
    pub batchable: bool,
    /// What it replaces on bare hardware.
    pub replaces: &'static str,
}

/// One more than the highest call number that any ABI 1 VMM will ever use.
pub const CALL_NUMBERS: usize = 0x200;

macro_rules! define_specs {
    ($($(#[doc = $prose:literal])+
        $safety:ident fn $name:ident = $number:literal
            ($($argument:ident : $type:ident = $meaning:literal,)*) -> $result:literal
            errors [$($errno:ident = $reason:literal),*]
            in $group:ident, since ($major:literal, $minor:literal), cost $cost:ident,
            batch $batch:ident, replaces $replaces:literal;
    )*) => {
        /// Every call, in the order of the definitions.
        pub const CALLS: &[CallSpec] = &[$(CallSpec {
            name: stringify!($name),
            number: number::$name,
            group: Group::$group,
            prose: &[$($prose),+],
            safe: define_specs!(@safe $safety),
            arguments: &[$(ArgumentSpec {
                name: stringify!($argument),
                rust_type: stringify!($type),
                c_type: <$type as crate::types::Argument>::C_TYPE,
                meaning: $meaning,
            }),*],
            result: $result,
            errors: &[$((crate::Errno::$errno, $reason)),*],
            since: ($major, $minor),
            cost: Cost::$cost,
            batchable: define_specs!(@batch $batch),
            replaces: $replaces,
        }),*];

        /// The number of each call, under its name.
        pub mod number {
            $(
                #[doc = concat!("Number of `", stringify!($name), "`.")]
                #[allow(non_upper_case_globals)]
                pub const $name: u16 = $number;
            )*
        }
    };
    (@safe safe) => { true };
    (@safe unsafe) => { false };
    (@batch yes) => { true };
    (@batch no) => { false };
}

use crate::Gpa;
for_each_call!(define_specs);

/// The call with this number.
pub fn by_number(number: u16) -> Option<&'static CallSpec> {
    CALLS.iter().find(|call| call.number == number)
}

// A number belongs to its group and to one call alone.
const _: () = {
    let mut i = 0;
    while i < CALLS.len() {
        assert!(
            CALLS[i].number >> 5 == CALLS[i].group as u16,
            "a call number is outside its group"
        );
        assert!(
            (CALLS[i].number as usize) < CALL_NUMBERS,
            "a call number is too large"
        );
        assert!(
            CALLS[i].arguments.len() <= crate::convention::ARGUMENTS,
            "too many arguments"
        );
        assert!(
            i == 0 || CALLS[i - 1].number < CALLS[i].number,
            "the calls are not in ascending order, or two have one number"
        );
        i += 1;
    }
};

/// The published numbers. One that changes breaks every guest that was built before: give
/// a call that behaves differently a new number, and do not edit this list but to add to it.
const _: () = {
    const PUBLISHED: &[(u16, u16)] = &[
        (number::core_version, 0x000),
        (number::core_features, 0x001),
        (number::core_batch, 0x002),
        (number::core_noop, 0x003),
        (number::core_entropy, 0x004),
        (number::core_stats, 0x005),
        (number::trap_set_table, 0x040),
        (number::trap_set_syscall, 0x042),
        (number::trap_set_tls, 0x043),
        (number::trap_return, 0x044),
        (number::sched_yield, 0x0a0),
        (number::sched_shutdown, 0x0a5),
        (number::sched_reboot, 0x0a6),
        (number::sched_crash, 0x0a7),
        (number::io_console_write, 0x100),
        (number::io_console_read, 0x101),
        (number::debug_print, 0x120),
        (number::debug_crash_report, 0x121),
        (number::debug_trace_mark, 0x122),
        (number::debug_echo, 0x123),
    ];
    assert!(
        PUBLISHED.len() == CALLS.len(),
        "pin the number of the new call here"
    );
    let mut i = 0;
    while i < PUBLISHED.len() {
        assert!(
            PUBLISHED[i].0 == PUBLISHED[i].1,
            "a published call number changed"
        );
        i += 1;
    }
};
