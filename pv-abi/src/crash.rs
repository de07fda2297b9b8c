//! What a guest tells the VMM about its own end.

use crate::pin_layout;
use crate::trap::TrapFrame;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// [`CrashReport::kind`]: the guest gave up by its own decision, such as a Rust panic.
pub const CRASH_PANIC: u32 = 1;
/// [`CrashReport::kind`]: a trap that the guest has no answer to; `frame` is valid.
pub const CRASH_TRAP: u32 = 2;

/// Longest message of a crash report, in bytes.
pub const CRASH_MESSAGE_MAX: u32 = 1024;

/// What `debug_crash_report` hands over.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct CrashReport {
    /// `CRASH_*`.
    pub kind: u32,
    /// Length of the message in bytes, at most [`CRASH_MESSAGE_MAX`].
    pub message_size: u32,
    /// Guest-physical address of the message, UTF-8; any when its length is 0.
    pub message_gpa: u64,
    /// 1 when `frame` holds the registers of the trap; otherwise 0.
    pub frame_valid: u32,
    /// Zero.
    pub reserved: u32,
    /// The registers at the trap.
    pub frame: TrapFrame,
}

pin_layout!(CrashReport, size 208 {
    kind @ 0,
    message_size @ 4,
    message_gpa @ 8,
    frame_valid @ 16,
    reserved @ 20,
    frame @ 24,
});
