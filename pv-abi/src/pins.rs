//! The published numbers that no layout pins: error codes, feature bits, kinds, offsets.
//!
//! Guests are built with these numbers in them. A new one is added here; one that would have to
//! be changed here is a new ABI major version.

use crate::convention::{CALL_ENTRY_OFFSET, MAX_RESULT, TRAP_RETURN_OFFSET};
use crate::crash::{CRASH_MESSAGE_MAX, CRASH_PANIC, CRASH_TRAP};
use crate::image_note::{NOTE_TYPE, STACK_SIZE_MAX, STACK_SIZE_MIN};
use crate::start_info::{
    COMMAND_LINE_MAX, MEMORY_MAP_REGIONS, REGION_FREE, REGION_IMAGE, REGION_INITRD, REGION_STACK,
    RIGHT_EXECUTE, RIGHT_READ, RIGHT_WRITE, START_INFO_MAGIC,
};
use crate::stats::{BATCH_MAX, BATCH_STOP_ON_ERROR};
use crate::trap::{SYSCALL_VECTOR, TRAP_VECTORS};
use crate::vcpu_page::VCPU_PAGE_SIZE;
use crate::{Errno, Features};

macro_rules! pin {
    ($($name:expr => $number:expr,)*) => {
        $(const _: () = assert!(
            $name as u64 == $number,
            concat!(
                stringify!($name), " is a published number: guests are built with it. ",
                "Do not edit the number here; a changed one is a new ABI major version"
            )
        );)*
    };
}

pin! {
    Errno::EPERM => 1,
    Errno::EIO => 5,
    Errno::E2BIG => 7,
    Errno::EAGAIN => 11,
    Errno::ENOMEM => 12,
    Errno::EFAULT => 14,
    Errno::EINVAL => 22,
    Errno::EPIPE => 32,
    Errno::ENOSYS => 38,
    Features::BATCH.0 => 1 << 0,
    Features::ENTROPY.0 => 1 << 1,
    Features::TRAP_TABLE.0 => 1 << 2,
    Features::SYSCALL_ENTRY.0 => 1 << 3,
    Features::TLS.0 => 1 << 4,
    Features::DIRECT_RETURN.0 => 1 << 5,
    Features::CONSOLE.0 => 1 << 6,
    Features::CRASH_REPORT.0 => 1 << 7,
    CALL_ENTRY_OFFSET => 0,
    TRAP_RETURN_OFFSET => 0x80,
    MAX_RESULT => 0x7fff_ffff,
    START_INFO_MAGIC => 0x454e_4156_4152_4150,
    MEMORY_MAP_REGIONS => 120,
    COMMAND_LINE_MAX => 2047,
    REGION_FREE => 1,
    REGION_IMAGE => 2,
    REGION_STACK => 3,
    REGION_INITRD => 4,
    RIGHT_READ => 1,
    RIGHT_WRITE => 2,
    RIGHT_EXECUTE => 4,
    VCPU_PAGE_SIZE => 4096,
    TRAP_VECTORS => 32,
    SYSCALL_VECTOR => 0x100,
    CRASH_PANIC => 1,
    CRASH_TRAP => 2,
    CRASH_MESSAGE_MAX => 1024,
    BATCH_MAX => 512,
    BATCH_STOP_ON_ERROR => 1,
    NOTE_TYPE => 1,
    STACK_SIZE_MIN => 16 << 10,
    STACK_SIZE_MAX => 64 << 20,
}

// Every error code and every feature bit is pinned above.
const _: () = assert!(Errno::ALL.len() == 9, "pin the new error code");
const _: () = assert!(Features::DEFINED.len() == 8, "pin the new feature bit");
