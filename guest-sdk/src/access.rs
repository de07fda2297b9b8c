//! Accesses to memory that may be gone: they end in an error where others end in a #PF.
//!
//! What another guest shares, it may take back at any moment, also between a look whether it is
//! there and the access. So these accesses are made by few instructions, in one place, and
//! the SDK's trap code lets a #PF there go on where they return an error.

#![allow(unsafe_code)]

use crate::trap::TrapFrame;
use core::arch::global_asm;

/// The memory is not there, or may not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl core::fmt::Display for Gone {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the memory is gone, or may not be written")
    }
}

impl core::error::Error for Gone {}

// None of these functions moves RSP, so wherever one of them faults, it can return at once. They
// return whether they failed in RDX, and what they read in RAX (System V ABI, AMD64 supplement,
// 3.2.3: a structure of two words).
global_asm!(
    ".pushsection .text.paravane_access, \"ax\", @progbits",
    ".cfi_startproc",
    ".globl paravane_access_copy, paravane_access_load, paravane_access_store",
    ".globl paravane_access_failed",
    ".hidden paravane_access_copy, paravane_access_load, paravane_access_store",
    ".hidden paravane_access_failed",
    "paravane_access_copy:",
    "mov rcx, rdx",
    "rep movsb",
    "xor edx, edx",
    "ret",
    "paravane_access_load:",
    "mov eax, [rdi]",
    "xor edx, edx",
    "ret",
    "paravane_access_store:",
    "mov [rdi], esi",
    "xor edx, edx",
    "ret",
    "paravane_access_failed:",
    "mov edx, 1",
    "ret",
    ".cfi_endproc",
    ".popsection",
);

#[repr(C)]
struct Answer {
    value: u64,
    failed: u64,
}

unsafe extern "C" {
    fn paravane_access_copy(to: *mut u8, from: *const u8, size: usize) -> Answer;
    fn paravane_access_load(from: *const u32) -> Answer;
    fn paravane_access_store(to: *mut u32, value: u32) -> Answer;
    fn paravane_access_failed();
}

impl Answer {
    fn check(self) -> Result<u64, Gone> {
        if self.failed == 0 {
            Ok(self.value)
        } else {
            Err(Gone)
        }
    }
}

/// Lets code that accesses memory which is gone go on with an error. `false`: the trap is
/// something else.
pub(crate) fn recover(frame: &mut TrapFrame) -> bool {
    // The functions lie one behind the other, the first one first.
    let code = paravane_access_copy as *const () as u64..paravane_access_failed as *const () as u64;
    if frame.page_fault().is_none() || !code.contains(&frame.rip) {
        return false;
    }
    // SAFETY: each function whose code that is can return from there.
    unsafe { frame.registers_mut() }.rip = code.end;
    true
}

/// Copies bytes, of which either end may be gone. Some of them may have been copied when it
/// fails.
///
/// # Safety
///
/// Where there is memory at `to`, the bytes are this caller's to write. Where there is memory at
/// `from`, it may be read; somebody else may change it meanwhile.
pub unsafe fn copy(to: *mut u8, from: *const u8, size: usize) -> Result<(), Gone> {
    // SAFETY: the caller's promise; a #PF becomes an error.
    unsafe { paravane_access_copy(to, from, size) }
        .check()
        .map(drop)
}

/// Reads a word that somebody else may change, in one access. What was written before it, where
/// it was written by [`store`], is seen by whatever comes after this.
///
/// # Safety
///
/// `from` is aligned. Where there is memory, it may be read.
pub unsafe fn load(from: *const u32) -> Result<u32, Gone> {
    // SAFETY: as in `copy`. A load is an acquire on x86 (Intel SDM vol. 3A, 9.2.2), and the
    // compiler moves nothing across the call.
    unsafe { paravane_access_load(from) }
        .check()
        .map(|value| value as u32)
}

/// Writes a word that somebody else may read, in one access.
///
/// # Safety
///
/// `to` is aligned. Where there is memory, it is this caller's to write.
pub unsafe fn store(to: *mut u32, value: u32) -> Result<(), Gone> {
    // SAFETY: as in `load`; a store is a release.
    unsafe { paravane_access_store(to, value) }
        .check()
        .map(drop)
}
