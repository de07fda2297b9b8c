//! The published numbers that no layout pins: error codes, feature bits, kinds, offsets.
//!
//! Guests are built with these numbers in them. A new one is added here; one that would have to
//! be changed here is a new ABI major version.

use crate::convention::{CALL_ENTRY_OFFSET, MAX_RESULT, TASK_ENTRY_OFFSET, TRAP_RETURN_OFFSET};
use crate::crash::{CRASH_MESSAGE_MAX, CRASH_PANIC, CRASH_TRAP};
use crate::device::{
    DEVICE_ACKNOWLEDGE, DEVICE_DRIVER, DEVICE_DRIVER_OK, DEVICE_FAILED, DEVICE_FEATURES_OK,
    DEVICE_ID_MAX, DEVICE_NEEDS_RESET, DEVICES, DOORBELLS,
};
use crate::event::{
    EVENT_PORTS, EVENT_PORTS_PER_PRIORITY, EVENT_PRIORITIES, EVENT_SOURCE_CONSOLE,
    EVENT_SOURCE_DEVICE, EVENT_SOURCE_GRANT, EVENT_SOURCE_QUEUE, EVENT_SOURCE_RESTORED,
    EVENT_SOURCE_SHUTDOWN, TIMER_PERIOD_MIN, TIMERS_MAX,
};
use crate::grant::GRANTS;
use crate::image_note::{NOTE_TYPE, STACK_SIZE_MAX, STACK_SIZE_MIN};
use crate::mapping::{
    ADDRESS_SPACES, LARGE_PAGE_SIZE, TASK_AREA_END, TASK_AREA_START, TRANSLATION_SEALED,
    TRANSLATION_TASK,
};
use crate::set::{SET_ALL, SET_SPARSE};
use crate::start_info::{
    COMMAND_LINE_MAX, MEMORY_MAP_REGIONS, REGION_FREE, REGION_IMAGE, REGION_INITRD, REGION_STACK,
    RIGHT_EXECUTE, RIGHT_READ, RIGHT_WRITE, START_INFO_MAGIC,
};
use crate::stats::{BATCH_MAX, BATCH_STOP_ON_ERROR};
use crate::time::{CLOCK_TSC_STABLE, NANOSECONDS};
use crate::trap::{SYSCALL_VECTOR, TRAP_VECTORS, UPCALL_VECTOR};
use crate::vcpu_page::{
    DEFERRED_CALLS, RUN_STATE_BLOCKED, RUN_STATE_RUNNABLE, RUN_STATE_RUNNING, RUN_STATE_STOPPED,
    VCPU_PAGE_SIZE,
};
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
    Errno::ENOENT => 2,
    Errno::EIO => 5,
    Errno::E2BIG => 7,
    Errno::EAGAIN => 11,
    Errno::ENOMEM => 12,
    Errno::EFAULT => 14,
    Errno::EBUSY => 16,
    Errno::EEXIST => 17,
    Errno::EINVAL => 22,
    Errno::ENOSPC => 28,
    Errno::EPIPE => 32,
    Errno::ENOSYS => 38,
    Errno::ETIMEDOUT => 110,
    Features::BATCH.0 => 1 << 0,
    Features::ENTROPY.0 => 1 << 1,
    Features::TRAP_TABLE.0 => 1 << 2,
    Features::SYSCALL_ENTRY.0 => 1 << 3,
    Features::TLS.0 => 1 << 4,
    Features::DIRECT_RETURN.0 => 1 << 5,
    Features::CONSOLE.0 => 1 << 6,
    Features::CRASH_REPORT.0 => 1 << 7,
    Features::ADDRESS_SPACES.0 => 1 << 8,
    Features::EVENTS.0 => 1 << 9,
    Features::CLOCK.0 => 1 << 10,
    Features::TIMERS.0 => 1 << 11,
    Features::BLOCKING.0 => 1 << 12,
    Features::VCPUS.0 => 1 << 13,
    Features::TASKS.0 => 1 << 14,
    Features::BALLOON.0 => 1 << 15,
    Features::GRANTS.0 => 1 << 16,
    Features::DEBUG_REGISTERS.0 => 1 << 17,
    Features::DEFERRED.0 => 1 << 18,
    Features::DEVICES.0 => 1 << 19,
    Features::RESTORED.0 => 1 << 20,
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
    UPCALL_VECTOR => 0x101,
    TASK_ENTRY_OFFSET => 0xc0,
    EVENT_PORTS => 4096,
    EVENT_PRIORITIES => 4,
    EVENT_PORTS_PER_PRIORITY => 1024,
    EVENT_SOURCE_CONSOLE => 1,
    EVENT_SOURCE_SHUTDOWN => 2,
    EVENT_SOURCE_GRANT => 3,
    EVENT_SOURCE_RESTORED => 4,
    EVENT_SOURCE_DEVICE => 0x100,
    EVENT_SOURCE_QUEUE => 0x1000,
    DEVICES => 32,
    DOORBELLS => 256,
    DEVICE_ID_MAX => 32,
    DEVICE_ACKNOWLEDGE => 1,
    DEVICE_DRIVER => 2,
    DEVICE_DRIVER_OK => 4,
    DEVICE_FEATURES_OK => 8,
    DEVICE_NEEDS_RESET => 64,
    DEVICE_FAILED => 128,
    TIMERS_MAX => 1024,
    TIMER_PERIOD_MIN => 50_000,
    CLOCK_TSC_STABLE => 1,
    NANOSECONDS => 1_000_000_000,
    GRANTS => 64,
    ADDRESS_SPACES => 1024,
    LARGE_PAGE_SIZE => 0x20_0000,
    TASK_AREA_START => 0x80_0000_0000,
    TASK_AREA_END => 0x4000_0000_0000,
    TRANSLATION_SEALED => 1,
    TRANSLATION_TASK => 2,
    SET_ALL => 0,
    SET_SPARSE => 1,
    DEFERRED_CALLS => 32,
    RUN_STATE_STOPPED => 0,
    RUN_STATE_RUNNING => 1,
    RUN_STATE_RUNNABLE => 2,
    RUN_STATE_BLOCKED => 3,
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
const _: () = assert!(Errno::ALL.len() == 14, "pin the new error code");
const _: () = assert!(Features::DEFINED.len() == 21, "pin the new feature bit");
