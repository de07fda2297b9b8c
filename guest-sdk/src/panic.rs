//! Panics: the message and its place become a crash report, and the guest ends.

use crate::crash;
use core::panic::PanicInfo;
use pv_abi::crash::CRASH_PANIC;

/// The panic handler that [`entry!`](crate::entry) installs.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    match info.location() {
        Some(location) => crash::crash(
            CRASH_PANIC,
            None,
            format_args!("panicked at {location}: {}", info.message()),
        ),
        None => crash::crash(CRASH_PANIC, None, format_args!("{}", info.message())),
    }
}
