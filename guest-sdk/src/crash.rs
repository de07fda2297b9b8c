//! A guest's last words: how a panic and an unhandled trap reach the VMM.
//!
//! Nothing here takes a lock or allocates: it may run in the middle of anything.

#![allow(unsafe_code)]

use crate::{address, console, hypercall::raw};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use pv_abi::Gpa;
use pv_abi::crash::{CRASH_MESSAGE_MAX, CrashReport};
use pv_abi::trap::TrapFrame;

/// How many crashes have begun. The first is the one to tell of; one that comes while it is
/// told (a panic in a panic message, say) adds to it; the next ends the guest.
static CRASHES: AtomicU32 = AtomicU32::new(0);

static MESSAGE: Message = Message {
    bytes: UnsafeCell::new([0; CRASH_MESSAGE_MAX as usize]),
    used: AtomicUsize::new(0),
};

/// Reports a crash and ends the guest.
pub(crate) fn crash(kind: u32, frame: Option<&TrapFrame>, message: fmt::Arguments<'_>) -> ! {
    match CRASHES.fetch_add(1, Ordering::Relaxed) {
        0 => {
            console::flush_last_words();
            MESSAGE.append(message);
            report(kind, frame);
        }
        1 => {
            // What the first crash had to say comes first, in case there is no more.
            MESSAGE.append(format_args!(" ... and while this was reported: "));
            report(kind, frame);
            MESSAGE.append(message);
            report(kind, frame);
        }
        _ => {}
    }
    loop {
        // It does not return.
        let _ = raw::sched_crash();
    }
}

fn report(kind: u32, frame: Option<&TrapFrame>) {
    let (message_gpa, message_size) = MESSAGE.location();
    let report = CrashReport {
        kind,
        message_size,
        message_gpa: message_gpa.0,
        frame_valid: u32::from(frame.is_some()),
        reserved: 0,
        frame: frame.copied().unwrap_or_default(),
    };
    // If it cannot be told, the VMM shows the registers at `sched_crash`. No `address::of`: it
    // panics, and this is where panics end.
    let place = core::ptr::from_ref(&report);
    if let Some(gpa) = address::virt_to_phys(place, size_of::<CrashReport>()) {
        let _ = raw::debug_crash_report(gpa);
    }
}

/// The message of the crash report, grown as it is formatted, so that a crash on the way
/// leaves what there is of it.
struct Message {
    bytes: UnsafeCell<[u8; CRASH_MESSAGE_MAX as usize]>,
    used: AtomicUsize,
}

// SAFETY: bytes are written only at an index that the writer has claimed in `used`.
unsafe impl Sync for Message {}

impl Message {
    fn append(&self, text: fmt::Arguments<'_>) {
        // What does not fit is cut.
        let _ = MessageWriter(self).write_fmt(text);
    }

    fn location(&self) -> (Gpa, u32) {
        let used = self.used.load(Ordering::Relaxed);
        let gpa = address::virt_to_phys(self.bytes.get().cast::<u8>(), used);
        match gpa {
            Some(gpa) => (gpa, used as u32),
            None => (Gpa(0), 0),
        }
    }
}

struct MessageWriter<'a>(&'a Message);

impl Write for MessageWriter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let index = self.0.used.load(Ordering::Relaxed);
            if index == CRASH_MESSAGE_MAX as usize {
                return Err(fmt::Error);
            }
            // SAFETY: the index is within the array, and above all that was claimed.
            unsafe { self.0.bytes.get().cast::<u8>().add(index).write(byte) };
            self.0.used.store(index + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}
